//! The block as an operation of Burn: how autodiff records it.

use alloc::vec::Vec;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward as BackwardStep, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex};
use burn::tensor::{Shape, TensorData};
use pulp::Arch;

use super::block::{Backward, Block, Forward, Output};

/// A backend that can run a [`Block`] in one operation.
pub(crate) trait BlockOp: Backend {
    /// `input`: `[batch, time, channels]`. `weight`: `[kernel * channels, out]`. `bias`: `[1, out]`.
    /// Gives `[batch, pooled, out]`; `[batch, 1, out]` for a dense layer.
    fn block(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        block: Block,
    ) -> FloatTensor<Self>;
}

impl BlockOp for Flex {
    fn block(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        block: Block,
    ) -> FloatTensor<Self> {
        let output = forward(&input, &weight, &bias, block);
        tensor(output.values, block.output_shape())
    }
}

impl<C: CheckpointStrategy> BlockOp for Autodiff<Flex, C> {
    fn block(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        block: Block,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let (input, weight, bias) =
            (input.into_primitive(), weight.into_primitive(), bias.into_primitive());
        match BlockStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let Output { values, argmax } = forward(&input, &weight, &bias, block);
                let output = tensor(values, block.output_shape());
                prepared.finish(Kept { block, input, weight, argmax }, output)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(Flex::block(input, weight, bias, block))
            }
        }
    }
}

/// What the way back needs of the way forward.
#[derive(Clone, Debug)]
struct Kept {
    block: Block,
    input: FloatTensor<Flex>,
    weight: FloatTensor<Flex>,
    argmax: Vec<f32>,
}

#[derive(Debug)]
struct BlockStep;

impl BackwardStep<Flex, 3> for BlockStep {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let Kept { block, input, weight, argmax } = ops.state;
        let [input_node, weight_node, bias_node] = ops.parents;
        let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
        let found = Arch::new().dispatch(Backward {
            block,
            input: values(&input),
            weight: values(&weight),
            argmax: &argmax,
            gradient: values(&gradient),
            needs_input: input_node.is_some(),
        });
        if let Some(node) = input_node {
            let shape = input.layout().shape().clone();
            gradients.register::<Flex>(node.id, tensor(found.input, shape));
        }
        if let Some(node) = weight_node {
            let shape = [block.kernel * block.channels, block.out];
            gradients.register::<Flex>(node.id, tensor(found.weight, shape));
        }
        if let Some(node) = bias_node {
            gradients.register::<Flex>(node.id, tensor(found.bias, [1, block.out]));
        }
    }
}

fn forward(
    input: &FloatTensor<Flex>,
    weight: &FloatTensor<Flex>,
    bias: &FloatTensor<Flex>,
    block: Block,
) -> Output {
    let (input, weight, bias) =
        (input.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
    Arch::new().dispatch(Forward {
        block,
        input: values(&input),
        weight: values(&weight),
        bias: values(&bias),
    })
}

/// The values of a contiguous tensor.
pub(crate) fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor.as_slice().unwrap_or_default()
}

/// A tensor of these values.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<Flex> {
    FloatTensor::<Flex>::from_data(TensorData::new(values, shape))
}
