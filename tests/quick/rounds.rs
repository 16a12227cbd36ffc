//! Whole rounds in memory, with cuts, kills and silence.
//!
//! A failure is: an accepted update that is not in the model or is in it twice, a round that
//! never ends, a panic. No failure is: a device that gives up a round that closed without it.

use std::collections::BTreeSet;

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::{Enrolment, Settings, Weighting};
use dunlin_fleet::memory::{Client, MemoryFleet};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::presence::Ineligible;
use dunlin_protocol::time::Instant;
use dunlin_tests::{ToyTrainer, name, toy_task};

fn settings(window: u16, devices: u32) -> Settings {
    let mut settings = Settings::new(name("gait"), name("agg"), toy_task(window));
    settings.codec = Codec::F32;
    settings.weighting = Weighting::Equal;
    settings.enrolled = Enrolment::Any;
    settings.target = devices;
    settings.quorum = devices;
    settings.min_online = devices;
    settings.rounds = 3;
    settings.clip_norm = 1000.0;
    settings.chunk_bytes = 4096;
    settings
}

fn fleet(settings: Settings, devices: u8) -> MemoryFleet<ToyTrainer> {
    let mut fleet = MemoryFleet::new(settings);
    for place in 0..devices {
        let train_ms = 400 + 100 * u64::from(place);
        fleet.add_device(name(&format!("device-{place}")), ToyTrainer::of(place), train_ms);
    }
    fleet.start_aggregator(1).unwrap();
    fleet
}

fn is_finished(fleet: &MemoryFleet<ToyTrainer>) -> bool {
    fleet.log.iter().any(|(_, event)| matches!(event, RoundEvent::Finished { .. }))
}

/// How far every coordinate has moved from its initial value, and in how many versions.
fn moved(fleet: &MemoryFleet<ToyTrainer>) -> (f64, u32) {
    let initial = toy_layout(fleet);
    let aggregator = fleet.aggregator().unwrap();
    let steps = aggregator.params().iter().zip(&initial).map(|(now, then)| f64::from(now - then));
    let steps: Vec<f64> = steps.collect();
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    assert!(steps.iter().all(|step| (step - mean).abs() < 1e-5), "all coordinates move alike");
    (mean, aggregator.head().version.0)
}

fn toy_layout(fleet: &MemoryFleet<ToyTrainer>) -> Vec<f32> {
    let n = fleet.aggregator().unwrap().params().len();
    let window = u16::try_from((n - 10) / 10).unwrap();
    let layout = toy_task(window).layout().unwrap();
    layout.model_of(&layout.initial_params(1))
}

/// What `devices` devices give in one round when each is counted once.
fn mean_step(devices: u8) -> f64 {
    let steps = (0..devices).map(|place| f64::from(ToyTrainer::of(place).step));
    steps.sum::<f64>() / f64::from(devices)
}

fn assert_each_counted_once(fleet: &MemoryFleet<ToyTrainer>, devices: u8, rounds: u32) {
    let (step, version) = moved(fleet);
    assert_eq!(version, rounds);
    let expected = mean_step(devices) * f64::from(rounds);
    assert!((step - expected).abs() < 1e-5, "moved {step}, expected {expected}");
}

#[test]
fn three_rounds_of_five_devices_give_exactly_the_mean_of_their_updates() {
    let mut fleet = fleet(settings(100, 5), 5);
    assert!(fleet.run(Instant(600_000), is_finished), "{:?}", fleet.log.last());
    assert_each_counted_once(&fleet, 5, 3);
}

#[test]
fn the_same_federation_gives_the_same_bits_twice() {
    let run = || {
        let mut fleet = fleet(settings(100, 5), 5);
        fleet.run(Instant(600_000), is_finished);
        (fleet.now(), fleet.aggregator().unwrap().params().to_vec(), fleet.device_messages)
    };
    assert_eq!(run(), run());
}

/// Runs three rounds of three devices again and again, with `fault` after every `stride`-th event
/// in turn, and checks each time that every update is counted once.
fn at_every_moment(stride: usize, fault: impl Fn(&mut MemoryFleet<ToyTrainer>)) {
    for moment in (0..400).step_by(stride) {
        let mut fleet = fleet(settings(1000, 3), 3);
        let mut events = 0;
        fleet.run(Instant(600_000), |_| {
            events += 1;
            events > moment
        });
        fault(&mut fleet);
        let done = fleet.run(Instant(3_000_000), is_finished);
        assert!(done, "a fault after {moment} events: {:?}", fleet.log.last());
        assert_each_counted_once(&fleet, 3, 3);
    }
}

/// Lets `span_ms` pass.
fn pass(fleet: &mut MemoryFleet<ToyTrainer>, span_ms: u64) {
    fleet.run(fleet.now().after(span_ms), |_| false);
}

#[test]
fn a_link_cut_at_any_moment_loses_nothing_and_counts_nothing_twice() {
    at_every_moment(7, |fleet| fleet.cut(Client::Device(1)));
    at_every_moment(7, |fleet| fleet.cut(Client::Aggregator));
}

