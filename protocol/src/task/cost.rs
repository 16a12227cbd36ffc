//! What training a task costs, from the descriptions of its layers.

use super::op::Description;
use super::{ParamLayout, Shape, TaskSpec};

/// Bytes of a number.
const FLOAT_BYTES: usize = 4;
/// Bytes for each parameter at a job's peak: the model, the network's copy, what the optimiser
/// remembers, the tensor and its gradient. The gradient of one slot is there twice.
const PARAM_BYTES: usize = 5 * FLOAT_BYTES;
/// Bytes for each value of a layer's output: itself and its gradient.
const ACTIVATION_BYTES: usize = 2 * FLOAT_BYTES;

/// What training a task costs: counts that follow from its layers, and the memory that they take.
/// One window at a time unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Parameters, local ones included.
    pub params: usize,
    /// Parameters of the largest slot.
    pub largest_slot: usize,
    /// Values of a window as it is read.
    pub window_values: usize,
    /// Values that the first layer sees of it.
    pub inputs: usize,
    /// Values that all layers keep of it until the way back.
    pub activations: usize,
    /// Values of the largest matrix on the way forward, with the shifted copies of a convolution's
    /// input.
    pub widest: usize,
    /// Multiplications with an addition on the way forward.
    pub multiply_adds: usize,
}

impl Cost {
    pub(super) fn new(
        task: &TaskSpec,
        input: Shape,
        layers: &[Description],
        layout: &ParamLayout,
    ) -> Self {
        let largest_slot = layout.slots().iter().map(|slot| slot.range.len()).max().unwrap_or(0);
        let window_values = task.window_values();
        let mut cost = Self {
            params: layout.n_params(),
            largest_slot,
            window_values,
            inputs: input.values(),
            activations: 0,
            widest: window_values.max(1),
            multiply_adds: 0,
        };
        for layer in layers {
            cost.activations += layer.activations;
            cost.widest = cost.widest.max(layer.unfolded).max(layer.output.values());
            cost.multiply_adds = cost.multiply_adds.saturating_add(layer.multiply_adds);
        }
        cost
    }

    /// Bytes of memory that training takes, about, with one window at a time: the window as it is
    /// read and as the network sees it, and what the layers keep of it.
    pub fn training_bytes(&self) -> usize {
        self.params * PARAM_BYTES
            + self.largest_slot * FLOAT_BYTES
            + self.window_values * 2 * FLOAT_BYTES
            + self.activations * ACTIVATION_BYTES
    }

    /// Bytes that each window of a batch takes, about, on its way forward and back.
    pub fn window_bytes(&self) -> usize {
        self.inputs * FLOAT_BYTES + self.activations * ACTIVATION_BYTES
    }
}
