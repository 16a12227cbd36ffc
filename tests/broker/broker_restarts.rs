//! The broker is killed while objects are on their way.

use dunlin_link::testing::Mosquitto;
use dunlin_tests::ToyTrainer;

use super::relay::{Relay, Way};
use super::world::{World, device_name, settings};

const FORGETS: &str = "allow_anonymous true\nset_tcp_nodelay true\n";
/// Writes its file with every change, so that SIGKILL loses little.
const REMEMBERS: &str = "allow_anonymous true\nset_tcp_nodelay true\npersistence true\n\
                         persistence_location {dir}/\nautosave_interval 1\n\
                         autosave_on_changes true\n";
/// Far enough for the task and some of the ten chunks of 4 KiB, not for all.
const MIDDLE: usize = 24_000;

/// Kills the broker when `MIDDLE` bytes of device 1 have gone `way`, and starts it again.
fn kill_in_the_middle(way: Way, config: &str) {
    let Some(broker) = Mosquitto::start(config) else { return };
    let mut world = World::on(broker, settings(1000, 3, 2));
    let relay = Relay::to(world.broker.port());
    relay.hold_after(way, MIDDLE);
    let mut link = world.link(&device_name(1));
    link.url = format!("mqtt://127.0.0.1:{}", relay.port()).parse().unwrap();
    world.start_aggregator();
    world.start_device(0);
    world.start_device(2);
    world.start_agent(1, ToyTrainer::of(1), link);
    relay.wait_held();
    world.broker.kill9();
    relay.release();
    world.broker.restart();
    world.wait_finished();
    assert!(relay.connections() >= 2, "the kill was noticed");
    world.assert_each_counted_once(&[0, 1, 2], 2);
}

#[test]
fn an_upload_survives_the_kill_of_a_broker_that_forgets() {
    kill_in_the_middle(Way::Up, FORGETS);
}

#[test]
fn an_upload_survives_the_kill_of_a_broker_that_remembers() {
    kill_in_the_middle(Way::Up, REMEMBERS);
}

#[test]
fn a_download_survives_the_kill_of_a_broker_that_forgets() {
    kill_in_the_middle(Way::Down, FORGETS);
}

#[test]
fn a_download_survives_the_kill_of_a_broker_that_remembers() {
    kill_in_the_middle(Way::Down, REMEMBERS);
}
