//! The plan: what a federation works on now. Retained, so that every device finds it.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::codec::CodecSpec;
use crate::extension::Extensions;
use crate::id::{InstanceId, LayoutHash, Lineage, ModelVersion, RoundId};
use crate::limits::{
    BATCH_MAX, CONTROL_BYTES_MAX, EPOCHS_MAX, MODELS_MAX, SHARDS_MAX, WORK_ITEMS_MAX,
};
use crate::lottery::Fraction;
use crate::object::{ObjectRef, check_chunk_bytes};
use crate::time::Instant;
use crate::wire::{self, Kind, Message, WireError};

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
    /// The task object.
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
    /// The object.
    pub object: ObjectRef,
}

/// One piece of open work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkItem {
    /// Its round.
    pub round: RoundId,
    /// The version it starts from.
    pub base_version: ModelVersion,
    /// Share of devices that take part.
    pub fraction: Fraction,
    /// When it ends, on the aggregator's clock.
    pub deadline: Instant,
    /// A [`WorkKind`] as a number; devices skip kinds that they do not know.
    pub kind: u8,
    /// What the kind needs to know, in postcard.
    pub body: Vec<u8>,
    /// Additions of later versions; one that must be known makes the work unknown.
    pub extensions: Extensions,
}

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum WorkKind {
    /// Train from the base version and send the difference.
    Train = 1,
    /// Measure the base version on held-back windows and send the figures.
    Evaluate = 2,
}

/// What a work item asks for, read from its kind and body.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Train and send an update.
    Train(TrainWork),
    /// Evaluate only.
    Evaluate,
    /// Work that this program is too old for.
    Unknown(u8),
}

/// How to train and what to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainWork {
    /// How to train.
    pub training: Training,
    /// How to write the update.
    pub codec: CodecSpec,
    /// Longest update vector that is taken, as its Euclidean norm; devices scale down to it.
    pub clip_norm: f32,
    /// Largest magnitude of one coordinate that is taken.
    pub max_abs: f32,
}

/// Local training: mini-batch SGD with momentum, on the loss of the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Passes over the local windows.
    pub epochs: u16,
    /// Windows in a batch.
    pub batch: u16,
    /// Step length.
    pub learning_rate: f32,
    /// Share of the last step that is kept, 0 to below 1; starts from rest in each round.
    pub momentum: f32,
    /// Pull towards zero: adds `weight_decay * w` to each gradient.
    pub weight_decay: f32,
    /// Pull towards the base version: adds `prox * (w - w_base)` to each gradient (FedProx,
    /// Li et al. 2020, arXiv:1812.06127, eq. 2). 0 is plain FedAvg.
    pub prox: f32,
    /// Share of each label spread evenly over all classes, 0 to below 1.
    pub label_smoothing: f32,
    /// Random changes to each training window.
    pub augment: Augment,
}

/// Random changes to a training window, drawn anew for each window and epoch. All 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// Largest rotation of the sensor axes in radians; channels in groups of three are vectors.
    pub rotation: f32,
    /// Largest relative change of the amplitude.
    pub gain: f32,
    /// Largest shift in samples; the window's edge is repeated.
    pub shift: u16,
}

impl Training {
    /// Plain SGD: no momentum, decay, pull, smoothing or augmentation.
    pub fn sgd(epochs: u16, batch: u16, learning_rate: f32) -> Self {
        Self {
            epochs,
            batch,
            learning_rate,
            momentum: 0.0,
            weight_decay: 0.0,
            prox: 0.0,
            label_smoothing: 0.0,
            augment: Augment::default(),
        }
    }

    fn check(&self) -> Result<(), WireError> {
        let share = |x: f32| (0.0..1.0).contains(&x);
        let positive = |x: f32| x.is_finite() && x >= 0.0;
        if self.epochs == 0 || self.epochs > EPOCHS_MAX {
            return Err(WireError::Invalid("epochs are between 1 and 1000"));
        }
        if self.batch == 0 || self.batch > BATCH_MAX {
            return Err(WireError::Invalid("the batch is between 1 and 1024"));
        }
        if !(positive(self.learning_rate) && positive(self.weight_decay) && positive(self.prox)) {
            return Err(WireError::Invalid("rates are finite and not negative"));
        }
        if !(share(self.momentum) && share(self.label_smoothing)) {
            return Err(WireError::Invalid("momentum and smoothing are from 0 to below 1"));
        }
        let Augment { rotation, gain, shift: _ } = self.augment;
        if !(positive(rotation) && share(gain)) {
            return Err(WireError::Invalid("augmentation is finite; the gain is below 1"));
        }
        Ok(())
    }
}

impl TrainWork {
    fn check(&self) -> Result<(), WireError> {
        self.training.check()?;
        let above_zero = |x: f32| x.is_finite() && x > 0.0;
        if above_zero(self.clip_norm) && above_zero(self.max_abs) {
            Ok(())
        } else {
            Err(WireError::Invalid("norm bounds are finite and above 0"))
        }
    }
}

impl Work {
    /// The kind's number, as in [`WorkItem::kind`].
    pub fn kind(&self) -> u8 {
        match self {
            Self::Train(_) => WorkKind::Train as u8,
            Self::Evaluate => WorkKind::Evaluate as u8,
            Self::Unknown(kind) => *kind,
        }
    }

    /// The body for [`WorkItem::body`].
    ///
    /// # Errors
    /// [`WireError::Malformed`] when it cannot be written.
    pub fn body(&self) -> Result<Vec<u8>, WireError> {
        match self {
            Self::Train(work) => postcard::to_allocvec(work).map_err(|_| WireError::Malformed),
            Self::Evaluate | Self::Unknown(_) => Ok(Vec::new()),
        }
    }
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
        if self.kind == WorkKind::Train as u8 {
            let (work, rest) = wire::take::<TrainWork>(&self.body)?;
            work.check()?;
            match rest.len() {
                0 => Ok(Work::Train(work)),
                bytes => Err(WireError::Trailing { bytes }),
            }
        } else if self.kind == WorkKind::Evaluate as u8 {
            Ok(Work::Evaluate)
        } else {
            Ok(Work::Unknown(self.kind))
        }
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
