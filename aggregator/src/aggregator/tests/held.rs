//! Devices whose own rules hold them back: they are there, and no round counts on them.

use std::collections::BTreeMap;

use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::message::Answer;
use dunlin_protocol::presence::{Ineligible, Presence, State};
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
