//! Sums of errors of many devices, exact in any order.

use alloc::vec::Vec;

use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::{FIT_SUMS, FitFigures, fit_channels};
use serde::{Deserialize, Serialize};

/// Sums of errors before and after training, with the windows that they are of. Empty until a report
/// brought some: classes have none, and devices of older versions send none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FitTotals {
    before: (u64, Vec<i128>),
    after: (u64, Vec<i128>),
}

impl FitTotals {
    /// Of one report: `windows` that were measured on before and after training, and the `sums` of
    /// both, one after the other, or of the first alone.
    pub fn new(task: &TaskSpec, windows: [u64; 2], sums: &[i128]) -> Self {
        let one = (fit_channels(task).len() * FIT_SUMS).min(sums.len());
        let (before, after) = sums.split_at(one);
        let part = |windows, sums: &[i128]| match sums {
            [] => (0, Vec::new()),
            sums => (windows, sums.to_vec()),
        };
        Self { before: part(windows[0], before), after: part(windows[1], after) }
    }

    /// Whether no report brought any.
    pub fn is_empty(&self) -> bool {
        self.before.1.is_empty() && self.after.1.is_empty()
    }

    /// Adds the sums of other devices. Numbers of a device have at most 59 bits: those of all devices
    /// that there may be fit.
    pub(super) fn add(&mut self, other: &Self) {
        for (all, more) in [(&mut self.before, &other.before), (&mut self.after, &other.after)] {
            all.0 = all.0.saturating_add(more.0);
            if all.1.len() < more.1.len() {
                all.1.resize(more.1.len(), 0);
            }
            all.1.iter_mut().zip(&more.1).for_each(|(sum, add)| *sum = sum.saturating_add(*add));
        }
    }

    /// What follows from them for `task`: before and after training.
    pub fn figures(&self, task: &TaskSpec) -> (Vec<FitFigures>, Vec<FitFigures>) {
        let of = |(windows, sums): &(u64, Vec<i128>)| FitFigures::of(task, *windows, sums);
        (of(&self.before), of(&self.after))
    }
}
