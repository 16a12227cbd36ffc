//! Rounds as they are written: who is accepted, and what the sum must be.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use dunlin_aggregator::admit::{self, Terms};
use dunlin_aggregator::collect::Collector;
use dunlin_aggregator::round::{Job, Progress, RoundKey};
use dunlin_aggregator::snapshot::{Record, RoundRecord, Save};
use dunlin_aggregator::summary::RoundSummary;
use dunlin_protocol::codec::Seeds;
use dunlin_protocol::id::{DeviceId, Lineage, ModelVersion, ShortDigest};
use dunlin_protocol::message::{Outcome, Verdict};
use dunlin_protocol::report::Report;
use dunlin_protocol::time::Instant;

use super::books::Books;
use super::rule;
use crate::sim::world::LINEAGE;

/// How long after its deadline an update may still be written: it came in time and waited for its
/// group.
pub(super) const WRITE_MS: u64 = 1_000;
/// Ended rounds whose devices may still be told that they are accepted.
const CLOSED_MAX: usize = 4;

#[derive(Clone)]
pub(super) struct OpenRound {
    base: ModelVersion,
    job: Job,
    pub(super) deadline: Instant,
    /// Time left as the round was last written: what it has after a restart.
    remaining_ms: u64,
    accepted: BTreeMap<DeviceId, ShortDigest>,
    /// The sum that the accepted updates make.
    sums: Collector,
}

/// A round that has ended.
#[derive(Clone)]
pub(super) struct Closed {
    accepted: BTreeMap<DeviceId, ShortDigest>,
}

impl Books {
    /// Whether this update counts already: it came again.
    pub(super) fn is_accepted(&self, device: &DeviceId, object: ShortDigest) -> bool {
        let open = self.rounds.values().map(|round| &round.accepted);
        let closed = self.closed.values().map(|round| &round.accepted);
        open.chain(closed).any(|accepted| accepted.get(device) == Some(&object))
    }

    /// What the aggregator has written.
    pub(super) fn saved(&mut self, now: Instant, save: &Save) {
        for record in &save.records {
            match record {
                Record::Round(round) => self.round(now, round, save),
                Record::Head(head) => self.version(now, head.version),
                Record::Progress(key, device, progress) => {
                    self.progress(now, *key, device, *progress);
                }
                Record::Close(summary) => self.close(now, summary),
                Record::Sums(..)
                | Record::Answer(_)
                | Record::Task(_)
                | Record::Model(_)
                | Record::ForgetModel(_) => {}
            }
        }
        for record in &save.records {
            if let Record::Sums(key, sums) = record
                && self.rounds.get(key).is_some_and(|round| round.sums != *sums)
            {
                self.broken(now, rule::SUMS, format!("{key}: another sum is stored"));
            }
        }
    }

