//! The open rounds, the last closed one of each kind, and what of them waits for the disk.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use dunlin_protocol::id::{DeviceId, ModelVersion, RoundId, ShortDigest};
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::WorkKind;

use super::{Ending, Opening, Progress, Round, RoundKey};
use crate::collect::Collector;
use crate::snapshot::{ClosedRound, Record};

/// Accepted updates that share one write to the disk at the most.
const COMMIT_UPDATES_MAX: usize = 64;

/// Where an object that was accepted before stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// On the disk, in this round.
    Written(RoundKey),
    /// In the sum; the verdict follows the next write.
    Unwritten,
}

/// An accepted update whose verdict waits for the next write to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unwritten {
    pub(crate) key: RoundKey,
    pub(crate) device: DeviceId,
    pub(crate) object: ShortDigest,
    /// Updates in the round's sum with this one.
    pub(crate) accepted: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct RoundTable {
    open: BTreeMap<RoundKey, Round>,
    closed: BTreeMap<WorkKind, ClosedRound>,
    next: RoundId,
    unwritten: Vec<Unwritten>,
    /// When to write; set as soon as something changed.
    due: Option<Instant>,
    commit_interval_ms: u64,
}

impl RoundTable {
    /// A table without open rounds.
    pub(crate) fn new(
        next: RoundId,
        closed: BTreeMap<WorkKind, ClosedRound>,
        commit_interval_ms: u64,
    ) -> Self {
        let (open, unwritten, due) = (BTreeMap::new(), Vec::new(), None);
        Self { open, closed, next, unwritten, due, commit_interval_ms }
    }

    /// Puts back a round that was saved.
    pub(crate) fn resume(&mut self, round: Round) {
        self.open.insert(round.key(), round);
    }

    /// The number of the next training round or query.
    pub(crate) fn next(&self) -> RoundId {
        self.next
    }

    /// Takes the next number; the head has to be saved with what it is for.
    pub(crate) fn take_number(&mut self) -> RoundId {
        let number = self.next;
        self.next = number.next();
        number
    }

    /// The newest number that was ever taken.
    pub(crate) fn last(&self) -> RoundId {
        RoundId(self.next.0.saturating_sub(1))
    }

    /// Puts a round into the table; what is to be saved with it.
    pub(crate) fn open(&mut self, opening: Opening, sums: Collector, now: Instant) -> Vec<Record> {
        let key = opening.key;
        let round = Round::open(opening, sums.clone(), now);
        let record = round.record(now);
        self.open.insert(key, round);
        vec![Record::Round(record), Record::Sums(key, sums)]
    }

    pub(crate) fn get(&self, key: RoundKey) -> Option<&Round> {
        self.open.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: RoundKey) -> Option<&mut Round> {
        self.open.get_mut(&key)
    }

    /// The open rounds by number and kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Round> {
        self.open.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Round> {
        self.open.values_mut()
    }

    /// How many rounds are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many rounds of this kind are open.
    pub(crate) fn count(&self, kind: WorkKind) -> usize {
        self.open.keys().filter(|key| key.kind == kind).count()
    }

    /// Open rounds in the order in which devices should work, short work first; only queries where
    /// the program is to do nothing else.
    pub(crate) fn plan_order(&self, only_queries: bool) -> impl Iterator<Item = &Round> {
        let of = |kind: WorkKind| self.open.values().filter(move |round| round.key().kind == kind);
        let all = of(WorkKind::Evaluate).chain(of(WorkKind::Sums)).chain(of(WorkKind::Train));
        all.filter(move |round| !only_queries || round.key().kind == WorkKind::Sums)
    }

    /// The versions that open rounds start from.
    pub(crate) fn bases(&self) -> Vec<ModelVersion> {
        self.open.values().map(Round::base).collect()
    }

    /// The open round that stops taking updates now.
    pub(crate) fn next_ending(
        &self,
        now: Instant,
        only_queries: bool,
    ) -> Option<(RoundKey, Ending)> {
        let waits = |round: &&Round| !only_queries || round.key().kind == WorkKind::Sums;
        let mut rounds = self.open.values().filter(waits);
        rounds.find_map(|round| Some((round.key(), round.ending(now)?)))
    }

    /// A device left, or takes no work now: its rounds go on without it.
    pub(crate) fn left(&mut self, device: &DeviceId) {
        let working = |round: &&mut Round| round.progress(device) == Some(Progress::Granted);
        for round in self.open.values_mut().filter(working) {
            round.note(device, Progress::Gone);
        }
    }

    /// Whether this object of this device was accepted already.
    pub(crate) fn known(&self, device: &DeviceId, object: ShortDigest) -> Option<Known> {
        let waits = |update: &Unwritten| update.device == *device && update.object == object;
        if self.unwritten.iter().any(waits) {
            return Some(Known::Unwritten);
        }
        let same = Some(Progress::Accepted(object));
        let open = self.open.values().find(|round| round.progress(device) == same);
        let closed = self.closed.values().find(|c| c.accepted.get(device) == Some(&object));
        open.map(Round::key).or(closed.map(|closed| closed.key)).map(Known::Written)
    }

    /// Whether an update of `device` is in a sum and waits for the next write.
    pub(crate) fn awaits_write(&self, device: &DeviceId) -> bool {
        self.unwritten.iter().any(|update| update.device == *device)
    }

    /// Lets the verdict of an update that is in the sum wait for the next write.
    pub(crate) fn await_write(&mut self, now: Instant, update: Unwritten) {
        self.unwritten.push(update);
        self.write_soon(now);
    }

    /// Notes that something is to be written with the next group.
    pub(crate) fn write_soon(&mut self, now: Instant) {
        let due = now.after(self.commit_interval_ms);
        self.due.get_or_insert(due);
    }

    /// When the next group is to be written; `None` while nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether a group is to be written now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due) || self.unwritten.len() >= COMMIT_UPDATES_MAX
    }

    /// What changed in the open rounds since the last write, and the updates whose verdicts may be
    /// told once it is on the disk.
    ///
    /// Of a round's devices only those that moved are written: what an update costs does not depend
    /// on how many take part.
    pub(crate) fn commit(&mut self, now: Instant) -> (Vec<Record>, Vec<Unwritten>) {
        self.due = None;
        let updates = core::mem::take(&mut self.unwritten);
        let mut records = Vec::new();
        for round in self.open.values_mut() {
            records.extend(round.take_unsaved(now));
            if updates.iter().any(|update| update.key == round.key()) {
                records.push(Record::Sums(round.key(), round.sums().clone()));
            }
        }
        (records, updates)
    }

    /// Takes a round, whose changes are written, out of the table: it is the last closed one of its
    /// kind now.
    pub(crate) fn close(&mut self, key: RoundKey) -> Option<Round> {
        let round = self.open.remove(&key)?;
        let accepted = round.collection().accepted_objects();
        self.closed.insert(key.kind, ClosedRound { key, accepted });
        Some(round)
    }
}
