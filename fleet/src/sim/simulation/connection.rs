//! A device's connection: how it comes, breaks and is noticed to be gone.

use dunlin_agent::session::Input;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::topic::Topic;

use super::event::Event;
use super::{RECONNECT_MS, Simulation};
use crate::sim::broker::Shared;

impl Simulation {
    /// Connects a device, or lets it try again when the broker can be reached.
    pub(super) fn connect(&mut self, device: u32) {
        let now = self.queue.now();
        let one = &mut self.devices[device];
        if let Some(until) = one.link.cut_off_until(now) {
            let (life, again) = (one.life(), until.after(one.rng.below(2_000) as u64));
            return self.queue.at(again, Event::Connect { device, life });
        }
        // A broker that still held the old connection ends it now.
        let epoch = one.link.epoch();
        self.will(device, epoch);
        self.devices.connect(device, now);
        let will = self.devices[device].session().map(|session| session.last_will().1);
        let will = will.and_then(|will| Presence::decode(&will)).map(|will| will.order());
        self.devices[device].link.set_will(will.unwrap_or_default());
        self.tell(device, Input::Connected);
    }

    /// The broker's side of a lost connection: no listener, and the last will.
    pub(super) fn disconnect(&mut self, device: u32) {
        let objects = self.devices.disconnect(device);
        self.broker.unlisten(device, Shared::Plan);
        self.broker.unlisten(device, Shared::Server);
        for topic in objects {
            if let Topic::Object(_, digest, index) = topic {
                self.broker.unlisten(device, Shared::Object(digest, index));
            }
        }
    }

    /// Breaks a device's connection. The broker may notice later, and publishes the last will then.
    pub(super) fn break_connection(&mut self, device: u32) -> bool {
        if !self.devices[device].link.is_connected() {
            return false;
        }
        self.disconnect(device);
        let one = &mut self.devices[device];
        one.link.leave_will();
        let (epoch, later) = (one.link.epoch(), noticed_after(&mut one.rng));
        self.queue.after(later, Event::Will { device, epoch });
        true
    }

    /// The broker publishes the last will of a connection that is gone.
    pub(super) fn will(&mut self, device: u32, epoch: u32) {
        if !self.devices[device].link.take_will(epoch) {
            return;
        }
        let (boot, connection) = self.devices[device].link.will();
        self.presence(device, Presence::new(State::Lost, boot).on(connection));
    }

    /// A connection breaks by itself.
    pub(super) fn cut(&mut self, device: u32) {
        let cuts = self.devices.class(device).cuts_per_h;
        self.later(cuts, Event::Cut { device });
        self.tally.cuts += 1;
        self.lose(device);
    }

    /// Breaks a device's connection; the device notices at once or later, and comes back.
    pub(super) fn lose(&mut self, device: u32) {
        if !self.break_connection(device) {
            return;
        }
        let one = &mut self.devices[device];
        let (life, later) = (one.life(), noticed_after(&mut one.rng));
        self.queue.after(later, Event::Notice { device, life });
    }

    /// A device knows that its connection is gone.
    pub(super) fn notice(&mut self, device: u32, life: u32) {
        let one = &self.devices[device];
        if one.life() != life || one.link.is_connected() {
            return;
        }
        self.tell(device, Input::Disconnected);
        self.come_back(device, 2_000);
    }

    /// Lets a device that knows that its connection is gone connect again, after up to `spread_ms`
    /// more than it takes at least.
    pub(super) fn come_back(&mut self, device: u32, spread_ms: usize) {
        let one = &mut self.devices[device];
        let (life, back) = (one.life(), RECONNECT_MS + one.rng.below(spread_ms) as u64);
        self.queue.after(back, Event::Connect { device, life });
    }
}

/// How long it takes an end to notice that a connection is gone: half of the time the other end says
/// so, else up to one and a half keep-alive times of a minute pass (MQTT 3.1.1, section 3.1.2.10).
fn noticed_after(rng: &mut Rng) -> u64 {
    if rng.below(2) == 0 { 0 } else { rng.below(90_000) as u64 }
}
