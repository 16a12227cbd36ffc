//! The broker of a simulation: what is retained and who listens to what, without sockets.
//!
//! Topics of one device are routed by its number. Only plan, aggregator presence and object chunks
//! have lists of listeners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_protocol::id::ShortDigest;

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
    /// What the aggregator listens to.
    pub(super) hears_states: bool,
    pub(super) hears_updates: bool,
    pub(super) hears_itself: bool,
}

impl Broker {
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

    /// A restart without persistence.
    pub(super) fn forget_messages(&mut self) {
        self.retained.clear();
    }
}
