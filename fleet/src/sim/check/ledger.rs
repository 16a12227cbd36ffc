//! What the watchers know, and what follows from it.

use std::collections::{BTreeMap, VecDeque};

use dunlin_aggregator::round::RoundKey;
use dunlin_protocol::id::{DeviceId, ModelVersion, ShortDigest};
use dunlin_protocol::object::{Assembly, Chunk};
use dunlin_protocol::time::Instant;

use super::audit::Note;
use super::rounds::{Closed, OpenRound};
use super::{Known, Violation};

/// Whole updates of one device that are kept until the write that counts them.
const ARRIVED_MAX: usize = 4;

#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) known: Known,
    pub(super) version: Option<ModelVersion>,
    pub(super) rounds: BTreeMap<RoundKey, OpenRound>,
    /// The rounds that ended last.
    pub(super) closed: BTreeMap<RoundKey, Closed>,
    /// Whole updates that reached the aggregator, the newest of each device last.
    pub(super) arrived: BTreeMap<DeviceId, VecDeque<(ShortDigest, Vec<u8>)>>,
    pub(super) assemblies: BTreeMap<DeviceId, Assembly>,
    /// Since when a round should open any time.
    pub(super) waiting_since: Option<Instant>,
    first: Option<Violation>,
}

impl Ledger {
    pub(super) fn new(known: Known) -> Self {
        Self {
            known,
            version: None,
            rounds: BTreeMap::new(),
            closed: BTreeMap::new(),
            arrived: BTreeMap::new(),
            assemblies: BTreeMap::new(),
            waiting_since: None,
            first: None,
        }
    }

    pub(super) fn take(&mut self, note: Note) {
        match note {
            Note::Up(device, payload) => self.up(&device, &payload),
            Note::Plan(items) => self.told(&items),
            Note::Saved(now, save) => self.saved(now, &save),
            Note::Restarted(now) => self.restarted(now),
            Note::Verdict(now, device, verdict) => self.verdict(now, &device, &verdict),
            Note::Moved => self.waiting_since = None,
            Note::Look(now, up_since, here) => self.look(now, up_since, here),
            Note::Settle => {}
        }
    }

    /// The first rule that was broken.
    pub(super) fn found(&self) -> Option<Violation> {
        self.first.clone()
    }

    pub(super) fn broken(&mut self, now: Instant, rule: &'static str, what: String) {
        let at_ms = now.0;
        self.first.get_or_insert(Violation { rule, what, at_ms });
    }

    /// A message of a device reached the aggregator: the watchers put updates together too.
    fn up(&mut self, device: &DeviceId, payload: &[u8]) {
        let Ok(chunk) = Chunk::decode(payload) else { return };
        let object = chunk.object;
        if self.is_accepted(device, object) {
            return;
        }
        let fits = |assembly: &Assembly| assembly.object() == object;
        if !self.assemblies.get(device).is_some_and(fits) {
            self.assemblies.insert(device.clone(), Assembly::for_chunk(&chunk));
        }
        let Some(assembly) = self.assemblies.get_mut(device) else { return };
        let _ = assembly.take(&chunk);
        if assembly.is_complete() {
            let whole = self.assemblies.remove(device).map(Assembly::into_bytes);
            // A late copy of an older one must not take the place of one that waits for its write.
            let arrived = self.arrived.entry(device.clone()).or_default();
            arrived.extend(whole.map(|bytes| (object, bytes)));
            arrived.drain(..arrived.len().saturating_sub(ARRIVED_MAX));
        }
    }
}
