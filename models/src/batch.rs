//! Windows gathered into one batch, and the bound on its size.

use alloc::vec::Vec;

use dunlin_protocol::limits::BATCH_MAX;
use dunlin_protocol::task::{Features, MOTION_FEATURES, Op, TaskSpec};

use crate::error::ModelError;
use crate::features::MotionFeatures;
use crate::wanted::append_wanted;
use crate::windows::Windows;

/// Values of one layer that a batch may hold at the most: bounds the memory that a task from
/// outside can ask for.
const BATCH_VALUES_MAX: usize = 16 * 1024 * 1024;

/// Windows that run through a network together.
pub(crate) struct Batch {
    /// Windows in the batch.
    pub(crate) len: usize,
    /// What the network sees: `[len, visible samples, channels]`, or `[len, 1, features]`.
    pub(crate) seen: Vec<f32>,
    /// What it should answer, `[len, outputs]`.
    pub(crate) wanted: Vec<f32>,
    motion: Option<MotionFeatures>,
}

/// Time and channels of what the network sees of one window.
pub(crate) fn seen_shape(task: &TaskSpec) -> [usize; 2] {
    match task.features {
        Features::Raw => [task.visible_samples(), task.input.channels.len()],
        Features::Motion => [1, MOTION_FEATURES],
    }
}

impl Batch {
    /// An empty batch with room for `len` windows of `task`.
    pub(crate) fn with_room(task: &TaskSpec, len: usize) -> Self {
        let [time, channels] = seen_shape(task);
        let motion = match task.features {
            Features::Raw => None,
            Features::Motion => Some(MotionFeatures::new(usize::from(task.input.window))),
        };
        Self {
            len: 0,
            seen: Vec::with_capacity(len * time * channels),
            wanted: Vec::with_capacity(len * task.output_values()),
            motion,
        }
    }

    /// All of `windows` as one batch; `smoothing` of each label goes evenly to all classes.
    pub(crate) fn of(task: &TaskSpec, windows: &Windows<'_>, smoothing: f32) -> Self {
        let mut batch = Self::with_room(task, windows.len());
        let mut room = Vec::new();
        for index in 0..windows.len() {
            let window = windows.window(index, &mut room);
            batch.push(task, window, windows.label(index), smoothing);
        }
        batch
    }

    /// The windows of this batch with these numbers.
    pub(crate) fn pick(&self, picked: &[usize]) -> Self {
        let rows = |values: &[f32]| {
            let row = values.len() / self.len.max(1);
            let mut rows = Vec::with_capacity(picked.len() * row);
            picked.iter().for_each(|&at| rows.extend_from_slice(&values[at * row..][..row]));
            rows
        };
        Self { len: picked.len(), seen: rows(&self.seen), wanted: rows(&self.wanted), motion: None }
    }

    /// Adds `window: [window, channels]`, with its class if it has one.
    pub(crate) fn push(
        &mut self,
        task: &TaskSpec,
        window: &[f32],
        label: Option<u16>,
        smoothing: f32,
    ) {
        let [time, channels] = seen_shape(task);
        let start = self.seen.len();
        match &mut self.motion {
            None => self.seen.extend_from_slice(&window[..time * channels]),
            Some(motion) => {
                self.seen.resize(start + MOTION_FEATURES, 0.0);
                motion.extract(window, &mut self.seen[start..]);
            }
        }
        append_wanted(task, window, label, smoothing, &mut self.wanted);
        self.len += 1;
    }
}

/// About how many bytes one window of `task` takes during a step: what each layer gives, what the
/// way back needs of it, and the slopes.
pub(crate) fn window_bytes(task: &TaskSpec) -> usize {
    let [time, channels] = seen_shape(task);
    let layers: usize = task.shapes().unwrap_or_default().iter().map(|shape| shape.values()).sum();
    4 * (time * channels + 3 * layers)
}

/// Windows that one batch of `task` may have, so that no layer's values take too much memory.
///
/// # Errors
/// [`ModelError::Shape`] when the layers do not fit together.
pub(crate) fn batch_max(task: &TaskSpec) -> Result<usize, ModelError> {
    let mut widest = task.window_values().max(1);
    let [_, mut channels] = seen_shape(task);
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
