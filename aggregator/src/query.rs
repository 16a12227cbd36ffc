//! What an operator asks of the devices' data, and what comes of it.

pub mod file;
pub mod spool;
mod table;

use std::collections::{BTreeMap, VecDeque};

use dunlin_protocol::id::{Name, RoundId};
use dunlin_protocol::work::SumsWork;
use serde::{Deserialize, Serialize};

use crate::summary::RoundOutcome;
pub use table::{AnswerTable, ChannelTable, LabelCount};

/// Answers that are kept; the oldest round goes first.
pub const ANSWERS_MAX: usize = 100;

/// A question to the devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Its name, different from every other one's: asking again gives the same answer.
    pub name: Name,
    /// What to add up.
    pub work: SumsWork,
    /// Devices wanted; 0 is all that are online when it is put.
    pub devices: u32,
    /// Fewest devices that make an answer; with fewer, nothing of it is shown.
    pub quorum: u32,
    /// How long to wait for devices, in milliseconds.
    pub deadline_ms: u64,
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryResult {
    /// The query's name.
    pub query: Name,
    /// What was added up.
    pub work: SumsWork,
    /// The round that it was put in.
    pub round: RoundId,
    /// Devices that answered.
    pub devices: u32,
    /// The sums, in the order of [`SumsWork`]'s vector.
    pub values: Vec<i128>,
    /// Whether they count: a query with too few devices has failed.
    pub outcome: RoundOutcome,
}

/// Queries that wait, and answers that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queries {
    waiting: VecDeque<Query>,
    answers: BTreeMap<Name, QueryResult>,
}

impl Queries {
    /// None waits: who asked asks again after a restart.
    pub(crate) fn restored(answers: BTreeMap<Name, QueryResult>) -> Self {
        Self { waiting: VecDeque::new(), answers }
    }

    /// The answer to the query of this name.
    pub(crate) fn answer(&self, name: &Name) -> Option<&QueryResult> {
        self.answers.get(name)
    }

    /// Lets a query wait, unless it does already.
    pub(crate) fn push(&mut self, query: Query) {
        if self.waiting.iter().all(|waits| waits.name != query.name) {
            self.waiting.push_back(query);
        }
    }

    /// The first query that `available` devices can answer.
    pub(crate) fn next(&mut self, available: u32) -> Option<Query> {
        let place = self.waiting.iter().position(|query| query.quorum.max(1) <= available)?;
        self.waiting.remove(place)
    }

    /// Keeps an answer.
    pub(crate) fn keep(&mut self, answer: QueryResult) {
        keep(&mut self.answers, answer);
    }
}

/// Adds an answer and drops the oldest beyond [`ANSWERS_MAX`].
pub(crate) fn keep(answers: &mut BTreeMap<Name, QueryResult>, answer: QueryResult) {
    answers.insert(answer.query.clone(), answer);
    while answers.len() > ANSWERS_MAX {
        let oldest = answers.values().min_by_key(|answer| answer.round);
        let Some(oldest) = oldest.map(|answer| answer.query.clone()) else { return };
        answers.remove(&oldest);
    }
}