#[test]
fn a_device_killed_at_any_moment_comes_back_and_is_counted_once() {
    at_every_moment(7, |fleet| {
        fleet.kill_device(1);
        pass(fleet, 5_000);
        fleet.restart_device(1);
    });
}

#[test]
fn a_device_held_at_any_moment_stops_and_is_counted_once_in_the_same_round() {
    for reason in [Ineligible::Busy, Ineligible::Metered] {
        at_every_moment(7, |fleet| {
            fleet.hold(1, Some(reason));
            pass(fleet, 5_000);
            assert_ne!(fleet.session(1).phase_name(), "training");
            fleet.hold(1, None);
        });
    }
}

#[test]
fn rounds_do_not_wait_for_devices_that_are_held_and_do_not_starve() {
    let mut settings = settings(100, 4);
    settings.deadline_ms = 30_000;
    settings.claim_wait_ms = 30_000; // one draw must do
    let mut fleet = fleet(settings, 10);
    (0..6).for_each(|device| fleet.hold(device, Some(Ineligible::Battery)));
    assert!(fleet.run(Instant(600_000), is_finished), "{:?}", fleet.log.last());
    let published = |event: &RoundEvent| matches!(event, RoundEvent::RoundPublished { .. });
    let times: Vec<Instant> =
        fleet.log.iter().filter(|(_, event)| published(event)).map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 3);
    assert!(times[2] < Instant(30_000), "three rounds before a second draw of one: {times:?}");
    let aggregator = fleet.aggregator().unwrap();
    assert_eq!((aggregator.online(), aggregator.held()[&Ineligible::Battery]), (10, 6));
    let accepted = |device: usize| fleet.session(device).counters().accepted;
    assert_eq!((0..6).map(accepted).sum::<u32>(), 0);
}

#[test]
fn an_aggregator_killed_at_any_moment_resumes_and_counts_nothing_twice() {
    at_every_moment(5, |fleet| {
        fleet.kill_aggregator();
        pass(fleet, 2_000);
        fleet.start_aggregator(1).unwrap();
    });
}

#[test]
fn a_broker_that_restarts_and_forgets_everything_is_told_again() {
    at_every_moment(7, |fleet| fleet.restart_broker(false));
    at_every_moment(7, |fleet| fleet.restart_broker(true));
}

#[test]
fn a_device_that_never_answers_does_not_hold_the_round_beyond_its_deadline() {
    let mut settings = settings(100, 4);
    settings.quorum = 3;
    settings.deadline_ms = 30_000;
    let mut fleet = fleet(settings, 4);
    fleet.run(Instant(3_000), |_| false);
    // It stays connected by its last message and says nothing more.
    let silent = ToyTrainer { step: 0.0, windows: 1 };
    fleet.add_device(name("silent"), silent, u64::from(u32::MAX));
    fleet.kill_device(0);
    assert!(fleet.run(Instant(600_000), is_finished), "{:?}", fleet.log.last());
}

#[test]
fn without_a_quorum_the_round_fails_with_a_reason_and_the_next_one_opens() {
    let mut settings = settings(100, 3);
    settings.deadline_ms = 20_000;
    let mut fleet = fleet(settings, 3);
    let seen = |wanted: fn(&RoundEvent) -> bool| {
        move |fleet: &MemoryFleet<ToyTrainer>| fleet.log.iter().any(|(_, event)| wanted(event))
    };
    assert!(fleet.run(Instant(600_000), seen(|e| matches!(e, RoundEvent::RoundOpened { .. }))));
    fleet.kill_device(2);
    assert!(fleet.run(Instant(600_000), seen(|e| matches!(e, RoundEvent::RoundFailed { .. }))));
    fleet.restart_device(2);
    assert!(fleet.run(Instant(1_200_000), is_finished), "{:?}", fleet.log.last());
    assert_each_counted_once(&fleet, 3, 3);
}

#[test]
fn devices_that_are_not_enrolled_are_refused_and_never_counted() {
    let mut settings = settings(100, 2);
    let enrolled: BTreeSet<_> = [name("device-0"), name("device-1")].into();
    settings.enrolled = Enrolment::Only(enrolled);
    let mut fleet = fleet(settings, 4);
    assert!(fleet.run(Instant(600_000), is_finished), "{:?}", fleet.log.last());
    assert_each_counted_once(&fleet, 2, 3);
}

#[test]
fn an_aggregator_that_starts_late_sees_the_states_of_more_than_a_hundred_devices() {
    let mut settings = settings(100, 150);
    settings.rounds = 1;
    let mut fleet = MemoryFleet::new(settings);
    for place in 0..150 {
        fleet.add_device(name(&format!("device-{place}")), ToyTrainer::of(0), 500);
    }
    fleet.run(Instant(60_000), |_| false);
    fleet.start_aggregator(1).unwrap();
    assert!(fleet.run(Instant(600_000), is_finished), "{:?}", fleet.log.last());
}
