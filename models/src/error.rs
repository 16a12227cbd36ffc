//! What can go wrong when a model is built, trained or run.

use dunlin_protocol::task::ShapeError;

/// Why a network could not be built, trained or run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The layers of the task do not fit together.
    #[error("the task's layers do not fit: {0}")]
    Shape(#[from] ShapeError),
    /// A vector of parameters has the wrong length.
    #[error("the network has {needs} parameters, {has} were given; check the layout hash")]
    ParamCount {
        /// Parameters of the network.
        needs: usize,
        /// Parameters in the vector given.
        has: usize,
    },
    /// A parameter is not finite.
    #[error("parameter {index} is not finite; fetch the model again")]
    ParamNotFinite {
        /// Place in the vector of all parameters.
        index: usize,
    },
    /// The values are not a whole number of windows.
    #[error("{has} values are not a whole number of windows of {window} values")]
    WindowLength {
        /// Values in one window.
        window: usize,
        /// Values in the slice given.
        has: usize,
    },
    /// The windows were cut for a task with windows of another size.
    #[error("the network looks at windows of {needs} values, these have {has}")]
    WindowMismatch {
        /// Values in one window of the network's task.
        needs: usize,
        /// Values in one window given.
        has: usize,
    },
    /// There are not as many labels as the task needs.
    #[error("{needs} labels are needed, {has} were given")]
    LabelCount {
        /// Labels needed: one a window, or none.
        needs: usize,
        /// Labels that were given instead.
        has: usize,
    },
    /// A label is not one of the task's classes.
    #[error("window {window} has label {label}, the task has {classes} classes")]
    LabelRange {
        /// The window, from 0.
        window: usize,
        /// The label that it has; classes are numbered from 0.
        label: u16,
        /// Classes of the task.
        classes: usize,
    },
    /// A sample is not finite.
    #[error("window {window}, value {value} is not finite; check the sensor and its scaling")]
    SampleNotFinite {
        /// The window, from 0.
        window: usize,
        /// Place in the window, `sample * channels + channel`.
        value: usize,
    },
    /// Training needs at least one window.
    #[error("there is no window to train on; record some first")]
    NoWindows,
    /// One batch would need too much memory.
    #[error("a batch of {batch} windows needs too much memory; ask for at most {limit}")]
    BatchTooLarge {
        /// Windows asked for in one batch.
        batch: usize,
        /// Windows allowed for this task.
        limit: usize,
    },
    /// The loss or a parameter became infinite or not a number.
    #[error("training diverged after {steps} steps; lower the learning rate")]
    Diverged {
        /// Steps that went well before; 0 in an evaluation.
        steps: u64,
    },
    /// The caller asked to stop.
    #[error("the work was stopped")]
    Stopped,
    /// The backend failed or answered with something that was not asked for.
    #[error("the backend failed: {0}")]
    Backend(&'static str),
}