    fn round(&mut self, now: Instant, record: &RoundRecord, save: &Save) {
        let key = record.key;
        let open = match self.rounds.entry(key) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let Some(sums) = sums_of(save, key) else { return };
                place.insert(OpenRound {
                    base: record.base,
                    job: record.job.clone(),
                    deadline: now.after(record.remaining_ms),
                    remaining_ms: record.remaining_ms,
                    accepted: BTreeMap::new(),
                    sums: sums.clone(),
                })
            }
        };
        open.remaining_ms = record.remaining_ms;
    }

    /// How far a device of an open round is: once it is accepted, that is the last word.
    fn progress(&mut self, now: Instant, key: RoundKey, device: &DeviceId, progress: Progress) {
        let known = self.rounds.get(&key).is_some_and(|open| open.accepted.contains_key(device));
        match progress {
            _ if known => {
                let what = format!("{device} was accepted in {key}, and is {progress:?} now");
                self.broken(now, rule::ONCE, what);
            }
            Progress::Accepted(object) => self.accepted(now, key, device, object),
            Progress::Granted | Progress::Refused(_) | Progress::Gone => {}
        }
    }

    fn accepted(&mut self, now: Instant, key: RoundKey, device: &DeviceId, object: ShortDigest) {
        let Some(round) = self.rounds.get_mut(&key) else { return };
        let late = now.since(round.deadline);
        if late > WRITE_MS {
            return self.broken(now, rule::IN_TIME, format!("{device} in {key}, {late} ms late"));
        }
        round.accepted.insert(device.clone(), object);
        let arrived = self.arrived.get(device).into_iter().flatten();
        let Some((_, bytes)) = arrived.clone().find(|(arrived, _)| *arrived == object) else {
            return self.broken(now, rule::SUMS, format!("{device} in {key} never sent {object}"));
        };
        let contribution = Report::decode(bytes).ok().and_then(|update| {
            let header = &update.header;
            let work = key.work_ref(Lineage(LINEAGE));
            let terms = Terms {
                base: round.base,
                task: &self.known.task,
                seeds: Seeds::of_update(device, work.lineage, header.round, header.kind),
                job: &round.job,
                examples_max: self.known.examples_max,
                collector: &round.sums,
            };
            admit::admit(&update, &terms).ok()
        });
        self.arrived.remove(device);
        let added = contribution.is_some_and(|share| round.sums.add(&share).is_ok());
        if !added {
            self.broken(now, rule::SUMS, format!("{device} in {key} is not admissible"));
        }
    }

    fn close(&mut self, now: Instant, summary: &RoundSummary) {
        let key = summary.key;
        if let Some(round) = self.rounds.remove(&key) {
            let same = u32::try_from(round.accepted.len()) == Ok(summary.accepted);
            if round.sums.figures() != summary.figures || !same {
                let what = format!("{key} ends with other devices than were accepted");
                self.broken(now, rule::SUMS, what);
            }
            self.closed.insert(key, Closed { accepted: round.accepted });
            // The aggregator answers for the last round of each kind, however long ago it was.
            let newer = |key: &RoundKey, closed: &BTreeMap<RoundKey, Closed>| {
                closed.keys().any(|other| other.kind == key.kind && other.round > key.round)
            };
            while self.closed.len() > CLOSED_MAX
                && let Some(old) = self.closed.keys().copied().find(|key| newer(key, &self.closed))
            {
                self.closed.remove(&old);
            }
        }
        if self.rounds.is_empty() {
            self.arrived.clear();
            self.assemblies.clear();
        }
    }

    fn version(&mut self, now: Instant, version: ModelVersion) {
        if let Some(known) = self.version.filter(|known| version < *known) {
            self.broken(now, rule::VERSIONS, format!("{version} after {known}"));
        }
        self.version = self.version.max(Some(version));
    }

    /// The aggregator runs again: its rounds did not grow older meanwhile.
    pub(super) fn restarted(&mut self, now: Instant) {
        for round in self.rounds.values_mut() {
            round.deadline = now.after(round.remaining_ms);
        }
    }

    /// What a device is told.
    pub(super) fn verdict(&mut self, now: Instant, device: &DeviceId, verdict: &Verdict) {
        if verdict.outcome != Outcome::Accepted {
            return;
        }
        let Some(key) = RoundKey::of(verdict.work) else { return };
        let open = self.rounds.get(&key).map(|round| &round.accepted);
        let accepted = open.or_else(|| self.closed.get(&key).map(|round| &round.accepted));
        if accepted.is_none_or(|accepted| accepted.get(device) != Some(&verdict.object)) {
            let what = format!("{device} hears that it is accepted in {key}, which is not written");
            self.broken(now, rule::WRITTEN, what);
        }
    }
}

/// The sum of this round in what is written.
fn sums_of(save: &Save, key: RoundKey) -> Option<&Collector> {
    save.records.iter().find_map(|record| match record {
        Record::Sums(of, sums) if *of == key => Some(sums),
        Record::Sums(..)
        | Record::Answer(_)
        | Record::Head(_)
        | Record::Task(_)
        | Record::Model(_)
        | Record::ForgetModel(_)
        | Record::Round(_)
        | Record::Progress(..)
        | Record::Close(_) => None,
    })
}
