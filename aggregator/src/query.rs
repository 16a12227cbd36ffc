//! What an operator asks of the devices' data, and what comes of it.

#[cfg(feature = "std")]
pub mod file;
#[cfg(feature = "std")]
pub mod spool;
mod table;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use dunlin_protocol::id::{Name, RoundId};
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::SumsWork;
use serde::{Deserialize, Serialize};

use crate::summary::RoundOutcome;
pub use table::{AnswerTable, ChannelTable, LabelCount};

/// Answers that are kept; the oldest round goes first.
pub const ANSWERS_MAX: usize = 100;

/// Longest body of a query in a plan, in bytes: two fit beside models and training.
pub const BODY_BYTES_MAX: usize = 3_000;
/// Longest wait for an answer, in milliseconds: a week.
pub const DEADLINE_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// A question to the devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Its name, different from every other one's: asking again gives the same answer.
    pub name: Name,
    /// What to add up.
    pub work: SumsWork,
    /// Devices wanted; 0 is all that are there when it is put, or are expected back from an outage.
    pub devices: u32,
    /// Fewest devices that make an answer; with fewer, nothing of it is shown.
    pub quorum: u32,
    /// How long to wait for devices, in milliseconds, from the moment at which it is asked.
    pub deadline_ms: u64,
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryResult {
    /// Name of the query that was asked.
    pub query: Name,
    /// What was added up.
    pub work: SumsWork,
    /// The round that it was put in; `None` when it never was.
    pub round: Option<RoundId>,
    /// Devices that answered; 0 when it was never put.
    pub devices: u32,
    /// The sums, in the order of [`SumsWork`]'s vector.
    pub values: Vec<i128>,
    /// Whether they count: a query with too few devices has failed.
    pub outcome: RoundOutcome,
}

/// Queries that wait, and answers that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queries {
    /// When each was asked.
    waiting: VecDeque<(Query, Instant)>,
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
    pub(crate) fn push(&mut self, query: Query, now: Instant) {
        if self.waiting.iter().all(|(waits, _)| waits.name != query.name) {
            self.waiting.push_back((query, now));
        }
    }

    /// Drops the queries that wait and for which `wanted` does not hold.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Name) -> bool) {
        self.waiting.retain(|(query, _)| wanted(&query.name));
    }

    /// When the first of those that wait has waited long enough.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|(query, asked)| asked.after(query.deadline_ms)).min()
    }

    /// A query that has waited long enough, without the devices that it needs.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Query> {
        let late = |(query, asked): &(Query, Instant)| asked.after(query.deadline_ms) <= now;
        let place = self.waiting.iter().position(late)?;
        self.waiting.remove(place).map(|(query, _)| query)
    }

    /// The first query that `available` devices can answer.
    pub(crate) fn next(&mut self, available: u32) -> Option<Query> {
        let enough = |(query, _): &(Query, Instant)| query.quorum.max(1) <= available;
        let place = self.waiting.iter().position(enough)?;
        self.waiting.remove(place).map(|(query, _)| query)
    }

    /// Keeps an answer, and of all answers the newest [`ANSWERS_MAX`].
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
