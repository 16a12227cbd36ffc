//! Batches for training: chosen windows, changed at random, behind the feature stage.

use alloc::vec::Vec;

use dunlin_protocol::plan::Training;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Features, TaskSpec};

use crate::augment::Augmenter;
use crate::batch::Batch;
use crate::windows::Windows;

/// Makes the batches of one training.
pub(crate) struct Gatherer<'a> {
    task: &'a TaskSpec,
    windows: &'a Windows<'a>,
    smoothing: f32,
    augmenter: Augmenter,
    /// All windows behind the feature stage: it is run once where windows stay as they are.
    prepared: Option<Batch>,
}

impl<'a> Gatherer<'a> {
    /// For training on `windows`, which suit `task`.
    pub(crate) fn new(task: &'a TaskSpec, windows: &'a Windows<'a>, training: &Training) -> Self {
        let augmenter = Augmenter::new(training.augment, &task.input.channels);
        let smoothing = training.label_smoothing;
        let prepared = match task.features {
            Features::Motion if augmenter.is_idle() => Some(Batch::of(task, windows, smoothing)),
            Features::Motion | Features::Raw => None,
        };
        Self { task, windows, smoothing, augmenter, prepared }
    }

    /// The windows with the numbers `picked`, changed anew.
    pub(crate) fn batch(&self, picked: &[usize], rng: &mut Rng) -> Batch {
        if let Some(prepared) = &self.prepared {
            return prepared.pick(picked);
        }
        let mut batch = Batch::with_room(self.task, picked.len());
        let mut changed = Vec::new();
        for &index in picked {
            let mut window = self.windows.window(index);
            if !self.augmenter.is_idle() {
                changed.clear();
                changed.extend_from_slice(window);
                self.augmenter.change(rng, &mut changed);
                window = &changed;
            }
            batch.push(self.task, window, self.windows.label(index), self.smoothing);
        }
        batch
    }
}
