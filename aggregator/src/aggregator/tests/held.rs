//! Devices whose own rules hold them back: they are there, and no round counts on them.

use std::collections::BTreeMap;

use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::message::Answer;
use dunlin_protocol::presence::{Ineligible, Lack, Presence, State, Unable};
use dunlin_protocol::work::WorkKind;

use super::world::{World, settings};
use crate::io::RoundEvent;
use crate::round::Progress;
use crate::status::Status;

fn held(reason: Ineligible) -> Presence {
    Presence { held: Some(reason), ..Presence::new(State::Online, 1) }
}

/// Six devices online, the first `count` of them held.
fn six_devices(world: &mut World, count: usize) {
    world.connect();
    for place in 0..6 {
        let device = format!("d{place}");
        match place < count {
            true => world.says(&device, &held(Ineligible::Battery)),
            false => world.presence(&device, State::Online, 1),
        }
    }
    world.wait(world.settings.settle_ms);
}

fn world() -> World {
    let mut settings = settings();
    settings.enrolled = crate::settings::Enrolment::Any;
    World::new(settings)
}

#[test]
fn the_draw_is_over_devices_that_take_work_so_that_rounds_do_not_starve() {
    let mut all = world();
    six_devices(&mut all, 0);
    let invited = all.settings.invited(all.settings.target);
    assert_eq!(all.item(WorkKind::Train).unwrap().fraction, Fraction::of(invited, 6));
    let mut half = world();
    six_devices(&mut half, 3);
    assert_eq!(half.item(WorkKind::Train).unwrap().fraction, Fraction::of(invited, 3));
    assert_eq!(half.core.online(), 6);
    let opened = |event: &RoundEvent| matches!(event, RoundEvent::RoundOpened { available: 3, .. });
    assert!(half.events.iter().any(opened));
}

#[test]
fn a_round_waits_until_enough_devices_are_held_no_more() {
    let mut world = world();
    six_devices(&mut world, 4);
    assert!(world.item(WorkKind::Train).is_none());
    world.presence("d0", State::Online, 1);
    assert!(world.item(WorkKind::Train).is_some());
}

#[test]
fn a_device_held_at_its_work_makes_room_for_another_and_its_late_update_still_counts() {
    let mut world = world();
    six_devices(&mut world, 0);
    for device in ["d0", "d1", "d2"] {
        assert_eq!(world.claim(device, WorkKind::Train), Answer::Go);
    }
    let working = |world: &World| world.core.rounds().next().unwrap().working();
    assert_eq!(working(&world), 3);
    world.says("d0", &held(Ineligible::Metered));
    assert_eq!(working(&world), 2);
    let round = world.core.rounds().next().unwrap();
    assert_eq!(round.progress(&super::world::name("d0")), Some(Progress::Gone));
    world.presence("d0", State::Online, 1);
    world.train("d0");
    assert_eq!(world.core.rounds().next().unwrap().accepted(), 1);
}

