//! A task's network: its parameters and how a batch runs through it.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use dunlin_protocol::task::{Cost, ParamLayout, TaskSpec};

use crate::batch::{Batch, batch_max};
use crate::device::Backend;
#[cfg(feature = "ndarray")]
use crate::device::ndarray;
use crate::error::ModelError;
use crate::fused;
#[cfg(feature = "ndarray")]
use crate::plain;
use crate::windows::Windows;

/// Gradients slot by slot: the place in the vector of all parameters, and the values.
pub(crate) type Gradients = Vec<(Range<usize>, Vec<f32>)>;

/// A network built from a task, with its parameters.
pub struct Network {
    pub(crate) task: TaskSpec,
    pub(crate) layout: ParamLayout,
    pub(crate) params: Vec<f32>,
    cost: Cost,
    pub(crate) batch_max: usize,
    /// Windows that run through the network together.
    pub(crate) part_max: usize,
    /// Windows whose features may be kept, for all epochs.
    pub(crate) kept_max: usize,
    backend: Backend,
}

impl Network {
    /// Builds the network of `task`; all parameters are zero until [`Self::set_params`].
    ///
    /// # Errors
    /// [`ModelError::Shape`] names the layer that does not fit.
    pub fn new(task: &TaskSpec, backend: Backend) -> Result<Self, ModelError> {
        let (layout, cost) = task.layout_and_cost()?;
        let batch_max = batch_max(&cost);
        Ok(Self {
            task: task.clone(),
            params: vec![0.0; layout.n_params()],
            layout,
            cost,
            batch_max,
            part_max: batch_max,
            kept_max: usize::MAX,
            backend,
        })
    }

    /// The task that the network was built from.
    pub fn task(&self) -> &TaskSpec {
        &self.task
    }

    /// Where each parameter lies.
    pub fn layout(&self) -> &ParamLayout {
        &self.layout
    }

    /// The backend that computes.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The parameters, `[n_params]` in the order of [`Self::layout`].
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// Replaces all parameters by `params: [n_params]`.
    ///
    /// # Errors
    /// [`ModelError::ParamCount`] or [`ModelError::ParamNotFinite`]; nothing is replaced then.
    pub fn set_params(&mut self, params: &[f32]) -> Result<(), ModelError> {
        if params.len() != self.params.len() {
            return Err(ModelError::ParamCount { needs: self.params.len(), has: params.len() });
        }
        if let Some(index) = params.iter().position(|value| !value.is_finite()) {
            return Err(ModelError::ParamNotFinite { index });
        }
        self.params.copy_from_slice(params);
        Ok(())
    }

    /// Takes larger batches through the network in parts, one after another, so that what a window
    /// needs on its way through all layers and back fits in about `bytes` of memory; one window at
    /// a time at the least. The mean gradient is the same but for rounding. Features of more
    /// windows than that are computed anew in each epoch.
    pub fn bound_memory(&mut self, bytes: usize) {
        self.part_max = (bytes / self.cost.window_bytes().max(1)).clamp(1, self.batch_max);
        self.kept_max = self.part_max;
    }

    /// Gradient of the mean loss over `windows` at the present parameters, `[n_params]`; zero for
    /// frozen layers. All windows are one batch.
    ///
    /// # Errors
    /// [`ModelError`] when the windows do not suit the task.
    pub fn gradients(&self, windows: &Windows<'_>) -> Result<Vec<f32>, ModelError> {
        windows.check_for(&self.task, true)?;
        self.check_batch(windows.len())?;
        if windows.is_empty() {
            return Err(ModelError::NoWindows);
        }
        let mut flat = vec![0.0; self.params.len()];
        let batch = Batch::of(&self.task, windows, 0.0);
        let (_, gradients) = self.backward(batch)?;
        for (range, gradient) in gradients {
            flat[range].copy_from_slice(&gradient);
        }
        Ok(flat)
    }

    /// Mean loss of `batch` and the gradient of each slot that is trained; no gradients when the
    /// loss is not finite.
    pub(crate) fn backward(&self, batch: Batch) -> Result<(f32, Gradients), ModelError> {
        let (task, layout, params) = (&self.task, &self.layout, &self.params);
        match self.backend {
            Backend::Flex => Ok(fused::backward(task, layout, params, batch)),
            #[cfg(feature = "ndarray")]
            Backend::NdArray => plain::backward(task, layout, params, batch, &ndarray()),
        }
    }

    /// Outputs `[batch, outputs]` and mean loss of `batch`, without gradients.
    pub(crate) fn infer(&self, batch: Batch) -> Result<(Vec<f32>, f32), ModelError> {
        let (task, layout, params) = (&self.task, &self.layout, &self.params);
        match self.backend {
            Backend::Flex => Ok(fused::infer(task, layout, params, batch)),
            #[cfg(feature = "ndarray")]
            Backend::NdArray => plain::infer(task, layout, params, batch, &ndarray()),
        }
    }

    /// Refuses batches that would take too much memory.
    pub(crate) fn check_batch(&self, batch: usize) -> Result<(), ModelError> {
        if batch <= self.batch_max {
            Ok(())
        } else {
            Err(ModelError::BatchTooLarge { batch, limit: self.batch_max })
        }
    }
}

#[cfg(test)]
mod tests;
