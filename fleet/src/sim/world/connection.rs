//! A device's connection: how it comes, breaks and is noticed to be gone.

use dunlin_agent::session::Input;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::topic::Topic;

use super::event::Event;
use super::{RECONNECT_MS, World};
use crate::sim::broker::Shared;

impl World {
    pub(super) fn is_current(&self, device: u32, epoch: u32) -> bool {
        let slot = &self.slots[device as usize];
        slot.connected && slot.epoch == epoch
    }

    /// Connects a device, or lets it try again when the broker can be reached.
    pub(super) fn connect(&mut self, device: u32) {
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        if slot.cut_off_until > now {
            let (life, again) = (slot.life, slot.cut_off_until.after(slot.rng.below(2_000) as u64));
            return self.queue.at(again, Event::Connect { device, life });
        }
        // A broker that still held the old connection ends it now.
        let epoch = slot.epoch;
        self.will(device, epoch);
        let slot = &mut self.slots[device as usize];
        self.connected += u32::from(!slot.connected);
        slot.epoch += 1;
        slot.connected = true;
        slot.connected_at = now;
        slot.hears_down = false;
        // What the old connection still had to carry is gone with it.
        (slot.up_pipe, slot.down_pipe) = Default::default();
        self.tell(device, Input::Connected);
    }

    /// The broker's side of a lost connection: no listener, and the last will.
    pub(super) fn disconnect(&mut self, device: u32) {
        let slot = &mut self.slots[device as usize];
        self.connected -= u32::from(slot.connected);
        slot.connected = false;
        slot.hears_down = false;
        let objects = std::mem::take(&mut slot.objects);
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
        if !self.slots[device as usize].connected {
            return false;
        }
        self.disconnect(device);
        let slot = &mut self.slots[device as usize];
        slot.has_will = true;
        let (epoch, later) = (slot.epoch, noticed_after(&mut slot.rng));
        self.queue.after(later, Event::Will { device, epoch });
        true
    }

    /// The broker publishes the last will of a connection that is gone.
    pub(super) fn will(&mut self, device: u32, epoch: u32) {
        let slot = &mut self.slots[device as usize];
        if slot.epoch != epoch || !std::mem::take(&mut slot.has_will) {
            return;
        }
        if let Some(boot) = slot.presence.as_ref().map(|presence| presence.boot) {
            self.presence(device, Presence::new(State::Lost, boot));
        }
    }

    /// Breaks a device's connection; the device notices at once or later, and comes back.
    pub(super) fn lose(&mut self, device: u32) {
        if !self.break_connection(device) {
            return;
        }
        let slot = &mut self.slots[device as usize];
        let (life, later) = (slot.life, noticed_after(&mut slot.rng));
        self.queue.after(later, Event::Notice { device, life });
    }

    /// A device knows that its connection is gone.
    pub(super) fn notice(&mut self, device: u32, life: u32) {
        let slot = &self.slots[device as usize];
        if slot.life != life || slot.connected {
            return;
        }
        self.tell(device, Input::Disconnected);
        let slot = &mut self.slots[device as usize];
        let (life, back) = (slot.life, RECONNECT_MS + slot.rng.below(2_000) as u64);
        self.queue.after(back, Event::Connect { device, life });
    }
}

/// How long it takes an end to notice that a connection is gone: half of the time the other end says
/// so, else up to one and a half keep-alive times of a minute pass (MQTT 3.1.1, section 3.1.2.10).
fn noticed_after(rng: &mut Rng) -> u64 {
    if rng.below(2) == 0 { 0 } else { rng.below(90_000) as u64 }
}
