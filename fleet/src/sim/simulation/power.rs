//! Devices that are switched on and off, by people, by crashes and by power cuts.

use dunlin_agent::session::Input;
use dunlin_protocol::presence::{Presence, State};

use super::Simulation;
use super::event::Event;
use crate::sim::check::rule;

impl Simulation {
    /// Lets every device come for the first time.
    pub(super) fn schedule_joins(&mut self) {
        for device in self.devices.numbers() {
            let joins = self.devices.joins(device);
            self.queue.at(joins, Event::PowerOn { device });
        }
    }

    pub(super) fn power_on(&mut self, device: u32) {
        let now = self.queue.now();
        if !self.devices[device].is_off() {
            return;
        }
        if let Some(comes) = self.devices.away_until(device, now) {
            return self.queue.at(comes, Event::PowerOn { device });
        }
        if let Err(error) = self.devices.switch_on(device, now) {
            return self.checks.broken(now, rule::STORAGE, format!("d{device}: {error}"));
        }
        if let Some(leaves) = self.devices.leaves(device, now) {
            let life = self.devices[device].life();
            self.queue.at(leaves, Event::Leave { device, life });
        }
        self.connect(device);
    }

    /// The power goes, now or in the middle of the device's next write.
    pub(super) fn power_cut(&mut self, device: u32) {
        self.later(self.scenario.faults.power_cuts_per_h, Event::PowerCut { device });
        if self.devices[device].is_off() {
            return;
        }
        self.tally.power_cuts += 1;
        if self.chance.happens(self.scenario.faults.torn_write) {
            return self.devices[device].storage.doom();
        }
        let back = 2_000 + self.devices[device].rng.below(60_000) as u64;
        self.crash(device, back);
    }

    /// A device's program ends at once, and starts again `back_ms` later.
    pub(super) fn crash(&mut self, device: u32, back_ms: u64) {
        self.break_connection(device);
        self.switch_off(device);
        self.queue.after(back_ms, Event::PowerOn { device });
    }

    /// A device is no longer there for the federation for a while.
    pub(super) fn leave(&mut self, device: u32, life: u32) {
        let one = &self.devices[device];
        if one.is_off() || one.life() != life {
            return;
        }
        self.tell(device, Input::Stop);
        let (boot, connection) = self.devices[device].link.will();
        self.disconnect(device);
        self.presence(device, Presence::new(State::Offline, boot).on(connection));
        self.switch_off(device);
        let comes = self.devices.comes(device, self.queue.now());
        self.queue.at(comes, Event::PowerOn { device });
    }

    fn switch_off(&mut self, device: u32) {
        self.stop_training(device);
        self.devices[device].switch_off();
    }
}
