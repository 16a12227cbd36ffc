//! Layers without parameters as operations of Burn: activations and pools that stand alone.

use alloc::vec;
use alloc::vec::Vec;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward as BackwardStep, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex};

use super::op::{tensor, values};

/// Which layer without parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Negative values become 0.
    Relu,
    /// The hyperbolic tangent of each value.
    Tanh,
    /// The largest of each group of so many samples.
    MaxPool(usize),
    /// The mean of each group of so many samples.
    MeanPool(usize),
}

/// A layer without parameters on values of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParameterFree {
    pub(crate) kind: Kind,
    /// Batch, time and channels of what comes in.
    pub(crate) input: [usize; 3],
}

impl ParameterFree {
    /// Batch, time and channels of what goes out.
    pub(crate) fn output_shape(&self) -> [usize; 3] {
        let [batch, time, channels] = self.input;
        match self.kind {
            Kind::Relu | Kind::Tanh => self.input,
            Kind::MaxPool(size) | Kind::MeanPool(size) => [batch, time / size, channels],
        }
    }

    fn forward(&self, input: &[f32]) -> Vec<f32> {
        match self.kind {
            Kind::Relu => input.iter().map(|x| x.max(0.0)).collect(),
            Kind::Tanh => input.iter().map(|x| libm::tanhf(*x)).collect(),
            Kind::MaxPool(size) => self.pool(input, size, f32::max),
            Kind::MeanPool(size) => {
                let mut sums = self.pool(input, size, |a, b| a + b);
                sums.iter_mut().for_each(|sum| *sum *= part(size));
                sums
            }
        }
    }

    /// Folds each group of `size` samples; a rest is dropped.
    fn pool(&self, input: &[f32], size: usize, fold: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        let [batch, time, channels] = self.input;
        let mut out = Vec::with_capacity(batch * (time / size) * channels);
        for window in input.chunks_exact(time * channels) {
            for group in window.chunks_exact(size * channels) {
                let (first, rest) = group.split_at(channels);
                let begin = out.len();
                out.extend_from_slice(first);
                for row in rest.chunks_exact(channels) {
                    let folded = out[begin..].iter_mut().zip(row);
                    folded.for_each(|(out, value)| *out = fold(*out, *value));
                }
            }
        }
        out
    }

    /// The gradient at the input, from the input, the output and the gradient there.
    fn backward(&self, input: &[f32], output: &[f32], gradient: &[f32]) -> Vec<f32> {
        let both = || output.iter().zip(gradient);
        match self.kind {
            Kind::Relu => both().map(|(y, g)| if *y > 0.0 { *g } else { 0.0 }).collect(),
            Kind::Tanh => both().map(|(y, g)| g * (1.0 - y * y)).collect(),
            Kind::MaxPool(size) => self.unpool(input, size, output, gradient, true),
            Kind::MeanPool(size) => self.unpool(input, size, output, gradient, false),
        }
    }

    /// Gives each gradient back: to the first of the largest, or to all of its group alike.
    fn unpool(
        &self,
        input: &[f32],
        size: usize,
        output: &[f32],
        gradient: &[f32],
        largest: bool,
    ) -> Vec<f32> {
        let [_, time, channels] = self.input;
        let mut back = vec![0.0; input.len()];
        let windows =
            back.chunks_exact_mut(time * channels).zip(input.chunks_exact(time * channels));
        let mut rows = output.chunks_exact(channels).zip(gradient.chunks_exact(channels));
        for (back, input) in windows {
            let groups = back.chunks_exact_mut(size * channels);
            for (back, input) in groups.zip(input.chunks_exact(size * channels)) {
                let Some((output, gradient)) = rows.next() else { continue };
                for channel in 0..channels {
                    let mut places = (0..size).map(|row| row * channels + channel);
                    if largest {
                        let place = places.find(|&place| input[place] == output[channel]);
                        place.iter().for_each(|&place| back[place] = gradient[channel]);
                    } else {
                        places.for_each(|place| back[place] = gradient[channel] * part(size));
                    }
                }
            }
        }
        back
    }
}

#[allow(clippy::cast_precision_loss)]
fn part(size: usize) -> f32 {
    1.0 / size as f32
}

/// A backend that can run such a layer in one operation.
pub(crate) trait ParameterFreeOp: Backend {
    /// `input`: `[batch, time, channels]`, contiguous. Gives [`ParameterFree::output_shape`].
    fn parameter_free(input: FloatTensor<Self>, layer: ParameterFree) -> FloatTensor<Self>;
}

impl ParameterFreeOp for Flex {
    fn parameter_free(input: FloatTensor<Self>, layer: ParameterFree) -> FloatTensor<Self> {
        let input = input.to_contiguous();
        tensor(layer.forward(values(&input)), layer.output_shape())
    }
}

impl<C: CheckpointStrategy> ParameterFreeOp for Autodiff<Flex, C> {
    fn parameter_free(input: FloatTensor<Self>, layer: ParameterFree) -> FloatTensor<Self> {
        let nodes = [input.node()];
        let input = input.into_primitive();
        match ParameterFreeStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = Flex::parameter_free(input.clone(), layer);
                prepared.finish(Kept { layer, input, output: output.clone() }, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(Flex::parameter_free(input, layer)),
        }
    }
}

/// What the way back needs of the way forward.
#[derive(Clone, Debug)]
struct Kept {
    layer: ParameterFree,
    input: FloatTensor<Flex>,
    output: FloatTensor<Flex>,
}

#[derive(Debug)]
struct ParameterFreeStep;

impl BackwardStep<Flex, 1> for ParameterFreeStep {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let Kept { layer, input, output } = ops.state;
        let [node] = ops.parents;
        if let Some(node) = node {
            let input = input.to_contiguous();
            let back = layer.backward(values(&input), values(&output), values(&gradient));
            gradients.register::<Flex>(node.id, tensor(back, layer.input));
        }
    }
}
