use dunlin_link::testing::Draft;
use dunlin_protocol::id::{Lineage, ModelVersion, RoundId};
use dunlin_protocol::message::{Answer, Outcome, Refusal, Verdict};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::topic::Topic;
use dunlin_protocol::work::WorkKind;

use super::world::{Told, World, claim, name, object, settings, values};
use crate::io::{Input, RoundEvent};

const ALL: [&str; 3] = ["d0", "d1", "d2"];

fn begun() -> World {
    let mut world = World::new(settings());
    world.begin(&ALL);
    world
}

/// The reason for an update of `d0` that is good but for `change`, and that a good one still
/// counts after it.
fn refused(kind: WorkKind, change: impl Fn(&mut Draft, &mut Vec<f32>)) -> Refusal {
    let mut world = begun();
    let mut header = world.header(kind);
    let mut payload = values("d0", 1, world.n());
    change(&mut header, &mut payload);
    let reason = world.refusal("d0", &object(&header, &payload));
    world.train("d0");
    world.wait(1000);
    assert_eq!(world.accepted_verdicts().len(), 1, "a good update after {reason}");
    reason
}

#[test]
fn an_update_is_refused_for_each_way_in_which_its_header_is_wrong() {
    let train = |change: fn(&mut Draft)| refused(WorkKind::Train, |h, _| change(h));
    assert_eq!(train(|h| h.header.lineage = [9; 4]), Refusal::WrongLineage);
    assert_eq!(train(|h| h.header.round = RoundId(2)), Refusal::RoundClosed);
    assert_eq!(train(|h| h.header.round = RoundId(0)), Refusal::RoundClosed);
    assert_eq!(train(|h| h.header.kind = 2), Refusal::RoundClosed);
    assert_eq!(train(|h| h.header.kind = 77), Refusal::RoundClosed);
    assert_eq!(train(|h| h.header.base_version = ModelVersion(1)), Refusal::StaleBase);
    assert_eq!(train(|h| h.header.task = [0; 4]), Refusal::WrongLayout);
    assert_eq!(train(|h| h.header.codec = 1), Refusal::Codec);
    assert_eq!(train(|h| h.figures.examples = 0), Refusal::BadWeight);
    assert_eq!(train(|h| h.figures.examples = 1_000_001), Refusal::BadWeight);
    assert_eq!(train(|h| h.figures.before.windows = 1_000_001), Refusal::BadWeight);
    assert_eq!(train(|h| h.figures.after.windows = u32::MAX), Refusal::BadWeight);
}

#[test]
fn a_report_whose_loss_is_at_its_bound_measured_nothing_and_is_refused() {
    let train = |change: fn(&mut Draft)| refused(WorkKind::Train, |header, _| change(header));
    assert_eq!(train(|h| h.figures.train_loss = 1e29), Refusal::NotFinite);
    assert_eq!(train(|h| h.figures.before.loss_sum = f32::MAX), Refusal::NotFinite);
    assert_eq!(train(|h| h.figures.after.loss_sum = 67_108_864.0), Refusal::NotFinite);
}

#[test]
fn an_update_is_refused_for_each_way_in_which_its_values_are_wrong() {
    let train = |change: fn(&mut Vec<f32>)| refused(WorkKind::Train, |_, v| change(v));
    assert_eq!(train(|v| v[3] = 4.1), Refusal::ValueTooLarge);
    assert_eq!(train(|v| v.fill(3.9)), Refusal::NormTooLarge);
    assert_eq!(train(|v| v.push(0.0)), Refusal::Malformed);
    assert_eq!(train(|v| v.truncate(2)), Refusal::Malformed);
}

