//! The broker of a simulation: what is retained and who listens to what, without sockets.
//!
//! Topics of one device are routed by its number. Only plan, aggregator presence and object chunks
//! have lists of listeners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_protocol::id::ShortDigest;
use dunlin_protocol::presence::{Presence, State};

/// A topic that many devices may listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shared {
    Plan,
    Server,
    Object(ShortDigest, u16),
}

/// Retained messages and listeners.
#[derive(Debug, Default)]
pub(super) struct Broker {
    retained: BTreeMap<Shared, Arc<[u8]>>,
    listeners: BTreeMap<Shared, BTreeSet<u32>>,
    /// The presence of each device, by its number, and how many of them are online by that.
    presences: Vec<Option<Presence>>,
    online: u32,
    /// What the aggregator listens to.
    pub(super) hears_states: bool,
    pub(super) hears_updates: bool,
    pub(super) hears_itself: bool,
}

impl Broker {
    /// A broker that has heard nothing yet.
    pub(super) fn new(devices: u32) -> Self {
        Self { presences: vec![None; devices as usize], ..Self::default() }
    }

    /// Keeps a message, or drops what is kept when it is empty.
    pub(super) fn retain(&mut self, topic: Shared, payload: Arc<[u8]>) {
        if payload.is_empty() {
            self.retained.remove(&topic);
        } else {
            self.retained.insert(topic, payload);
        }
    }

    /// What is kept of `topic`.
    pub(super) fn kept(&self, topic: Shared) -> Option<Arc<[u8]>> {
        self.retained.get(&topic).cloned()
    }

    /// Begins to send `topic` to `device`; what is kept of it.
    pub(super) fn listen(&mut self, device: u32, topic: Shared) -> Option<Arc<[u8]>> {
        self.listeners.entry(topic).or_default().insert(device);
        self.kept(topic)
    }

    /// Sends no more of `topic` to `device`.
    pub(super) fn unlisten(&mut self, device: u32, topic: Shared) {
        if let Some(listeners) = self.listeners.get_mut(&topic) {
            listeners.remove(&device);
            if listeners.is_empty() {
                self.listeners.remove(&topic);
            }
        }
    }

    /// Devices that listen to `topic`, by rising number.
    pub(super) fn listeners(&self, topic: Shared) -> Vec<u32> {
        self.listeners.get(&topic).into_iter().flatten().copied().collect()
    }

    /// The aggregator's connection is gone.
    pub(super) fn forget_aggregator(&mut self) {
        (self.hears_states, self.hears_updates, self.hears_itself) = (false, false, false);
    }

    /// Keeps what a device is doing.
    pub(super) fn keep_presence(&mut self, device: u32, presence: Presence) {
        let kept = &mut self.presences[device as usize];
        let is_online = |kept: &Presence| u32::from(kept.state == State::Online);
        self.online += is_online(&presence);
        self.online -= kept.as_ref().map_or(0, is_online);
        *kept = Some(presence);
    }

    /// Drops what is kept of a device's presence.
    pub(super) fn forget_presence(&mut self, device: u32) {
        let kept = self.presences[device as usize].take();
        self.online -= u32::from(kept.is_some_and(|kept| kept.state == State::Online));
    }

    /// The chunks of objects that are kept.
    pub(super) fn objects(&self) -> Vec<Shared> {
        let object = |topic: &&Shared| matches!(topic, Shared::Object(..));
        self.retained.keys().filter(object).copied().collect()
    }

    /// What is kept of a device's presence.
    pub(super) fn presence(&self, device: u32) -> Option<&Presence> {
        self.presences[device as usize].as_ref()
    }

    /// Devices that are online by what is kept.
    pub(super) fn online(&self) -> u32 {
        self.online
    }

    /// A restart without persistence.
    pub(super) fn forget_messages(&mut self) {
        self.retained.clear();
        self.presences.fill(None);
        self.online = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reaches_later_listeners_until_it_is_emptied() {
        let mut broker = Broker::new(2);
        assert_eq!(broker.listen(1, Shared::Plan), None);
        broker.retain(Shared::Plan, Arc::from([1_u8, 2]));
        assert_eq!(broker.listen(0, Shared::Plan).as_deref(), Some(&[1_u8, 2][..]));
        assert_eq!(broker.listeners(Shared::Plan), [0, 1]);
        broker.unlisten(1, Shared::Plan);
        broker.retain(Shared::Plan, Arc::from([0_u8; 0]));
        assert_eq!(broker.listen(1, Shared::Plan), None);
    }

    #[test]
    fn devices_are_counted_by_the_last_that_they_said() {
        let mut broker = Broker::new(2);
        for device in [0, 1, 1] {
            broker.keep_presence(device, Presence::new(State::Online, 1));
        }
        assert_eq!(broker.online(), 2);
        broker.keep_presence(0, Presence::new(State::Lost, 1));
        assert_eq!(broker.online(), 1);
        assert_eq!(broker.presence(0).map(|kept| kept.state), Some(State::Lost));
        broker.forget_messages();
        assert_eq!((broker.online(), broker.presence(1)), (0, None));
    }
}
