//! What outlives the process: everything that a restart needs to go on as if nothing happened.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use dunlin_protocol::id::{
    DeviceId, LayoutHash, Lineage, ModelVersion, Name, RoundId, ShortDigest,
};
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::object::ObjectRef;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::WorkKind;
use serde::{Deserialize, Serialize};

use crate::collect::Collector;
use crate::query::{self, QueryResult};
use crate::round::{self, Bounds, Job, Progress, RoundKey};
use crate::server_optimizer::OptimizerState;
use crate::summary::{RoundSummary, Tally};

/// The one record that is always there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The history of this model.
    pub lineage: Lineage,
    /// What the model's coordinates mean.
    pub layout: LayoutHash,
    /// Starts of the program so far.
    pub boot: u32,
    /// The version of the global model.
    pub version: ModelVersion,
    /// Versions made by training; imports do not count.
    pub published: u32,
    /// The number of the next training round or query; an evaluation has that of the training round
    /// after it.
    pub next_round: RoundId,
    /// Objects whose retained chunks are being removed from the broker, newest last.
    pub retired: Vec<ObjectRef>,
    /// Upper half of the sequence numbers of plans: rises with every start.
    pub plan_epoch: u32,
}

/// One version of the global model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its number in the history; 0 is the first model.
    pub version: ModelVersion,
    /// The exact parameters, `[n_model]`.
    pub master_params: Vec<f32>,
    /// The parameters that devices get, `[n_model]`; empty when these are the exact ones.
    pub published_params: Vec<f32>,
    /// What the server's optimizer keeps after this version.
    pub optimizer: OptimizerState,
    /// Its objects, so that a restart publishes the same bytes.
    pub written: Written,
}

impl ModelRecord {
    /// The parameters that devices get, `[n_model]`.
    pub fn published_params(&self) -> &[f32] {
        if self.published_params.is_empty() { &self.master_params } else { &self.published_params }
    }
}

/// The objects of a version, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The version whole, or the seed that it is drawn from.
    pub anchor: Option<Vec<u8>>,
    /// What leads to it from the version before.
    pub delta: Option<Vec<u8>>,
}

/// An open round, without its devices and its sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// Number and kind of the round.
    pub key: RoundKey,
    /// The version that it starts from.
    pub base: ModelVersion,
    /// What its devices do.
    pub job: Job,
    /// How many devices it wants, lets in and needs.
    pub bounds: Bounds,
    /// Share of devices invited.
    pub fraction: Fraction,
    /// Time left until its deadline as this was saved.
    pub remaining_ms: u64,
    /// Time since its opening as this was saved.
    pub elapsed_ms: u64,
    /// What it has counted besides its sum.
    pub tally: Tally,
}

/// The last round of a kind that has ended: its devices may still ask for their verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedRound {
    /// Number and kind of the round.
    pub key: RoundKey,
    /// The objects that were accepted.
    pub accepted: BTreeMap<DeviceId, ShortDigest>,
}

/// One change of what is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Replace the head by this one.
    Head(Head),
    /// Replace the task by this one.
    Task(TaskSpec),
    /// Add this version to those still needed.
    Model(ModelRecord),
    /// Remove the version of this number.
    ForgetModel(ModelVersion),
    /// Add or replace an open round.
    Round(RoundRecord),
    /// Note how far a device of an open round is now.
    Progress(RoundKey, DeviceId, Progress),
    /// Replace an open round's sum.
    Sums(RoundKey, Collector),
    /// Keep the answer to a query, and the newest [`crate::query::ANSWERS_MAX`] of all.
    Answer(QueryResult),
    /// Remove the summary's open round and its sum, keep what its devices sent as the last round of
    /// its kind, and append the summary to the history.
    Close(RoundSummary),
}

/// Changes that belong together: one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Save {
    /// The changes in order.
    pub records: Vec<Record>,
}

/// Everything that is stored, but for the history of summaries.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The record that is always there.
    pub head: Head,
    /// What the model's numbers mean; `None` in a store of a version that did not keep it.
    pub task: Option<TaskSpec>,
    /// The versions still needed; the head's among them.
    pub models: BTreeMap<ModelVersion, ModelRecord>,
    /// Rounds that are open, without devices and sums.
    pub rounds: BTreeMap<RoundKey, RoundRecord>,
    /// How far the devices of open rounds are; rounds without devices are not listed.
    pub devices: BTreeMap<RoundKey, BTreeMap<DeviceId, Progress>>,
    /// Sums of the open rounds.
    pub sums: BTreeMap<RoundKey, Collector>,
    /// The last closed round of each kind.
    pub closed: BTreeMap<WorkKind, ClosedRound>,
    /// Answers by the name of their query, the newest [`crate::query::ANSWERS_MAX`].
    pub answers: BTreeMap<Name, QueryResult>,
    /// Whether the operator has just given it another task; not stored.
    pub adopted: bool,
}

impl Snapshot {
    /// The state that a store has after `save`; `before` is `None` for an empty store. Stays
    /// `None` until a head was saved.
    ///
    /// A disk store does the same table by table; this is what tests and simulations use.
    pub fn after(before: Option<Self>, save: &Save) -> Option<Self> {
        let head = save.records.iter().find_map(|record| match record {
            Record::Head(head) => Some(head.clone()),
            Record::Task(_)
            | Record::Model(_)
            | Record::ForgetModel(_)
            | Record::Round(_)
            | Record::Progress(..)
            | Record::Sums(..)
            | Record::Answer(_)
            | Record::Close(_) => None,
        });
        let mut this = match (before, head) {
            (Some(before), _) => before,
            (None, Some(head)) => Self {
                head,
                task: None,
                models: BTreeMap::new(),
                rounds: BTreeMap::new(),
                devices: BTreeMap::new(),
                sums: BTreeMap::new(),
                closed: BTreeMap::new(),
                answers: BTreeMap::new(),
                adopted: false,
            },
            (None, None) => return None,
        };
        save.records.iter().for_each(|record| this.apply(record));
        Some(this)
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::Head(head) => self.head = head.clone(),
            Record::Task(task) => self.task = Some(task.clone()),
            Record::Model(model) => {
                self.models.insert(model.version, model.clone());
            }
            Record::ForgetModel(version) => {
                self.models.remove(version);
            }
            Record::Round(round) => {
                self.rounds.insert(round.key, round.clone());
            }
            Record::Progress(key, device, progress) => {
                self.devices.entry(*key).or_default().insert(device.clone(), *progress);
            }
            Record::Sums(key, sums) => {
                self.sums.insert(*key, sums.clone());
            }
            Record::Answer(answer) => query::keep(&mut self.answers, answer.clone()),
            Record::Close(summary) => {
                let key = summary.key;
                self.rounds.remove(&key);
                self.sums.remove(&key);
                let accepted = round::accepted(self.devices.remove(&key).unwrap_or_default());
                self.closed.insert(key.kind, ClosedRound { key, accepted });
            }
        }
    }
}
