//! A task's network on Burn's default backend, every layer an operation of our own.

use alloc::vec::Vec;

use burn::backend::autodiff::grads::Gradients as TensorGradients;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use dunlin_protocol::task::{Op, ParamLayout, ParamSlot, Share, Target, TaskSpec};

use crate::batch::{Batch, input_shape};
use crate::kernel::{
    Block, BlockOp, Kind, Loss, LossOp, ParameterFree, ParameterFreeOp, tensor, values,
};
use crate::network::Gradients;

/// The backend that records what is computed.
type Tracked = Autodiff<Flex>;

/// A backend with all the operations that a network needs.
trait Layers: BlockOp + ParameterFreeOp + LossOp {}

impl<B: BlockOp + ParameterFreeOp + LossOp> Layers for B {}

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
    let Batch { len, inputs, targets, .. } = batch;
    let [time, channels] = input_shape(task);
    let shape = [len, time, channels];
    let input = Tracked::from_inner(tensor(inputs, shape));
    let output = forward::<Tracked>(task, slots.clone(), input, shape);
    let loss = Tracked::loss(loss_of(&task.target), output, &targets, len);
    let value = first(loss.primitive());
    if !loss.is_tracked() || !value.is_finite() {
        return (value, Gradients::new());
    }
    let mut gradients: TensorGradients = Tracked::backward(loss);
    let mut found = Gradients::with_capacity(slots.len());
    for (slot, tensor) in layout.slots().iter().zip(&slots) {
        if slot.share != Share::Frozen
            && let Some(gradient) = Tracked::grad_remove(tensor, &mut gradients)
        {
            found.push((slot.range.clone(), values(&gradient.to_contiguous()).to_vec()));
        }
    }
    (value, found)
}

/// Outputs `[batch, outputs]` and mean loss of `batch`.
pub(crate) fn infer(
    task: &TaskSpec,
    layout: &ParamLayout,
    params: &[f32],
    batch: Batch,
) -> (Vec<f32>, f32) {
    let slots = layout.slots().iter().map(|one| slot(one, params)).collect();
    let Batch { len, inputs, targets, .. } = batch;
    let [time, channels] = input_shape(task);
    let shape = [len, time, channels];
    let output = forward::<Flex>(task, slots, tensor(inputs, shape), shape);
    let output = values(&output.to_contiguous()).to_vec();
    let loss = loss_of(&task.target).compute(&output, &targets, len).0;
    (output, loss)
}

fn loss_of(target: &Target) -> Loss {
    match target {
        Target::Classes(_) => Loss::CrossEntropy,
        Target::Reconstruct
        | Target::Forecast
        | Target::Values(_)
        | Target::ForecastSteps { .. } => Loss::SquaredError,
    }
}

fn first(tensor: &FloatTensor<Flex>) -> f32 {
    values(tensor).first().copied().unwrap_or(f32::NAN)
}

/// Runs the layers of `task` on `input: [batch, time, channels]`; convolutions and dense layers take
/// the pooling and ReLU behind them along. The task's shapes were checked before.
fn forward<B: Layers>(
    task: &TaskSpec,
    slots: Vec<FloatTensor<B>>,
    input: FloatTensor<B>,
    mut shape: [usize; 3],
) -> FloatTensor<B> {
    // Weight and bias of each layer that has them.
    let mut slots = slots.into_iter();
    let mut layers = task.layers.iter().map(|layer| layer.op).peekable();
    let mut value = input;
    while let Some(op) = layers.next() {
        match kernel(op, shape) {
            Kernel::ParameterFree(layer) => {
                shape = layer.output_shape();
                value = B::parameter_free(value, layer);
            }
            Kernel::Block(mut block) => {
                let (Some(weight), Some(bias)) = (slots.next(), slots.next()) else { break };
                while let Some(&next) = layers.peek()
                    && let Kernel::ParameterFree(layer) = kernel(next, block.output_shape())
                    && block.take(layer.kind)
                {
                    layers.next();
                }
                shape = block.output_shape();
                value = B::block(value, weight, bias, block);
            }
        }
    }
    value
}

/// What computes an operation.
enum Kernel {
    Block(Block),
    ParameterFree(ParameterFree),
}

/// The kernel of `op` for `input: [batch, time, channels]`: each operation has one here.
fn kernel(op: Op, input: [usize; 3]) -> Kernel {
    let parameter_free = |kind| Kernel::ParameterFree(ParameterFree { kind, input });
    match op {
        Op::Conv1d { out, kernel } => {
            Kernel::Block(Block::conv1d(input, kernel.into(), out.into()))
        }
        Op::Relu => parameter_free(Kind::Relu),
        Op::Tanh => parameter_free(Kind::Tanh),
        Op::MaxPool { size } => parameter_free(Kind::MaxPool(size.into())),
        Op::Dense { out } => Kernel::Block(Block::dense(input, out.into())),
        Op::MeanPool { size } => parameter_free(Kind::MeanPool(size.into())),
    }
}
