//! What the broker keeps is not its owners' alone: somebody empties it, overwrites it, says old words
//! again.

use std::sync::Arc;

use dunlin_protocol::presence::{Ineligible, Presence, State};
use dunlin_protocol::topic::Topic;

use super::Simulation;
use super::event::{Event, Heard};
use crate::sim::breakage::Breakage;
use crate::sim::broker::Shared;
use crate::sim::devices::Devices;

/// Old words of one kind that can be said again.
const OLD_MAX: usize = 8;

/// What stood on the broker earlier.
#[derive(Debug, Default)]
pub(super) struct OldWords {
    plans: Vec<Arc<[u8]>>,
    states: Vec<Arc<[u8]>>,
}

impl OldWords {
    /// Remembers what is published on `topic`.
    pub(super) fn note(&mut self, topic: Shared, payload: &Arc<[u8]>) {
        let list = match topic {
            Shared::Plan => &mut self.plans,
            Shared::Server => &mut self.states,
            Shared::Object(..) => return,
        };
        if list.len() == OLD_MAX {
            list.remove(0);
        }
        list.push(payload.clone());
    }
}

impl Simulation {
    /// A stranger changes one retained message.
    pub(super) fn spoil(&mut self) {
        self.later(self.scenario.faults.retained_per_h, Event::Spoil);
        self.tally.spoiled += 1;
        match self.chance.below(8) {
            0 => {
                let payload = self.other_server_state();
                self.spoil_shared(Shared::Server, payload);
            }
            1 => {
                let payload = self.other_plan();
                self.spoil_shared(Shared::Plan, payload);
            }
            2 | 3 => {
                let kept = self.broker.objects();
                if !kept.is_empty() {
                    let topic = kept[self.chance.place(kept.len())];
                    let payload = self.garbage();
                    self.spoil_shared(topic, payload);
                }
            }
            _ => self.spoil_device(),
        }
    }

    /// Nothing, or something that is no message of ours.
    fn garbage(&mut self) -> Arc<[u8]> {
        let payload: &[u8] = match self.chance.below(3) {
            0 => b"{}",
            1 => b"\x02\x06 no chunk of ours",
            _ => b"",
        };
        payload.into()
    }

    fn old(&mut self, words: impl Fn(&OldWords) -> &[Arc<[u8]>]) -> Option<Arc<[u8]>> {
        let count = words(&self.old_words).len();
        let place = (count > 0).then(|| self.chance.place(count))?;
        words(&self.old_words).get(place).cloned()
    }

    fn other_plan(&mut self) -> Arc<[u8]> {
        let again = self.chance.happens(0.5).then(|| self.old(|words| &words.plans)).flatten();
        again.unwrap_or_else(|| self.garbage())
    }

    fn other_server_state(&mut self) -> Arc<[u8]> {
        match self.chance.below(3) {
            0 => self.garbage(),
            1 => self.old(|words| &words.states).unwrap_or_else(|| self.garbage()),
            _ => {
                let (boot, connection) = self.server.voice();
                self.other_presence(boot, connection).encode().into_bytes().into()
            }
        }
    }

    /// A presence near that of this start and connection: of an earlier one, of itself, or of one that
    /// never was.
    fn other_presence(&mut self, boot: u32, connection: u32) -> Presence {
        let states = [State::Online, State::Offline, State::Lost];
        let state = states[self.chance.place(states.len())];
        let boot = match self.chance.below(3) {
            0 => boot.saturating_sub(1),
            1 => boot,
            _ => boot.saturating_add(1_000),
        };
        let held = self.chance.happens(0.3).then_some(Ineligible::Battery);
        Presence { held, ..Presence::new(state, boot).on(connection) }
    }

    /// Puts `payload` in the place of what the broker keeps of `topic`.
    fn spoil_shared(&mut self, topic: Shared, payload: Arc<[u8]>) {
        self.broker.retain(topic, payload.clone());
        let (heard, own) = match topic {
            Shared::Plan => {
                (Heard::Plan(payload.clone()), Topic::Plan(self.devices.federation().clone()))
            }
            Shared::Server => {
                let topic = Topic::ServerState(self.server.instance().clone());
                (Heard::Server(payload.clone()), topic)
            }
            Shared::Object(digest, index) => {
                let federation = self.devices.federation().clone();
                let topic = Topic::Object(federation, digest, index);
                (Heard::Object(topic.clone(), payload.clone()), topic)
            }
        };
        for device in self.broker.listeners(topic) {
            // A plan that is no plan, or an old one, changes nothing on a device that has heard one.
            if topic != Shared::Plan || self.devices[device].session().is_some() {
                self.deliver(device, heard.clone());
            }
        }
        self.misled_by = self.misled_by || topic == Shared::Plan;
        self.echo(own, payload);
    }

    /// Puts another presence in the place of a device's.
    fn spoil_device(&mut self) {
        let devices = self.scenario.population.devices.max(1);
        let device = u32::try_from(self.chance.below(devices as usize)).unwrap_or_default();
        let Some((boot, connection)) = self.broker.presence(device).map(Presence::order) else {
            return;
        };
        if self.chance.happens(0.3) {
            self.broker.forget_presence(device);
            if self.broker.hears_states && self.server.is_connected() {
                self.tell_server_message(Topic::DeviceState(Devices::name(device)), b"");
            }
            return self.deliver_own(device, b"");
        }
        let other = self.other_presence(boot, connection);
        self.presence(device, other);
    }

    /// A device hears what the broker keeps of it. Its own last word tells it nothing, and is left out.
    pub(super) fn deliver_own(&mut self, device: u32, payload: &[u8]) {
        if self.breakage == Some(Breakage::SaidOnce) || !self.devices[device].link.hears_own() {
            return;
        }
        let own = self.devices[device].said().map(|said| said.encode());
        if own.is_none_or(|own| own.as_bytes() != payload) {
            self.deliver(device, Heard::Own(payload.into()));
        }
    }
}
