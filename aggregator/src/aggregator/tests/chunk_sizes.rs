//! A broker that lets no long packets through.

use dunlin_protocol::limits::CHUNK_BYTES_MIN;
use dunlin_protocol::object::{Assembly, Chunk, ObjectRef};
use dunlin_protocol::topic::Topic;
use dunlin_protocol::work::WorkKind;

use super::world::{World, object, settings, values};
use crate::io::Input;
use crate::settings::Settings;

fn long_chunks() -> Settings {
    let mut settings = settings();
    settings.chunk_bytes = 32 * 1024;
    settings
}

/// Whether what the broker holds of `reference` makes the object.
fn can_be_fetched(world: &World, reference: ObjectRef) -> bool {
    let mut assembly = Assembly::new(reference);
    for index in 0..reference.chunks() {
        let federation = world.settings.federation.clone();
        let topic = Topic::Object(federation, reference.digest.short(), index);
        let Some(payload) = world.retained.get(&topic.to_string()) else { return false };
        if assembly.take(&Chunk::decode(payload).unwrap()).is_err() {
            return false;
        }
    }
    assembly.finish().is_ok()
}

#[test]
fn chunks_that_a_broker_refuses_are_halved_down_to_the_smallest_and_the_plan_says_so() {
    let mut world = World::new(long_chunks());
    world.begin(&["d0", "d1", "d2"]);
    for expected in [16, 8, 4, 4] {
        world.input(Input::Disconnected);
        world.input(Input::Oversize { bytes: 64 * 1024 });
        world.connect();
        let plan = world.plan();
        assert_eq!(plan.chunk_bytes, expected * 1024);
        assert!(plan.models.iter().all(|entry| entry.object.chunk_bytes == expected * 1024));
        assert!(can_be_fetched(&world, plan.task));
        assert!(plan.models.iter().all(|entry| can_be_fetched(&world, entry.object)));
    }
}

#[test]
fn half_of_what_was_refused_is_tried_where_that_is_shorter_than_a_chunk() {
    let mut world = World::new(long_chunks());
    world.begin(&["d0"]);
    world.input(Input::Oversize { bytes: 20_000 });
    assert_eq!(world.plan().chunk_bytes, 9 * 1024);
}

#[test]
fn an_open_round_goes_on_with_updates_in_the_old_cut_and_in_the_new() {
    let mut world = World::new(long_chunks());
    world.begin(&["d0", "d1", "d2"]);
    let (round, header) = (world.work(WorkKind::Train), world.header(WorkKind::Train));
    world.train("d0");
    world.input(Input::Oversize { bytes: 33_000 });
    assert_eq!(world.work(WorkKind::Train), round, "the round stays open");
    // In the old cut: the device had begun.
    let old = object(&header, &values("d1", 1, world.n()));
    let reference = ObjectRef::of(&old, 32 * 1024).unwrap();
    for index in 0..reference.chunks() {
        world.up("d1", &Chunk::cut(&reference, &old, index).unwrap().encode());
    }
    // In the smallest: the device has found out more.
    let new = object(&header, &values("d2", 1, world.n()));
    let reference = ObjectRef::of(&new, CHUNK_BYTES_MIN).unwrap();
    for index in 0..reference.chunks() {
        world.up("d2", &Chunk::cut(&reference, &new, index).unwrap().encode());
    }
    world.wait(1000);
    assert_eq!(world.accepted_verdicts().len(), 3);
}

#[test]
fn a_start_after_a_crash_begins_with_the_configured_size_again() {
    let mut world = World::new(long_chunks());
    world.begin(&["d0"]);
    world.input(Input::Oversize { bytes: 33_000 });
    assert_eq!(world.plan().chunk_bytes, 16 * 1024);
    world.restart();
    world.connect();
    let plan = world.plan();
    assert_eq!(plan.chunk_bytes, 32 * 1024);
    assert!(can_be_fetched(&world, plan.task));
    assert!(plan.models.iter().all(|entry| can_be_fetched(&world, entry.object)));
}
