//! Chunks from short to the longest, and models larger than what a link queues by default.

use dunlin_aggregator::io::RoundEvent;
use dunlin_link::LinkEvent;
use dunlin_link::testing::TestClient;
use dunlin_protocol::object::CHUNK_HEADER_BYTES;
use dunlin_protocol::task::{Layer, Op, Share, Target};

use super::accounts::guarded;
use super::relay::Relay;
use super::world::{AGGREGATOR, World, settings};

/// Two rounds of a model of 313 KiB in chunks of `chunk_bytes`, both ways, on the shipped
/// configuration.
fn rounds_in_chunks_of(chunk_bytes: u32) {
    let mut settings = settings(8000, 2, 2);
    settings.chunk_bytes = chunk_bytes;
    let Some(mut world) = guarded(settings, 2) else { return };
    world.start_aggregator();
    world.start_devices(2);
    world.wait_finished();
    let counters = world.counters();
    let object_bytes = 4 * 80_010_u32;
    let chunks = u64::from(object_bytes.div_ceil(chunk_bytes));
    let fresh = counters.chunks - counters.chunks_repeated;
    // Two updates in two rounds, and two evaluations of one chunk each.
    assert!(fresh >= 4 * chunks, "{counters:?}");
    world.assert_each_counted_once(&[0, 1], 2);
}

#[test]
fn chunks_of_11_kib_pass_both_ways() {
    rounds_in_chunks_of(11 * 1024);
}

#[test]
fn chunks_of_120_kib_pass_both_ways() {
    rounds_in_chunks_of(120 * 1024);
}

#[test]
fn a_plan_with_chunks_of_120_kib_makes_messages_of_that_length() {
    let mut settings = settings(8000, 1, 1);
    settings.chunk_bytes = 120 * 1024;
    let Some(mut world) = World::new(settings) else { return };
    let watcher = TestClient::open(world.broker.client("watcher"));
    watcher.wait_connected();
    watcher.subscribe_and_wait("dunlin/v1/dev/#", "dunlin/v1/dev/proof");
    world.start_aggregator();
    world.start_device(0);
    let longest = 120 * 1024 + CHUNK_HEADER_BYTES;
    watcher.wait(|event| match event {
        LinkEvent::Message { payload, .. } => (payload.len() == longest).then_some(()),
        _ => None,
    });
    world.wait_finished();
    world.assert_each_counted_once(&[0], 1);
}

#[test]
fn a_model_larger_than_the_default_queue_is_published_again_after_each_connection() {
    // 6,000 inputs and 256 classes: 5.9 MiB, where a link queues 4 MiB by default.
    let mut settings = settings(6000, 1, 1);
    settings.task.layers = vec![Layer { op: Op::Dense { out: 256 }, share: Share::Shared }];
    settings.task.target = Target::Classes((0..256).map(|n| format!("class {n}")).collect());
    settings.chunk_bytes = 120 * 1024;
    let Some(mut world) = World::new(settings) else { return };
    let relay = Relay::to(world.broker.port());
    let mut link = world.link(AGGREGATOR);
    link.url = format!("mqtt://127.0.0.1:{}", relay.port()).parse().unwrap();
    world.start_aggregator_on(link);
    world.start_device(0);
    world.wait_event(|event| matches!(event, RoundEvent::RoundPublished { .. }).then_some(()));
    relay.cut();
    world.wait_finished();
    let connections = relay.connections();
    assert!(connections <= 2, "{connections} connections: the queue ran over");
    world.assert_each_counted_once(&[0], 1);
}
