//! Losses as operations of Burn: in small networks the record of their parts would cost more than
//! computing them.

use alloc::vec::Vec;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward as BackwardStep, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex};

use super::op::{tensor, values};

/// How outputs are compared with targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Cross-entropy of softmax, mean over the windows.
    CrossEntropy,
    /// Squared difference, mean over all values.
    SquaredError,
}

impl Loss {
    /// The loss and its gradient with regard to `output`; both vectors: `[batch, outputs]`.
    pub(crate) fn compute(self, output: &[f32], targets: &[f32], batch: usize) -> (f32, Vec<f32>) {
        match self {
            Self::CrossEntropy => cross_entropy(output, targets, batch),
            Self::SquaredError => squared_error(output, targets),
        }
    }
}

/// A backend that can compute a loss in one operation.
pub(crate) trait LossOp: Backend {
    /// The loss `[1]` of `output`; `targets` as long, without a gradient.
    fn loss(
        loss: Loss,
        output: FloatTensor<Self>,
        targets: &[f32],
        batch: usize,
    ) -> FloatTensor<Self>;
}

impl LossOp for Flex {
    fn loss(
        loss: Loss,
        output: FloatTensor<Self>,
        targets: &[f32],
        batch: usize,
    ) -> FloatTensor<Self> {
        let output = output.to_contiguous();
        tensor(alloc::vec![loss.compute(values(&output), targets, batch).0], [1])
    }
}

impl<C: CheckpointStrategy> LossOp for Autodiff<Flex, C> {
    fn loss(
        loss: Loss,
        output: FloatTensor<Self>,
        targets: &[f32],
        batch: usize,
    ) -> FloatTensor<Self> {
        let nodes = [output.node()];
        let output = output.into_primitive();
        match LossStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = output.to_contiguous();
                let (value, gradient) = loss.compute(values(&output), targets, batch);
                let gradient = tensor(gradient, output.layout().shape().clone());
                prepared.finish(gradient, tensor(alloc::vec![value], [1]))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(Flex::loss(loss, output, targets, batch))
            }
        }
    }
}

/// Keeps the gradient with regard to the output: the loss is where gradients begin.
#[derive(Debug)]
struct LossStep;

impl BackwardStep<Flex, 1> for LossStep {
    type State = FloatTensor<Flex>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            gradients.register::<Flex>(node.id, ops.state);
        }
    }
}

/// The mean squared difference and its gradient.
fn squared_error(output: &[f32], targets: &[f32]) -> (f32, Vec<f32>) {
    let share = share(output.len());
    let differences = output.iter().zip(targets).map(|(x, p)| x - p);
    let loss = differences.clone().map(|d| d * d).sum::<f32>() * share;
    (loss, differences.map(|d| 2.0 * d * share).collect())
}

#[allow(clippy::cast_precision_loss)]
fn share(count: usize) -> f32 {
    1.0 / count.max(1) as f32
}

/// The mean loss and its gradient with regard to `output`, `[batch, classes]`.
///
/// For a row `x` with target shares `p`: `sum(p) * log(sum(exp(x))) - sum(p * x)`, whose gradient
/// is `sum(p) * softmax(x) - p`.
fn cross_entropy(output: &[f32], targets: &[f32], batch: usize) -> (f32, Vec<f32>) {
    let classes = (output.len() / batch.max(1)).max(1);
    let share = share(batch);
    let (mut loss, mut gradient) = (0.0, Vec::with_capacity(output.len()));
    let rows = output.chunks_exact(classes).zip(targets.chunks_exact(classes));
    for (row, target) in rows {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let begin = gradient.len();
        gradient.extend(row.iter().map(|x| libm::expf(x - largest)));
        let sum: f32 = gradient[begin..].iter().sum();
        let all: f32 = target.iter().sum();
        let normal = largest + libm::logf(sum);
        let hits: f32 = row.iter().zip(target).map(|(x, p)| p * (x - normal)).sum();
        loss -= hits * share;
        for (g, p) in gradient[begin..].iter_mut().zip(target) {
            *g = (all * *g / sum - p) * share;
        }
    }
    (loss, gradient)
}
