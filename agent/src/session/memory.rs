//! Small memories: what does not fit is refused with a line in the log, before it is fetched or
//! trained, so that no plan can make a device run out of memory again and again.

use dunlin_protocol::object::ObjectRef;
use dunlin_protocol::task::TaskSpec;
use log::warn;

use super::Session;

/// A model or delta may take one part in so many of the memory: its bytes and what is read from
/// them are held at once, beside the version before.
const MODEL_SHARE: usize = 8;
/// The same for a task, whose many short names take several times their bytes.
const TASK_SHARE: usize = 16;
/// Bytes for each parameter at a job's peak: model, the network's copy, tensor, gradient and what
/// the optimiser remembers are 20, the rest is room for everything else that a device holds.
const PARAM_BYTES: usize = 40;
/// Bytes for each value of a layer's output for one window: itself and its gradient.
const VALUE_BYTES: usize = 8;

impl Session {
    /// Bytes of memory that the settings allow; `None` when they bound nothing.
    fn memory(&self) -> Option<usize> {
        let kib = usize::try_from(self.settings.memory_kib).unwrap_or(usize::MAX);
        (kib > 0).then(|| kib.saturating_mul(1024))
    }

    /// Whether a task of this length can be read in memory; says so where it cannot.
    pub(super) fn has_memory_for_task(&self, object: &ObjectRef) -> bool {
        self.has_memory_for("task", object, TASK_SHARE)
    }

    /// Whether a model or delta of this length can be read in memory; says so where it cannot.
    pub(super) fn has_memory_for_model(&self, object: &ObjectRef) -> bool {
        self.has_memory_for("model", object, MODEL_SHARE)
    }

    fn has_memory_for(&self, what: &str, object: &ObjectRef, share: usize) -> bool {
        let most = self.memory().map_or(usize::MAX, |memory| memory / share);
        let fits = object.bytes as usize <= most;
        if !fits {
            warn!(
                "{}: the {what} {} has {} bytes, and the memory here allows {most}: serve a \
                 smaller one, or use a larger device",
                self.settings.device,
                object.digest.short(),
                object.bytes,
            );
        }
        fits
    }

    /// Whether the network of `task` can be trained in memory, one window at a time at the least;
    /// says so where it cannot.
    pub(super) fn has_memory_to_train(&mut self, task: &TaskSpec) -> bool {
        let needed = training_bytes(task);
        let fits = self.memory().is_none_or(|memory| needed <= memory);
        if !fits {
            warn!(
                "{}: training this task takes about {} KiB of memory, and there are {}: serve a \
                 smaller network, or use a larger device",
                self.settings.device,
                needed.div_ceil(1024),
                self.settings.memory_kib
            );
        }
        self.task_too_large = !fits;
        fits
    }
}

/// Bytes that training needs at the least, about.
fn training_bytes(task: &TaskSpec) -> usize {
    let params = task.layout().map_or(0, |layout| layout.n_params());
    let shapes = task.shapes().unwrap_or_default();
    let values = task.window_values() + shapes.iter().map(|shape| shape.values()).sum::<usize>();
    params * PARAM_BYTES + values * VALUE_BYTES
}
