//! Rounds and traffic in figures.

use alloc::collections::BTreeMap;

use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::message::Refusal;
use serde::{Deserialize, Serialize};

use crate::combine::Figures;
use crate::round::RoundKey;

/// Why a round ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Failure {
    /// Fewer updates than the quorum came before the deadline.
    TooFew,
    /// A newer evaluation or an imported model took its place.
    Superseded,
    /// The sum or the model would have left the range of its numbers.
    Range,
    /// Nobody waits for its answer any more.
    Withdrawn,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoundOutcome {
    /// With this version: a new one after training, the evaluated one after an evaluation.
    Done(ModelVersion),
    /// Without a result, for this reason.
    Failed(Failure),
}

/// What a round counts besides its sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Claims answered with go, each device once.
    pub granted: u32,
    /// Claims and updates refused, by reason.
    pub refused: BTreeMap<Refusal, u32>,
    /// Bytes of whole update objects that came in for this round.
    pub update_bytes: u64,
    /// Devices that gave up after a go, by their reason. Not stored: a restart in the middle of a round
    /// forgets those of before.
    #[serde(skip)]
    pub gave_up: BTreeMap<GiveUp, u32>,
}

impl Tally {
    /// Counts one claim or update that was refused for `reason`.
    pub(crate) fn refuse(&mut self, reason: Refusal) {
        let count = self.refused.entry(reason).or_insert(0);
        *count = count.saturating_add(1);
    }
}

/// One round that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundSummary {
    /// Number and kind of the round.
    pub key: RoundKey,
    /// The version that it started from.
    pub base: ModelVersion,
    /// Whether it has a result, or why not.
    pub outcome: RoundOutcome,
    /// Updates that are in its sum.
    pub accepted: u32,
    /// Fewest updates that it needed.
    pub quorum: u32,
    /// What it counted besides its sum.
    pub tally: Tally,
    /// What the accepted devices reported.
    pub figures: Figures,
    /// From its opening to its end, restarts not counted.
    pub took_ms: u64,
}

/// Counts since this start of the program. Nothing here is ever reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Claims that were read, whatever their answer.
    pub claims: u64,
    /// Claims answered with no-go, by reason.
    pub claims_refused: BTreeMap<Refusal, u64>,
    /// Updates that were taken into a sum.
    pub accepted: u64,
    /// Updates refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Devices that gave up work after a go, by their reason.
    #[serde(default)]
    pub gave_up: BTreeMap<GiveUp, u64>,
    /// Chunks of updates that were read.
    pub chunks: u64,
    /// Chunks of them that had come before.
    pub chunks_repeated: u64,
    /// Bytes of messages from devices.
    pub bytes_in: u64,
    /// Bytes of messages given to the connection, whether it stood or not.
    pub bytes_out: u64,
    /// Messages that could not be read or came to the wrong place.
    pub unreadable: u64,
    /// Versions that training has made; imported ones are none of them.
    pub rounds_published: u64,
    /// Evaluations that ended with figures.
    pub evaluations: u64,
    /// Rounds that ended without a result.
    pub rounds_failed: u64,
}
