//! The plan: what a federation works on now. Retained, so that every device finds it.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::extension::Extensions;
use crate::id::{InstanceId, LayoutHash, Lineage, ModelVersion, RoundId};
use crate::limits::{CONTROL_BYTES_MAX, MODELS_MAX, SHARDS_MAX, WORK_ITEMS_MAX};
use crate::lottery::Fraction;
use crate::object::{ObjectRef, check_chunk_bytes};
use crate::time::Instant;
use crate::wire::{self, Kind, Message, WireError};
use crate::work::Work;

/// What a federation works on, from its aggregator to all devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The aggregator that speaks; devices watch its presence topic.
    pub instance: InstanceId,
    /// The history that all versions and rounds below belong to.
    pub lineage: Lineage,
    /// Rises with every plan of a lineage, also over restarts of the aggregator: a device never goes
    /// back behind the highest that it heard.
    pub sequence: u64,
    /// Shape of the parameters; a device whose task gives another hash takes no part.
    pub layout: LayoutHash,
    /// Shards that updates are spread over by [`crate::topic::shard_of`].
    pub shards: u16,
    /// Bytes of each chunk but the last, for updates.
    pub chunk_bytes: u32,
    /// Where devices find the task: a [`TaskSpec`](crate::task::TaskSpec) as an object.
    pub task: ObjectRef,
    /// Ways to the versions that work items name: anchors, and deltas on the version before.
    #[serde(deserialize_with = "wire::take_list::<MODELS_MAX, _, _>")]
    pub models: Vec<ModelEntry>,
    /// Open work, in the order in which a device should do it.
    #[serde(deserialize_with = "wire::take_list::<WORK_ITEMS_MAX, _, _>")]
    pub work: Vec<WorkItem>,
    /// When a device that is not always connected should look again, in milliseconds from now.
    pub next_check_in_ms: u32,
    /// Additions of later versions.
    pub extensions: Extensions,
}

/// One model version that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The version that results.
    pub version: ModelVersion,
    /// The version that a delta is added to; `None` for an anchor.
    pub base: Option<ModelVersion>,
    /// Where it is found: a model or seeded model for an anchor, else a delta.
    pub object: ObjectRef,
}

/// One piece of open work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkItem {
    /// Number of the round, which claims and reports repeat.
    pub round: RoundId,
    /// The version it starts from.
    pub base_version: ModelVersion,
    /// Share of devices that take part.
    pub fraction: Fraction,
    /// When it ends, on the aggregator's clock.
    pub deadline: Instant,
    /// A [`crate::work::WorkKind`] as a number; devices skip kinds that they do not know.
    pub kind: u8,
    /// What the kind needs to know, in postcard.
    pub body: Vec<u8>,
    /// Additions of later versions; one that must be known makes the work unknown.
    pub extensions: Extensions,
}

impl WorkItem {
    /// What the item asks for.
    ///
    /// # Errors
    /// [`WireError`] when the body of a known kind cannot be read or breaks a rule.
    pub fn work(&self) -> Result<Work, WireError> {
        if self.extensions.unknown().is_some() {
            return Ok(Work::Unknown(self.kind));
        }
        Work::read(self.kind, &self.body)
    }
}

impl Message for Plan {
    const KIND: Kind = Kind::Plan;
    const BYTES_MAX: usize = CONTROL_BYTES_MAX;

    fn check(&self) -> Result<(), WireError> {
        if self.work.len() > WORK_ITEMS_MAX {
            return Err(WireError::Invalid("a plan has at most 4 work items"));
        }
        if self.models.len() > MODELS_MAX {
            return Err(WireError::Invalid("a plan lists at most 16 models"));
        }
        if self.shards == 0 || self.shards > SHARDS_MAX {
            return Err(WireError::Invalid("a plan has 1 to 1024 shards"));
        }
        check_chunk_bytes(self.chunk_bytes)?;
        self.task.check()?;
        self.models.iter().try_for_each(|entry| entry.object.check())?;
        self.extensions.check()?;
        self.work.iter().try_for_each(|item| {
            item.fraction.check()?;
            item.extensions.check_form()?;
            item.work().map(|_| ())
        })
    }
}
