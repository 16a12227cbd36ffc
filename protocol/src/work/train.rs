//! Training: how devices train from the base version, and what they send of it.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::{Bound, Coding, Metric, Protection, Score, Section, VectorSpec, loss_metric};
use crate::codec::CodecSpec;
use crate::limits::{BATCH_MAX, EPOCHS_MAX};
use crate::task::Task;
use crate::wire::WireError;

/// What a training reports: windows trained on, the loss summed over them, and the scores of the base
/// version and of the trained model on held-back windows.
pub(super) const METRICS: [Metric; 8] = [
    Metric::count("examples"),
    Metric::loss("train loss"),
    Metric::count("windows before"),
    Metric::count("correct before"),
    Metric::loss("loss before"),
    Metric::count("windows after"),
    Metric::count("correct after"),
    Metric::loss("loss after"),
];

/// The figures of one training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainFigures {
    /// Windows trained on, each counted once, whatever the epochs.
    pub examples: u32,
    /// Mean training loss of the last epoch; finite, not negative.
    pub train_loss: f32,
    /// The base version on held-back windows.
    pub before: Score,
    /// The trained model on held-back windows.
    pub after: Score,
}

impl TrainFigures {
    /// The metrics of a training.
    pub fn metrics(&self) -> Vec<u64> {
        let Self { examples, train_loss, before, after } = self;
        let loss = loss_metric(f64::from(*train_loss) * f64::from(*examples));
        let mut metrics = Vec::from([u64::from(*examples), loss]);
        metrics.extend(before.metrics());
        metrics.extend(after.metrics());
        metrics
    }
}

/// How to train and what to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainWork {
    /// How to train: epochs, batch, rates, changes to windows.
    pub training: Training,
    /// How to write the update.
    pub codec: CodecSpec,
    /// Longest update vector that is written, as its Euclidean norm; devices scale down to it. Read,
    /// it is taken up to [`Codec::norm_max`](crate::codec::Codec::norm_max) and counts as it is.
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
    /// Factor of each step: `w -= learning_rate * v`, with `v` the gradient with momentum.
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
    /// The difference to the base version, `[n_update]`.
    pub fn vector(&self, task: &Task) -> VectorSpec {
        let (clip, most) = (f64::from(self.clip_norm), f64::from(self.max_abs));
        let section = Section {
            name: "update",
            len: task.layout().n_update(),
            coding: Coding::Real(self.codec),
            bounds: Vec::from([Bound::L2(clip), Bound::LInf(most)]),
        };
        VectorSpec { sections: Vec::from([section]), protection: Protection::Clear }
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        self.training.check()?;
        let above_zero = |x: f32| x.is_finite() && x > 0.0;
        if above_zero(self.clip_norm) && above_zero(self.max_abs) {
            Ok(())
        } else {
            Err(WireError::Invalid("norm bounds are finite and above 0"))
        }
    }
}
