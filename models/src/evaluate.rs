//! How well a model does, and what it says.

use alloc::vec::Vec;

use dunlin_protocol::task::{Target, TaskSpec};
use dunlin_protocol::work::{Fit, Score};

use crate::batch::{Batch, input_shape};
use crate::error::ModelError;
use crate::network::Network;
use crate::windows::Windows;

/// Windows that are evaluated at a time.
const EVALUATION_BATCH: usize = 64;

/// What a network says about one window.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// What a network says for a classification.
    Class {
        /// The most likely class, an index into the task's labels.
        class: u16,
        /// Its probability by softmax, 0 to 1. Not calibrated.
        probability: f32,
    },
    /// For other targets: the scaled values, see [`TaskSpec::output_channels`].
    Values(Vec<f32>),
}

impl Network {
    /// Loss and hits over `windows` at the present parameters, in bounded batches.
    ///
    /// # Errors
    /// [`ModelError::Diverged`] when the loss is not finite, or that the windows do not suit the
    /// task.
    pub fn evaluate(&self, windows: &Windows<'_>) -> Result<Score, ModelError> {
        self.evaluate_unless(windows, &mut || false)
    }

    /// As [`Network::evaluate`]; `should_stop` is asked before each batch.
    ///
    /// # Errors
    /// As [`Network::evaluate`], and [`ModelError::Stopped`].
    pub fn evaluate_unless(
        &self,
        windows: &Windows<'_>,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Score, ModelError> {
        self.measure(windows, should_stop).map(|(score, _)| score)
    }

    /// As [`Network::evaluate_unless`], with the sums from which the errors of outputs that are values
    /// follow; empty for classes.
    ///
    /// # Errors
    /// As [`Network::evaluate_unless`].
    pub fn measure(
        &self,
        windows: &Windows<'_>,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<(Score, Fit), ModelError> {
        windows.check_for(&self.task, true)?;
        let (mut score, mut fit) = (Score::default(), Fit::new(&self.task));
        let mut loss_sum = 0.0;
        for start in (0..windows.len()).step_by(self.evaluation_batch()) {
            if should_stop() {
                return Err(ModelError::Stopped);
            }
            let part = windows.select(start..start + self.evaluation_batch());
            let batch = Batch::of(&self.task, &part, 0.0);
            let last = self.last_seen(&batch);
            let targets = if fit.0.is_empty() { Vec::new() } else { batch.targets.clone() };
            let (outputs, loss) = self.infer(batch)?;
            #[allow(clippy::cast_precision_loss)]
            let weight = part.len() as f64;
            loss_sum += f64::from(loss) * weight;
            score.windows += u32::try_from(part.len()).unwrap_or(u32::MAX);
            if self.task.needs_labels() {
                score.correct += hits(&outputs, &part);
            } else {
                compare(&self.task, &mut fit, &outputs, &targets, &last);
            }
        }
        #[allow(clippy::cast_possible_truncation)]
        let sum = loss_sum as f32;
        score.loss_sum = sum;
        if sum.is_finite() { Ok((score, fit)) } else { Err(ModelError::Diverged { steps: 0 }) }
    }

    /// For a forecast, the last sample of each window that the network sees, `[batch, channels]`, of
    /// the channels that it names; else nothing.
    fn last_seen(&self, batch: &Batch) -> Vec<f32> {
        if self.task.steps_ahead() == 0 {
            return Vec::new();
        }
        let [time, channels] = input_shape(&self.task);
        let named = self.task.named_channels();
        let windows = batch.inputs.chunks_exact((time * channels).max(1));
        let last = windows.flat_map(|window| {
            let sample = &window[window.len() - channels..];
            named.iter().map(|&channel| sample[channel])
        });
        last.collect()
    }

    /// What the network says about each window; labels are not looked at.
    ///
    /// # Errors
    /// [`ModelError`] when the windows do not suit the task.
    pub fn predict(&self, windows: &Windows<'_>) -> Result<Vec<Prediction>, ModelError> {
        windows.check_for(&self.task, false)?;
        let mut predictions = Vec::with_capacity(windows.len());
        for start in (0..windows.len()).step_by(self.evaluation_batch()) {
            let part = windows.select(start..start + self.evaluation_batch());
            let (outputs, _) = self.infer(Batch::of(&self.task, &part, 0.0))?;
            predictions.extend(outputs.chunks_exact(self.task.output_values()).map(|output| {
                match self.task.target {
                    Target::Classes(_) => class_of(output),
                    Target::Reconstruct
                    | Target::Forecast
                    | Target::Values(_)
                    | Target::ForecastSteps { .. } => Prediction::Values(output.to_vec()),
                }
            }));
        }
        Ok(predictions)
    }

    fn evaluation_batch(&self) -> usize {
        self.part_max.min(EVALUATION_BATCH)
    }
}

/// Adds the outputs of a batch and what they should be to `fit`.
fn compare(task: &TaskSpec, fit: &mut Fit, outputs: &[f32], targets: &[f32], last: &[f32]) {
    let (width, channels) = (task.output_values().max(1), task.output_channels().len());
    let rows = outputs.chunks_exact(width).zip(targets.chunks_exact(width));
    for (at, (outputs, targets)) in rows.enumerate() {
        let last = last.get(at * channels..(at + 1) * channels).filter(|last| !last.is_empty());
        fit.add(outputs, targets, last, channels);
    }
}

fn hits(outputs: &[f32], windows: &Windows<'_>) -> u32 {
    let classes = outputs.len() / windows.len().max(1);
    let rows = outputs.chunks_exact(classes.max(1)).zip(windows.labels());
    rows.map(|(row, label)| u32::from(largest(row) == usize::from(label))).sum()
}

/// Index of the largest value, the first of equal ones.
fn largest(values: &[f32]) -> usize {
    let better = |best: usize, at: usize| if values[at] > values[best] { at } else { best };
    (0..values.len()).reduce(better).unwrap_or(0)
}

fn class_of(logits: &[f32]) -> Prediction {
    let best = largest(logits);
    let sum: f32 = logits.iter().map(|logit| libm::expf(logit - logits[best])).sum();
    Prediction::Class { class: u16::try_from(best).unwrap_or(u16::MAX), probability: 1.0 / sum }
}
