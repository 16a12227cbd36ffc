//! Local training: the hand-written loop over epochs and batches.

use alloc::vec::Vec;

use dunlin_protocol::rng::Rng;
use dunlin_protocol::work::Training;

use crate::error::ModelError;
use crate::gather::Gatherer;
use crate::network::{Gradients, Network};
use crate::sgd::Sgd;
use crate::windows::Windows;

/// What came of one training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainReport {
    /// Mean loss of the windows in the last epoch, each at the parameters of its step.
    pub mean_loss: f32,
    /// Steps of SGD that were done: one a batch in each epoch.
    pub steps: u64,
    /// Windows trained on, each once an epoch.
    pub windows: usize,
}

impl Network {
    /// Trains all layers that are not frozen; the present parameters are where the proximal term
    /// pulls to. Equal parameters, windows, training and `seed` give equal bits on one machine.
    ///
    /// `should_stop` is asked before each step and each part of a larger one, and for each window
    /// while features are computed ahead of the first. A last, smaller batch is used too. Rotations
    /// need channels that come in vectors of three with one scale each.
    ///
    /// # Errors
    /// [`ModelError::Stopped`], [`ModelError::Diverged`], or that the windows do not suit the
    /// task. The parameters are as before then.
    pub fn train(
        &mut self,
        windows: &Windows<'_>,
        training: &Training,
        seed: u64,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<TrainReport, ModelError> {
        let base = self.params.clone();
        self.train_from(&base, windows, training, seed, should_stop)
    }

    /// As [`Network::train`], from `base: [n_params]`, which the caller keeps: saves a copy.
    ///
    /// # Errors
    /// As [`Network::set_params`], and the parameters are as before then; as [`Network::train`], and
    /// they are `base`.
    pub fn train_from(
        &mut self,
        base: &[f32],
        windows: &Windows<'_>,
        training: &Training,
        seed: u64,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<TrainReport, ModelError> {
        self.set_params(base)?;
        windows.check_for(&self.task, true)?;
        self.check_batch(usize::from(training.batch).min(windows.len()))?;
        if windows.is_empty() {
            return Err(ModelError::NoWindows);
        }
        let report = self.epochs(base, windows, training, seed, should_stop);
        if report.is_err() {
            self.params.copy_from_slice(base);
        }
        report
    }

    fn epochs(
        &mut self,
        base: &[f32],
        windows: &Windows<'_>,
        training: &Training,
        seed: u64,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<TrainReport, ModelError> {
        let mut rng = Rng::new(seed);
        let mut sgd = Sgd::new(training, self.params.len());
        let task = self.task.clone();
        let gatherer = Gatherer::new(&task, windows, training, self.kept_max, should_stop)?;
        let mut order: Vec<usize> = (0..windows.len()).collect();
        let mut report = TrainReport { mean_loss: 0.0, steps: 0, windows: windows.len() };
        for _ in 0..training.epochs {
            rng.shuffle(&mut order);
            let mut loss_sum = 0.0;
            for picked in order.chunks(usize::from(training.batch).max(1)) {
                if should_stop() {
                    return Err(ModelError::Stopped);
                }
                let loss = self.step(&mut sgd, base, &gatherer, picked, &mut rng, should_stop)?;
                if !loss.is_finite() {
                    return Err(ModelError::Diverged { steps: report.steps });
                }
                #[allow(clippy::cast_precision_loss)]
                let weight = picked.len() as f64;
                loss_sum += f64::from(loss) * weight;
                report.steps += 1;
            }
            report.mean_loss = mean(loss_sum, windows.len());
        }
        if self.params.iter().all(|value| value.is_finite()) {
            Ok(report)
        } else {
            Err(ModelError::Diverged { steps: report.steps })
        }
    }

    /// One step on the windows with the numbers `picked`; gives their mean loss.
    fn step(
        &mut self,
        sgd: &mut Sgd,
        base: &[f32],
        gatherer: &Gatherer<'_>,
        picked: &[usize],
        rng: &mut Rng,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<f32, ModelError> {
        let (loss, gradients) = if picked.len() <= self.part_max {
            self.backward(gatherer.batch(picked, rng))?
        } else {
            self.backward_in_parts(gatherer, picked, rng, should_stop)?
        };
        for (range, gradient) in gradients {
            sgd.step(&mut self.params, base, range, &gradient);
        }
        Ok(loss)
    }

    /// As [`Network::backward`] on all of `picked`, with the memory of a part.
    fn backward_in_parts(
        &self,
        gatherer: &Gatherer<'_>,
        picked: &[usize],
        rng: &mut Rng,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<(f32, Gradients), ModelError> {
        let (mut loss, mut sums) = (0.0, Gradients::new());
        for (number, part) in picked.chunks(self.part_max).enumerate() {
            // It was asked before the first.
            if number > 0 && should_stop() {
                return Err(ModelError::Stopped);
            }
            let (part_loss, gradients) = self.backward(gatherer.batch(part, rng))?;
            let weight = share(part.len(), picked.len());
            loss += weight * part_loss;
            for (at, (range, mut gradient)) in gradients.into_iter().enumerate() {
                match sums.get_mut(at) {
                    Some((_, sum)) => {
                        sum.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += weight * g);
                    }
                    None => {
                        gradient.iter_mut().for_each(|g| *g *= weight);
                        sums.push((range, gradient));
                    }
                }
            }
        }
        Ok((loss, sums))
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn mean(sum: f64, count: usize) -> f32 {
    (sum / count as f64) as f32
}

#[cfg(test)]
mod tests;
