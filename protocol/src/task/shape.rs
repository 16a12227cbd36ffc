//! Shapes from layer to layer, and errors that say which layer is wrong.

use alloc::vec::Vec;

use super::op::{Description, LayerInput};
use super::{Features, MOTION_FEATURES, MOTION_SAMPLES_MIN, Target, TaskSpec};
use crate::limits::{ACTIVATIONS_MAX, PARAMS_MAX};

/// Shape of the values for one window: `[time, channels]`; `time` is 1 behind a `Dense` layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Samples; 1 behind a `Dense` layer and for motion features.
    pub time: usize,
    /// Values for each sample.
    pub channels: usize,
}

impl Shape {
    /// Values for one window: samples times channels.
    pub fn values(self) -> usize {
        self.time * self.channels
    }
}

/// Which layer does not fit, and why. Layers count from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A kernel, pool or width is zero.
    #[error("layer {layer}: its {what} is 0")]
    Zero {
        /// Place of the layer in [`TaskSpec::layers`], from 0.
        layer: usize,
        /// The size that is zero: `output width`, `kernel` or `pool size`.
        what: &'static str,
    },
    /// A kernel or pool is longer than what comes in.
    #[error("layer {layer}: needs {needs} samples, only {has} come in")]
    TooShort {
        /// Place of the layer in [`TaskSpec::layers`], from 0.
        layer: usize,
        /// Samples that it needs.
        needs: usize,
        /// Samples that come in.
        has: usize,
    },
    /// A convolution or pool stands behind a `Dense` layer, where no time is left.
    #[error("layer {layer}: works over time, but stands behind a Dense layer")]
    NoTime {
        /// Place of the layer in [`TaskSpec::layers`], from 0.
        layer: usize,
    },
    /// A layer gives more values, or has more parameters, than allowed.
    #[error(
        "layer {layer}: too large; the model may have {PARAMS_MAX} parameters and \
         {ACTIVATIONS_MAX} values a layer"
    )]
    TooLarge {
        /// Place of the layer in [`TaskSpec::layers`], from 0.
        layer: usize,
    },
    /// The last layer does not give what the target needs.
    #[error("the last layer gives {has} values, the target needs {needs}")]
    Output {
        /// Values that the target needs.
        needs: usize,
        /// Values that the last layer gives.
        has: usize,
    },
    /// A window without samples for the network to see.
    #[error("the network sees no samples of a window")]
    Empty,
    /// Motion features of something else than labelled windows of nine channels and 32 samples.
    #[error(
        "motion features need classes, nine channels with offset 0 and scale 1, and 32 samples or \
         more"
    )]
    Motion,
}

/// Shape that the first layer sees.
pub(super) fn input_shape(task: &TaskSpec) -> Result<Shape, ShapeError> {
    let shape = match task.features {
        Features::Raw => {
            Shape { time: task.visible_samples(), channels: task.input.channels.len() }
        }
        Features::Motion if takes_motion(task) => Shape { time: 1, channels: MOTION_FEATURES },
        Features::Motion => return Err(ShapeError::Motion),
    };
    if shape.values() == 0 { Err(ShapeError::Empty) } else { Ok(shape) }
}

fn takes_motion(task: &TaskSpec) -> bool {
    let plain =
        task.input.channels.iter().all(|channel| channel.offset == 0.0 && channel.scale == 1.0);
    let samples = usize::from(task.input.window);
    matches!(task.target, Target::Classes(_))
        && plain
        && task.input.channels.len() == 9
        && samples >= MOTION_SAMPLES_MIN
}

/// Each layer of `task` described, in order.
pub(super) fn describe(task: &TaskSpec) -> Result<Vec<Description>, ShapeError> {
    let mut shape = input_shape(task)?;
    let mut flat = false;
    let mut layers = Vec::with_capacity(task.layers.len());
    for (layer, spec) in task.layers.iter().enumerate() {
        let description = spec.op.describe(LayerInput { layer, shape, flat })?;
        shape = description.output;
        flat |= description.flattens;
        if shape.values() > ACTIVATIONS_MAX {
            return Err(ShapeError::TooLarge { layer });
        }
        layers.push(description);
    }
    let (needs, has) = (task.output_values(), shape.values());
    if needs == has { Ok(layers) } else { Err(ShapeError::Output { needs, has }) }
}
