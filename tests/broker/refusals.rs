//! Updates that must not count, from a device that says them on purpose.

use std::collections::BTreeMap;

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::Enrolment;
use dunlin_link::testing::Draft;
use dunlin_protocol::id::{ModelVersion, RoundId, ShortDigest};
use dunlin_protocol::message::{Answer, Outcome, Refusal};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::wire::SCHEMA;
use dunlin_tests::{ToyTrainer, name};

use super::device_by_hand::{DeviceByHand, header, object};
use super::gate::{Gate, Gated};
use super::world::{World, device_name, settings};

/// Parameters of the toy task with a window of 100.
const N: usize = 1010;

/// A federation of two devices at a gate, and a third that a test speaks for.
fn with_third(targets: u32) -> Option<(World, Gate, DeviceByHand)> {
    let mut settings = settings(100, targets, 1);
    settings.overselect = 2.0;
    settings.clip_norm = 10.0;
    settings.min_online = 3;
    settings.enrolled = Enrolment::Only(["device-0", "device-1", "third"].map(name).into());
    let mut world = World::new(settings)?;
    let third = DeviceByHand::open(&world, "third");
    let gate = Gate::default();
    world.start_aggregator();
    for place in [0, 1] {
        let trainer = Gated { toy: ToyTrainer::of(place), gate: gate.clone() };
        world.start_agent(place, trainer, world.link(&device_name(place)));
    }
    Some((world, gate, third))
}

/// Updates that are wrong in one way each, and the reason that they are to be refused for.
fn wrong_updates(world: &World, plan: &Plan, item: &WorkItem) -> Vec<(Refusal, Vec<u8>)> {
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut header = header(world, plan, item);
        change(&mut header);
        object(header, 0.25, N)
    };
    let good = with(&|_| {});
    let bent = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let last = |value: f32| {
        bent(&|bytes| {
            bytes.truncate(bytes.len() - 4);
            bytes.extend_from_slice(&value.to_le_bytes());
        })
    };
    vec![
        (Refusal::StaleBase, with(&|h| h.header.base_version = ModelVersion(9))),
        (Refusal::WrongLayout, with(&|h| h.header.task = [9; 4])),
        (Refusal::WrongLineage, with(&|h| h.header.lineage = [9; 4])),
        (Refusal::RoundClosed, with(&|h| h.header.round = RoundId(99))),
        (Refusal::BadWeight, with(&|h| h.figures.examples = 0)),
        (Refusal::Codec, with(&|h| h.header.codec = 1)),
        (Refusal::Malformed, bent(&|bytes| bytes.truncate(bytes.len() - 3))),
        (Refusal::Malformed, bent(&|bytes| bytes.truncate(10))),
        (Refusal::Malformed, bent(&|bytes| bytes.push(0))),
        (Refusal::Schema, bent(&|bytes| bytes[0] = SCHEMA + 1)),
        (Refusal::NotFinite, last(f32::NAN)),
        (Refusal::NotFinite, last(f32::INFINITY)),
        (Refusal::ValueTooLarge, last(4.5)),
        (Refusal::NormTooLarge, object(header(world, plan, item), 1.0, N)),
        (Refusal::Oversized, object(header(world, plan, item), 0.25, 4 * N)),
    ]
}

#[test]
fn every_wrong_update_is_refused_with_its_reason_counted_and_not_in_the_model() {
    let Some((mut world, gate, third)) = with_third(2) else { return };
    let (plan, item) = third.claim();
    let mut expected: BTreeMap<Refusal, u64> = BTreeMap::new();
    for (reason, bytes) in wrong_updates(&world, &plan, &item) {
        // One that is too long is refused by its first chunk.
        let sent = third.send_chunks(&bytes, if reason == Refusal::Oversized { 1 } else { 9 });
        assert_eq!(third.verdict(sent), Outcome::Refused(reason));
        *expected.entry(reason).or_default() += 1;
    }
    let bytes = object(header(&world, &plan, &item), 0.25, 500);
    let reference = ObjectRef::of(&bytes, 4096).unwrap();
    let mut chunk = Chunk::cut(&reference, &bytes, 0).unwrap();
    chunk.object = ShortDigest([1; 8]);
    third.up(chunk.encode());
    assert_eq!(third.verdict(chunk.object), Outcome::Refused(Refusal::Digest));
    expected.insert(Refusal::Digest, 1);
    third.close();
    gate.open();
    world.wait_finished();
    assert_eq!(world.counters().refused, expected);
    world.assert_each_counted_once(&[0, 1], 1);
}

