//! One round: its phases, its devices, and when it ends.

mod phase;

pub use phase::{Collection, Phase, Progress};

use std::collections::BTreeMap;
use std::fmt;

use dunlin_protocol::id::{DeviceId, Lineage, ModelVersion, Name, RoundId};
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::{SumsWork, TrainWork, VectorSpec, Work, WorkKind};
use serde::{Deserialize, Serialize};

use crate::collect::Collector;
use crate::settings::Weighting;
use crate::snapshot::RoundRecord;
use crate::summary::Tally;

/// Names a round in one lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoundKey {
    /// Its number.
    pub round: RoundId,
    /// Its kind of work.
    pub kind: WorkKind,
}

impl RoundKey {
    /// The name by which messages speak of it.
    pub fn work_ref(self, lineage: Lineage) -> WorkRef {
        WorkRef { lineage, round: self.round, kind: self.kind as u8 }
    }

    /// The round that a message speaks of; `None` for kinds that this program does not know.
    pub fn of(work: WorkRef) -> Option<Self> {
        WorkKind::from_number(work.kind).map(|kind| Self { round: work.round, kind })
    }
}

impl fmt::Display for RoundKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            WorkKind::Train => write!(f, "round {}", self.round),
            WorkKind::Evaluate => write!(f, "evaluation {}", self.round),
            WorkKind::Sums => write!(f, "query {}", self.round),
        }
    }
}

/// What the devices of a round do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Job {
    /// Train and send an update.
    Train {
        /// How.
        work: TrainWork,
        /// Largest weight of an update; 1 counts each device once.
        weight_max: u32,
    },
    /// Measure the base version.
    Evaluate,
    /// Add up statistics.
    Sums {
        /// The query that asks for them.
        query: Name,
        /// Which.
        work: SumsWork,
    },
}

impl Job {
    /// The job as the plan says it.
    pub fn work(&self) -> Work {
        match self {
            Self::Train { work, .. } => Work::Train(work.clone()),
            Self::Evaluate => Work::Evaluate,
            Self::Sums { work, .. } => Work::Sums(work.clone()),
        }
    }

    /// What the payload of its reports holds, for a model of `task`.
    pub fn vector(&self, task: &Task) -> VectorSpec {
        match self {
            Self::Train { work, .. } => work.vector(task),
            Self::Evaluate => VectorSpec::NONE,
            Self::Sums { work, .. } => work.vector(task),
        }
    }

    /// The weight of an update of `examples` windows.
    pub fn weight(&self, examples: u32) -> u32 {
        match self {
            Self::Train { weight_max, .. } => {
                Weighting::Examples { cap: *weight_max }.weight(examples)
            }
            Self::Evaluate | Self::Sums { .. } => 1,
        }
    }
}

/// How many devices a round deals with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Updates that it wants; with them it closes at once.
    pub target: u32,
    /// Devices that it lets work at one time.
    pub invited: u32,
    /// Fewest updates that make a result.
    pub quorum: u32,
}

/// Why a round stops taking updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has what it wants.
    Target,
    /// All devices have ended, and the quorum is there.
    AllEnded,
    /// Its time is over.
    Deadline,
}

/// What is decided when a round opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// Which round.
    pub key: RoundKey,
    /// The version that it starts from.
    pub base: ModelVersion,
    /// What devices do.
    pub job: Job,
    /// How many devices.
    pub bounds: Bounds,
    /// Share of devices invited.
    pub fraction: Fraction,
    /// When it ends at the latest.
    pub deadline: Instant,
    /// Until when claims are waited for.
    pub claims_until: Instant,
}

/// One round of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Which.
    pub key: RoundKey,
    /// The version that it starts from.
    pub base: ModelVersion,
    /// What devices do.
    pub job: Job,
    /// How many devices.
    pub bounds: Bounds,
    /// Share of devices invited.
    pub fraction: Fraction,
    /// When it opened, or was resumed by this process.
    pub opened: Instant,
    /// How long it was open in earlier processes.
    pub earlier_ms: u64,
    /// When it ends at the latest.
    pub deadline: Instant,
    /// Until when claims of the devices invited so far are waited for.
    pub claims_until: Instant,
    /// Its counts.
    pub tally: Tally,
    /// Whether something changed since it was saved.
    pub unsaved: bool,
    phase: Phase,
}

impl Round {
    /// A round that opens now, with the empty `sums`.
    pub fn open(opening: Opening, sums: Collector, now: Instant) -> Self {
        let Opening { key, base, job, bounds, fraction, deadline, claims_until } = opening;
        let (tally, phase) = (Tally::default(), Phase::Open(sums));
        let opened = now;
        #[rustfmt::skip]
        let round = Self {
            key, base, job, bounds, fraction, opened, deadline, claims_until, tally, phase,
            earlier_ms: 0, unsaved: true,
        };
        log::debug!("{key}: opened on version {base}");
        round
    }

