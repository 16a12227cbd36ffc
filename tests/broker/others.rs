//! Whole federations on other brokers: join, a broker that is killed in a round, a late device.

use dunlin_aggregator::io::RoundEvent;
use dunlin_link::testing::Mosquitto;
use dunlin_protocol::id::Name;

use super::other_brokers::OtherBroker;
use super::world::{World, device_name, settings, wait_until};

/// Three devices, of which one comes late, make three versions; the broker is killed in the first
/// round, once one update is in.
fn a_federation_goes_on_over_a_kill_on(broker: Option<OtherBroker>) {
    let Some(broker) = broker else { return };
    // Ten chunks of 4 KiB.
    let mut settings = settings(1000, 3, 3);
    (settings.quorum, settings.min_online) = (2, 2);
    let mut world = World::on(broker, settings);
    world.start_aggregator();
    world.start_devices(2);
    world.wait_events(1, |event| matches!(event, RoundEvent::UpdateAccepted { .. }));
    world.broker.kill9();
    world.broker.restart();
    world.start_device(2);
    let is_late = |device: &Name| device.as_str() == device_name(2);
    world.wait_events(
        1,
        |event| matches!(event, RoundEvent::UpdateAccepted { device, .. } if is_late(device)),
    );
    world.wait_finished();
    world.assert_accepted_counted_once(3);
}

/// Devices that are there before the aggregator are found by it.
fn an_aggregator_that_comes_last_finds_its_devices_on(broker: Option<OtherBroker>) {
    let Some(broker) = broker else { return };
    let mut world = World::on(broker, settings(100, 2, 2));
    world.start_devices(2);
    world.start_aggregator();
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1], 2);
}

/// Broker and aggregator lose their power together; the devices are back first.
fn a_federation_goes_on_where_broker_and_aggregator_die_together_on(broker: Option<OtherBroker>) {
    let Some(broker) = broker else { return };
    let mut settings = settings(100, 2, 4);
    settings.pause_ms = 1000;
    let mut world = World::on(broker, settings);
    world.start_aggregator();
    world.start_devices(2);
    world.wait_event(|event| matches!(event, RoundEvent::RoundPublished { .. }).then_some(()));
    world.broker.kill9();
    world.stop_aggregator();
    world.broker.restart();
    let connected = [0, 1].map(|place| world.status(place).link.reconnects);
    wait_until("the devices are back", || {
        [0, 1]
            .into_iter()
            .all(|place| world.status(place).link.reconnects > connected[place as usize])
    });
    world.start_aggregator();
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1], 4);
}

/// A test of each situation for each broker, by its name.
macro_rules! on {
    ($($broker:ident: $($situation:ident),+;)+) => {
        $(mod $broker {
            use super::OtherBroker;
            $(#[test]
            fn $situation() {
                super::$situation(OtherBroker::$broker());
            })+
        })+
    };
}

on! {
    nats: a_federation_goes_on_over_a_kill_on, an_aggregator_that_comes_last_finds_its_devices_on,
        a_federation_goes_on_where_broker_and_aggregator_die_together_on;
    rabbitmq: a_federation_goes_on_over_a_kill_on, an_aggregator_that_comes_last_finds_its_devices_on,
        a_federation_goes_on_where_broker_and_aggregator_die_together_on;
    aedes: a_federation_goes_on_over_a_kill_on, an_aggregator_that_comes_last_finds_its_devices_on;
}

#[test]
fn a_federation_finds_out_which_chunks_a_broker_takes() {
    let config = "allow_anonymous true\nset_tcp_nodelay true\nmax_packet_size 10000\n";
    let Some(broker) = Mosquitto::start(config) else { return };
    let mut settings = settings(1000, 2, 2);
    settings.chunk_bytes = 32 * 1024;
    let mut world = World::on(broker, settings);
    world.start_devices(2);
    world.start_aggregator();
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1], 2);
}

#[test]
fn a_device_moves_to_another_broker_of_its_federation_when_its_own_dies() {
    let (first, second) = (Mosquitto::anonymous(), Mosquitto::anonymous());
    let (Some(first), Some(second)) = (first, second) else { return };
    let other = second.url().parse().unwrap();
    let mut world = World::on(first, settings(100, 2, 3));
    let link = |name: &str, world: &World| {
        let mut link = world.link(name);
        link.more_urls = vec![Clone::clone(&other)];
        link
    };
    let broker = link(super::world::AGGREGATOR, &world);
    world.start_aggregator_on(broker);
    let trainer = dunlin_tests::ToyTrainer::of;
    let link_of_0 = link("device-0", &world);
    world.start_agent(0, trainer(0), link_of_0);
    world.wait_event(|event| matches!(event, RoundEvent::Started { .. }).then_some(()));
    world.broker.wait_log("Received SUBSCRIBE from device-0", 1);
    world.broker.kill9();
    // All meet again on the second broker.
    let link_of_1 = link("device-1", &world);
    world.start_agent(1, trainer(1), link_of_1);
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1], 3);
}
