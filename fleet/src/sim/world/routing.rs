//! Messages between devices, the broker and the aggregator.

use std::sync::Arc;

use dunlin_agent::session::Input;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::message::Claim;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire;

use super::World;
use super::event::{Event, Heard, Said};
use super::population::Body;
use crate::sim::breakage::Breakage;
use crate::sim::broker::Shared;
use crate::sim::profile::Part;
use crate::sim::scenario::Class;

impl Said {
    /// The same from a program with fewer codecs or of another version of the wire format.
    fn by_program_of(self, class: &Class) -> Self {
        let Self::Publish(topic @ Topic::Up(..), mut payload) = self else { return self };
        if !class.codecs.is_empty()
            && let Ok(claim) = wire::decode::<Claim>(&payload)
        {
            let known = class.codecs.iter().filter_map(|text| text.parse::<Codec>().ok());
            let codecs = known.fold(0, |bits, codec| bits | 1 << codec.spec().id);
            payload = wire::encode(&Claim { codecs, ..claim }).unwrap_or(payload);
        }
        if class.schema != 0 {
            payload.iter_mut().take(1).for_each(|byte| *byte = class.schema);
        }
        Self::Publish(topic, payload)
    }
}

impl World {
    /// Gives something to a device's uplink.
    pub(super) fn send(&mut self, device: u32, epoch: u32, bytes: usize, said: Said) {
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        if !slot.connected {
            return;
        }
        let class = &self.scenario.classes[usize::from(slot.class)];
        let said = said.by_program_of(class);
        let arrival = slot.up_pipe.carry(now, bytes, class.up_kbps, class, &mut slot.rng);
        self.slowest_ms = self.slowest_ms.max(arrival.at.since(now));
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
        self.slowest_ms = self.slowest_ms.max(arrival.at.since(now));
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
                            let before = self.profile.enter(Part::Checks);
                            self.checks.up(&Self::name(device), &payload);
                            self.profile.enter(before);
                            self.tell_server_message(topic, &payload);
                        }
                    }
                    Topic::Down(..)
                    | Topic::Out(..)
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
            Topic::DeviceState(_) | Topic::Up(..) | Topic::Out(..) => {}
        }
    }

    /// The aggregator subscribes; what is kept comes at once.
    pub(super) fn server_listens(&mut self, filter: &str) {
        self.broker.hears_updates |= filter.contains("/up/");
        if filter.contains("/srv/") {
            self.broker.hears_itself = true;
            self.broker.kept(Shared::Server).into_iter().for_each(|kept| self.echo(kept));
        } else if filter.ends_with("/state") {
            self.broker.hears_states = true;
            self.queue.after(1, Event::Presences);
        }
    }

    /// What is said of the aggregator, on its way to the aggregator itself.
    pub(super) fn echo(&mut self, payload: Arc<[u8]>) {
        if self.broker.hears_itself {
            let epoch = self.server_epoch;
            self.queue.after(1, Event::ServerHears { epoch, payload });
        }
    }

    /// The aggregator hears what is said of it, unless its connection is another one by now.
    pub(super) fn server_hears(&mut self, epoch: u32, payload: &[u8]) {
        if self.server_epoch == epoch && self.server_connected {
            let topic = Topic::ServerState(self.server_settings.instance.clone());
            self.tell_server_message(topic, payload);
        }
    }

    pub(super) fn heard(&mut self, device: u32, heard: &Heard) {
        if self.is_stuck(device, heard) {
            return;
        }
        let payload = heard.payload().clone();
        let bytes = payload.len() as u64;
        self.tally.bytes_down += bytes;
        self.slots[device as usize].bytes_in += bytes;
        let federation = self.device_settings.federation.clone();
        let topic = match heard {
            Heard::Plan(_) => Topic::Plan(federation),
            Heard::Server(_) => Topic::ServerState(self.server_settings.instance.clone()),
            Heard::Object(topic, _) => topic.clone(),
            Heard::Down(down, _) => Topic::Down(Self::name(device), *down),
        };
        match (self.class(device).schema, heard) {
            (0, _) | (_, Heard::Server(_)) => {
                self.tell(device, Input::Message { topic, payload: &payload });
            }
            // What a program of another version reads in it.
            (_, _) => {
                let mut foreign = payload.to_vec();
                foreign.iter_mut().take(1).for_each(|byte| *byte = u8::MAX);
                self.tell(device, Input::Message { topic, payload: &foreign });
            }
        }
    }

    /// Whether this device is one that a broken simulation leaves alone with its work.
    pub(super) fn is_stuck(&self, device: u32, heard: &Heard) -> bool {
        let working = match &self.slots[device as usize].body {
            Body::Awake(session) => session.current_work().is_some(),
            Body::Off | Body::Hibernating(_) => false,
        };
        let ends = matches!(heard, Heard::Plan(_) | Heard::Down(Down::Verdict, _));
        self.breakage == Some(Breakage::StuckDevices) && device % 10 == 3 && working && ends
    }

    /// What the broker keeps of a device's presence.
    pub(super) fn keep_presence(&mut self, device: u32, presence: Option<Presence>) {
        let online = |kept: &Option<Presence>| {
            u32::from(kept.as_ref().is_some_and(|kept| kept.state == State::Online))
        };
        let kept = &mut self.slots[device as usize].presence;
        self.present -= online(kept);
        *kept = presence;
        self.present += online(kept);
    }

    /// A device's presence, kept by the broker and told to the aggregator.
    pub(super) fn presence(&mut self, device: u32, presence: Presence) {
        self.keep_presence(device, Some(presence.clone()));
        if self.breakage == Some(Breakage::DeafAggregator) {
            return;
        }
        if self.server_connected && self.broker.hears_states {
            let payload = presence.encode().into_bytes();
            self.tell_server_message(Topic::DeviceState(Self::name(device)), &payload);
        }
    }
}
