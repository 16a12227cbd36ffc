//! Links that cost: devices that connect only for work, and a cap on bytes.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_agent::meter::message_bytes;
use dunlin_agent::session::LinkPolicy;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::{Enrolment, Settings};
use dunlin_fleet::memory::{Client, MemoryFleet};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::time::Instant;
use dunlin_tests::{ToyTrainer, name, toy_task};

const HOUR_MS: u64 = 3_600_000;

fn settings(devices: u32) -> Settings {
    let mut settings = Settings::new(name("gait"), name("agg"), toy_task(1000));
    settings.codec = Codec::F32;
    settings.enrolled = Enrolment::Any;
    (settings.target, settings.quorum, settings.min_online) = (devices, devices, devices);
    settings.rounds = 3;
    settings.clip_norm = 1000.0;
    settings.deadline_ms = 1_800_000;
    settings
}

fn fleet(settings: Settings, devices: u8, link: LinkPolicy) -> MemoryFleet<ToyTrainer> {
    let mut fleet = MemoryFleet::new(settings);
    fleet.device_link = link;
    for place in 0..devices {
        fleet.add_device(name(&format!("device-{place}")), ToyTrainer::of(place), 1000);
    }
    fleet.start_aggregator(1).unwrap();
    fleet
}

fn is_finished(fleet: &MemoryFleet<ToyTrainer>) -> bool {
    fleet.log.iter().any(|(_, event)| matches!(event, RoundEvent::Finished { .. }))
}

#[test]
fn devices_that_connect_only_for_work_finish_their_rounds_and_are_seldom_there() {
    let link = LinkPolicy { intermittent: true, ..LinkPolicy::default() };
    let mut fleet = fleet(settings(4), 4, link);
    let (mut seconds, mut connected) = (0_u32, 0_u32);
    while !is_finished(&fleet) {
        fleet.run(fleet.now().after(1000), is_finished);
        seconds += 1;
        let up = (0..4).filter(|&place| fleet.is_connected(Client::Device(place)));
        connected += u32::try_from(up.count()).unwrap();
        assert!(seconds < 40_000, "{:?}", fleet.log.last());
    }
    let aggregator = fleet.aggregator().unwrap();
    assert_eq!(aggregator.head().version.0, 3);
    assert!(aggregator.counters().accepted > 3 * 4, "three rounds and an evaluation");
    let share = f64::from(connected) / f64::from(4 * seconds);
    assert!(share < 0.05, "connected {share:.3} of {seconds} s");
}

#[test]
fn a_sleeping_device_is_back_when_its_aggregator_was_away() {
    let link = LinkPolicy { intermittent: true, ..LinkPolicy::default() };
    let mut fleet = fleet(settings(2), 2, link);
    fleet.run(Instant(30_000), |_| false);
    fleet.kill_aggregator();
    fleet.run(Instant(3 * HOUR_MS), |_| false);
    fleet.start_aggregator(1).unwrap();
    assert!(fleet.run(Instant(12 * HOUR_MS), is_finished), "{:?}", fleet.log.last());
}

/// One device whose rounds cost about 90 kB each, with `cap` bytes a day; when it finished.
fn capped(cap: u64) -> Instant {
    let mut settings = settings(1);
    settings.deadline_ms = 10 * 24 * HOUR_MS;
    let link = LinkPolicy { cap_per_day: Some(cap), keep_alive_ms: 60_000, intermittent: false };
    let mut fleet = fleet(settings, 1, link);
    let log: Rc<RefCell<Vec<(Instant, u64)>>> = Rc::default();
    let notes = log.clone();
    fleet.watch(move |now, client, _, topic, payload| {
        if client == Client::Device(0) {
            notes.borrow_mut().push((now, message_bytes(topic.len(), payload.len())));
        }
    });
    let finished = fleet.run(Instant(40 * 24 * HOUR_MS), is_finished);
    assert!(finished, "{:?}", fleet.log.last());
    let log = log.borrow();
    for (start, _) in log.iter() {
        let day = log.iter().filter(|(at, _)| at >= start && at.since(*start) < 24 * HOUR_MS);
        let spent: u64 = day.map(|(_, bytes)| bytes).sum();
        assert!(spent <= cap, "{spent} bytes in the day from {start:?}");
    }
    assert_eq!(fleet.aggregator().unwrap().counters().refused.len(), 0, "nothing failed");
    fleet.now()
}

#[test]
fn a_daily_cap_is_kept_by_waiting_and_the_work_is_done() {
    let free = capped(1_000_000);
    assert!(free < Instant(HOUR_MS), "{free:?}");
    let tight = capped(130_000);
    assert!(tight > Instant(48 * HOUR_MS), "one round a day: {tight:?}");
}
