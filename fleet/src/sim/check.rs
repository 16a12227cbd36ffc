//! What must hold in every simulation. The first thing that does not ends the run.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_aggregator::admit::{self, Terms};
use dunlin_aggregator::combine::Accumulator;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::round::{Job, RoundKey};
use dunlin_aggregator::snapshot::{Record, Save};
use dunlin_protocol::codec::Seeds;
use dunlin_protocol::id::{DeviceId, LayoutHash, ModelVersion};
use dunlin_protocol::object::{Assembly, Chunk};
use dunlin_protocol::time::Instant;
use dunlin_protocol::update::Update;

/// How long after its deadline an update may still be written: it came in time and waited for a
/// group.
const WRITE_MS: u64 = 5_000;
/// Events at one moment beyond which time no longer moves.
const STANDSTILL: u64 = 50_000_000;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule, in a word.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
    /// When, in virtual milliseconds.
    pub at_ms: u64,
}

struct OpenRound {
    base: ModelVersion,
    job: Job,
    deadline: Instant,
    accepted: BTreeSet<DeviceId>,
    /// The sum that the accepted updates make.
    sums: Accumulator,
}

/// The watchers.
pub(super) struct Checks {
    layout: LayoutHash,
    n_update: usize,
    examples_max: u32,
    version: Option<ModelVersion>,
    rounds: BTreeMap<RoundKey, OpenRound>,
    closed: BTreeSet<RoundKey>,
    /// Whole updates that reached the aggregator, by device.
    arrived: BTreeMap<DeviceId, Vec<u8>>,
    assemblies: BTreeMap<DeviceId, Assembly>,
    at: (Instant, u64),
    /// Payload bytes handed to the aggregator since it started.
    pub(super) bytes_in: u64,
    first: Option<Violation>,
}

impl Checks {
    pub(super) fn new(layout: LayoutHash, n_update: usize, examples_max: u32) -> Self {
        Self {
            layout,
            n_update,
            examples_max,
            version: None,
            rounds: BTreeMap::new(),
            closed: BTreeSet::new(),
            arrived: BTreeMap::new(),
            assemblies: BTreeMap::new(),
            at: (Instant(0), 0),
            bytes_in: 0,
            first: None,
        }
    }

    /// The first rule that was broken.
    pub(super) fn violation(&self) -> Option<&Violation> {
        self.first.as_ref()
    }

    pub(super) fn broken(&mut self, now: Instant, rule: &'static str, what: String) {
        let at_ms = now.0;
        self.first.get_or_insert(Violation { rule, what, at_ms });
    }

    /// Virtual time must move.
    pub(super) fn time(&mut self, now: Instant) {
        self.at = if self.at.0 == now { (now, self.at.1 + 1) } else { (now, 0) };
        if self.at.1 > STANDSTILL {
            self.broken(now, "time moves", format!("{STANDSTILL} events at one moment"));
        }
    }

    /// A message of a device reached the aggregator: the watchers put updates together too.
    pub(super) fn up(&mut self, device: &DeviceId, payload: &[u8]) {
        let Ok(chunk) = Chunk::decode(payload) else { return };
        let fits = |assembly: &Assembly| assembly.object() == chunk.object;
        let known = self.assemblies.get(device).is_some_and(fits);
        if !known {
            self.assemblies.insert(device.clone(), Assembly::for_chunk(&chunk));
        }
        let Some(assembly) = self.assemblies.get_mut(device) else { return };
        let _ = assembly.take(&chunk);
        if assembly.is_complete() {
            let whole = self.assemblies.remove(device).map(Assembly::finish);
            if let Some(Ok(bytes)) = whole {
                self.arrived.insert(device.clone(), bytes);
            }
        }
    }