    /// The round that `record` and `sums` were saved from; claims are waited for anew.
    pub fn restore(record: RoundRecord, sums: Collector, now: Instant, claim_wait_ms: u64) -> Self {
        let RoundRecord { key, base, job, bounds, fraction, devices, tally, .. } = record;
        let phase = match devices.is_empty() {
            true => Phase::Open(sums),
            false => Phase::Collecting(Collection::new(devices, sums)),
        };
        let (opened, earlier_ms) = (now, record.elapsed_ms);
        let deadline = now.after(record.remaining_ms);
        let claims_until = now.after(claim_wait_ms);
        #[rustfmt::skip]
        let round = Self {
            key, base, job, bounds, fraction, opened, deadline, claims_until, tally, phase,
            earlier_ms, unsaved: false,
        };
        log::debug!("{key}: resumed in phase {}", round.phase.name());
        round
    }

    /// What is saved of it, beside its sum.
    pub fn record(&self, now: Instant) -> RoundRecord {
        RoundRecord {
            key: self.key,
            base: self.base,
            job: self.job.clone(),
            bounds: self.bounds,
            fraction: self.fraction,
            remaining_ms: self.deadline.since(now),
            elapsed_ms: self.elapsed_ms(now),
            devices: self.collection().map(|c| c.devices.clone()).unwrap_or_default(),
            tally: self.tally.clone(),
        }
    }

    /// Time since its opening, without the time between two processes.
    pub fn elapsed_ms(&self, now: Instant) -> u64 {
        self.earlier_ms.saturating_add(now.since(self.opened))
    }

    /// Where it is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Changes the phase.
    pub fn enter(&mut self, phase: Phase) {
        log::debug!("{}: {} -> {}", self.key, self.phase.name(), phase.name());
        self.phase = phase;
        self.unsaved = true;
    }

    /// The sum, while there is one.
    pub fn sums(&self) -> Option<&Collector> {
        match &self.phase {
            Phase::Open(sums) => Some(sums),
            Phase::Collecting(collection) | Phase::Closing(collection) => Some(&collection.sums),
            Phase::Published { .. } | Phase::Failed(_) => None,
        }
    }

    /// Its devices and sum, once there are any.
    pub fn collection(&self) -> Option<&Collection> {
        match &self.phase {
            Phase::Collecting(collection) | Phase::Closing(collection) => Some(collection),
            Phase::Open(_) | Phase::Published { .. } | Phase::Failed(_) => None,
        }
    }

    /// Devices and sum to add to; the first device moves the round to collecting. `None` once no
    /// more updates are taken.
    pub fn collect(&mut self) -> Option<&mut Collection> {
        if let Phase::Open(sums) = &self.phase {
            let collection = Collection::new(BTreeMap::new(), sums.clone());
            self.enter(Phase::Collecting(collection));
        }
        self.unsaved = true;
        match &mut self.phase {
            Phase::Collecting(collection) => Some(collection),
            Phase::Open(_) | Phase::Closing(_) | Phase::Published { .. } | Phase::Failed(_) => None,
        }
    }

    /// Moves on to closing; the round takes no more updates.
    pub fn close(&mut self) {
        let collection = match &self.phase {
            Phase::Open(sums) => Collection::new(BTreeMap::new(), sums.clone()),
            Phase::Collecting(collection) => collection.clone(),
            Phase::Closing(_) | Phase::Published { .. } | Phase::Failed(_) => return,
        };
        self.enter(Phase::Closing(collection));
    }

    /// How far `device` is; `None` when it takes no part.
    pub fn progress(&self, device: &DeviceId) -> Option<Progress> {
        self.collection()?.devices.get(device).copied()
    }

    /// Notes how far `device` is, if it takes part and has not been accepted.
    pub fn note(&mut self, device: &DeviceId, progress: Progress) {
        let Phase::Collecting(collection) = &mut self.phase else { return };
        let known = collection.devices.get(device);
        if known.is_some_and(|known| !matches!(known, Progress::Accepted(_))) {
            collection.set(device.clone(), progress);
            self.unsaved = true;
        }
    }

    /// Updates in the sum.
    pub fn accepted(&self) -> u32 {
        self.collection().map_or(0, |collection| collection.accepted)
    }

    /// Devices that are at work.
    pub fn working(&self) -> u32 {
        self.collection().map_or(0, |collection| collection.working)
    }

    /// Whether more devices should be invited: the claims waited for did not come.
    pub fn wants_more(&self, now: Instant) -> bool {
        let takes_part = self.accepted().saturating_add(self.working());
        now >= self.claims_until && takes_part < self.bounds.target && self.fraction < Fraction::ALL
    }

    /// Whether the round stops taking updates now, and why.
    pub fn ending(&self, now: Instant) -> Option<Ending> {
        let accepted = self.accepted();
        if accepted >= self.bounds.target {
            return Some(Ending::Target);
        }
        if now >= self.deadline {
            return Some(Ending::Deadline);
        }
        if self.key.kind == WorkKind::Sums {
            // Devices that are at other work, or asleep, answer as long as there is time.
            return None;
        }
        let waited = now >= self.claims_until && !self.wants_more(now);
        let enough = accepted >= self.bounds.quorum && self.working() == 0;
        (waited && enough).then_some(Ending::AllEnded)
    }
}

/// Twice the share.
pub(crate) fn doubled(fraction: Fraction) -> Fraction {
    const WHOLE: u32 = 1 << 24;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^25
    let part = (fraction.as_f64() * 2.0 * f64::from(WHOLE)).ceil() as u32;
    Fraction::of(part, WHOLE)
}
