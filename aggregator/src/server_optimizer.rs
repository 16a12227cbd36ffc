//! The server's optimizer: from the mean update to the next parameters.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use serde::{Deserialize, Serialize};

/// The name of the velocity in an [`OptimizerState`].
const MOMENTUM: &str = "momentum";

/// What an optimizer keeps from version to version: vectors of `[n_update]`, by name. A vector that
/// is missing is zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptimizerState(BTreeMap<String, Vec<f32>>);

impl OptimizerState {
    /// The state of version 3 of the store: the velocity of a momentum, empty when at rest.
    #[cfg(feature = "std")]
    pub(crate) fn of_momentum(velocity: Vec<f32>) -> Self {
        let vectors = Some(velocity).filter(|velocity| !velocity.is_empty());
        Self(vectors.into_iter().map(|velocity| (MOMENTUM.to_owned(), velocity)).collect())
    }

    /// The vector of this name, `[n_update]`; `None` while it is zero.
    pub fn vector(&self, name: &str) -> Option<&[f32]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Whether every vector has `n_update` values.
    pub fn fits(&self, n_update: usize) -> bool {
        self.0.values().all(|vector| vector.len() == n_update)
    }
}

/// How the server uses the mean update of a round (Reddi et al. 2021, arXiv:2003.00295, section 2:
/// the mean update stands for a negative gradient).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerOptimizer {
    /// Length of the step; 1 is plain averaging (McMahan et al. 2017, arXiv:1602.05629).
    pub learning_rate: f32,
    /// Share of the last step that is kept (FedAvgM: Hsu et al. 2019, arXiv:1909.06335); 0 is none.
    pub momentum: f32,
}

impl ServerOptimizer {
    /// `v = momentum * v + mean; params += learning_rate * v` in `f64`, rounded once to `f32`.
    ///
    /// `mean`: `[n_update]`; `state`: what the last step left, `v` under its name, and nothing
    /// without momentum; `params`: `[n_model]`, changed in the `ranges` of the update only.
    #[allow(clippy::cast_possible_truncation)] // to f32, the nearest
    pub fn step(
        self,
        mean: &[f32],
        state: &mut OptimizerState,
        params: &mut [f32],
        ranges: &[Range<usize>],
    ) {
        let velocity = state.0.remove(MOMENTUM).unwrap_or_default();
        state.0.clear();
        if self.momentum > 0.0 {
            let mut velocity = velocity;
            velocity.resize(mean.len(), 0.0);
            for (v, mean) in velocity.iter_mut().zip(mean) {
                *v = (f64::from(self.momentum) * f64::from(*v) + f64::from(*mean)) as f32;
            }
            state.0.insert(MOMENTUM.to_owned(), velocity);
        }
        let mut steps = state.vector(MOMENTUM).unwrap_or(mean).iter();
        for range in ranges {
            for (param, step) in params[range.clone()].iter_mut().zip(&mut steps) {
                let moved = f64::from(*param) + f64::from(self.learning_rate) * f64::from(*step);
                *param = moved as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_averaging_adds_the_mean_and_leaves_frozen_parameters_alone() {
        let mut params = vec![1.0, 2.0, 3.0, 4.0];
        let mut state = OptimizerState::of_momentum(vec![9.0, 9.0]);
        let plain = ServerOptimizer { learning_rate: 1.0, momentum: 0.0 };
        plain.step(&[0.5, -1.0], &mut state, &mut params, &[0..1, 3..4]);
        assert_eq!(params, [1.5, 2.0, 3.0, 3.0]);
        assert_eq!(state, OptimizerState::default(), "what another optimizer left is dropped");
    }

    #[test]
    fn momentum_keeps_a_share_of_the_last_step() {
        let (mut params, mut state) = (vec![0.0], OptimizerState::default());
        let optimizer = ServerOptimizer { learning_rate: 0.5, momentum: 0.5 };
        for (expected, velocity) in [(0.5, 1.0), (1.25, 1.5), (2.125, 1.75)] {
            optimizer.step(&[1.0], &mut state, &mut params, std::slice::from_ref(&(0..1)));
            assert_eq!((params[0], state.vector("momentum")), (expected, Some(&[velocity][..])));
        }
        assert!(state.fits(1) && !state.fits(2));
    }
}
