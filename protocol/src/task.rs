//! What is learned, as data: the input, the layers, the target and the loss of one task.
//!
//! A task is an object published once, so that a new task needs no new program on a device.

mod checked;
mod cost;
mod form;
mod layout;
mod op;
mod rate;
mod rules;
mod shape;

pub use checked::{Task, TaskDigest};
pub use cost::Cost;
pub use form::TASK_SCHEMA;
pub use layout::{ParamLayout, ParamSlot, SlotRole};
pub use op::Op;
pub use rate::{PERIOD_NS_MAX, ParseRateError, Rate};
pub use shape::{Shape, ShapeError};

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::id::Name;

/// One sensor channel and its fixed scaling: the network sees `(value - offset) * scale`.
///
/// Scaling is part of the task and not of the data, so that no statistics leave a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Name of the channel, such as `acc_x`.
    pub name: String,
    /// Unit of the raw values, such as `g` or `rad/s`.
    pub unit: String,
    /// Subtracted from each raw value, in `unit`.
    pub offset: f32,
    /// Multiplies the difference, in 1 / `unit`.
    pub scale: f32,
}

/// What a network looks at: windows of `[window, channels]` samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The channels in the order of the samples.
    pub channels: Vec<Channel>,
    /// Sampling rate. In a task file one of `rate_hz = 50`, `period = "15 min"` and
    /// `rate_millihertz = 50000`.
    pub rate: Rate,
    /// Samples in one window, with those that a forecast names.
    pub window: u16,
    /// Samples from the start of one window to the start of the next.
    pub hop: u16,
}

impl Input {
    /// Nanoseconds from one sample to the next, the nearest whole number, at least 1.
    pub fn period_ns(&self) -> u64 {
        self.rate.period_ns()
    }

    /// Samples a second.
    pub fn rate_hz(&self) -> f64 {
        self.rate.hz()
    }

    /// The rate in thousandths of a hertz, the nearest whole number; 0 for slow data.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most u32::MAX, rounded
    pub fn nearest_millihertz(&self) -> u32 {
        self.rate.millihertz().unwrap_or_else(|| libm::round(self.rate.hz() * 1000.0) as u32)
    }
}

/// A fixed, unlearned stage between the scaled window and the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Features {
    /// The scaled samples themselves, `[window, channels]`.
    Raw,
    /// [`MOTION_FEATURES`] figures of how a body moves: levels, deviations, spectral bands,
    /// correlations. For class tasks of nine channels, which are body acceleration x y z in g,
    /// rate of turn x y z in rad/s and total acceleration x y z in g, with scales of 1.
    Motion,
}

/// Values that [`Features::Motion`] makes of one window.
pub const MOTION_FEATURES: usize = 143;

/// Fewest samples of a window for [`Features::Motion`]: its longest lag is 25.
pub const MOTION_SAMPLES_MIN: usize = 32;

/// Who holds a layer's parameters and who changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// Trained on devices and averaged: in the model object and in updates.
    Shared,
    /// Trained on one device and kept there: in neither.
    Local,
    /// Never trained: in the model object only.
    Frozen,
}

/// One step of the network, and who holds its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// What it computes; the shape of its output follows from it.
    pub op: Op,
    /// Who holds its parameters; `Shared` for layers without any.
    pub share: Share,
}

/// What the network is asked for.
///
/// Task objects and digests name a target by its place in this list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Target {
    /// One of these classes; softmax cross-entropy. Needs labelled windows.
    Classes(Vec<String>),
    /// The scaled window itself, all values; mean squared error.
    Reconstruct,
    /// The sample that follows: the network sees all samples of a window but the last and names
    /// the last; mean squared error.
    Forecast,
    /// The values that these channels of the source have at the window's last sample, such as
    /// cycles until a machine fails; none of them is an input. Mean squared error of the scaled
    /// values.
    Values(Vec<Channel>),
    /// The samples that follow: the network sees all samples of a window but the last `steps` and
    /// names these, step by step; mean squared error.
    ForecastSteps {
        /// Samples ahead, below the window.
        steps: u16,
        /// Names of the input channels that it names; none: all.
        #[serde(default)]
        channels: Vec<String>,
    },
}

/// What a device is asked to learn.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// Name of the task, such as `har-cnn`.
    pub name: Name,
    /// What the network looks at.
    pub input: Input,
    /// What happens to a window before the first layer.
    pub features: Features,
    /// The layers in order.
    pub layers: Vec<Layer>,
    /// What the network is asked for.
    pub target: Target,
}

impl TaskSpec {
    /// Samples of a window that the network sees: all, or all but those that a forecast names.
    pub fn visible_samples(&self) -> usize {
        usize::from(self.input.window).saturating_sub(self.steps_ahead())
    }

    /// Samples at the end of a window that a forecast names; 0 for other targets.
    pub fn steps_ahead(&self) -> usize {
        match &self.target {
            Target::Forecast => 1,
            Target::ForecastSteps { steps, .. } => usize::from(*steps),
            Target::Classes(_) | Target::Reconstruct | Target::Values(_) => 0,
        }
    }