    /// What the aggregator writes: sums must be those of the accepted updates.
    pub(super) fn saved(&mut self, now: Instant, save: &Save) {
        for record in &save.records {
            match record {
                Record::Round(round) if self.rounds.contains_key(&round.key) => {
                    // While an aggregator was down, its rounds did not grow older.
                    if let Some(open) = self.rounds.get_mut(&round.key) {
                        open.deadline = open.deadline.max(now.after(round.remaining_ms));
                    }
                }
                Record::Round(round) => {
                    let deadline = now.after(round.remaining_ms);
                    let sums = save.records.iter().find_map(|record| match record {
                        Record::Sums(key, sums) if *key == round.key => Some(sums.clone()),
                        Record::Sums(..)
                        | Record::Head(_)
                        | Record::Model(_)
                        | Record::ForgetModel(_)
                        | Record::Round(_)
                        | Record::Close(..) => None,
                    });
                    if let Some(sums) = sums {
                        let (base, job) = (round.base, round.job.clone());
                        let accepted = BTreeSet::new();
                        let open = OpenRound { base, job, deadline, accepted, sums };
                        self.rounds.insert(round.key, open);
                    }
                }
                Record::Head(head) => self.version(now, head.version),
                Record::Close(closed, summary) => {
                    let figures = self.rounds.remove(&closed.key).map(|round| round.sums.figures());
                    if figures.is_some_and(|figures| figures != summary.figures) {
                        let what = format!("{}: the figures are not those accepted", closed.key);
                        self.broken(now, "sums are those accepted", what);
                    }
                    self.closed.insert(closed.key);
                }
                Record::Sums(..) | Record::Model(_) | Record::ForgetModel(_) => {}
            }
        }
    }

    /// The sums on the disk, after a group of verdicts.
    pub(super) fn sums(&mut self, now: Instant, key: RoundKey, sums: &Accumulator) {
        if self.rounds.get(&key).is_some_and(|round| round.sums != *sums) {
            self.broken(now, "sums are those accepted", format!("{key}: another sum is stored"));
        }
    }

    fn version(&mut self, now: Instant, version: ModelVersion) {
        if self.version.is_some_and(|known| version < known) {
            self.broken(now, "versions only grow", format!("{version} after {:?}", self.version));
        }
        self.version = self.version.max(Some(version));
    }

    /// What the aggregator reports.
    pub(super) fn event(&mut self, now: Instant, event: &RoundEvent) {
        if let RoundEvent::UpdateAccepted { key, device, .. } = event {
            self.accepted(now, *key, device);
        }
    }

    fn accepted(&mut self, now: Instant, key: RoundKey, device: &DeviceId) {
        let Some(round) = self.rounds.get_mut(&key) else {
            let what = format!("{device} in {key}, which is not open");
            return self.broken(now, "no update after its deadline", what);
        };
        if !round.accepted.insert(device.clone()) {
            let what = format!("{device} twice in {key}");
            return self.broken(now, "no update counts twice", what);
        }
        if now > round.deadline.after(WRITE_MS) {
            let what = format!("{device} in {key}, {} ms late", now.since(round.deadline));
            return self.broken(now, "no update after its deadline", what);
        }
        let Some(bytes) = self.arrived.remove(device) else {
            return self.broken(now, "sums are those accepted", format!("{device} sent nothing"));
        };
        let contribution = Update::decode(&bytes).ok().and_then(|update| {
            let header = &update.header;
            let work = key.work_ref(dunlin_protocol::id::Lineage(super::world::LINEAGE));
            let terms = Terms {
                base: round.base,
                layout: self.layout,
                n_update: self.n_update,
                seeds: Seeds::of_update(device, work.lineage, header.round, header.kind),
                job: &round.job,
                examples_max: self.examples_max,
                scale: round.sums.scale(),
            };
            admit::admit(&update, &terms).ok()
        });
        let added = contribution.is_some_and(|share| round.sums.add(&share).is_ok());
        if !added {
            self.broken(now, "sums are those accepted", format!("{device}: not admissible"));
        }
    }
}
