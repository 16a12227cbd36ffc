//! The operations of layers, each described in one place: what comes out of it, its parameters, what
//! it costs, and the number by which a layout hash knows it.
//!
//! Shapes, layout, hash and cost follow from these descriptions. A new operation is a variant at the
//! end of [`Op`], its description, and the line of [`Op::describe`] that leads to it.

use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Shape, ShapeError, SlotRole};

/// What one layer computes. Shapes are `[time, channels]`, or `[values]` after a `Dense` layer.
///
/// Task objects and digests name an operation by its place in this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Convolution over time, stride 1, no padding: `[t, c] -> [t - kernel + 1, out]`.
    Conv1d {
        /// Output channels, above 0; each has a bias.
        out: u16,
        /// Samples that one output value sees.
        kernel: u16,
    },
    /// `max(x, 0)` of each value: same shape, no parameters.
    Relu,
    /// Hyperbolic tangent of each value: same shape, no parameters.
    Tanh,
    /// Maximum of each `size` samples in a row, a rest is dropped: `[t, c] -> [t / size, c]`.
    MaxPool {
        /// Samples that become one.
        size: u16,
    },
    /// Affine map of all values, time first: `[t, c]` or `[n] -> [out]`.
    Dense {
        /// Output values, above 0; each has a bias.
        out: u16,
    },
    /// Mean of each `size` samples in a row, a rest is dropped: `[t, c] -> [t / size, c]`.
    MeanPool {
        /// Samples that become one.
        size: u16,
    },
}

impl Op {
    /// What this operation makes of `input`.
    pub(super) fn describe(self, input: LayerInput) -> Result<Description, ShapeError> {
        match self {
            Self::Conv1d { out, kernel } => conv1d(input, out, kernel),
            Self::Relu => Ok(value_by_value(input, 2)),
            Self::Tanh => Ok(value_by_value(input, 3)),
            Self::MaxPool { size } => pool(input, 4, size),
            Self::Dense { out } => dense(input, out),
            Self::MeanPool { size } => pool(input, 6, size),
        }
    }
}

/// What comes into a layer.
#[derive(Clone, Copy)]
pub(super) struct LayerInput {
    /// Place of the layer, from 0.
    pub(super) layer: usize,
    pub(super) shape: Shape,
    /// Whether it has no time any more, because a `Dense` layer was before.
    pub(super) flat: bool,
}

impl LayerInput {
    /// `size`, which must not be zero.
    fn above_zero(self, size: u16, what: &'static str) -> Result<usize, ShapeError> {
        match size {
            0 => Err(ShapeError::Zero { layer: self.layer, what }),
            size => Ok(size.into()),
        }
    }

    /// `needs` samples in a row, if so many come in.
    fn samples(self, needs: u16, what: &'static str) -> Result<usize, ShapeError> {
        let needs = self.above_zero(needs, what)?;
        let (layer, has) = (self.layer, self.shape.time);
        if self.flat {
            Err(ShapeError::NoTime { layer })
        } else if needs > has {
            Err(ShapeError::TooShort { layer, needs, has })
        } else {
            Ok(needs)
        }
    }
}

/// One block of an operation's parameters.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) role: SlotRole,
    /// Number of parameters in it.
    pub(super) len: usize,
    /// Inputs that one output sums over.
    pub(super) fan_in: usize,
    /// Outputs of the layer for each sample.
    pub(super) fan_out: usize,
}

/// What an operation makes of one input. Counts stop at the largest number instead of overflowing:
/// a layer that counts so far is refused.
pub(super) struct Description {
    /// The operation's number in a layout hash.
    pub(super) code: u8,
    /// Its sizes in a layout hash, zeros behind them.
    pub(super) sizes: [u16; 2],
    pub(super) output: Shape,
    /// Whether time ends here.
    pub(super) flattens: bool,
    /// Its parameters in the order of the flat vectors.
    pub(super) slots: Vec<Slot>,
    /// Values of one window that stay in memory until the way back.
    pub(super) activations: usize,
    /// Values of the input of its matrix product, with each sample as often as it is used.
    pub(super) unfolded: usize,
    /// Multiplications with an addition on the way forward of one window; comparisons, means and
    /// functions of single values count nothing.
    pub(super) multiply_adds: usize,
}

impl Description {
    /// Of an operation without parameters.
    fn new(code: u8, sizes: [u16; 2], output: Shape) -> Self {
        Self {
            code,
            sizes,
            output,
            flattens: false,
            slots: Vec::new(),
            activations: output.values(),
            unfolded: 0,
            multiply_adds: 0,
        }
    }

    /// With a weight and a bias: each output is a sum over `fan_in` inputs.
    fn with_affine(self, fan_in: usize) -> Self {
        let Shape { time, channels: fan_out } = self.output;
        let weights = fan_in.saturating_mul(fan_out);
        let slot = |role, len| Slot { role, len, fan_in, fan_out };
        Self {
            slots: vec![slot(SlotRole::Weight, weights), slot(SlotRole::Bias, fan_out)],
            unfolded: fan_in.saturating_mul(time),
            multiply_adds: weights.saturating_mul(time),
            ..self
        }
    }
}

fn conv1d(input: LayerInput, out: u16, kernel: u16) -> Result<Description, ShapeError> {
    let channels = input.above_zero(out, "output width")?;
    let samples = input.samples(kernel, "kernel")?;
    let output = Shape { time: input.shape.time - samples + 1, channels };
    let fan_in = samples * input.shape.channels;
    Ok(Description::new(1, [out, kernel], output).with_affine(fan_in))
}

fn dense(input: LayerInput, out: u16) -> Result<Description, ShapeError> {
    let output = Shape { time: 1, channels: input.above_zero(out, "output width")? };
    let fan_in = input.shape.values();
    Ok(Description { flattens: true, ..Description::new(5, [out, 0], output).with_affine(fan_in) })
}

/// One value of each `size` samples in a row.
fn pool(input: LayerInput, code: u8, size: u16) -> Result<Description, ShapeError> {
    let samples = input.samples(size, "pool size")?;
    let output = Shape { time: input.shape.time / samples, channels: input.shape.channels };
    Ok(Description::new(code, [size, 0], output))
}

/// A function of each value by itself.
fn value_by_value(input: LayerInput, code: u8) -> Description {
    Description::new(code, [0; 2], input.shape)
}

#[cfg(test)]
mod tests;
