//! A store of an older version, as it lay on the disk: the history goes on.

use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::RoundId;
use dunlin_protocol::message::Answer;
use dunlin_protocol::wire;
use dunlin_protocol::work::WorkKind;

use super::world::{World, settings};
use crate::aggregator::Start;
use crate::settings::{Downlink, Settings};
use crate::store::tests::recorded;

/// What the program that wrote the store was told.
fn recorded_settings() -> Settings {
    let mut settings = settings();
    (settings.server_momentum, settings.evaluate_every) = (0.5, 2);
    settings.downlink = Downlink::new(Codec::Int8 { block: 4 }, 3).unwrap();
    settings
}

/// A line of what the older program made of its open round.
fn expected(key: &str) -> Vec<f32> {
    let text = include_str!("../../../../tests/stored/v2/expected.txt");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let bits = |word: &str| f32::from_bits(u32::from_str_radix(word.trim(), 16).unwrap());
    line.split(',').map(bits).collect()
}

#[test]
fn a_store_of_version_2_goes_on_with_its_open_round_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = recorded(folder.path()).load().unwrap().unwrap();
    assert_eq!((snapshot.head.boot, snapshot.head.next_round), (1, RoundId(8)));
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
    let stored = world.stored.clone().unwrap();
    let model = &stored.models[&stored.head.version];
    assert_eq!(stored.head.version.to_string(), "7");
    assert_eq!(model.params, expected("params "), "d0's update of before is in the sum");
    assert_eq!(model.given(), expected("given "));
    assert_eq!(model.momentum, expected("momentum "));
}
