//! Windows gathered into one batch, and the bound on its size.

use alloc::vec::Vec;

use dunlin_protocol::limits::BATCH_MAX;
use dunlin_protocol::task::{Op, TaskSpec};

use crate::error::ModelError;
use crate::loss;
use crate::windows::Windows;

/// Values of one layer that a batch may hold at the most: bounds the memory that a task from
/// outside can ask for.
const BATCH_VALUES_MAX: usize = 16 * 1024 * 1024;

/// Windows that run through a network together.
pub(crate) struct Batch {
    /// Windows in the batch.
    pub(crate) len: usize,
    /// What the network sees, `[len, visible samples, channels]`.
    pub(crate) seen: Vec<f32>,
    /// What it should answer, `[len, outputs]`.
    pub(crate) wanted: Vec<f32>,
}

impl Batch {
    /// An empty batch with room for `len` windows of `task`.
    pub(crate) fn with_room(task: &TaskSpec, len: usize) -> Self {
        let seen = task.visible_samples() * task.input.channels.len();
        Self {
            len: 0,
            seen: Vec::with_capacity(len * seen),
            wanted: Vec::with_capacity(len * task.output_values()),
        }
    }

    /// All of `windows`.
    pub(crate) fn of(task: &TaskSpec, windows: &Windows<'_>) -> Self {
        let mut batch = Self::with_room(task, windows.len());
        for index in 0..windows.len() {
            batch.push(task, windows.window(index), windows.label(index), 0.0);
        }
        batch
    }

    /// Adds `window: [window, channels]`, with its class if it has one.
    pub(crate) fn push(
        &mut self,
        task: &TaskSpec,
        window: &[f32],
        label: Option<u16>,
        smoothing: f32,
    ) {
        let seen = task.visible_samples() * task.input.channels.len();
        self.seen.extend_from_slice(&window[..seen]);
        loss::append_wanted(task, window, label, smoothing, &mut self.wanted);
        self.len += 1;
    }
}

/// Windows that one batch of `task` may have, so that no layer's values take too much memory.
///
/// # Errors
/// [`ModelError::Shape`] when the layers do not fit together.
pub(crate) fn batch_max(task: &TaskSpec) -> Result<usize, ModelError> {
    let mut widest = task.window_values().max(1);
    let mut channels = task.input.channels.len();
    for (layer, shape) in task.layers.iter().zip(task.shapes()?) {
        if let Op::Conv1d { kernel, .. } = layer.op {
            // The shifted copies of the input that become one matrix.
            widest = widest.max(shape.time * usize::from(kernel) * channels);
        }
        widest = widest.max(shape.values());
        channels = shape.channels;
    }
    Ok((BATCH_VALUES_MAX / widest).clamp(1, usize::from(BATCH_MAX)))
}
