//! What goes wrong by itself.

use dunlin_agent::session::Input;
use dunlin_aggregator::io::Input as ServerInput;
use dunlin_protocol::time::Instant;

use super::event::Event;
use super::population::Body;
use super::{RECONNECT_MS, World, hours};
use crate::sim::HOUR_MS;
use crate::sim::setup::milliseconds;

/// A partition that comes by itself: its length, and the share of devices that it takes.
const PARTITION: (u64, f64) = (60_000, 0.1);

impl World {
    pub(super) fn schedule_faults(&mut self) {
        let faults = self.scenario.faults.clone();
        for device in 0..self.scenario.population.devices {
            let cuts = self.class(device).cuts_per_h;
            self.later(cuts, Event::Cut { device });
            self.later(faults.power_cuts_per_h, Event::PowerCut { device });
        }
        self.later(faults.broker_restarts_per_h, Event::BrokerRestart);
        self.later(faults.aggregator_kills_per_h, Event::ServerKill);
        self.later(faults.aggregator_cuts_per_h, Event::ServerCut);
        self.next_partition();
        let asks: Vec<Instant> = self.queries.iter().map(|(at, _)| *at).collect();
        asks.into_iter().for_each(|at| self.queue.at(at, Event::Ask));
        for partition in &faults.partition {
            let (share, for_ms) = (partition.share, milliseconds(partition.for_s));
            let event = Event::Partition { share, for_ms, again: false };
            self.queue.at(hours(partition.at_h), event);
        }
    }

    /// Lets an event happen that happens so often an hour.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
    pub(super) fn later(&mut self, per_h: f64, event: Event) {
        if per_h > 0.0 {
            let wait = -libm::log(1.0 - f64::from(self.rng.unit_f32())) / per_h * HOUR_MS;
            self.queue.after(1 + wait.min(1e15) as u64, event);
        }
    }

    /// Whether something happens that happens in this share of cases.
    pub(super) fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && f64::from(self.rng.unit_f32()) < share
    }

    pub(super) fn power_cut(&mut self, device: u32) {
        self.later(self.scenario.faults.power_cuts_per_h, Event::PowerCut { device });
        if matches!(self.slots[device as usize].body, Body::Off) {
            return;
        }
        self.tally.power_cuts += 1;
        if self.happens(self.scenario.faults.torn_write) {
            self.slots[device as usize].doomed = true;
            return;
        }
        let back = 2_000 + self.slots[device as usize].rng.below(60_000) as u64;
        self.crash(device, back);
    }

    pub(super) fn broker_restart(&mut self) {
        self.later(self.scenario.faults.broker_restarts_per_h, Event::BrokerRestart);
        self.tally.broker_restarts += 1;
        let forgets = self.happens(self.scenario.faults.broker_forgets);
        if forgets {
            self.broker.forget_messages();
        }
        for device in 0..self.scenario.population.devices {
            if forgets {
                // No last will either: a broker that dies says nothing.
                self.keep_presence(device, None);
                self.slots[device as usize].has_will = false;
            }
            if self.slots[device as usize].connected {
                self.disconnect(device);
                self.tell(device, Input::Disconnected);
                let slot = &mut self.slots[device as usize];
                let (life, back) = (slot.life, RECONNECT_MS + slot.rng.below(4_000) as u64);
                self.queue.after(back, Event::Connect { device, life });
            }
        }
        self.disconnect_server();
    }

    /// The aggregator's connection breaks; the broker publishes its last will.
    pub(super) fn server_cut(&mut self) {
        self.later(self.scenario.faults.aggregator_cuts_per_h, Event::ServerCut);
        if self.server_connected {
            self.tally.server_cuts += 1;
            self.lose_server();
            self.disconnect_server();
        }
    }

    /// The aggregator has no connection for a while; it may come back before the devices or after.
    fn disconnect_server(&mut self) {
        if self.server.is_none() || !self.server_connected {
            return;
        }
        self.server_connected = false;
        self.broker.forget_aggregator();
        self.server_epoch += 1;
        let (epoch, back) = (self.server_epoch, RECONNECT_MS + self.rng.below(20_000) as u64);
        self.queue.after(back, Event::ServerConnect { epoch });
        self.tell_server(ServerInput::Disconnected);
    }

    /// The aggregator is connected again, unless it was killed meanwhile.
    pub(super) fn server_connects(&mut self, epoch: u32) {
        if self.server_epoch == epoch && self.server.is_some() {
            self.server_connected = true;
            self.server_since = self.queue.now();
            self.tell_server(ServerInput::Connected);
        }
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
        for device in 0..self.scenario.population.devices {
            if self.happens(share) {
                let slot = &mut self.slots[device as usize];
                slot.cut_off_until = slot.cut_off_until.max(until);
                self.lose(device);
            }
        }
    }

    /// The aggregator dies, now or in the middle of its next write.
    pub(super) fn server_kill(&mut self) {
        self.later(self.scenario.faults.aggregator_kills_per_h, Event::ServerKill);
        if self.server.is_none() {
            return;
        }
        self.tally.server_kills += 1;
        if self.happens(self.scenario.faults.killed_writing) {
            self.server_doom = Some(self.happens(0.5));
        } else {
            self.end_server();
        }
    }

    /// Whether the scenario's time has passed.
    pub(super) fn is_over(&self) -> bool {
        self.queue.now() > hours(self.scenario.end_h)
    }
}
