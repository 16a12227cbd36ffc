//! Batches for training: chosen windows, changed at random, behind the feature stage.

use alloc::vec::Vec;

use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Features, TaskSpec};
use dunlin_protocol::work::Training;

use crate::augment::Augmenter;
use crate::batch::Batch;
use crate::error::ModelError;
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
    /// For training on `windows`, which suit `task`; features of at most `kept_max` are kept.
    ///
    /// # Errors
    /// [`ModelError::Stopped`] when `should_stop` says so while features are computed.
    pub(crate) fn new(
        task: &'a TaskSpec,
        windows: &'a Windows<'a>,
        training: &Training,
        kept_max: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Self, ModelError> {
        let augmenter = Augmenter::new(training.augment, &task.input.channels);
        let smoothing = training.label_smoothing;
        let prepared = match task.features {
            Features::Motion if augmenter.is_idle() && windows.len() <= kept_max => {
                let mut batch = Batch::with_room(task, windows.len());
                let mut room = Vec::new();
                for index in 0..windows.len() {
                    if should_stop() {
                        return Err(ModelError::Stopped);
                    }
                    let window = windows.window(index, &mut room);
                    batch.push(task, window, windows.label(index), smoothing);
                }
                Some(batch)
            }
            Features::Motion | Features::Raw => None,
        };
        Ok(Self { task, windows, smoothing, augmenter, prepared })
    }

    /// The windows with the numbers `picked`, changed anew.
    pub(crate) fn batch(&self, picked: &[usize], rng: &mut Rng) -> Batch {
        if let Some(prepared) = &self.prepared {
            return prepared.pick(picked);
        }
        let mut batch = Batch::with_room(self.task, picked.len());
        let (mut room, mut changed) = (Vec::new(), Vec::new());
        for &index in picked {
            let mut window = self.windows.window(index, &mut room);
            if !self.augmenter.is_idle() {
                changed.clear();
                changed.extend_from_slice(window);
                self.augmenter.change(rng, &mut changed[..self.task.sample_values()]);
                window = &changed;
            }
            batch.push(self.task, window, self.windows.label(index), self.smoothing);
        }
        batch
    }
}
