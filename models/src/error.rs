//! What can go wrong when a model is built, trained or asked.

use core::fmt;

use dunlin_protocol::task::ShapeError;

/// Why a network could not be built, trained or asked.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelError {
    /// The layers of the task do not fit together.
    Shape(ShapeError),
    /// A vector of parameters has the wrong length.
    ParamCount {
        /// Parameters of the network.
        needs: usize,
        /// Parameters in the vector given.
        has: usize,
    },
    /// A parameter is not finite.
    ParamNotFinite {
        /// Place in the vector of all parameters.
        index: usize,
    },
    /// The values are not a whole number of windows.
    WindowLength {
        /// Values in one window.
        window: usize,
        /// Values in the slice given.
        has: usize,
    },
    /// The windows were cut for a task with windows of another size.
    WindowMismatch {
        /// Values in one window of the network's task.
        needs: usize,
        /// Values in one window given.
        has: usize,
    },
    /// There are not as many labels as the task needs.
    LabelCount {
        /// Labels needed: one a window, or none.
        needs: usize,
        /// Labels that were given instead.
        has: usize,
    },
    /// A label is not one of the task's classes.
    LabelRange {
        /// The window, from 0.
        window: usize,
        /// The label that it has; classes are numbered from 0.
        label: u16,
        /// Classes of the task.
        classes: usize,
    },
    /// A sample is not finite.
    SampleNotFinite {
        /// The window, from 0.
        window: usize,
        /// Place in the window, `sample * channels + channel`.
        value: usize,
    },
    /// Training needs at least one window.
    NoWindows,
    /// One batch would need too much memory.
    BatchTooLarge {
        /// Windows asked for in one batch.
        batch: usize,
        /// Windows allowed for this task.
        limit: usize,
    },
    /// The loss or a parameter became infinite or not a number.
    Diverged {
        /// Steps that went well before; 0 in an evaluation.
        steps: u64,
    },
    /// The caller asked to stop.
    Stopped,
    /// The backend failed or answered with something that was not asked for.
    Backend(&'static str),
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => write!(f, "the task's layers do not fit: {error}"),
            Self::ParamCount { needs, has } => {
                write!(
                    f,
                    "the network has {needs} parameters, {has} were given; check the layout hash"
                )
            }
            Self::ParamNotFinite { index } => {
                write!(f, "parameter {index} is not finite; fetch the model again")
            }
            Self::WindowLength { window, has } => {
                write!(f, "{has} values are not a whole number of windows of {window} values")
            }
            Self::WindowMismatch { needs, has } => {
                write!(f, "the network looks at windows of {needs} values, these have {has}")
            }
            Self::LabelCount { needs, has } => {
                write!(f, "{needs} labels are needed, {has} were given")
            }
            Self::LabelRange { window, label, classes } => {
                write!(f, "window {window} has label {label}, the task has {classes} classes")
            }
            Self::SampleNotFinite { window, value } => {
                write!(
                    f,
                    "window {window}, value {value} is not finite; check the sensor and its scaling"
                )
            }
            Self::NoWindows => f.write_str("there is no window to train on; record some first"),
            Self::BatchTooLarge { batch, limit } => {
                write!(
                    f,
                    "a batch of {batch} windows needs too much memory; ask for at most {limit}"
                )
            }
            Self::Diverged { steps } => {
                write!(f, "training diverged after {steps} steps; lower the learning rate")
            }
            Self::Stopped => f.write_str("the work was stopped"),
            Self::Backend(what) => write!(f, "the backend failed: {what}"),
        }
    }
}

impl core::error::Error for ModelError {}

impl From<ShapeError> for ModelError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}
