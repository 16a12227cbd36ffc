//! Small memories: what does not fit is refused with a line in the log, before it is fetched or
//! trained, so that no plan can make a device run out of memory again and again.

use dunlin_protocol::codec::Codec;
use dunlin_protocol::object::ObjectRef;
use dunlin_protocol::task::{Cost, Task};
use dunlin_protocol::work::Work;
use log::warn;

use super::Session;
use super::phase::Item;

/// A model or delta may take one part in so many of the memory: its bytes and what is read from
/// them are held at once, beside the version before.
const MODEL_SHARE: usize = 8;
/// The same for a task, whose many short names take several times their bytes.
const TASK_SHARE: usize = 48;
/// Vectors of the update's length that are there while it is written: the model, the network's copy
/// and the update itself.
const VECTORS: usize = 3;
/// How often the bytes of an update are there while the state that holds it is kept: payload,
/// object, the session's copy, the encoded state in a buffer that has doubled, its slot in flash
/// and the upload.
const UPDATE_COPIES: usize = 7;
/// The same for what updates by `sparse` lost: in use, in the encoded state, which may have grown to
/// twice its size, and in its slot.
const LOST_COPIES: usize = 4;
/// Bytes for each whole number of a report: itself, and its copies of up to 19 bytes while it is kept
/// and sent.
const NUMBER_BYTES: usize = 16 + 19 * UPDATE_COPIES;
/// Bytes for each window that is read where it lies: its number among those picked, and in the order
/// of an epoch.
const WINDOW_BYTES: usize = 6;
/// Bytes for everything else that a device holds: task, connection, state.
const OTHER_BYTES: usize = 16 * 1024;

/// Bytes that what runs through the network may take of a device's `memory`, in bytes: for
/// [`NetworkTrainer::within`](crate::network::NetworkTrainer::within).
pub fn batch_bytes(memory: usize) -> usize {
    memory / 16
}

/// Windows that a device with `memory` bytes may use, in all: the numbers of those to train on or
/// to hold out, and their shuffled order, stay in memory while the windows themselves are read.
pub fn windows_max(memory: usize) -> usize {
    numbers_bytes(memory) / WINDOW_BYTES
}

/// Bytes of memory for the numbers of windows.
fn numbers_bytes(memory: usize) -> usize {
    memory / 32
}

/// Memory in KiB that a device needs at the least to train a task of this `cost`.
pub fn training_kib(cost: &Cost) -> usize {
    let fits = |kib: &usize| bytes_to_train(cost, 1024 * kib) <= 1024 * kib;
    // The shares of a memory grow by less than the memory, so that one is large enough.
    (bytes_to_train(cost, 0) / 1024..).find(fits).unwrap_or(usize::MAX)
}

/// Bytes that a device with `memory` bytes needs to train a task of this `cost`, about: one window
/// at a time, its shares for batches and numbers of windows, and all else that it holds.
fn bytes_to_train(cost: &Cost, memory: usize) -> usize {
    with_losses(cost.training_bytes() + OTHER_BYTES + batch_bytes(memory) + numbers_bytes(memory))
}

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
    pub(super) fn has_memory_to_train(&self, task: &Task) -> bool {
        let Some(memory) = self.memory() else { return true };
        let needed = bytes_to_train(&task.cost(), memory);
        let fits = needed <= memory;
        if !fits {
            warn!(
                "{}: training this task takes about {} KiB of memory, and there are {}: serve a \
                 smaller network, or use a larger device",
                self.settings.device,
                needed.div_ceil(1024),
                self.settings.memory_kib
            );
        }
        fits
    }

    /// Whether the update that `item` asks for can be written, kept and sent from memory; says so
    /// where it cannot.
    pub(super) fn has_memory_to_send(&self, item: &Item) -> bool {
        let (Some(memory), Some(task)) = (self.memory(), self.holding.task()) else { return true };
        if let Work::Sums(work) = &item.asked {
            let numbers = work.numbers(task);
            let needed = with_losses(numbers * NUMBER_BYTES + OTHER_BYTES);
            if needed > memory {
                let (device, round) = (&self.settings.device, item.work.round);
                warn!("{device}: takes no part in round {round}: {numbers} sums do not fit");
            }
            return needed <= memory;
        }
        let Some(work) = item.train() else { return true };
        let n = task.layout().n_update();
        let Some(codec) = Codec::from_spec(work.codec) else { return true };
        // What was lost before and what is lost now.
        let lost = if matches!(codec, Codec::Sparse { .. }) { 2 * 4 * n * LOST_COPIES } else { 0 };
        let copies = UPDATE_COPIES * codec.payload_bytes_likely(n) + codec.scratch_bytes(n);
        let needed = with_losses(VECTORS * 4 * n + lost + copies + OTHER_BYTES);
        if needed > memory {
            warn!(
                "{}: takes no part in round {}: an update by {codec} takes about {} KiB of memory, \
                 and there are {}: choose eden, uniform or int8",
                self.settings.device,
                item.work.round,
                needed.div_ceil(1024),
                self.settings.memory_kib
            );
        }
        needed <= memory
    }
}

/// A third more, for what an allocator loses between its pieces.
fn with_losses(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}
