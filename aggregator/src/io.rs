//! What goes into the aggregator's core and what comes out.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::id::{DeviceId, Lineage, ModelVersion, RoundId};
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::message::{Answer, Refusal};
use dunlin_protocol::topic::Topic;
use dunlin_protocol::wire::WireError;

use crate::control::Command;
use crate::query::QueryResult;
use crate::round::RoundKey;
use crate::snapshot::Save;
use crate::summary::RoundSummary;
use crate::waiting::Waiting;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The broker took the connection; subscriptions and retained messages are to be made anew.
    Connected,
    /// The connection is gone.
    Disconnected,
    /// A message came from the broker.
    Message {
        /// Where it came, without the tree's root.
        topic: Topic,
        /// Its bytes, as they came.
        payload: &'a [u8],
    },
    /// The broker has ended several connections in a row over a packet of this length: chunks are
    /// made smaller.
    Oversize {
        /// Length of the packet in bytes.
        bytes: usize,
    },
    /// Time passed, and nothing else happened.
    Tick,
    /// An operator wants something.
    Command(Command<'a>),
}

/// One thing to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Subscribe to this filter, QoS 1.
    Subscribe(String),
    /// Publish with QoS 1. Lost when not connected: everything is published again on `Connected`.
    Publish {
        /// Where to, without the tree's root.
        topic: Topic,
        /// The bytes of the message; empty and retained, it removes what the broker keeps.
        payload: Vec<u8>,
        /// Whether the broker keeps it.
        retain: bool,
    },
    /// Write this to the disk, all or nothing, before any later output is performed.
    Save(Box<Save>),
    /// For people, logs and counters; nothing has to be done.
    Event(RoundEvent),
}

/// What people may want to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RoundEvent {
    /// The aggregator runs: the first event of every start.
    Started {
        /// The history that it continues or begins.
        lineage: Lineage,
        /// Which start this is, from 1.
        boot: u32,
        /// The version of the global model.
        version: ModelVersion,
        /// Rounds that were open when the last run ended.
        resumed: usize,
    },
    /// A round opened, and devices are invited.
    RoundOpened {
        /// The round, by number and kind of work.
        key: RoundKey,
        /// The version that it starts from.
        base: ModelVersion,
        /// Share of devices invited.
        fraction: Fraction,
        /// Devices that could take part: online or about to come back, and not held.
        available: u32,
    },
    /// Too few devices came forward: more are invited.
    FractionRaised {
        /// The round, by number and kind of work.
        key: RoundKey,
        /// Share of devices invited now.
        fraction: Fraction,
    },
    /// A device asked to take part.
    ClaimAnswered {
        /// The round that it asked for.
        round: RoundId,
        /// The device that asked.
        device: DeviceId,
        /// Whether it may begin, or why not.
        answer: Answer,
    },
    /// An update is in the sum and on the disk.
    UpdateAccepted {
        /// The round, by number and kind of work.
        key: RoundKey,
        /// The device whose update it is.
        device: DeviceId,
        /// Updates accepted so far.
        accepted: u32,
    },
    /// An update was refused; it changed nothing.
    UpdateRefused {
        /// The device whose update it is.
        device: DeviceId,
        /// Why it was refused, as the device was told.
        reason: Refusal,
    },
    /// A device gave up work that it was told to do: the round goes on without it.
    GaveUp {
        /// The round, by number and kind of work.
        key: RoundKey,
        /// The device that sends nothing.
        device: DeviceId,
        /// Why it gave up, for counters.
        reason: GiveUp,
        /// Why it gave up, in its own words.
        text: String,
    },
    /// No training round is open, for another reason than before, or with other figures.
    Waits {
        /// What is waited for.
        waiting: Waiting,
    },
    /// A message could not be read; it changed nothing.
    Unreadable {
        /// The device on whose topic it came.
        device: DeviceId,
        /// What is wrong with it.
        error: WireError,
    },
    /// A training round made a new version.
    RoundPublished {
        /// The round in figures.
        summary: RoundSummary,
        /// The version that it made.
        version: ModelVersion,
        /// Its parameters as devices get them, `[n_model]`.
        params: Arc<[f32]>,
    },
    /// An evaluation ended with figures.
    Evaluated {
        /// The round in figures; the version is its `base`.
        summary: RoundSummary,
    },
    /// A round ended without a result.
    RoundFailed {
        /// The round in figures, with the reason.
        summary: RoundSummary,
    },
    /// A query that was answered before was asked again.
    AnsweredBefore {
        /// What came of it.
        answer: Box<QueryResult>,
    },
    /// A query has its answer, which is saved; or it has failed.
    Answered {
        /// The round in figures.
        summary: RoundSummary,
        /// What came of it.
        answer: Box<QueryResult>,
    },
    /// An operator's model became this version.
    Imported {
        /// The version that the model became.
        version: ModelVersion,
    },
    /// An operator's model was refused; nothing changed.
    ImportRefused {
        /// Values that the model must have, all finite.
        expected: usize,
        /// Values that it had.
        found: usize,
    },
    /// All rounds that were asked for are done; the model stays published.
    Finished {
        /// The newest version, which stays published.
        version: ModelVersion,
    },
}

impl RoundEvent {
    /// The round that ended with this event; `None` for events that end none.
    pub fn ended(&self) -> Option<&RoundSummary> {
        match self {
            Self::RoundPublished { summary, .. }
            | Self::Answered { summary, .. }
            | Self::Evaluated { summary }
            | Self::RoundFailed { summary } => Some(summary),
            Self::Started { .. }
            | Self::RoundOpened { .. }
            | Self::FractionRaised { .. }
            | Self::ClaimAnswered { .. }
            | Self::UpdateAccepted { .. }
            | Self::UpdateRefused { .. }
            | Self::GaveUp { .. }
            | Self::Waits { .. }
            | Self::Unreadable { .. }
            | Self::AnsweredBefore { .. }
            | Self::Imported { .. }
            | Self::ImportRefused { .. }
            | Self::Finished { .. } => None,
        }
    }
}
