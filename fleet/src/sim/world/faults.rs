//! What goes wrong by itself.

use dunlin_agent::session::Input;
use dunlin_aggregator::io::Input as ServerInput;

use super::event::Event;
use super::population::Body;
use super::{HOUR_MS, RECONNECT_MS, World};

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
        self.later(faults.partitions_per_h, Event::Partition);
    }

    /// Lets an event happen that happens so often an hour.
    pub(super) fn later(&mut self, per_h: f64, event: Event) {
        if per_h > 0.0 {
            let wait = -libm::log(1.0 - f64::from(self.rng.unit_f32())) / per_h * HOUR_MS;
            self.queue.after(wait.min(1e15) as u64, event);
        }
    }

    pub(super) fn power_cut(&mut self, device: u32) {
        self.later(self.scenario.faults.power_cuts_per_h, Event::PowerCut { device });
        if matches!(self.slots[device as usize].body, Body::Off) {
            return;
        }
        self.tally.power_cuts += 1;
        self.lose(device, u64::MAX);
        self.switch_off(device);
        let lost = f64::from(self.rng.unit_f32()) < self.scenario.faults.lost_write;
        let slot = &mut self.slots[device as usize];
        if lost && !slot.before.is_empty() {
            slot.saved = std::mem::take(&mut slot.before);
        }
        let back = 2_000 + slot.rng.below(60_000) as u64;
        self.queue.after(back, Event::PowerOn { device });
    }

    pub(super) fn broker_restart(&mut self) {
        self.later(self.scenario.faults.broker_restarts_per_h, Event::BrokerRestart);
        self.tally.broker_restarts += 1;
        let forgets = f64::from(self.rng.unit_f32()) < self.scenario.faults.broker_forgets;
        if forgets {
            self.broker.forget_messages();
        }
        for device in 0..self.scenario.population.devices {
            if forgets {
                // No last will either: a broker that dies says nothing.
                self.slots[device as usize].presence = None;
            }
            if self.slots[device as usize].connected {
                self.disconnect(device);
                self.tell(device, Input::Disconnected);
                let slot = &mut self.slots[device as usize];
                let (life, back) = (slot.life, RECONNECT_MS + slot.rng.below(4_000) as u64);
                self.queue.after(back, Event::Connect { device, life });
            }
        }
        if self.server.is_some() {
            self.broker.forget_aggregator();
            self.tell_server(ServerInput::Disconnected);
            self.tell_server(ServerInput::Connected);
        }
    }

    /// For a minute, a tenth of the devices cannot reach the broker.
    pub(super) fn partition(&mut self) {
        self.later(self.scenario.faults.partitions_per_h, Event::Partition);
        self.tally.partitions += 1;
        for device in 0..self.scenario.population.devices {
            if self.rng.below(10) == 0 {
                self.lose(device, 60_000);
            }
        }
    }
}
