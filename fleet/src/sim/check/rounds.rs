//! Rounds as they are written: who is accepted, and what the sum must be.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use dunlin_aggregator::collect::Collector;
use dunlin_aggregator::combine::{Figures, Scale};
use dunlin_aggregator::round::{Progress, RoundKey};
use dunlin_aggregator::snapshot::{Record, RoundRecord, Save};
use dunlin_aggregator::summary::RoundSummary;
use dunlin_protocol::id::{DeviceId, ModelVersion, ShortDigest};
use dunlin_protocol::message::{Outcome, Verdict};
use dunlin_protocol::plan::WorkItem;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::WorkKind;

use super::ledger::Ledger;
use super::reference::{Reference, is_empty};
use super::rule;

/// How long after its deadline an update may still be written: it came in time and waited for its
/// group.
pub(super) const WRITE_MS: u64 = 1_000;
/// Ended rounds whose devices may still be told that they are accepted.
const CLOSED_MAX: usize = 4;

#[derive(Clone)]
pub(super) struct OpenRound {
    base: ModelVersion,
    pub(super) deadline: Instant,
    /// Time left as the round was last written: what it has after a restart.
    remaining_ms: u64,
    accepted: BTreeMap<DeviceId, ShortDigest>,
    /// The scale of the sum as it was first stored; none for a table.
    scale: Option<Scale>,
    /// The sum that the accepted updates make, once devices were told what to do.
    sums: Option<Reference>,
}

impl OpenRound {
    /// What is wrong with the sum that is stored.
    fn misfit(&self, stored: &Collector) -> Option<String> {
        if scale_of(stored) != self.scale {
            return Some("its scale has changed".into());
        }
        match &self.sums {
            Some(sums) => sums.difference(stored),
            None => (!is_empty(stored)).then(|| "nobody was asked for an update yet".into()),
        }
    }
}

/// A round that has ended.
#[derive(Clone)]
pub(super) struct Closed {
    accepted: BTreeMap<DeviceId, ShortDigest>,
}

impl Ledger {
    /// Whether this update counts already: it came again.
    pub(super) fn is_accepted(&self, device: &DeviceId, object: ShortDigest) -> bool {
        let open = self.rounds.values().map(|round| &round.accepted);
        let closed = self.closed.values().map(|round| &round.accepted);
        open.chain(closed).any(|accepted| accepted.get(device) == Some(&object))
    }

    /// What devices are told to do. What they were told first holds for the whole round.
    pub(super) fn told(&mut self, items: &[WorkItem]) {
        for item in items {
            let Some(kind) = WorkKind::from_number(item.kind) else { continue };
            let key = RoundKey { round: item.round, kind };
            let untold = self.rounds.get_mut(&key).filter(|round| round.sums.is_none());
            let (Some(round), Ok(work)) = (untold, item.work()) else { continue };
            round.sums = Some(Reference::new(key, round.base, work, &self.known));
        }
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
                && let Some(what) = self.rounds.get(key).and_then(|round| round.misfit(sums))
            {
                self.broken(now, rule::SUMS, format!("{key}: another sum is stored: {what}"));
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
                    deadline: now.after(record.remaining_ms),
                    remaining_ms: record.remaining_ms,
                    accepted: BTreeMap::new(),
                    scale: scale_of(sums),
                    sums: None,
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
        let Some(sums) = &mut round.sums else {
            let what = format!("{device} counts in {key}, which no plan has named");
            return self.broken(now, rule::SUMS, what);
        };
        let added = sums.add(device, bytes, &self.known).is_some();
        self.arrived.remove(device);
        if !added {
            self.broken(now, rule::SUMS, format!("{device} in {key} is not admissible"));
        }
    }

    fn close(&mut self, now: Instant, summary: &RoundSummary) {
        let key = summary.key;
        if let Some(round) = self.rounds.remove(&key) {
            let figures = round.sums.as_ref().map_or_else(Figures::default, Reference::figures);
            let same = u32::try_from(round.accepted.len()) == Ok(summary.accepted);
            // Errors of values are summed beside these figures, and checked where they are summed.
            let reported = Figures {
                fit_before: Vec::new(),
                fit_after: Vec::new(),
                ..summary.figures.clone()
            };
            if figures != reported || !same {
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

fn scale_of(sums: &Collector) -> Option<Scale> {
    match sums {
        Collector::Mean(sum) => Some(sum.scale()),
        Collector::Table(_) => None,
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
