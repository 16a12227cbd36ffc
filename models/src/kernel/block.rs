//! A convolution block in one pass over each window, and its gradients.
//!
//! A block is convolution over time, bias, maximum of groups of samples, and ReLU. Between the
//! steps values stay in the processor's fastest memory, and the shifted copies of the input that
//! make a convolution a matrix product are views, not copies.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use pulp::{Simd, WithSimd};

use super::parameter_free::Kind;
use super::pool::{Pool, Unpool};
use super::product::{Strided, add_product};

/// Sizes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Windows that run together; 1 for a dense layer.
    pub(crate) batch: usize,
    /// Samples that come in.
    pub(crate) time: usize,
    /// Values for each sample that come in.
    pub(crate) channels: usize,
    /// Samples that one output of the convolution sees.
    pub(crate) kernel: usize,
    /// Values for each sample that go out.
    pub(crate) out: usize,
    /// Samples of which the largest is kept; 1 keeps all.
    pub(crate) pool: usize,
    /// Whether negative outputs become 0.
    pub(crate) relu: bool,
    /// Whether the one window's samples are a batch in truth: see [`Block::dense`].
    dense: bool,
}

impl Block {
    /// A convolution over `input: [batch, time, channels]` with `out` channels behind it.
    pub(crate) fn conv1d(input: [usize; 3], kernel: usize, out: usize) -> Self {
        let [batch, time, channels] = input;
        Self { batch, time, channels, kernel, out, pool: 1, relu: false, dense: false }
    }

    /// A dense layer is a convolution with kernel 1 over one window whose samples are the batch,
    /// and whose channels are all values of one real window.
    pub(crate) fn dense(input: [usize; 3], out: usize) -> Self {
        let [batch, time, channels] = input;
        let (time, channels) = (batch, time * channels);
        Self { batch: 1, time, channels, kernel: 1, out, pool: 1, relu: false, dense: true }
    }

    /// Takes the layer behind the block into it, if that gives the same: one maximum over groups of
    /// samples, and ReLU. The two commute.
    pub(crate) fn take(&mut self, behind: Kind) -> bool {
        match behind {
            Kind::Relu => self.relu = true,
            Kind::MaxPool(size) if self.pool == 1 => self.pool = size,
            Kind::Tanh | Kind::MaxPool(_) | Kind::MeanPool(_) => return false,
        }
        true
    }

    /// `[batch, pooled, out]`, or `[batch, 1, out]` for a dense layer.
    pub(crate) fn output_shape(&self) -> [usize; 3] {
        if self.dense { [self.time, 1, self.out] } else { [self.batch, self.pooled(), self.out] }
    }

    /// Samples behind the convolution.
    fn steps(&self) -> usize {
        self.time - self.kernel + 1
    }

    /// Samples that go out.
    fn pooled(&self) -> usize {
        self.steps() / self.pool
    }
}

/// What a block gives.
pub(crate) struct Output {
    /// What goes out, `[batch, pooled, out]`.
    pub(crate) values: Vec<f32>,
    /// Which sample of its group each value came from, or a mark that ReLU cut it off; rows of
    /// whole vectors.
    pub(crate) argmax: Vec<f32>,
}

/// Runs a block forward.
pub(crate) struct Forward<'a> {
    pub(crate) block: Block,
    /// What comes in, `[batch, time, channels]`.
    pub(crate) input: &'a [f32],
    /// `[kernel * channels, out]`.
    pub(crate) weight: &'a [f32],
    /// Added to each output before pool and ReLU, `[out]`.
    pub(crate) bias: &'a [f32],
}

impl WithSimd for Forward<'_> {
    type Output = Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Output {
        let Self { block, input, weight, bias } = self;
        let padded = block.out.next_multiple_of(S::F32_LANES);
        let weight = widen(weight, block.out, padded);
        let bias = widen(bias, block.out, padded);
        let width = padded / S::F32_LANES;
        let mut sums = vec![0.0; block.steps() * padded];
        let window_out = block.pooled() * padded;
        let mut values = vec![0.0; block.batch * window_out];
        let mut argmax = vec![0.0; block.batch * window_out];
        let windows = input.chunks_exact(block.time * block.channels);
        let outs = values.chunks_exact_mut(window_out).zip(argmax.chunks_exact_mut(window_out));
        for (window, (values, argmax)) in windows.zip(outs) {
            sums.chunks_exact_mut(padded).for_each(|row| row.copy_from_slice(&bias));
            let left = Strided { values: window, row_step: block.channels, depth_step: 1 };
            add_product(simd, left, vectors::<S>(&weight), vectors_mut::<S>(&mut sums), width);
            simd.vectorize(Pool {
                simd,
                size: block.pool,
                width,
                floor: if block.relu { 0.0 } else { f32::NEG_INFINITY },
                steps: vectors::<S>(&sums),
                values: vectors_mut::<S>(values),
                argmax: vectors_mut::<S>(argmax),
            });
        }
        Output { values: narrow(values, padded, block.out), argmax }
    }
}

