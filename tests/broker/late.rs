//! Who comes late finds what was said before.

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::Enrolment;
use dunlin_link::testing::{Mosquitto, TestClient};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_tests::name;

use super::device_by_hand::DeviceByHand;
use super::world::{World, settings};

#[test]
fn a_device_that_joins_late_in_a_round_finds_the_retained_plan_and_takes_part() {
    let Some(mut world) = World::new(settings(100, 3, 1)) else { return };
    let passer_by = DeviceByHand::open(&world, "passer-by");
    world.start_aggregator();
    world.start_devices(2);
    world.wait_events(2, |event| matches!(event, RoundEvent::UpdateAccepted { .. }));
    passer_by.close();
    world.start_device(2);
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1, 2], 1);
}

/// Publishes that devices `0..count` are online, one after the other over one connection.
fn publish_states(client: &TestClient, count: u32) {
    let online = Presence::new(State::Online, 1).encode().into_bytes();
    for device in 0..count {
        let topic = Topics::default().name(&Topic::DeviceState(name(&format!("wrist-{device}"))));
        client.link.publish(topic, online.clone(), true);
    }
}

fn opens_with(present: u32, enrolled: u32) {
    let mut settings = settings(100, enrolled, 1);
    let names = (0..enrolled).map(|device| name(&format!("wrist-{device}")));
    settings.enrolled = Enrolment::Only(names.collect());
    // As shipped: Mosquitto queues 1,000 messages for a client by default and drops the rest.
    let config = "allow_anonymous true\nmax_queued_messages 20000\n";
    let Some(broker) = Mosquitto::start(config) else { return };
    let mut world = World::on(broker, settings);
    let client = TestClient::open(world.broker.client("all-of-them"));
    client.wait_connected();
    publish_states(&client, present);
    client.subscribe_and_wait("proof", "proof");
    world.start_aggregator();
    let online = world.wait_event(|event| match event {
        RoundEvent::RoundOpened { available, .. } => Some(*available),
        _ => None,
    });
    assert_eq!(online, enrolled);
    world.stop();
}

#[test]
fn an_aggregator_that_starts_late_sees_150_enrolled_devices_and_no_others() {
    opens_with(160, 150);
}

#[test]
fn an_aggregator_that_starts_late_sees_thousands_of_devices_at_once() {
    opens_with(4000, 4000);
}
