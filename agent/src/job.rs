//! What the session asks a trainer to do, and what comes back.

use alloc::{string::String, sync::Arc, vec::Vec};

use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::id::{LayoutHash, Lineage, ModelVersion};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::{Task, TaskDigest};
use dunlin_protocol::wire::WireError;
use dunlin_protocol::work::{Fit, Score, SumsWork, TrainFigures, Training, WorkKind};

/// One piece of local work.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which work it is for; comes back with the outcome.
    pub work: WorkRef,
    /// The task that the work is for.
    pub task: Arc<Task>,
    /// What to do, and how.
    pub spec: JobSpec,
    /// The base version's parameters, `[n_model]`; empty for work that needs none.
    pub model: Arc<Vec<f32>>,
    /// This device's local layers from last time, `[n_params - n_model]`; `None` at first.
    pub local: Option<Vec<f32>>,
    /// Seed of the shuffles and augmentations, and of fresh local layers.
    pub seed: u64,
}

/// What a job does: one variant a kind of work.
#[derive(Clone, Debug, PartialEq)]
pub enum JobSpec {
    /// Trains, and measures before and after.
    Train(Training),
    /// Measures the base version.
    Evaluate,
    /// Adds up statistics of the windows.
    Sums(SumsWork),
}

impl Job {
    /// How to train; `None` for other work.
    pub fn training(&self) -> Option<&Training> {
        match &self.spec {
            JobSpec::Train(training) => Some(training),
            JobSpec::Evaluate | JobSpec::Sums(_) => None,
        }
    }
}

/// What a device's executor has for a task, and which kinds of work it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Training windows at hand.
    pub windows: u32,
    /// Bit `n` stands for the kind of work of this number.
    kinds: u32,
}

impl Survey {
    /// An executor that can do nothing for the task.
    pub const NOTHING: Self = Self { windows: 0, kinds: 0 };

    /// An executor with `windows` training windows that does work of these kinds.
    pub fn new(windows: u32, kinds: &[WorkKind]) -> Self {
        let kinds = kinds.iter().fold(0, |bits, kind| bits | 1 << (*kind as u32));
        Self { windows, kinds }
    }

    /// An executor with `windows` training windows that does every kind of work.
    pub fn of(windows: u32) -> Self {
        Self::new(windows, &WorkKind::ALL)
    }

    /// An executor with `train` training windows that measures on `held` others: with none of them it
    /// evaluates nothing, and does all other work.
    pub fn of_split(train: usize, held: usize) -> Self {
        let all = Self::of(u32::try_from(train).unwrap_or(u32::MAX));
        let measures = 1 << (WorkKind::Evaluate as u32);
        Self { kinds: if held > 0 { all.kinds } else { all.kinds & !measures }, ..all }
    }

    /// Whether work of this kind can be done with what is there.
    pub fn allows(&self, kind: WorkKind) -> bool {
        self.kinds & 1 << (kind as u32) != 0 && (self.windows > 0 || !kind.needs_windows())
    }
}

/// What a job gave, whatever its kind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Of a training or an evaluation.
    Trained(Trained),
    /// Of sums, in the order of the work's vector.
    Sums(Vec<i128>),
}

impl Outcome {
    /// Whether a weight of it is no number, or a loss none that a report can say.
    pub(crate) fn has_diverged(&self) -> bool {
        match self {
            Self::Trained(trained) => {
                let mut weights = trained.delta.iter().chain(&trained.local);
                trained.figures().is_err() || weights.any(|value| !value.is_finite())
            }
            Self::Sums(_) => false,
        }
    }
}

impl From<Trained> for Outcome {
    fn from(trained: Trained) -> Self {
        Self::Trained(trained)
    }
}

/// What a training or an evaluation gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trained {
    /// Trained minus base, shared layers only, `[n_update]`; empty for an evaluation.
    pub delta: Vec<f32>,
    /// This device's local layers now, `[n_params - n_model]`.
    pub local: Vec<f32>,
    /// Windows trained on, each once whatever the epochs; of an evaluation, those measured on.
    pub examples: u32,
    /// Mean training loss of the last epoch; 0 for an evaluation.
    pub train_loss: f32,
    /// The base version on held-back windows.
    pub before: Score,
    /// The trained model on held-back windows; empty for an evaluation.
    pub after: Score,
    /// Sums of the errors of both, where outputs are values; empty for classes.
    pub fits: [Fit; 2],
}

impl Trained {
    /// The figures of the report.
    ///
    /// # Errors
    /// [`WireError::Invalid`] when a loss is no number, or beyond what a report can say: the training
    /// diverged.
    pub(crate) fn figures(&self) -> Result<TrainFigures, WireError> {
        let Self { examples, train_loss, before, after, .. } = *self;
        let losses = [train_loss, before.loss_sum, after.loss_sum];
        let figures = TrainFigures { examples, train_loss, before, after };
        let finite = losses.iter().all(|loss| loss.is_finite() && *loss >= 0.0);
        if finite && !WorkKind::Train.is_beyond(&figures.metrics()) {
            Ok(figures)
        } else {
            Err(WireError::Invalid("losses are finite, not negative and within their bound"))
        }
    }
}

/// A version of the model and what it belongs to: all that a shell need keep of it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptModel {
    /// What its numbers mean.
    pub task: TaskDigest,
    /// The history that the version belongs to.
    pub lineage: Lineage,
    /// Its number in that history; 0 is the first model.
    pub version: ModelVersion,
    /// Its parameters as devices have them, `[n_model]`.
    pub params: Arc<Vec<f32>>,
}

/// A model to classify with.
#[derive(Clone, Debug)]
pub struct ModelInUse {
    /// The version, its parameters and what they belong to.
    pub model: KeptModel,
    /// The layout of its task.
    pub layout: LayoutHash,
    /// The task that the version was learned for.
    pub task: Arc<Task>,
    /// This device's own layers, `[n_params - n_model]`; `None` where the task has none.
    pub local: Option<Vec<f32>>,
}

/// Why a job gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct JobFailure {
    /// The reason that others are told.
    pub reason: GiveUp,
    /// In words for the log, and for others up to [`dunlin_protocol::give_up::TEXT_CHARS_MAX`].
    pub why: String,
}

impl JobFailure {
    /// Nothing came of it for `reason`, in words `why`.
    pub fn new(reason: GiveUp, why: impl Into<String>) -> Self {
        Self { reason, why: why.into() }
    }

    /// Nothing came of it for a reason that has only words.
    pub fn other(why: impl Into<String>) -> Self {
        Self::new(GiveUp::Other, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_windows_held_back_trains_and_answers_and_does_not_evaluate() {
        let allowed = |survey: Survey| WorkKind::ALL.map(|kind| survey.allows(kind));
        assert_eq!(allowed(Survey::of_split(10, 2)), [true, true, true]);
        assert_eq!(allowed(Survey::of_split(10, 0)), [true, false, true]);
        assert_eq!(allowed(Survey::of_split(0, 0)), [false, false, true]);
    }
}
