//! What happens when.

use std::collections::BTreeMap;

use dunlin_agent::job::Job;
use dunlin_protocol::time::Instant;

use super::Client;

#[derive(Clone, Debug)]
pub(super) enum Event {
    Wake(Client),
    /// At the broker, from a client's connection of this number.
    Publish {
        from: Client,
        epoch: u32,
        topic: String,
        payload: Vec<u8>,
        retain: bool,
    },
    Subscribe {
        from: Client,
        epoch: u32,
        filter: String,
        on: bool,
    },
    /// At a client, on its connection of this number.
    Deliver {
        to: Client,
        epoch: u32,
        topic: String,
        payload: Vec<u8>,
    },
    /// A device has left the broker in an orderly way.
    Leave {
        device: usize,
        epoch: u32,
    },
    /// A device that slept connects again, unless its power was cut meanwhile.
    Awake {
        device: usize,
        epoch: u32,
    },
    JobDone {
        device: usize,
        /// Number of the device's job.
        number: u32,
        job: Box<Job>,
    },
}

/// What happens when, in the order in which it was asked for.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) now: Instant,
    sequence: u64,
    events: BTreeMap<(Instant, u64), Event>,
}

impl Timeline {
    pub(super) fn after(&mut self, delay_ms: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now.after(delay_ms), self.sequence), event);
    }

    /// Takes the next event up to `until`, and goes to its time.
    pub(super) fn next(&mut self, until: Instant) -> Option<Event> {
        let (&key, _) = self.events.first_key_value().filter(|(key, _)| key.0 <= until)?;
        self.now = key.0;
        self.events.remove(&key)
    }
}
