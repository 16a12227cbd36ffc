//! Windows gathered into one batch, and the bound on its size.

use alloc::vec::Vec;

use dunlin_protocol::limits::BATCH_MAX;
use dunlin_protocol::task::{Cost, Features, MOTION_FEATURES, TaskSpec};

use crate::features::MotionFeatures;
use crate::targets::Targets;
use crate::windows::Windows;

/// Values of one layer that a batch may hold at the most: bounds the memory that a task from
/// outside can ask for.
const BATCH_VALUES_MAX: usize = 16 * 1024 * 1024;

/// Windows that run through a network together.
pub(crate) struct Batch {
    /// Windows in the batch.
    pub(crate) len: usize,
    /// What the network sees: `[len, visible samples, channels]`, or `[len, 1, features]`.
    pub(crate) inputs: Vec<f32>,
    /// What it should answer, `[len, outputs]`.
    pub(crate) targets: Vec<f32>,
    asked: Targets,
    motion: Option<MotionFeatures>,
}

/// Time and channels of what the network sees of one window.
pub(crate) fn input_shape(task: &TaskSpec) -> [usize; 2] {
    match task.features {
        Features::Raw => [task.visible_samples(), task.input.channels.len()],
        Features::Motion => [1, MOTION_FEATURES],
    }
}

impl Batch {
    /// An empty batch with room for `len` windows of `task`.
    pub(crate) fn with_room(task: &TaskSpec, len: usize) -> Self {
        let [time, channels] = input_shape(task);
        let motion = match task.features {
            Features::Raw => None,
            Features::Motion => Some(MotionFeatures::new(usize::from(task.input.window))),
        };
        Self {
            len: 0,
            inputs: Vec::with_capacity(len * time * channels),
            targets: Vec::with_capacity(len * task.output_values()),
            asked: Targets::new(task),
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
        Self {
            len: picked.len(),
            inputs: rows(&self.inputs),
            targets: rows(&self.targets),
            asked: Targets::default(),
            motion: None,
        }
    }

    /// Adds one window, [`TaskSpec::window_values`] of it, with its class if it has one.
    pub(crate) fn push(
        &mut self,
        task: &TaskSpec,
        window: &[f32],
        label: Option<u16>,
        smoothing: f32,
    ) {
        let [time, channels] = input_shape(task);
        let start = self.inputs.len();
        match &mut self.motion {
            None => self.inputs.extend_from_slice(&window[..time * channels]),
            Some(motion) => {
                self.inputs.resize(start + MOTION_FEATURES, 0.0);
                motion.extract(window, &mut self.inputs[start..]);
            }
        }
        self.asked.append(task, window, label, smoothing, &mut self.targets);
        self.len += 1;
    }
}

/// Windows that one batch of a task of this `cost` may have, so that no layer's values take too much
/// memory.
pub(crate) fn batch_max(cost: &Cost) -> usize {
    (BATCH_VALUES_MAX / cost.widest).clamp(1, usize::from(BATCH_MAX))
}
