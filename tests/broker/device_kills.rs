//! Devices that lose their power.

use dunlin_aggregator::io::RoundEvent;
use dunlin_link::LinkEvent;
use dunlin_link::testing::TestClient;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_tests::{ToyTrainer, name};

use super::gate::{Gate, Gated};
use super::relay::{Relay, Way};
use super::world::{World, device_name, settings};

/// A client that hears what is said about device 1.
fn watch(world: &World) -> (TestClient, String) {
    let topic = Topics::default().name(&Topic::DeviceState(name(&device_name(1))));
    let watcher = TestClient::open(world.broker.client("watcher"));
    watcher.wait_connected();
    watcher.link.subscribe(topic.clone());
    (watcher, topic)
}

fn wait_presence(watcher: &TestClient, state: State, boot: u32) {
    let is_wanted = |found: Presence| found.state == state && found.boot == boot;
    watcher.wait(|event| match event {
        LinkEvent::Message { payload, .. } => {
            Presence::decode(payload).is_some_and(is_wanted).then_some(())
        }
        _ => None,
    });
}

#[test]
fn a_device_killed_while_training_is_lost_comes_back_and_is_counted_once() {
    let Some(mut world) = World::new(settings(100, 3, 2)) else { return };
    let (watcher, _) = watch(&world);
    let gate = Gate::default();
    let gated = || Gated { toy: ToyTrainer::of(1), gate: gate.clone() };
    world.start_aggregator();
    world.start_device(0);
    world.start_device(2);
    world.start_agent(1, gated(), world.link(&device_name(1)));
    gate.wait_arrived(1);
    world.kill_device(1);
    wait_presence(&watcher, State::Lost, 1);
    world.start_agent(1, gated(), world.link(&device_name(1)));
    wait_presence(&watcher, State::Online, 2);
    gate.wait_arrived(2);
    gate.open();
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1, 2], 2);
}

#[test]
fn a_device_killed_while_sending_sends_the_same_update_again_and_is_counted_once() {
    let Some(mut world) = World::new(settings(1000, 3, 2)) else { return };
    let (watcher, _) = watch(&world);
    let relay = Relay::to(world.broker.port());
    relay.hold_after(Way::Up, 24_000);
    let mut link = world.link(&device_name(1));
    link.url = format!("mqtt://127.0.0.1:{}", relay.port()).parse().unwrap();
    world.start_aggregator();
    world.start_device(0);
    world.start_device(2);
    world.start_agent(1, ToyTrainer::of(1), link.clone());
    relay.wait_held();
    world.kill_device(1);
    relay.cut();
    wait_presence(&watcher, State::Lost, 1);
    // The gate stays shut: this training of the first round must not happen again.
    let gate = Gate::default();
    world.start_agent(1, Gated { toy: ToyTrainer::of(1), gate: gate.clone() }, link);
    wait_presence(&watcher, State::Online, 2);
    world.wait_event(|event| matches!(event, RoundEvent::RoundPublished { .. }).then_some(()));
    gate.open();
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1, 2], 2);
}

/// Publishes the last will of device 1's first start after its second start, as a broker may that
/// is late with it, and lets round 2 open afterwards; with a new aggregator or the same one.
fn round_after_an_old_will(new_aggregator: bool) {
    let Some(mut world) = World::new(settings(100, 2, 2)) else { return };
    let (watcher, topic) = watch(&world);
    let gate = Gate::default();
    let gated = || Gated { toy: ToyTrainer::of(1), gate: gate.clone() };
    world.start_aggregator();
    world.start_device(0);
    world.start_agent(1, gated(), world.link(&device_name(1)));
    gate.wait_arrived(1);
    world.kill_device(1);
    world.start_agent(1, gated(), world.link(&device_name(1)));
    wait_presence(&watcher, State::Online, 2);
    gate.wait_arrived(2);
    let late = Presence::new(State::Lost, 1).encode().into_bytes();
    watcher.link.publish(topic, late, true);
    wait_presence(&watcher, State::Lost, 1);
    if new_aggregator {
        world.stop_aggregator();
        world.start_aggregator();
    }
    gate.open();
    world.wait_finished();
    let online = world.wait_event(|event| match event {
        RoundEvent::RoundOpened { key, available, .. } if key.round.0 == 2 => Some(*available),
        _ => None,
    });
    assert_eq!(online, 2);
    world.assert_each_counted_once(&[0, 1], 2);
}

#[test]
fn an_old_last_will_does_not_count_a_device_out_that_has_started_again() {
    round_after_an_old_will(false);
}

#[test]
fn an_aggregator_that_finds_only_an_old_last_will_hears_from_the_device_itself() {
    round_after_an_old_will(true);
}
