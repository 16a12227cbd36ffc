//! Devices that take part and then say nothing.

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::summary::{Failure, RoundOutcome};

use super::device_by_hand::DeviceByHand;
use super::world::{World, settings};

#[test]
fn without_a_quorum_the_round_fails_at_its_deadline_and_the_next_one_counts_everybody() {
    let mut settings = settings(100, 3, 1);
    settings.deadline_ms = 10_000;
    let Some(mut world) = World::new(settings) else { return };
    let silent = DeviceByHand::open(&world, "silent");
    world.start_aggregator();
    world.start_devices(2);
    silent.claim();
    let summary = world.wait_event(|event| match event {
        RoundEvent::RoundFailed { summary } => Some(summary.clone()),
        _ => None,
    });
    assert_eq!(summary.outcome, RoundOutcome::Failed(Failure::TooFew));
    assert_eq!((summary.quorum, summary.tally.granted), (3, 3), "{summary:?}");
    silent.close();
    world.start_device(2);
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1, 2], 1);
}

#[test]
fn a_device_that_never_answers_does_not_hold_a_quorum_beyond_the_deadline() {
    let mut settings = settings(100, 3, 1);
    settings.deadline_ms = 10_000;
    settings.quorum = 2;
    let Some(mut world) = World::new(settings) else { return };
    let silent = DeviceByHand::open(&world, "silent");
    world.start_aggregator();
    world.start_devices(2);
    silent.claim();
    world.wait_finished();
    let accepted = world.wait_event(|event| match event {
        RoundEvent::RoundPublished { summary, .. } => Some(summary.accepted),
        _ => None,
    });
    assert_eq!(accepted, 2);
    world.assert_each_counted_once(&[0, 1], 1);
}
