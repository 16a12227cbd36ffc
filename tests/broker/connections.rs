//! Clients of a broker that is down wait; they do not spin.

use std::time::Duration;

use super::program::Program;
use super::relay::Relay;
use super::world::{World, clock, device_name, nap, settings, wait_until};
use dunlin_tests::ToyTrainer;

/// How long the broker stays down.
const DOWN: Duration = Duration::from_secs(6);

#[test]
fn while_the_broker_is_down_a_device_dials_seldom_and_goes_on_afterwards() {
    let Some(mut world) = World::new(settings(100, 2, 2)) else { return };
    let relay = Relay::to(world.broker.port());
    let mut link = world.link(&device_name(1));
    link.url = format!("mqtt://127.0.0.1:{}", relay.port()).parse().unwrap();
    world.start_agent(1, ToyTrainer::of(1), link);
    wait_until("the first connection", || relay.connections() == 1);
    world.broker.wait_log("Received SUBSCRIBE from device-1", 1);
    let start = clock();
    world.broker.kill9();
    nap(DOWN);
    // Between 1 and 2 s to the second attempt, then between 2 and 4 s, and so on.
    let (attempts, most) = (relay.connections(), 2 + start.elapsed().as_secs());
    assert!(u64::from(attempts) <= most, "{attempts} attempts, {most} at the most");
    world.broker.restart();
    world.start_aggregator();
    world.start_device(0);
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1], 2);
}

/// Processor time of a process so far in clock ticks of 10 ms.
fn ticks(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

#[test]
fn while_the_broker_is_down_the_aggregator_uses_next_to_no_processor_time() {
    let Some(mut world) = World::new(settings(100, 2, 2)) else { return };
    let mut program = Program::start(&world);
    program.wait_log("connected to");
    world.broker.kill9();
    program.wait_log("not connected to");
    let Some(before) = ticks(program.id()) else { return };
    nap(DOWN);
    let used = ticks(program.id()).unwrap() - before;
    assert!(used <= 30, "{used} ticks of 10 ms while there was nothing to do");
    world.broker.restart();
    world.start_devices(2);
    program.wait_log("all rounds are done");
    program.stop();
    world.assert_each_counted_once(&[0, 1], 2);
}