#[test]
fn the_status_counts_held_devices_by_their_reason() {
    let mut world = world();
    six_devices(&mut world, 3);
    world.says("d2", &held(Ineligible::Hot));
    let status = Status::live(&world.core, world.now, Vec::new());
    let live = status.live.as_ref().unwrap();
    assert_eq!(live.held, BTreeMap::from([(Ineligible::Battery, 2), (Ineligible::Hot, 1)]));
    assert!(status.to_string().contains("\nheld: battery 2, hot 1\n"), "{status}");
    let json = serde_json::to_string(&status).unwrap();
    assert!(json.contains(r#""held":{"battery":2,"hot":1}"#), "{json}");
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
    world.connect();
    let status = Status::live(&world.core, world.now, Vec::new()).to_string();
    assert!(!status.contains("held"), "{status}");
}

/// A device that cannot do work of these kinds.
fn unable(kinds: &[WorkKind], lack: Lack) -> Presence {
    let unable = Unable::new(|kind| kinds.contains(&kind).then_some(lack));
    Presence { unable, ..Presence::new(State::Online, 1) }
}

#[test]
fn a_round_does_not_wait_for_devices_that_cannot_do_its_work() {
    let mut settings = settings();
    settings.enrolled = crate::settings::Enrolment::Any;
    settings.target = 5;
    let mut world = World::new(settings);
    six_devices(&mut world, 0);
    for device in ["d0", "d1", "d2"] {
        world.says(device, &unable(&[WorkKind::Train], Lack::Memory));
    }
    for device in ["d3", "d4", "d5"] {
        world.claim(device, WorkKind::Train);
        world.train(device);
    }
    let published = |event: &RoundEvent| matches!(event, RoundEvent::RoundPublished { .. });
    assert!(world.events.iter().any(published), "three of five, and nobody is left");
}

#[test]
fn an_evaluation_that_nobody_can_do_ends_at_once() {
    let mut settings = settings();
    settings.enrolled = crate::settings::Enrolment::Any;
    settings.evaluate_every = 1;
    let mut world = World::new(settings);
    six_devices(&mut world, 0);
    for place in 0..6 {
        world.says(&format!("d{place}"), &unable(&[WorkKind::Evaluate], Lack::HeldBack));
    }
    let enough = world.settings.target;
    for place in 0..enough {
        world.claim(&format!("d{place}"), WorkKind::Train);
        world.train(&format!("d{place}"));
    }
    world.wait(world.settings.commit_interval_ms + 1);
    let ended = world.events.iter().filter_map(RoundEvent::ended);
    let ended = ended.filter(|summary| summary.key.kind == WorkKind::Evaluate);
    assert_eq!(ended.map(|summary| summary.accepted).collect::<Vec<_>>(), [0]);
}

#[test]
fn an_evaluation_that_only_waits_for_claims_says_when_it_ends() {
    let mut settings = settings();
    settings.evaluate_every = 1;
    let mut world = World::new(settings);
    let devices = ["d0", "d1", "d2"];
    world.begin(&devices);
    for device in devices {
        world.claim(device, WorkKind::Train);
        world.train(device);
    }
    for device in devices {
        world.claim(device, WorkKind::Evaluate);
        let header = world.header(WorkKind::Evaluate);
        world.send(device, &super::world::object(&header, &[]));
    }
    let status = Status::live(&world.core, world.now, Vec::new());
    let open = status.open.iter().find(|open| open.key.kind == WorkKind::Evaluate).unwrap();
    assert_eq!((open.accepted, open.working), (3, 0));
    assert!(open.remaining_ms <= world.settings.claim_wait_ms, "{status}");
}

#[test]
fn rounds_that_nobody_can_do_come_ever_more_seldom() {
    let mut world = world();
    six_devices(&mut world, 0);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let before = world.now;
        for place in 0..6 {
            world.says(&format!("d{place}"), &unable(&[WorkKind::Train], Lack::Memory));
        }
        assert!(world.item(WorkKind::Train).is_none(), "it ended at once");
        // They try again, as after a call.
        (0..6).for_each(|place| world.presence(&format!("d{place}"), State::Online, 1));
        while world.item(WorkKind::Train).is_none() {
            world.wait(100);
        }
        pauses.push(world.now.since(before));
    }
    assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "{pauses:?}");
}

#[test]
fn the_status_counts_devices_that_cannot_work_by_kind_and_lack_and_no_round_opens_without_others() {
    let mut world = world();
    world.connect();
    for device in ["d0", "d1", "d2", "d3"] {
        world.says(device, &unable(&[WorkKind::Train, WorkKind::Evaluate], Lack::Windows));
    }
    world.says("d4", &unable(&[WorkKind::Evaluate], Lack::HeldBack));
    world.wait(world.settings.settle_ms);
    assert!(world.item(WorkKind::Train).is_none());
    let status = Status::live(&world.core, world.now, Vec::new());
    let text = status.to_string();
    for line in [
        "\ncannot train: windows 4\n",
        "\ncannot evaluate: windows 4, held_back 1\n",
        "\nno training round is open: waits for devices: 1 can take part",
        ", 4 cannot train (windows)",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let json = serde_json::to_string(&status).unwrap();
    let counts = r#""unable":{"evaluate":{"windows":4,"held_back":1},"train":{"windows":4}}"#;
    assert!(json.contains(counts), "{json}");
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
}
