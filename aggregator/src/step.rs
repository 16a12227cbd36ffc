//! The server's step: from the mean update to the next version.

use std::ops::Range;

/// How the server uses the mean update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerStep {
    /// Length of the step; 1 is plain averaging (McMahan et al. 2017, arXiv:1602.05629).
    pub learning_rate: f32,
    /// Share of the last step that is kept (FedAvgM: Hsu et al. 2019, arXiv:1909.06335); 0 is none.
    pub momentum: f32,
}

impl ServerStep {
    /// `v = momentum * v + mean; params += learning_rate * v` in `f64`, rounded once to `f32`.
    ///
    /// `mean`: `[n_update]`; `velocity`: `[n_update]`, or empty when at rest, and left empty
    /// without momentum; `params`: `[n_model]`, changed in the `ranges` of the update only.
    #[allow(clippy::cast_possible_truncation)] // to f32, the nearest
    pub fn apply(
        self,
        mean: &[f32],
        velocity: &mut Vec<f32>,
        params: &mut [f32],
        ranges: &[Range<usize>],
    ) {
        if self.momentum > 0.0 {
            velocity.resize(mean.len(), 0.0);
            for (v, mean) in velocity.iter_mut().zip(mean) {
                *v = (f64::from(self.momentum) * f64::from(*v) + f64::from(*mean)) as f32;
            }
        } else {
            velocity.clear();
        }
        let step = if velocity.is_empty() { mean } else { velocity.as_slice() };
        let mut steps = step.iter();
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
        let (mut params, mut velocity) = (vec![1.0, 2.0, 3.0, 4.0], vec![9.0]);
        let plain = ServerStep { learning_rate: 1.0, momentum: 0.0 };
        plain.apply(&[0.5, -1.0], &mut velocity, &mut params, &[0..1, 3..4]);
        assert_eq!(params, [1.5, 2.0, 3.0, 3.0]);
        assert!(velocity.is_empty());
    }

    #[test]
    fn momentum_keeps_a_share_of_the_last_step() {
        let (mut params, mut velocity) = (vec![0.0], Vec::new());
        let step = ServerStep { learning_rate: 0.5, momentum: 0.5 };
        for expected in [0.5, 1.25, 2.125] {
            step.apply(&[1.0], &mut velocity, &mut params, std::slice::from_ref(&(0..1)));
            assert_eq!(params, [expected]);
        }
    }
}