#[test]
fn messages_that_cannot_be_read_are_counted_and_change_nothing() {
    let Some((mut world, gate, third)) = with_third(2) else { return };
    let (plan, item) = third.claim();
    let bytes = object(header(&world, &plan, &item), 0.25, 500);
    let reference = ObjectRef::of(&bytes, 4096).unwrap();
    let good = Chunk::cut(&reference, &bytes, 0).unwrap().encode();
    let (mut schema, mut checksum) = (good.clone(), good.clone());
    schema[0] = SCHEMA + 1;
    *checksum.last_mut().unwrap() ^= 1;
    let messages = [vec![], b"hello".to_vec(), schema, checksum, good[..20].to_vec()];
    let count = messages.len();
    messages.into_iter().for_each(|message| third.up(message));
    world.wait_events(count, |event| matches!(event, RoundEvent::Unreadable { .. }));
    third.close();
    gate.open();
    world.wait_finished();
    assert_eq!(world.counters().unreadable, u64::try_from(count).unwrap());
    world.assert_each_counted_once(&[0, 1], 1);
}

#[test]
fn an_update_counts_once_however_often_it_is_sent_and_a_second_or_late_one_is_refused() {
    let Some((mut world, gate, third)) = with_third(3) else { return };
    let (plan, item) = third.claim();
    let mine = object(header(&world, &plan, &item), ToyTrainer::of(2).step, N);
    for _ in 0..3 {
        let sent = third.send(&mine);
        assert_eq!(third.verdict(sent), Outcome::Accepted);
    }
    let other = third.send(&object(header(&world, &plan, &item), 0.25, N));
    assert_eq!(third.verdict(other), Outcome::Refused(Refusal::Duplicate));
    assert_eq!(third.ask(&plan, &item), Answer::NoGo(Refusal::Duplicate));
    gate.open();
    world.wait_event(|event| matches!(event, RoundEvent::RoundPublished { .. }).then_some(()));
    let late = third.send(&object(header(&world, &plan, &item), 0.125, N));
    assert_eq!(third.verdict(late), Outcome::Refused(Refusal::RoundClosed));
    let again = third.send(&mine);
    assert_eq!(third.verdict(again), Outcome::Accepted, "the verdict that it may have missed");
    third.close();
    world.wait_finished();
    let expected = BTreeMap::from([(Refusal::Duplicate, 1), (Refusal::RoundClosed, 1)]);
    assert_eq!(world.counters().refused, expected);
    world.assert_each_counted_once(&[0, 1, 2], 1);
}

#[test]
fn a_device_that_is_not_enrolled_is_told_so_and_not_counted() {
    let Some((mut world, gate, third)) = with_third(2) else { return };
    let (plan, item) = third.claim();
    let stranger = DeviceByHand::open(&world, "stranger");
    assert_eq!(stranger.ask(&plan, &item), Answer::NoGo(Refusal::NotEnrolled));
    let sent = stranger.send_chunks(&object(header(&world, &plan, &item), 0.25, N), 1);
    assert_eq!(stranger.verdict(sent), Outcome::Refused(Refusal::NotEnrolled));
    stranger.close();
    third.close();
    gate.open();
    world.wait_finished();
    let refused = world.counters().refused;
    assert_eq!(refused, BTreeMap::from([(Refusal::NotEnrolled, 1)]));
    world.assert_each_counted_once(&[0, 1], 1);
}
