//! What goes wrong by itself, beside the devices' own.

use dunlin_agent::session::Input;
use dunlin_protocol::time::Instant;

use super::Simulation;
use super::event::Event;
use crate::sim::HOUR_MS;
use crate::sim::setup::milliseconds;

/// A partition that comes by itself: its length, and the share of devices that it takes.
const PARTITION: (u64, f64) = (60_000, 0.1);

impl Simulation {
    pub(super) fn schedule_faults(&mut self) {
        let faults = self.scenario.faults.clone();
        for device in self.devices.numbers() {
            let cuts = self.devices.class(device).cuts_per_h;
            self.later(cuts, Event::Cut { device });
            self.later(faults.power_cuts_per_h, Event::PowerCut { device });
        }
        self.later(faults.broker_restarts_per_h, Event::BrokerRestart);
        self.later(faults.retained_per_h, Event::Spoil);
        self.later(faults.aggregator_kills_per_h, Event::ServerKill);
        self.later(faults.aggregator_cuts_per_h, Event::ServerCut);
        self.next_partition();
        for at in self.server.queries_at() {
            self.queue.at(at, Event::Ask);
        }
        for partition in &faults.partition {
            let (share, for_ms) = (partition.share, milliseconds(partition.for_s));
            let event = Event::Partition { share, for_ms, again: false };
            self.queue.at(hours(partition.at_h), event);
        }
    }

    /// Lets an event happen that happens so often an hour.
    pub(super) fn later(&mut self, per_h: f64, event: Event) {
        if let Some(wait_ms) = self.chance.wait_ms(per_h) {
            self.queue.after(wait_ms, event);
        }
    }

    pub(super) fn broker_restart(&mut self) {
        self.later(self.scenario.faults.broker_restarts_per_h, Event::BrokerRestart);
        self.tally.broker_restarts += 1;
        let forgets = self.chance.happens(self.scenario.faults.broker_forgets);
        if forgets {
            self.broker.forget_messages();
        }
        for device in self.devices.numbers() {
            let link = &mut self.devices[device].link;
            if forgets {
                // No last will either: a broker that dies says nothing.
                link.forget_will();
            }
            if link.is_connected() {
                self.disconnect(device);
                self.tell(device, Input::Disconnected);
                self.come_back(device, 4_000);
            }
        }
        self.disconnect_server();
    }

    fn next_partition(&mut self) {
        let (for_ms, share) = PARTITION;
        let event = Event::Partition { share, for_ms, again: true };
        self.later(self.scenario.faults.partitions_per_h, event);
    }

    /// Some devices cannot reach the broker for a while.
    pub(super) fn partition(&mut self, share: f64, for_ms: u64, again: bool) {
        if again {
            self.next_partition();
        }
        self.tally.partitions += 1;
        let until = self.queue.now().after(for_ms);
        for device in self.devices.numbers() {
            if self.chance.happens(share) {
                self.devices[device].link.cut_off(until);
                self.lose(device);
            }
        }
    }

    /// Whether the scenario's time has passed.
    pub(super) fn is_over(&self) -> bool {
        self.queue.now() > hours(self.scenario.end_h)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: up to 1e9
fn hours(hours: f64) -> Instant {
    Instant((hours * HOUR_MS) as u64)
}
