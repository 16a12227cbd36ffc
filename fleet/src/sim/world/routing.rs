//! Messages between devices and the broker.

use dunlin_agent::session::Input;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::topic::Topic;

use super::World;
use super::event::{Event, Heard, Said};
use crate::sim::broker::Shared;

impl World {
    /// Gives something to a device's uplink.
    pub(super) fn send(&mut self, device: u32, epoch: u32, bytes: usize, said: Said) {
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        let class = &self.scenario.classes[usize::from(slot.class)];
        let arrival = slot.up_pipe.carry(now, bytes, class.up_kbps, class, &mut slot.rng);
        if let (Some(again), Said::Publish(topic, payload)) = (arrival.again, &said) {
            let said = Said::Publish(topic.clone(), payload.clone());
            self.queue.at(again, Event::Said { device, epoch, said });
        }
        self.queue.at(arrival.at, Event::Said { device, epoch, said });
    }

    /// Gives something to a device's downlink.
    pub(super) fn deliver(&mut self, device: u32, heard: Heard) {
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        if !slot.connected {
            return;
        }
        let (epoch, bytes) = (slot.epoch, heard.payload().len());
        let class = &self.scenario.classes[usize::from(slot.class)];
        let arrival = slot.down_pipe.carry(now, bytes, class.down_kbps, class, &mut slot.rng);
        if let Some(again) = arrival.again {
            self.queue.at(again, Event::Heard { device, epoch, heard: heard.clone() });
        }
        self.queue.at(arrival.at, Event::Heard { device, epoch, heard });
    }

    pub(super) fn said(&mut self, device: u32, said: Said) {
        match said {
            Said::Publish(topic, payload) => {
                self.tally.bytes_up += payload.len() as u64;
                match topic {
                    Topic::DeviceState(_) => {
                        if let Some(presence) = Presence::decode(&payload) {
                            self.presence(device, presence);
                        }
                    }
                    Topic::Up(..) => {
                        if self.server_connected && self.broker.hears_updates {
                            let name = Self::name(device);
                            self.checks.up(&name, &payload);
                            self.tell_server_message(topic, &payload);
                        }
                    }
                    Topic::Down(..)
                    | Topic::Plan(_)
                    | Topic::Object(..)
                    | Topic::ServerState(_) => {}
                }
            }
            Said::Listen(topic) => self.listen(device, topic),
            Said::Unlisten(topic) => {
                if let Topic::Object(_, digest, index) = topic {
                    self.broker.unlisten(device, Shared::Object(digest, index));
                    self.slots[device as usize].objects.retain(|known| *known != topic);
                }
            }
        }
    }

    pub(super) fn listen(&mut self, device: u32, topic: Topic) {
        match &topic {
            Topic::Down(..) => self.slots[device as usize].hears_down = true,
            Topic::Plan(_) => {
                if let Some(kept) = self.broker.listen(device, Shared::Plan) {
                    self.deliver(device, Heard::Plan(kept));
                }
            }
            Topic::ServerState(_) => {
                if let Some(kept) = self.broker.listen(device, Shared::Server) {
                    self.deliver(device, Heard::Server(kept));
                }
            }
            Topic::Object(_, digest, index) => {
                let kept = self.broker.listen(device, Shared::Object(*digest, *index));
                self.slots[device as usize].objects.push(topic.clone());
                if let Some(kept) = kept {
                    self.deliver(device, Heard::Object(topic, kept));
                }
            }
            Topic::DeviceState(_) | Topic::Up(..) => {}
        }
    }

    pub(super) fn heard(&mut self, device: u32, heard: &Heard) {
        let payload = heard.payload().clone();
        self.tally.bytes_down += payload.len() as u64;
        let federation = self.device_settings.federation.clone();
        let topic = match heard {
            Heard::Plan(_) => Topic::Plan(federation),
            Heard::Server(_) => Topic::ServerState(self.server_settings.instance.clone()),
            Heard::Object(topic, _) => topic.clone(),
            Heard::Down(down, _) => Topic::Down(Self::name(device), *down),
        };
        let topic = self.topics.name(&topic);
        self.tell(device, Input::Message { topic: &topic, payload: &payload });
    }

    /// A device's presence, kept by the broker.
    pub(super) fn presence(&mut self, device: u32, presence: Presence) {
        self.slots[device as usize].presence = Some(presence.clone());
        if self.server_connected && self.broker.hears_states {
            let payload = presence.encode().into_bytes();
            self.tell_server_message(Topic::DeviceState(Self::name(device)), &payload);
        }
    }
}
