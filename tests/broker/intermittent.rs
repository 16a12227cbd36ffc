//! Devices that connect only for work, on a real broker.

use dunlin_agent::session::LinkPolicy;

use super::world::{World, settings};

#[test]
fn devices_that_come_and_go_finish_their_rounds_and_each_counts_once() {
    let mut settings = settings(100, 2, 3);
    (settings.check_in_ms, settings.deadline_ms) = (1_000, 4_000);
    let Some(mut world) = World::new(settings) else { return };
    world.device_link = LinkPolicy { intermittent: true, ..LinkPolicy::default() };
    world.start_aggregator();
    world.start_devices(2);
    world.wait_finished();
    let counters = world.counters();
    assert_eq!((counters.unreadable, counters.rounds_failed), (0, 0), "{counters:?}");
    world.assert_each_counted_once(&[0, 1], 3);
    let log = world.broker.log();
    let mut ends = log.lines().filter(|line| line.contains("Client device-"));
    let lost = ends.find(|line| line.contains("closed its connection"));
    assert_eq!(lost, None, "every connection ends with a good-bye");
}
