//! A task's network as plain tensor operations of Burn, for any backend: slower than
//! [`crate::fused`], and a check of it. Tensors are `[batch, time, channels]`.

use alloc::vec::Vec;

use burn::Tensor;
use burn::tensor::{Device, TensorData, activation};
use dunlin_protocol::task::{Op, ParamLayout, ParamSlot, Share, Target, TaskSpec};

use crate::batch::{Batch, input_shape};
use crate::error::ModelError;
use crate::network::Gradients;

/// The parameters of a network on a device, one tensor a slot of the layout.
struct ParamTensors {
    /// Weights `[rows, columns]` and biases `[1, columns]`, in the order of the layout.
    tensors: Vec<Tensor<2>>,
}

impl ParamTensors {
    /// Copies `params: [n_params]` to `device`; on an autodiff device all but frozen slots are
    /// tracked.
    fn new(layout: &ParamLayout, params: &[f32], device: &Device) -> Self {
        let tensor = |slot: &ParamSlot| {
            let shape = [slot.range.len() / slot.fan_out, slot.fan_out];
            let values = params[slot.range.clone()].to_vec();
            let tensor = Tensor::from_data(TensorData::new(values, shape), device);
            if device.is_autodiff() && slot.share != Share::Frozen {
                tensor.require_grad()
            } else {
                tensor
            }
        };
        Self { tensors: layout.slots().iter().map(tensor).collect() }
    }
}

/// Mean loss of `batch` and the gradient of each slot that is trained; no gradients when the loss
/// is not finite.
pub(crate) fn backward(
    task: &TaskSpec,
    layout: &ParamLayout,
    params: &[f32],
    batch: Batch,
    device: &Device,
) -> Result<(f32, Gradients), ModelError> {
    let device = device.clone().autodiff();
    let params = ParamTensors::new(layout, params, &device);
    let (_, loss) = run(task, &params, batch, &device);
    let value = scalar(loss.clone())?;
    if !loss.is_tracked() || !value.is_finite() {
        return Ok((value, Vec::new()));
    }
    let mut gradients = loss.backward();
    let mut found = Vec::with_capacity(params.tensors.len());
    for (slot, tensor) in layout.slots().iter().zip(&params.tensors) {
        if slot.share == Share::Frozen {
            continue;
        }
        if let Some(gradient) = tensor.grad_remove(&mut gradients) {
            found.push((slot.range.clone(), values(gradient)?));
        }
    }
    Ok((value, found))
}

/// Outputs `[batch, outputs]` and mean loss of `batch`.
pub(crate) fn infer(
    task: &TaskSpec,
    layout: &ParamLayout,
    params: &[f32],
    batch: Batch,
    device: &Device,
) -> Result<(Vec<f32>, f32), ModelError> {
    let params = ParamTensors::new(layout, params, device);
    let (output, loss) = run(task, &params, batch, device);
    Ok((values(output)?, scalar(loss)?))
}

fn run(
    task: &TaskSpec,
    params: &ParamTensors,
    batch: Batch,
    device: &Device,
) -> (Tensor<2>, Tensor<1>) {
    let Batch { len, inputs, targets, .. } = batch;
    let [time, channels] = input_shape(task);
    let input = Tensor::from_data(TensorData::new(inputs, [len, time, channels]), device);
    let output = forward(task, params, input);
    let targets = TensorData::new(targets, [len, task.output_values()]);
    let loss = loss(&task.target, output.clone(), Tensor::from_data(targets, device));
    (output, loss)
}

/// Mean loss of `output` against `targets`, both `[batch, outputs]`.
///
/// Classes: cross-entropy of softmax. Values: squared difference, mean over all values.
fn loss(target: &Target, output: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    match target {
        Target::Classes(_) => {
            let [batch, _] = output.dims();
            #[allow(clippy::cast_precision_loss)]
            let scale = -1.0 / batch as f32;
            (activation::log_softmax(output, 1) * targets).sum() * scale
        }
        Target::Reconstruct
        | Target::Forecast
        | Target::Values(_)
        | Target::ForecastSteps { .. } => (output - targets).square().mean(),
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
    let data = tensor.into_data();
    data.try_into_vec().map_err(|_| ModelError::Backend("values are not 32-bit floats"))
}

fn scalar(tensor: Tensor<1>) -> Result<f32, ModelError> {
    values(tensor)?.first().copied().ok_or(ModelError::Backend("the loss has no value"))
}

/// Runs the layers of `task` on `input: [batch, time, channels]`; gives `[batch, outputs]`. The
/// task's shapes were checked before.
fn forward(task: &TaskSpec, params: &ParamTensors, input: Tensor<3>) -> Tensor<2> {
    // Weight and bias of each layer that has them, last first.
    let mut slots: Vec<&Tensor<2>> = params.tensors.iter().rev().collect();
    let mut next_slot = || slots.pop().cloned();
    let mut value = input;
    for op in task.layers.iter().map(|layer| layer.op) {
        value = match op {
            Op::Relu => activation::relu(value),
            Op::Tanh => value.tanh(),
            Op::MaxPool { size } => {
                let [batch, time, channels] = value.dims();
                let largest = groups(value, size.into()).max_dim(2);
                largest.reshape([batch, time / usize::from(size), channels])
            }
            Op::MeanPool { size } => {
                let [batch, time, channels] = value.dims();
                let mean = groups(value, size.into()).mean_dim(2);
                mean.reshape([batch, time / usize::from(size), channels])
            }
            Op::Conv1d { kernel, .. } => {
                let (Some(weight), Some(bias)) = (next_slot(), next_slot()) else { break };
                conv1d(value, kernel.into(), weight, bias)
            }
            Op::Dense { .. } => {
                let (Some(weight), Some(bias)) = (next_slot(), next_slot()) else { break };
                dense(value, weight, bias)
            }
        };
    }
    flatten(value)
}

fn flatten(value: Tensor<3>) -> Tensor<2> {
    let [batch, time, channels] = value.dims();
    value.reshape([batch, time * channels])
}

fn dense(value: Tensor<3>, weight: Tensor<2>, bias: Tensor<2>) -> Tensor<3> {
    let output = flatten(value).matmul(weight) + bias;
    let [batch, out] = output.dims();
    output.reshape([batch, 1, out])
}

/// Convolution as one product: the `kernel` shifted copies of the input stand side by side.
fn conv1d(value: Tensor<3>, kernel: usize, weight: Tensor<2>, bias: Tensor<2>) -> Tensor<3> {
    let [batch, time, channels] = value.dims();
    let steps = time - kernel + 1;
    let shifted = |at: usize| value.clone().slice([0..batch, at..at + steps, 0..channels]);
    let columns = Tensor::cat((0..kernel).map(shifted).collect(), 2);
    let columns = columns.reshape([batch * steps, kernel * channels]);
    let output = columns.matmul(weight) + bias;
    let [_, out] = output.dims();
    output.reshape([batch, steps, out])
}

/// `size` samples in a row for each group, `[batch, groups, size, channels]`; a rest is dropped.
fn groups(value: Tensor<3>, size: usize) -> Tensor<4> {
    let [batch, time, channels] = value.dims();
    let steps = time / size;
    let whole = value.slice([0..batch, 0..steps * size, 0..channels]);
    whole.reshape([batch, steps, size, channels])
}
