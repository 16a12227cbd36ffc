//! What is learned, as data: the input, the layers, the target and the loss of one task.
//!
//! A task is an object published once, so that a new task needs no new program on a device.

mod checked;
mod cost;
mod layout;
mod op;
mod shape;

pub use checked::{Task, TaskDigest};
pub use cost::Cost;
pub use layout::{ParamLayout, ParamSlot, SlotRole};
pub use op::Op;
pub use shape::{Shape, ShapeError};

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::id::Name;
use crate::limits::{
    CHANNELS_MAX, CLASSES_MAX, LABEL_CHARS_MAX, LAYERS_MAX, TASK_BYTES_MAX, WINDOW_SAMPLES_MAX,
};
use crate::wire::{Kind, Message, WireError};

/// One sensor channel and its fixed scaling: the network sees `(value - offset) * scale`.
///
/// Scaling is part of the task and not of the data, so that no statistics leave a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The channels in the order of the samples.
    pub channels: Vec<Channel>,
    /// Sampling rate in thousandths of a hertz.
    pub rate_millihertz: u32,
    /// Samples in one window.
    pub window: u16,
    /// Samples from the start of one window to the start of the next.
    pub hop: u16,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One of these classes; softmax cross-entropy. Needs labelled windows.
    Classes(Vec<String>),
    /// The scaled window itself, all values; mean squared error.
    Reconstruct,
    /// The sample that follows: the network sees all samples of a window but the last and names
    /// the last; mean squared error.
    Forecast,
}

/// What a device is asked to learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Samples of a window that the network sees: all, or all but the last for a forecast.
    pub fn visible_samples(&self) -> usize {
        match self.target {
            Target::Forecast => usize::from(self.input.window).saturating_sub(1),
            Target::Classes(_) | Target::Reconstruct => usize::from(self.input.window),
        }
    }

    /// Values of one raw window: samples times channels.
    pub fn window_values(&self) -> usize {
        usize::from(self.input.window) * self.input.channels.len()
    }

    /// Values that the last layer must give: classes, window values or channels.
    pub fn output_values(&self) -> usize {
        match &self.target {
            Target::Classes(labels) => labels.len(),
            Target::Reconstruct => self.window_values(),
            Target::Forecast => self.input.channels.len(),
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
            Target::Reconstruct | Target::Forecast => &[],
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

    /// Scales a raw window in place: `(value - offset) * scale` channel by channel.
    ///
    /// `window`: `[samples, channels]`, sample by sample.
    pub fn scale(&self, window: &mut [f32]) {
        for sample in window.chunks_exact_mut(self.input.channels.len().max(1)) {
            for (value, channel) in sample.iter_mut().zip(&self.input.channels) {
                *value = (*value - channel.offset) * channel.scale;
            }
        }
    }

    fn check_input(&self) -> Result<(), WireError> {
        let input = &self.input;
        let text_fits = |text: &str| text.chars().count() <= LABEL_CHARS_MAX;
        if input.channels.is_empty() || input.channels.len() > CHANNELS_MAX {
            return Err(WireError::Invalid("a task has 1 to 64 channels"));
        }
        if !input.channels.iter().all(|c| text_fits(&c.name) && text_fits(&c.unit)) {
            return Err(WireError::Invalid("channel names and units have at most 32 characters"));
        }
        if !input.channels.iter().all(|c| c.offset.is_finite() && c.scale.is_finite()) {
            return Err(WireError::Invalid("channel scaling is finite"));
        }
        if input.window == 0 || usize::from(input.window) > WINDOW_SAMPLES_MAX {
            return Err(WireError::Invalid("a window has 1 to 8192 samples"));
        }
        if input.hop == 0 || input.hop > input.window {
            return Err(WireError::Invalid("the hop is between 1 and the window"));
        }
        if input.rate_millihertz == 0 {
            return Err(WireError::Invalid("the sampling rate is above zero"));
        }
        Ok(())
    }

    /// Everything but that the layers fit together.
    fn check_rules(&self) -> Result<(), WireError> {
        self.check_input()?;
        if self.layers.is_empty() || self.layers.len() > LAYERS_MAX {
            return Err(WireError::Invalid("a task has 1 to 32 layers"));
        }
        if let Target::Classes(labels) = &self.target {
            if labels.len() < 2 || labels.len() > CLASSES_MAX {
                return Err(WireError::Invalid("a classification has 2 to 256 labels"));
            }
            if labels.iter().any(|l| l.is_empty() || l.chars().count() > LABEL_CHARS_MAX) {
                return Err(WireError::Invalid("labels have 1 to 32 characters"));
            }
        }
        Ok(())
    }
}

impl Message for TaskSpec {
    const KIND: Kind = Kind::Task;
    const BYTES_MAX: usize = TASK_BYTES_MAX;

    fn check(&self) -> Result<(), WireError> {
        self.check_rules()?;
        self.layout().map(|_| ()).map_err(|_| WireError::Invalid("the layers do not fit together"))
    }
}