    /// Channels of the source that are asked for and not seen; none but for [`Target::Values`].
    pub fn value_channels(&self) -> &[Channel] {
        match &self.target {
            Target::Values(channels) => channels,
            Target::Classes(_)
            | Target::Reconstruct
            | Target::Forecast
            | Target::ForecastSteps { .. } => &[],
        }
    }

    /// Values of the samples of one raw window: samples times channels.
    pub fn sample_values(&self) -> usize {
        usize::from(self.input.window) * self.input.channels.len()
    }

    /// Values of one raw window: those of its samples, sample by sample, then one for each of
    /// [`TaskSpec::value_channels`] at its last sample.
    pub fn window_values(&self) -> usize {
        self.sample_values() + self.value_channels().len()
    }

    /// Places of the input channels that the outputs of a reconstruction or forecast stand for, in
    /// the order of the outputs of one sample; none for other targets.
    pub fn named_channels(&self) -> Vec<usize> {
        let all = || (0..self.input.channels.len()).collect();
        match &self.target {
            Target::Classes(_) | Target::Values(_) => Vec::new(),
            Target::Reconstruct | Target::Forecast => all(),
            Target::ForecastSteps { channels, .. } if channels.is_empty() => all(),
            Target::ForecastSteps { channels, .. } => {
                let place =
                    |name: &String| self.input.channels.iter().position(|c| c.name == *name);
                channels.iter().filter_map(place).collect()
            }
        }
    }

    /// The channels whose values the outputs are, over and over: output `i` is a scaled value of
    /// channel `i % channels`. None for a classification.
    pub fn output_channels(&self) -> Vec<&Channel> {
        match &self.target {
            Target::Values(channels) => channels.iter().collect(),
            Target::Classes(_)
            | Target::Reconstruct
            | Target::Forecast
            | Target::ForecastSteps { .. } => {
                self.named_channels().into_iter().map(|at| &self.input.channels[at]).collect()
            }
        }
    }

    /// Values that the last layer must give: classes, window values, values or samples ahead times
    /// channels.
    pub fn output_values(&self) -> usize {
        match &self.target {
            Target::Classes(labels) => labels.len(),
            Target::Reconstruct => self.sample_values(),
            Target::Values(channels) => channels.len(),
            Target::Forecast => self.input.channels.len(),
            Target::ForecastSteps { .. } => self.steps_ahead() * self.named_channels().len(),
        }
    }

    /// Whether training needs a label for each window.
    pub fn needs_labels(&self) -> bool {
        matches!(self.target, Target::Classes(_))
    }

    /// The label texts of a classification task, none otherwise.
    pub fn labels(&self) -> &[String] {
        match &self.target {
            Target::Classes(labels) => labels,
            Target::Reconstruct
            | Target::Forecast
            | Target::Values(_)
            | Target::ForecastSteps { .. } => &[],
        }
    }

    /// Shape after each layer, in order.
    ///
    /// # Errors
    /// [`ShapeError`] names the first layer that does not fit.
    pub fn shapes(&self) -> Result<Vec<Shape>, ShapeError> {
        Ok(shape::describe(self)?.iter().map(|layer| layer.output).collect())
    }

    /// Where each parameter lies in the flat vectors.
    ///
    /// # Errors
    /// [`ShapeError`] when the layers do not fit together.
    pub fn layout(&self) -> Result<ParamLayout, ShapeError> {
        ParamLayout::new(self, &shape::describe(self)?)
    }

    /// Where each parameter lies in the flat vectors, and what training costs.
    ///
    /// # Errors
    /// [`ShapeError`] when the layers do not fit together.
    pub fn layout_and_cost(&self) -> Result<(ParamLayout, Cost), ShapeError> {
        let layers = shape::describe(self)?;
        let layout = ParamLayout::new(self, &layers)?;
        let cost = Cost::new(self, shape::input_shape(self)?, &layers, &layout);
        Ok((layout, cost))
    }

    /// Scales raw windows in place: `(value - offset) * scale` channel by channel.
    ///
    /// `windows`: `[n, window_values]`, see [`TaskSpec::window_values`].
    pub fn scale(&self, windows: &mut [f32]) {
        let scaled = |value: &mut f32, channel: &Channel| {
            *value = (*value - channel.offset) * channel.scale;
        };
        for window in windows.chunks_mut(self.window_values().max(1)) {
            let (samples, values) = window.split_at_mut(self.sample_values().min(window.len()));
            for sample in samples.chunks_exact_mut(self.input.channels.len().max(1)) {
                sample.iter_mut().zip(&self.input.channels).for_each(|(v, c)| scaled(v, c));
            }
            values.iter_mut().zip(self.value_channels()).for_each(|(v, c)| scaled(v, c));
        }
    }
}
