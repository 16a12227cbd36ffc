//! A task's network on Burn's default backend, every layer an operation of our own.

use alloc::vec::Vec;

use burn::backend::autodiff::grads::Gradients as Slopes;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use dunlin_protocol::task::{Op, ParamLayout, ParamSlot, Share, Target, TaskSpec};

use crate::batch::{Batch, seen_shape};
use crate::kernel::{Block, BlockOp, Kind, Loss, LossOp, Simple, SimpleOp, tensor, values};
use crate::network::Gradients;

/// The backend that records what is computed.
type Tracked = Autodiff<Flex>;

/// A backend with all the operations that a network needs.
trait Layers: BlockOp + SimpleOp + LossOp {}

impl<B: BlockOp + SimpleOp + LossOp> Layers for B {}

/// The parameters of one slot and their shape: weights `[rows, columns]`, biases `[1, columns]`.
fn slot(slot: &ParamSlot, params: &[f32]) -> FloatTensor<Flex> {
    let shape = [slot.range.len() / slot.fan_out, slot.fan_out];
    tensor(params[slot.range.clone()].to_vec(), shape)
}

/// Mean loss of `batch` and the gradient of each slot that is trained; no gradients when the loss
/// is not finite.
pub(crate) fn backward(
    task: &TaskSpec,
    layout: &ParamLayout,
    params: &[f32],
    batch: Batch,
) -> (f32, Gradients) {
    let tracked = |one: &ParamSlot| {
        let tensor = Tracked::from_inner(slot(one, params));
        if one.share == Share::Frozen { tensor } else { tensor.require_grad() }
    };
    let slots: Vec<_> = layout.slots().iter().map(tracked).collect();
    let Batch { len, seen, wanted, .. } = batch;
    let [time, channels] = seen_shape(task);
    let shape = [len, time, channels];
    let input = Tracked::from_inner(tensor(seen, shape));
    let output = forward::<Tracked>(task, layout, slots.clone(), input, shape);
    let loss = Tracked::loss(loss_of(&task.target), output, &wanted, len);
    let value = first(loss.primitive());
    if !loss.is_tracked() || !value.is_finite() {
        return (value, Gradients::new());
    }
    let mut slopes: Slopes = Tracked::backward(loss);
    let mut found = Gradients::with_capacity(slots.len());
    for (slot, tensor) in layout.slots().iter().zip(&slots) {
        if slot.share != Share::Frozen
            && let Some(slope) = Tracked::grad_remove(tensor, &mut slopes)
        {
            found.push((slot.range.clone(), values(&slope.to_contiguous()).to_vec()));
        }
    }
    (value, found)
}

/// Outputs `[batch, outputs]` and mean loss of `batch`.
pub(crate) fn ask(
    task: &TaskSpec,
    layout: &ParamLayout,
    params: &[f32],
    batch: Batch,
) -> (Vec<f32>, f32) {
    let slots = layout.slots().iter().map(|one| slot(one, params)).collect();
    let Batch { len, seen, wanted, .. } = batch;
    let [time, channels] = seen_shape(task);
    let shape = [len, time, channels];
    let output = forward::<Flex>(task, layout, slots, tensor(seen, shape), shape);
    let output = values(&output.to_contiguous()).to_vec();
    let loss = loss_of(&task.target).compute(&output, &wanted, len).0;
    (output, loss)
}

fn loss_of(target: &Target) -> Loss {
    match target {
        Target::Classes(_) => Loss::CrossEntropy,
        Target::Reconstruct | Target::Forecast => Loss::SquaredError,
    }
}

fn first(tensor: &FloatTensor<Flex>) -> f32 {
    values(tensor).first().copied().unwrap_or(f32::NAN)
}

/// Runs the layers of `task` on `input: [batch, time, channels]`; convolutions and dense layers take
/// the pooling and ReLU behind them along. The task's shapes were checked before.
fn forward<B: Layers>(
    task: &TaskSpec,
    layout: &ParamLayout,
    slots: Vec<FloatTensor<B>>,
    input: FloatTensor<B>,
    mut shape: [usize; 3],
) -> FloatTensor<B> {
    // Weight and bias of each layer that has them.
    let mut slots = slots.into_iter().zip(layout.slots());
    let mut layers = task.layers.iter().map(|layer| layer.op).peekable();
    let mut value = input;
    while let Some(op) = layers.next() {
        let kind = match op {
            Op::Relu => Kind::Relu,
            Op::Tanh => Kind::Tanh,
            Op::MaxPool { size } => Kind::MaxPool(size.into()),
            Op::MeanPool { size } => Kind::MeanPool(size.into()),
            Op::Conv1d { .. } | Op::Dense { .. } => {
                let (Some((weight, slot)), Some((bias, _))) = (slots.next(), slots.next()) else {
                    break;
                };
                let out = slot.fan_out;
                let block = match op {
                    Op::Conv1d { kernel, .. } => Block::conv1d(shape, kernel.into(), out),
                    Op::Dense { .. }
                    | Op::Relu
                    | Op::Tanh
                    | Op::MaxPool { .. }
                    | Op::MeanPool { .. } => Block::dense(shape, out),
                };
                let block = with_tail(block, &mut layers);
                shape = block.output_shape();
                value = B::block(value, weight, bias, block);
                continue;
            }
        };
        let layer = Simple { kind, input: shape };
        shape = layer.output_shape();
        value = B::simple(value, layer);
    }
    value
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