#[test]
fn bytes_that_are_not_an_update_are_refused() {
    let mut world = begun();
    let header = world.header(WorkKind::Train);
    let good = object(&header, &values("d0", 1, world.n()));
    let mut not_finite = good.clone();
    let end = not_finite.len();
    not_finite[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(world.refusal("d0", &not_finite), Refusal::NotFinite);
    let mut newer = good.clone();
    newer[0] = 9;
    assert_eq!(world.refusal("d0", &newer), Refusal::Schema);
    let mut other = good.clone();
    other[1] = 17;
    assert_eq!(world.refusal("d0", &other), Refusal::Malformed);
    assert_eq!(world.refusal("d0", &good[..10]), Refusal::Malformed);
    assert_eq!(world.refusal("d0", &vec![1; 20_000]), Refusal::Oversized);
}

#[test]
fn a_chunk_whose_object_has_another_digest_is_refused_and_may_come_again() {
    let mut world = begun();
    let header = world.header(WorkKind::Train);
    let good = object(&header, &values("d0", 1, world.n()));
    let reference = ObjectRef::of(&good, 4096).unwrap();
    let mut chunk = Chunk::cut(&reference, &good, 0).unwrap();
    chunk.object.0[0] ^= 1;
    world.told.clear();
    world.up("d0", &chunk.encode());
    let Some((_, Told::Verdict(verdict))) = world.told.pop() else { panic!() };
    assert_eq!(verdict.outcome, Outcome::Refused(Refusal::Digest));
    world.train("d0");
    world.wait(1000);
    assert_eq!(world.accepted_verdicts().len(), 1);
}

#[test]
fn a_second_update_of_a_device_is_a_duplicate_and_the_first_repeated_is_accepted_again() {
    let mut world = begun();
    let first = world.train("d0");
    let repeated = world.train("d0");
    assert_eq!(first, repeated);
    assert!(world.told.is_empty(), "no verdict before the write");
    world.wait(250);
    assert_eq!(world.accepted_verdicts(), [(name("d0"), first)]);
    let header = world.header(WorkKind::Train);
    let n = world.n();
    let another = object(&header, &values("d9", 1, n));
    assert_eq!(world.refusal("d0", &another), Refusal::Duplicate);
    world.told.clear();
    world.train("d0");
    assert_eq!(world.accepted_verdicts(), [(name("d0"), first)]);
    assert_eq!(world.core.counters().accepted, 1);
    assert_eq!(world.claim("d0", WorkKind::Train), Answer::NoGo(Refusal::Duplicate));
}

#[test]
fn a_repeat_after_the_round_has_closed_is_still_told_that_it_counts() {
    let mut world = begun();
    let header = world.header(WorkKind::Train);
    let late = object(&header, &values("d0", 1, world.n()));
    ALL.iter().for_each(|device| {
        world.train(device);
    });
    assert_eq!(world.core.head().version, ModelVersion(1));
    let told = world.send("d0", &late);
    let accepted =
        |told: &Told| matches!(told, Told::Verdict(Verdict { outcome: Outcome::Accepted, .. }));
    assert!(told.is_some_and(|told| accepted(&told)));
    assert_eq!(world.refusal("d0", &object(&header, &values("d7", 1, 10))), Refusal::RoundClosed);
    world.wait(500);
    assert_eq!(world.refusal("d0", &object(&header, &values("d7", 1, 10))), Refusal::RoundClosed);
}

#[test]
fn an_update_at_the_deadline_is_late() {
    let mut world = begun();
    let header = world.header(WorkKind::Train);
    world.wait(60_000);
    let late = object(&header, &values("d0", 1, world.n()));
    assert_eq!(world.refusal("d0", &late), Refusal::RoundClosed);
}

#[test]
fn an_evaluation_needs_windows_and_has_no_payload() {
    let mut settings = settings();
    settings.evaluate_every = 1;
    let mut world = World::new(settings);
    world.begin(&ALL);
    ALL.iter().for_each(|device| {
        world.train(device);
    });
    let header = world.header(WorkKind::Evaluate);
    assert_eq!(world.refusal("d0", &object(&header, &[0.0])), Refusal::Malformed);
    let mut empty = header.clone();
    empty.figures.before = Default::default();
    assert_eq!(world.refusal("d0", &object(&empty, &[])), Refusal::BadWeight);
    world.send("d0", &object(&header, &[]));
    world.wait(250);
    assert_eq!(world.accepted_verdicts().len(), 1);
}

#[test]
fn a_claim_is_refused_for_each_reason_and_granted_again_when_repeated() {
    let mut world = begun();
    let good = claim(world.work(WorkKind::Train));
    let mut no_go = |device: &str, change: fn(&mut dunlin_protocol::message::Claim)| {
        let mut claim = good.clone();
        change(&mut claim);
        match world.claim_with(device, &claim) {
            Answer::NoGo(reason) => reason,
            Answer::Go => panic!("granted"),
        }
    };
    assert_eq!(no_go("stranger", |_| {}), Refusal::NotEnrolled);
    assert_eq!(no_go("d0", |c| c.work.lineage = Lineage([0; 16])), Refusal::WrongLineage);
    assert_eq!(no_go("d0", |c| c.work.round = RoundId(2)), Refusal::RoundClosed);
    assert_eq!(no_go("d0", |c| c.work.kind = 9), Refusal::RoundClosed);
    assert_eq!(no_go("d0", |c| c.codecs = 2), Refusal::Codec);
    assert_eq!(no_go("d0", |c| c.windows = 0), Refusal::NoData);
    assert_eq!(world.claim("d0", WorkKind::Train), Answer::Go);
    assert_eq!(world.claim("d0", WorkKind::Train), Answer::Go);
    assert_eq!(world.core.counters().claims_refused.len(), 5);
}

#[test]
fn a_round_lets_in_the_target_and_its_surplus_and_no_more() {
    let mut settings = settings();
    (settings.target, settings.overselect) = (2, 1.0);
    let mut world = World::new(settings);
    world.begin(&ALL);
    assert_eq!(world.claim("d0", WorkKind::Train), Answer::Go);
    assert_eq!(world.claim("d1", WorkKind::Train), Answer::Go);
    assert_eq!(world.claim("d2", WorkKind::Train), Answer::NoGo(Refusal::Full));
    world.presence("d1", dunlin_protocol::presence::State::Lost, 1);
    assert_eq!(world.claim("d2", WorkKind::Train), Answer::Go);
}

#[test]
fn strangers_are_told_so_and_leave_no_trace() {
    let mut world = begun();
    let header = world.header(WorkKind::Train);
    let object = object(&header, &values("d0", 1, world.n()));
    assert_eq!(world.refusal("stranger", &object), Refusal::NotEnrolled);
    let stored = world.stored.clone();
    world.wait(1000);
    assert_eq!(world.stored, stored);
}

#[test]
fn garbage_on_every_topic_is_counted_and_changes_nothing() {
    let mut world = begun();
    let before = world.stored.clone();
    let mut rng = dunlin_protocol::rng::Rng::new(3);
    for length in 0..400 {
        let mut bytes: Vec<u8> = (0..length).map(|_| rng.next_u64().to_le_bytes()[0]).collect();
        if let [schema, kind, ..] = bytes.as_mut_slice() {
            (*schema, *kind) = (1, [2, 6, 18, 99][length % 4]);
        }
        world.up("d0", &bytes);
        let (device, federation) = (name("d0"), name("gait"));
        for topic in [
            Topic::DeviceState(device.clone()),
            Topic::Up(device.clone(), federation.clone(), 5),
            Topic::Up(device.clone(), name("other"), 0),
            Topic::Plan(federation.clone()),
        ] {
            world.input(Input::Message { topic, payload: &bytes });
        }
    }
    assert!(world.core.counters().unreadable > 1000);
    assert!(world.events.iter().any(|e| matches!(e, RoundEvent::Unreadable { .. })));
    assert_eq!(world.stored, before);
    world.train("d0");
    world.wait(250);
    assert_eq!(world.accepted_verdicts().len(), 1);
}

#[test]
fn transfers_beyond_the_memory_bound_are_busy() {
    let mut settings = settings();
    settings.task = super::world::task(8000);
    settings.assembly_bytes_max = 1024 * 1024;
    let devices: Vec<String> = (0..20).map(|i| format!("d{i}")).collect();
    settings.enrolled = crate::settings::Enrolment::Any;
    let mut world = World::new(settings);
    world.begin(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    let big = vec![1; 64_000];
    let reference = ObjectRef::of(&big, 4096).unwrap();
    let first = Chunk::cut(&reference, &big, 0).unwrap().encode();
    world.told.clear();
    devices.iter().for_each(|device| world.up(device, &first));
    let busy = |told: &Told| matches!(told, Told::Verdict(v) if v.outcome == Outcome::Refused(Refusal::Busy));
    let told: Vec<bool> = world.told.iter().map(|(_, told)| busy(told)).collect();
    assert_eq!(told, (0..20).map(|i| i >= 16).collect::<Vec<_>>());
}