/// Gradients of the loss at what a block was given.
pub(crate) struct BlockGradients {
    /// `[batch, time, channels]`; empty when not needed.
    pub(crate) input: Vec<f32>,
    /// `[kernel * channels, out]`.
    pub(crate) weight: Vec<f32>,
    /// Summed over all windows and samples, `[out]`.
    pub(crate) bias: Vec<f32>,
}

/// Runs a block backward.
pub(crate) struct Backward<'a> {
    pub(crate) block: Block,
    /// What the forward pass was given, `[batch, time, channels]`.
    pub(crate) input: &'a [f32],
    /// What the forward pass was given, `[kernel * channels, out]`.
    pub(crate) weight: &'a [f32],
    /// The [`Output::argmax`] that the forward pass gave.
    pub(crate) argmax: &'a [f32],
    /// Gradient of the loss at each output, `[batch, pooled, out]`.
    pub(crate) gradient: &'a [f32],
    /// Whether the gradient at the input is needed.
    pub(crate) needs_input: bool,
}

impl WithSimd for Backward<'_> {
    type Output = BlockGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> BlockGradients {
        let Self { block, input, weight, argmax, gradient, needs_input } = self;
        let padded = block.out.next_multiple_of(S::F32_LANES);
        let width = padded / S::F32_LANES;
        let gradient = widen(gradient, block.out, padded);
        // Gradients of one window at each step, with zeros around for the samples at its edges.
        let edge = (block.kernel - 1) * padded;
        let mut steps = vec![0.0; block.steps() * padded + 2 * edge];
        let inner = edge..steps.len() - edge;
        let mut weight_gradient = vec![0.0; block.kernel * block.channels * padded];
        let mut bias_gradient = vec![0.0; padded];
        let in_padded = block.channels.next_multiple_of(S::F32_LANES);
        let (back, mut input_gradient) = if needs_input {
            let samples = block.batch * block.time;
            (turned(block, weight, padded, in_padded), vec![0.0; samples * in_padded])
        } else {
            (Vec::new(), Vec::new())
        };
        let mut window_gradients = input_gradient.chunks_exact_mut(block.time * in_padded);
        let windows = input.chunks_exact(block.time * block.channels);
        let window_out = block.pooled() * padded;
        let outs = gradient.chunks_exact(window_out).zip(argmax.chunks_exact(window_out));
        for (window, (gradient, argmax)) in windows.zip(outs) {
            simd.vectorize(Unpool {
                simd,
                size: block.pool,
                gradient: vectors::<S>(gradient),
                argmax: vectors::<S>(argmax),
                steps: vectors_mut::<S>(&mut steps[inner.clone()]),
                bias: vectors_mut::<S>(&mut bias_gradient),
            });
            let rows = vectors::<S>(&steps[inner.clone()]);
            let left = Strided { values: window, row_step: 1, depth_step: block.channels };
            add_product(simd, left, rows, vectors_mut::<S>(&mut weight_gradient), width);
            if let Some(out) = window_gradients.next() {
                let left = Strided { values: &steps, row_step: padded, depth_step: 1 };
                let width = in_padded / S::F32_LANES;
                add_product(simd, left, vectors::<S>(&back), vectors_mut::<S>(out), width);
            }
        }
        BlockGradients {
            input: narrow(input_gradient, in_padded, block.channels),
            weight: narrow(weight_gradient, padded, block.out),
            bias: narrow(bias_gradient, padded, block.out),
        }
    }
}

/// The weight that leads from gradients back to inputs: `[kernel * padded, in_padded]`, kernel
/// positions in reverse.
fn turned(block: Block, weight: &[f32], padded: usize, in_padded: usize) -> Vec<f32> {
    let mut turned = vec![0.0; block.kernel * padded * in_padded];
    for (row, weights) in weight.chunks_exact(block.out).enumerate() {
        let (position, channel) = (row / block.channels, row % block.channels);
        let first = (block.kernel - 1 - position) * padded;
        for (out, &weight) in weights.iter().enumerate() {
            turned[(first + out) * in_padded + channel] = weight;
        }
    }
    turned
}

/// Rows of `columns` values, each filled up with zeros to `padded` values.
fn widen(values: &[f32], columns: usize, padded: usize) -> Cow<'_, [f32]> {
    if columns == padded {
        return Cow::Borrowed(values);
    }
    let mut wide = vec![0.0; values.len() / columns * padded];
    for (wide, row) in wide.chunks_exact_mut(padded).zip(values.chunks_exact(columns)) {
        wide[..columns].copy_from_slice(row);
    }
    Cow::Owned(wide)
}

/// The first `columns` of each row of `padded` values.
fn narrow(values: Vec<f32>, padded: usize, columns: usize) -> Vec<f32> {
    if columns == padded {
        return values;
    }
    let mut narrow = Vec::with_capacity(values.len() / padded * columns);
    values.chunks_exact(padded).for_each(|row| narrow.extend_from_slice(&row[..columns]));
    narrow
}

/// `values` in whole vectors; their number is a multiple of the vector's.
#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(values).0
}

#[inline(always)]
fn vectors_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(values).0
}
