//! Which round, and what its devices do.

use core::fmt;

use dunlin_protocol::id::{Lineage, Name, RoundId};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::Task;
use dunlin_protocol::work::{SumsWork, TrainWork, VectorSpec, Work, WorkKind};
use serde::{Deserialize, Serialize};

use crate::settings::Weighting;

/// Names a round in one lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoundKey {
    /// Its number, from 1, which names it together with its kind.
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
        /// How to train, and what to send.
        work: TrainWork,
        /// Largest weight of an update; 1 counts each device once.
        weight_max: u32,
    },
    /// Measure the base version.
    Evaluate,
    /// Add up statistics of the windows, for a query.
    Sums {
        /// The query that asks for them.
        query: Name,
        /// Which statistics: of labels, of which channels.
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
