//! Messages between devices, the broker and the aggregator.

use std::sync::Arc;

use dunlin_agent::session::Input;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::message::Claim;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire;

use super::Simulation;
use super::event::{Event, Heard, Said};
use crate::sim::breakage::Breakage;
use crate::sim::broker::Shared;
use crate::sim::devices::Devices;
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

impl Simulation {
    /// Gives something to a device's uplink.
    pub(super) fn send(&mut self, device: u32, epoch: u32, bytes: usize, said: Said) {
        let now = self.queue.now();
        let Some(arrival) = self.devices.carry_up(device, now, bytes) else { return };
        self.watch.carried(arrival.at.since(now));
        let said = said.by_program_of(self.devices.class(device));
        if let (Some(again), Said::Publish(topic, payload)) = (arrival.again, &said) {
            let said = Said::Publish(topic.clone(), payload.clone());
            self.queue.at(again, Event::Said { device, epoch, said });
        }
        self.queue.at(arrival.at, Event::Said { device, epoch, said });
    }

    /// Gives something to a device's downlink.
    pub(super) fn deliver(&mut self, device: u32, heard: Heard) {
        let (now, bytes) = (self.queue.now(), heard.payload().len());
        let Some(arrival) = self.devices.carry_down(device, now, bytes) else { return };
        self.watch.carried(arrival.at.since(now));
        let epoch = self.devices[device].link.epoch();
        if let Some(again) = arrival.again {
            self.queue.at(again, Event::Heard { device, epoch, heard: heard.clone() });
        }
        self.queue.at(arrival.at, Event::Heard { device, epoch, heard });
    }

    /// Something of a device reaches the broker.
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
                        if self.server.is_connected() && self.broker.hears_updates {
                            let before = self.profile.enter(Part::Checks);
                            self.checks.up(&Devices::name(device), &payload);
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
                    self.devices[device].link.unlisten(&topic);
                }
            }
        }
    }

    fn listen(&mut self, device: u32, topic: Topic) {
        match &topic {
            Topic::Down(..) => self.devices[device].link.hear_down(),
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
                self.devices[device].link.listen(topic.clone());
                if let Some(kept) = kept {
                    self.deliver(device, Heard::Object(topic, kept));
                }
            }
            Topic::DeviceState(_) => {
                self.devices[device].link.hear_own();
                self.hear_kept(device);
            }
            Topic::Up(..) | Topic::Out(..) => {}
        }
    }

    /// A device hears what the broker keeps of it now.
    fn hear_kept(&mut self, device: u32) {
        if let Some(kept) = self.broker.presence(device).map(Presence::encode) {
            self.deliver_own(device, kept.as_bytes());
        }
    }

    /// The aggregator subscribes; what is kept comes at once.
    pub(super) fn server_listens(&mut self, filter: &str) {
        self.broker.hears_updates |= filter.contains("/up/");
        if filter.contains("/srv/") {
            self.broker.hears_itself = true;
            let topic = Topic::ServerState(self.server.instance().clone());
            let kept = self.broker.kept(Shared::Server);
            kept.into_iter().for_each(|kept| self.echo(topic.clone(), kept));
        } else if filter.ends_with("/state") {
            self.broker.hears_states = true;
            self.queue.after(1, Event::Presences);
        }
    }

    /// What stands on a topic of the aggregator's own, on its way to the aggregator itself. Of its plan and
    /// its objects only what others say: its own words would tell it nothing.
    pub(super) fn echo(&mut self, topic: Topic, payload: Arc<[u8]>) {
        if self.broker.hears_itself {
            let epoch = self.server.epoch();
            self.queue.after(1, Event::ServerHears { epoch, topic, payload });
        }
    }

    /// The aggregator hears what is said of it, unless its connection is another one by now.
    pub(super) fn server_hears(&mut self, epoch: u32, topic: Topic, payload: &[u8]) {
        if self.server.is_connection(epoch) {
            self.tell_server_message(topic, payload);
        }
    }

    /// Something reaches a device.
    pub(super) fn heard(&mut self, device: u32, heard: &Heard) {
        if self.is_stuck(device, heard) {
            return;
        }
        let payload = heard.payload().clone();
        let bytes = payload.len() as u64;
        self.tally.bytes_down += bytes;
        self.devices[device].link.heard(bytes);
        let topic = match heard {
            Heard::Plan(_) => Topic::Plan(self.devices.federation().clone()),
            Heard::Server(_) => Topic::ServerState(self.server.instance().clone()),
            Heard::Object(topic, _) => topic.clone(),
            Heard::Down(down, _) => Topic::Down(Devices::name(device), *down),
            Heard::Own(_) => Topic::DeviceState(Devices::name(device)),
        };
        match (self.devices.class(device).schema, heard) {
            (0, _) | (_, Heard::Server(_) | Heard::Own(_)) => {
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
    fn is_stuck(&self, device: u32, heard: &Heard) -> bool {
        let session = self.devices[device].session();
        let working = session.is_some_and(|session| session.current_work().is_some());
        let ends = matches!(heard, Heard::Plan(_) | Heard::Down(Down::Verdict, _));
        self.breakage == Some(Breakage::StuckDevices) && device % 10 == 3 && working && ends
    }

    /// A device's presence, kept by the broker and told to the aggregator.
    pub(super) fn presence(&mut self, device: u32, presence: Presence) {
        let payload = presence.encode();
        self.broker.keep_presence(device, presence);
        if self.broker.hears_states {
            self.tell_presence(device);
        }
        self.deliver_own(device, payload.as_bytes());
    }

    /// The aggregator hears every presence that the broker keeps.
    pub(super) fn tell_presences(&mut self) {
        for device in self.devices.numbers() {
            self.tell_presence(device);
        }
    }

    fn tell_presence(&mut self, device: u32) {
        if !self.server.is_connected() || self.breakage == Some(Breakage::DeafAggregator) {
            return;
        }
        if let Some(presence) = self.broker.presence(device) {
            let payload = presence.encode().into_bytes();
            self.tell_server_message(Topic::DeviceState(Devices::name(device)), &payload);
        }
    }
}
