//! One step of stochastic gradient descent on the flat parameters.

use core::ops::Range;

use alloc::vec;
use alloc::vec::Vec;

use dunlin_protocol::work::Training;

/// Momentum SGD that starts at rest; one for each piece of training.
///
/// `g' = g + weight_decay * w + prox * (w - base)`, `v = momentum * v + g'`,
/// `w = w - learning_rate * v`.
pub(crate) struct Sgd {
    velocity: Vec<f32>,
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
    prox: f32,
}

impl Sgd {
    /// At rest, for `n_params` parameters.
    pub(crate) fn new(training: &Training, n_params: usize) -> Self {
        let &Training { learning_rate, momentum, weight_decay, prox, .. } = training;
        Self { velocity: vec![0.0; n_params], learning_rate, momentum, weight_decay, prox }
    }

    /// Steps the part `range` of `params` against its gradient `[range]`; `base: [n_params]` is
    /// where the proximal term pulls to.
    pub(crate) fn step(
        &mut self,
        params: &mut [f32],
        base: &[f32],
        range: Range<usize>,
        gradient: &[f32],
    ) {
        let &mut Self { learning_rate, momentum, weight_decay, prox, .. } = self;
        let velocity = &mut self.velocity[range.clone()];
        let (params, base) = (&mut params[range.clone()], &base[range]);
        let moved = params.iter_mut().zip(velocity).zip(gradient);
        if weight_decay == 0.0 && prox == 0.0 {
            for ((w, v), g) in moved {
                *v = momentum * *v + g;
                *w -= learning_rate * *v;
            }
        } else {
            for (((w, v), g), base) in moved.zip(base) {
                *v = momentum * *v + g + weight_decay * *w + prox * (*w - base);
                *w -= learning_rate * *v;
            }
        }
    }
}
