//! The layers of a task as Burn tensor operations. Tensors are `[batch, time, channels]`.

use alloc::vec::Vec;

use burn::Tensor;
use burn::tensor::{Device, TensorData, activation};
use dunlin_protocol::task::{Op, ParamLayout, ParamSlot, Share, TaskSpec};

use crate::kernel::{Block, run_block};

/// The parameters of a network on a device, one tensor a slot of the layout.
pub(crate) struct ParamTensors {
    /// Weights `[rows, columns]` and biases `[1, columns]`, in the order of the layout.
    tensors: Vec<Tensor<2>>,
}

impl ParamTensors {
    /// Copies `params: [n_params]` to `device`; on an autodiff device all but frozen slots are
    /// tracked.
    pub(crate) fn new(layout: &ParamLayout, params: &[f32], device: &Device) -> Self {
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

    /// The tensors in the order of the layout's slots.
    pub(crate) fn tensors(&self) -> &[Tensor<2>] {
        &self.tensors
    }
}

/// Runs the layers of `task` on `input: [batch, time, channels]`; gives `[batch, outputs]`.
///
/// `fused` runs convolutions and dense layers, with the pooling and ReLU behind them, as operations
/// of our own; the device must be Flex then. The task's shapes were checked before.
pub(crate) fn forward(
    task: &TaskSpec,
    params: &ParamTensors,
    input: Tensor<3>,
    fused: bool,
) -> Tensor<2> {
    // Weight and bias of each layer that has them, last first.
    let mut slots: Vec<&Tensor<2>> = params.tensors.iter().rev().collect();
    let mut next_slot = || slots.pop().cloned();
    let mut layers = task.layers.iter().map(|layer| layer.op).peekable();
    let mut value = input;
    while let Some(op) = layers.next() {
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
                if fused {
                    let block = Block::conv1d(value.dims(), kernel.into(), weight.dims());
                    run_block(with_tail(block, &mut layers), value, weight, bias)
                } else {
                    conv1d(value, kernel.into(), weight, bias)
                }
            }
            Op::Dense { .. } => {
                let (Some(weight), Some(bias)) = (next_slot(), next_slot()) else { break };
                if fused {
                    let block = Block::dense(value.dims(), weight.dims());
                    run_block(with_tail(block, &mut layers), value, weight, bias)
                } else {
                    dense(value, weight, bias)
                }
            }
        };
    }
    flatten(value)
}

/// Takes the pooling and ReLU that follow into the block; the two commute.
fn with_tail(
    mut block: Block,
    layers: &mut core::iter::Peekable<impl Iterator<Item = Op>>,
) -> Block {
    loop {
        match layers.peek() {
            Some(Op::Relu) => block.relu = true,
            Some(&Op::MaxPool { size }) if block.pool == 1 => block.pool = size.into(),
            Some(
                Op::Tanh
                | Op::MaxPool { .. }
                | Op::MeanPool { .. }
                | Op::Conv1d { .. }
                | Op::Dense { .. },
            )
            | None => return block,
        }
        layers.next();
    }
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
