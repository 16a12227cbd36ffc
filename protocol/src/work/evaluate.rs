//! Evaluation: how well the base version does on a device's held-back windows. No payload.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::{Metric, loss_metric};

/// What an evaluation reports.
pub(super) const METRICS: [Metric; 3] =
    [Metric::count("windows"), Metric::count("correct"), Metric::loss("loss")];

/// How well a model did on windows that were never trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Windows that the model was tried on; 0 when there were none.
    pub windows: u32,
    /// Windows classified rightly; 0 for tasks without classes.
    pub correct: u32,
    /// Sum of the loss over the windows; finite, not negative.
    pub loss_sum: f32,
}

impl Score {
    /// Share of windows classified rightly, 0 without windows.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.correct) / f64::from(self.windows.max(1))
    }

    /// Mean loss of a window, 0 without windows.
    pub fn loss(&self) -> f64 {
        f64::from(self.loss_sum) / f64::from(self.windows.max(1))
    }

    /// The metrics of an evaluation.
    pub fn metrics(&self) -> Vec<u64> {
        let loss = loss_metric(f64::from(self.loss_sum));
        Vec::from([u64::from(self.windows), u64::from(self.correct), loss])
    }
}
