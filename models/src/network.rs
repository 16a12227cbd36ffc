//! A task's network: its parameters and how a batch runs through it.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use burn::Tensor;
use burn::tensor::{Device, TensorData};
use dunlin_protocol::task::{ParamLayout, Share, TaskSpec};

use crate::batch::{Batch, batch_max, seen_shape};
use crate::device::{Backend, device};
use crate::error::ModelError;
use crate::forward::{ParamTensors, forward};
use crate::loss::loss;
use crate::windows::Windows;

/// Gradients slot by slot: the place in the vector of all parameters, and the values.
pub(crate) type Gradients = Vec<(Range<usize>, Vec<f32>)>;

/// A network built from a task, with its parameters.
pub struct Network {
    pub(crate) task: TaskSpec,
    pub(crate) layout: ParamLayout,
    pub(crate) params: Vec<f32>,
    pub(crate) batch_max: usize,
    backend: Backend,
    device: Device,
}

impl Network {
    /// Builds the network of `task`; all parameters are zero until [`Self::set_params`].
    ///
    /// # Errors
    /// [`ModelError::Shape`] names the layer that does not fit.
    pub fn new(task: &TaskSpec, backend: Backend) -> Result<Self, ModelError> {
        let layout = task.layout()?;
        Ok(Self {
            task: task.clone(),
            params: vec![0.0; layout.n_params()],
            layout,
            batch_max: batch_max(task)?,
            backend,
            device: device(backend),
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
        let device = self.device.clone().autodiff();
        let params = ParamTensors::new(&self.layout, &self.params, &device);
        let (_, loss) = self.run(&params, batch, &device);
        let value = scalar(loss.clone())?;
        if !loss.is_tracked() || !value.is_finite() {
            return Ok((value, Vec::new()));
        }
        let mut gradients = loss.backward();
        let mut found = Vec::with_capacity(params.tensors().len());
        for (slot, tensor) in self.layout.slots().iter().zip(params.tensors()) {
            if slot.share == Share::Frozen {
                continue;
            }
            if let Some(gradient) = tensor.grad_remove(&mut gradients) {
                found.push((slot.range.clone(), values(gradient)?));
            }
        }
        Ok((value, found))
    }

    /// Outputs `[batch, outputs]` and mean loss of `batch`, without gradients.
    pub(crate) fn ask(&self, batch: Batch) -> Result<(Vec<f32>, f32), ModelError> {
        let params = ParamTensors::new(&self.layout, &self.params, &self.device);
        let (output, loss) = self.run(&params, batch, &self.device);
        Ok((values(output)?, scalar(loss)?))
    }

    fn run(&self, params: &ParamTensors, batch: Batch, device: &Device) -> (Tensor<2>, Tensor<1>) {
        let Batch { len, seen, wanted, .. } = batch;
        let [time, channels] = seen_shape(&self.task);
        let samples = [len, time, channels];
        let input = Tensor::from_data(TensorData::new(seen, samples), device);
        let wanted = TensorData::new(wanted, [len, self.task.output_values()]);
        let fused = self.backend == Backend::Flex;
        let output = forward(&self.task, params, input, fused);
        let wanted = Tensor::from_data(wanted, device);
        let loss = loss(&self.task.target, output.clone(), wanted, fused);
        (output, loss)
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

fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
    let data = tensor.into_data();
    data.try_into_vec().map_err(|_| ModelError::Backend("values are not 32-bit floats"))
}

fn scalar(tensor: Tensor<1>) -> Result<f32, ModelError> {
    values(tensor)?.first().copied().ok_or(ModelError::Backend("the loss has no value"))
}

#[cfg(test)]
mod tests;
