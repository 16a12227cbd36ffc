//! A store of an older version, as it lay on the disk: the history goes on.

use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::{ModelVersion, RoundId};
use dunlin_protocol::message::Answer;
use dunlin_protocol::presence::State;
use dunlin_protocol::wire;
use dunlin_protocol::work::WorkKind;

use super::queries::{query, take_part};
use super::world::{World, name, settings};
use crate::aggregator::Start;
use crate::control::Command;
use crate::io::Input;
use crate::settings::{Downlink, Settings};
use crate::store::tests::{V2, V3, recorded};

/// What the program that wrote the store was told.
fn recorded_settings() -> Settings {
    let mut settings = settings();
    (settings.server_momentum, settings.evaluate_every) = (0.5, 2);
    settings.downlink = Downlink::new(Codec::Int8 { block: 4 }, 3).unwrap();
    settings
}

/// A line of what the older program made of its open round.
fn expected<'a>(text: &'a str, key: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap()
}

fn floats(line: &str) -> Vec<f32> {
    let bits = |word: &str| f32::from_bits(u32::from_str_radix(word.trim(), 16).unwrap());
    line.split(',').map(bits).collect()
}

/// Whether version 7 in the store has the bits that the older program gave it.
fn assert_version_7(world: &World, text: &str) {
    let stored = world.stored.clone().unwrap();
    let model = &stored.models[&ModelVersion(7)];
    let line = |key| floats(expected(text, key));
    assert_eq!(model.master_params, line("params "), "d0's update of before is in the sum");
    assert_eq!(model.published_params(), line("given "));
    assert_eq!(model.optimizer.vector("momentum"), Some(&*line("momentum ")));
}

#[test]
fn a_store_of_version_2_goes_on_with_its_open_round_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = recorded(folder.path(), V2).load().unwrap().unwrap();
    assert_eq!((snapshot.head.boot, snapshot.head.next_round), (1, RoundId(8)));
    let accepted = |kind| snapshot.closed[&kind].accepted.len();
    assert_eq!((accepted(WorkKind::Train), accepted(WorkKind::Evaluate)), (3, 3));
    let retired = snapshot.head.retired.len();
    let start = Start::Restored(Box::new(snapshot));
    let mut world = World::starting(recorded_settings(), start, None);
    let stored = world.stored.clone().unwrap();
    assert_eq!(stored.task.as_ref(), Some(&world.settings.task), "the store knows its task now");
    // Two versions on the broker, one anchor and two deltas, and the task.
    assert_eq!(stored.head.retired.len(), retired + 4);
    world.begin(&["d0", "d1", "d2"]);
    let objects = world.retained.iter().filter(|(topic, _)| topic.contains("/obj/"));
    assert!(
        objects.clone().count() > 0 && objects.clone().all(|(_, chunk)| chunk[0] == wire::SCHEMA)
    );
    assert_eq!(world.claim("d2", WorkKind::Train), Answer::Go);
    world.train("d1");
    world.train("d2");
    world.wait(300);
    assert_eq!(world.stored.as_ref().unwrap().head.version, ModelVersion(7));
    assert_version_7(&world, include_str!("../../../../tests/stored/v2/expected.txt"));
}

#[test]
fn a_store_of_version_3_goes_on_with_its_open_round_and_query() {
    let text = include_str!("../../../../tests/stored/v3/expected.txt");
    let folder = tempfile::tempdir().unwrap();
    let snapshot = recorded(folder.path(), V3).load().unwrap().unwrap();
    assert_eq!(format!("{:?}", snapshot.head), expected(text, "head_before "));
    assert_eq!(format!("{:?}", snapshot.closed), expected(text, "closed_before "));
    let start = Start::Restored(Box::new(snapshot));
    let mut world = World::starting(recorded_settings(), start, None);
    world.begin(&["d0", "d1", "d2"]);
    world.input(Input::Command(Command::Ask(vec![query("q1"), query("q2")])));
    assert_eq!(world.claim("d2", WorkKind::Train), Answer::Go);
    world.train("d1");
    world.train("d2");
    take_part(&mut world, "d1", 7);
    take_part(&mut world, "d2", 2);
    world.wait(5_100);
    assert_version_7(&world, text);
    let stored = world.stored.clone().unwrap();
    let answer = &stored.answers[&name("q2")];
    let found = format!("{} devices {:?}", answer.devices, answer.values);
    assert_eq!(found, expected(text, "answer "), "d0's sums of before are in the answer");
}

#[test]
fn a_disk_holds_what_memory_holds_through_rounds_and_a_query() {
    let folder = tempfile::tempdir().unwrap();
    let disk = recorded(folder.path(), V3);
    let start = Start::Restored(Box::new(disk.load().unwrap().unwrap()));
    let mut world = World::starting_on(recorded_settings(), start, None, Some(disk));
    let same = |world: &World| {
        assert_eq!(world.disk.as_ref().unwrap().load().unwrap(), world.stored);
    };
    world.begin(&["d0", "d1", "d2"]);
    for round in 0..3 {
        for device in ["d0", "d1", "d2"] {
            world.claim(device, WorkKind::Train);
        }
        world.presence("d1", State::Lost, 1);
        world.train("d0");
        world.wait(300);
        same(&world);
        world.input(Input::Command(Command::Ask(vec![query(&format!("disk-{round}"))])));
        take_part(&mut world, "d2", 1);
        world.presence("d1", State::Online, 1);
        world.train("d1");
        world.train("d2");
        world.wait(6_000);
        same(&world);
    }
    let stored = world.stored.as_ref().unwrap();
    assert_eq!((stored.head.version, stored.closed.len()), (ModelVersion(9), 3));
    let devices = stored.closed[&WorkKind::Train].accepted.len();
    assert_eq!(devices, 3, "late questions are answered from these");
}
