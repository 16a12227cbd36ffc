//! What the aggregator hears, and the devices that it hears of.

use dunlin_protocol::id::DeviceId;
use dunlin_protocol::limits::OBJECT_BYTES_MAX;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;

use super::Aggregator;
use crate::admit;
use crate::device_registry::Change;

/// Check-ins that a sleeping device may miss before it no longer counts.
const SLEEPS_MISSED: u64 = 3;

impl Aggregator {
    pub(super) fn message(&mut self, now: Instant, topic: Topic, payload: &[u8]) {
        let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        self.counters.bytes_in = self.counters.bytes_in.saturating_add(bytes);
        match topic {
            Topic::DeviceState(device) => self.presence(now, &device, payload),
            Topic::Up(device, federation, shard)
                if federation == self.settings.federation && self.shards.contains(&shard) =>
            {
                self.up(now, device, payload);
            }
            Topic::ServerState(instance) if instance == self.settings.instance => {
                self.hear_of_itself(now, payload);
            }
            Topic::Plan(federation) if federation == self.settings.federation => {
                self.hear_of_plan(now, payload);
            }
            Topic::Object(federation, object, index) if federation == self.settings.federation => {
                self.hear_of_object(now, object, index, payload);
            }
            Topic::Up(..)
            | Topic::Out(..)
            | Topic::Down(..)
            | Topic::Plan(_)
            | Topic::Object(..)
            | Topic::ServerState(_) => self.counters.unreadable += 1,
        }
    }

    pub(super) fn presence(&mut self, now: Instant, device: &DeviceId, payload: &[u8]) {
        if !self.settings.enrolled.admits(device) {
            return;
        }
        let presence = match payload {
            [] => None,
            bytes => match Presence::decode(bytes) {
                Some(presence) => Some(presence),
                None => return self.counters.unreadable += 1,
            },
        };
        let asleep_until = now.after(SLEEPS_MISSED * self.check_in(now));
        match self.registry.take(now, device, presence, asleep_until) {
            Change::Left => self.rounds.left(device),
            Change::Came | Change::None => {}
        }
    }

    /// Longest update object that a device may send now in bytes.
    pub(super) fn object_bytes_max(&self) -> usize {
        let vectors = self.rounds.iter().map(|round| round.job().vector(&self.task));
        let open = vectors.map(|vector| admit::payload_bytes_max(&vector));
        // An update may come late, after its round.
        let update = self.settings.codec.payload_bytes_max(self.task.layout().n_update());
        let payload = open.fold(update, usize::max);
        (admit::HEADER_BYTES_MAX + payload).min(OBJECT_BYTES_MAX as usize)
    }
}
