//! Cross-entropy of softmax as one operation of Burn: its parts cost more to record than to compute.

use alloc::vec::Vec;

use burn::Tensor;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward as BackwardStep, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};

use super::op::{tensor, values};

/// Mean cross-entropy of `softmax(output)` against `wanted`, both `[batch, classes]`, on a Flex
/// device, with or without autodiff. `wanted` gets no gradient.
pub(crate) fn cross_entropy(output: Tensor<2>, wanted: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as CrossEntropyOp>::cross_entropy(
        output.into_dispatch(),
        wanted.into_dispatch(),
    ))
}

/// A backend that can compute it in one operation.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait CrossEntropyOp: Backend {
    /// Shapes as in [`cross_entropy`].
    fn cross_entropy(output: FloatTensor<Self>, wanted: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl CrossEntropyOp for Flex {
    fn cross_entropy(output: FloatTensor<Self>, wanted: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor(alloc::vec![compute(&output, &wanted).0], [1])
    }
}

impl<C: CheckpointStrategy> CrossEntropyOp for Autodiff<Flex, C> {
    fn cross_entropy(output: FloatTensor<Self>, wanted: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [output.node()];
        let (output, wanted) = (output.into_primitive(), wanted.into_primitive());
        match CrossEntropyStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (loss, slopes) = compute(&output, &wanted);
                let shape = output.layout().shape().clone();
                let shape = [shape[0], shape[1]];
                prepared.finish(Kept { slopes, shape }, tensor(alloc::vec![loss], [1]))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(Flex::cross_entropy(output, wanted)),
        }
    }
}

/// The gradient for a slope of one.
#[derive(Clone, Debug)]
struct Kept {
    slopes: Vec<f32>,
    shape: [usize; 2],
}

#[derive(Debug)]
struct CrossEntropyStep;

impl BackwardStep<Flex, 1> for CrossEntropyStep {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let slope = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let slope = values(&slope).first().copied().unwrap_or(0.0);
        let Kept { mut slopes, shape } = ops.state;
        let [node] = ops.parents;
        if let Some(node) = node {
            slopes.iter_mut().for_each(|one| *one *= slope);
            gradients.register::<Flex>(node.id, tensor(slopes, shape));
        }
    }
}

/// The mean loss and its gradient with regard to `output`, `[batch, classes]`.
///
/// For a row `x` with wanted shares `p`: `sum(p) * log(sum(exp(x))) - sum(p * x)`, whose gradient
/// is `sum(p) * softmax(x) - p`.
fn compute(output: &FloatTensor<Flex>, wanted: &FloatTensor<Flex>) -> (f32, Vec<f32>) {
    let (output, wanted) = (output.to_contiguous(), wanted.to_contiguous());
    let [batch, classes] = [output.layout().shape()[0], output.layout().shape()[1].max(1)];
    #[allow(clippy::cast_precision_loss)]
    let share = 1.0 / batch.max(1) as f32;
    let (mut loss, mut slopes) = (0.0, Vec::with_capacity(batch * classes));
    let rows = values(&output).chunks_exact(classes).zip(values(&wanted).chunks_exact(classes));
    for (row, wanted) in rows {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let begin = slopes.len();
        slopes.extend(row.iter().map(|x| libm::expf(x - largest)));
        let sum: f32 = slopes[begin..].iter().sum();
        let all: f32 = wanted.iter().sum();
        let normal = largest + libm::logf(sum);
        let hits: f32 = row.iter().zip(wanted).map(|(x, p)| p * (x - normal)).sum();
        loss -= hits * share;
        for (slope, p) in slopes[begin..].iter_mut().zip(wanted) {
            *slope = (all * *slope / sum - p) * share;
        }
    }
    (loss, slopes)
}
