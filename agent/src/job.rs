//! What the session asks a trainer to do, and what comes back.

use alloc::{string::String, sync::Arc, vec::Vec};

use dunlin_protocol::id::{LayoutHash, Lineage, ModelVersion};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::plan::Training;
use dunlin_protocol::task::{Task, TaskDigest};
use dunlin_protocol::update::Score;

/// One piece of local work.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which work it is for; comes back with the outcome.
    pub work: WorkRef,
    /// The task.
    pub task: Arc<Task>,
    /// The base version's parameters, `[n_model]`.
    pub model: Arc<Vec<f32>>,
    /// This device's local layers from last time, `[n_params - n_model]`; `None` at first.
    pub local: Option<Vec<f32>>,
    /// How to train; `None` to evaluate only.
    pub training: Option<Training>,
    /// Seed of the shuffles and augmentations, and of fresh local layers.
    pub seed: u64,
}

/// What a job gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Trained minus base, shared layers only, `[n_update]`; empty for an evaluation.
    pub delta: Vec<f32>,
    /// This device's local layers now, `[n_params - n_model]`.
    pub local: Vec<f32>,
    /// Windows trained on.
    pub examples: u32,
    /// Mean training loss of the last epoch; 0 for an evaluation.
    pub train_loss: f32,
    /// The base version on held-back windows.
    pub before: Score,
    /// The trained model on held-back windows; empty for an evaluation.
    pub after: Score,
}

/// A version of the model and what it belongs to: all that a shell need keep of it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptModel {
    /// What its numbers mean.
    pub task: TaskDigest,
    /// The history that the version belongs to.
    pub lineage: Lineage,
    /// The version.
    pub version: ModelVersion,
    /// Its parameters, `[n_model]`.
    pub params: Arc<Vec<f32>>,
}

/// A model to classify with.
#[derive(Clone, Debug)]
pub struct ModelInUse {
    /// The version.
    pub model: KeptModel,
    /// The layout of its task.
    pub layout: LayoutHash,
    /// The task.
    pub task: Arc<Task>,
    /// This device's own layers, `[n_params - n_model]`; `None` where the task has none.
    pub local: Option<Vec<f32>>,
}

/// Why a job gave nothing, in words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure(pub String);
