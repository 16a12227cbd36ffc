//! Where training windows come from on a device without files.
//!
//! A port adds its own sensor as one more [`ReadWindows`]: how many windows there are, and how to
//! write one of them, scaled by the task, where it is asked to.

mod generator;
mod recording;

use alloc::vec::Vec;

use dunlin_agent::holdout::Holdout;
use dunlin_agent::job::JobFailure;
use dunlin_agent::network::{model_failure, no_data};
use dunlin_models::{ReadWindows, Windows};
use dunlin_protocol::task::TaskSpec;

use crate::config::{Config, Source};

pub use generator::Generator;
pub use recording::{RecordedWindows, Recording, RecordingError, RecordingHeader};

/// The sensor of a device as its settings name it.
pub struct Sensor<'a> {
    source: Source,
    recording: Result<Recording<'a>, RecordingError>,
    held_back_percent: u8,
    windows_max: usize,
}

impl<'a> Sensor<'a> {
    /// The sensor of `config`; `flash` is where a recording may lie. Of more than `windows_max`
    /// windows as many are taken, evenly spread.
    pub fn new(config: &Config, flash: &'a [u8], windows_max: usize) -> Self {
        let &Config { source, held_back_percent, .. } = config;
        let recording = match source {
            Source::Recording => Recording::open(flash),
            Source::Generator { .. } => Err(RecordingError::Damaged),
        };
        Self { source, recording, held_back_percent, windows_max }
    }

    /// Gives `act` the windows for `task`: those to train on and those held out.
    ///
    /// # Errors
    /// Why there are none, or what `act` says.
    pub fn with_windows<T>(
        &self,
        task: &TaskSpec,
        act: impl FnOnce(&Windows<'_>, &Windows<'_>) -> Result<T, JobFailure>,
    ) -> Result<T, JobFailure> {
        let split = |all: &dyn ReadWindows| {
            let (train, held) = Part::split(all, self.windows_max, self.held_back_percent);
            let train = Windows::reading(task, &train).map_err(model_failure)?;
            let held = Windows::reading(task, &held).map_err(model_failure)?;
            act(&train, &held)
        };
        match self.source {
            Source::Generator { seed, windows } => split(&Generator::new(task, seed, windows)),
            Source::Recording => {
                let recording = self.recording.as_ref().map_err(no_data)?;
                split(&recording.windows(task).map_err(no_data)?)
            }
        }
    }

    /// Shows `each` all windows as `spec` sees them, a view of `task` with other scales or without
    /// labels, until `stop` says to give up.
    ///
    /// # Errors
    /// Why there are none.
    pub fn visit(
        &self,
        task: &TaskSpec,
        spec: &TaskSpec,
        stop: &dyn Fn() -> bool,
        each: &mut dyn FnMut(&[f32], Option<u16>),
    ) -> Result<(), JobFailure> {
        let mut window = alloc::vec![0.0; spec.window_values()];
        let mut show = |all: &dyn ReadWindows| {
            for index in 0..all.len() {
                if stop() {
                    return Err(JobFailure::other("given up"));
                }
                all.read(index, &mut window);
                each(&window, all.label(index));
            }
            Ok(())
        };
        match self.source {
            // What it makes up depends on the task's classes.
            Source::Generator { seed, windows } => show(&Generator::new(task, seed, windows)),
            Source::Recording => {
                let recording = self.recording.as_ref().map_err(no_data)?;
                show(&recording.windows(spec).map_err(no_data)?)
            }
        }
    }
}

/// Some of the windows of a sensor, in its order.
struct Part<'a> {
    all: &'a dyn ReadWindows,
    picked: Vec<u16>,
}

impl<'a> Part<'a> {
    /// Parts `max` of `all` into those to train on and those held out: see [`Holdout`].
    fn split(all: &'a dyn ReadWindows, max: usize, held_back_percent: u8) -> (Self, Self) {
        let len = all.len().min(u16::MAX.into());
        let taken = len.min(max);
        let index = |place| u16::try_from(place * len / taken).unwrap_or(u16::MAX);
        let class = |index: u16| all.label(index.into()).unwrap_or(0);
        let share = f32::from(held_back_percent) / 100.0;
        let counted = || Holdout::new((0..taken).map(index).map(class), share);
        let mut holdout = counted();
        let trains = (0..taken).filter(|&place| holdout.trains(class(index(place)))).count();
        // Exactly as long as they get: while a list doubles, it is there three times.
        let (mut train, mut held) =
            (Vec::with_capacity(trains), Vec::with_capacity(taken - trains));
        let mut holdout = counted();
        for index in (0..taken).map(index) {
            let part = if holdout.trains(class(index)) { &mut train } else { &mut held };
            part.push(index);
        }
        (Self { all, picked: train }, Self { all, picked: held })
    }

    fn index(&self, index: usize) -> usize {
        self.picked.get(index).copied().unwrap_or(0).into()
    }
}

impl ReadWindows for Part<'_> {
    fn len(&self) -> usize {
        self.picked.len()
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        self.all.read(self.index(index), out);
    }

    fn label(&self, index: usize) -> Option<u16> {
        self.all.label(self.index(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Labels(&'static [u16]);

    impl ReadWindows for Labels {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn read(&self, index: usize, out: &mut [f32]) {
            out.fill(index as f32);
        }
        fn label(&self, index: usize) -> Option<u16> {
            self.0.get(index).copied()
        }
    }

    #[test]
    fn the_last_share_of_each_class_is_held_out_and_never_all() {
        let all = Labels(&[0, 1, 0, 1, 0, 0, 1, 1, 2]);
        let (train, held) = Part::split(&all, 9, 25);
        assert_eq!(
            (train.picked, held.picked),
            (alloc::vec![0, 1, 2, 3, 4, 6, 8], alloc::vec![5, 7])
        );
        assert_eq!(Part::split(&all, 100, 100).0.picked, [0, 1, 8]);
        let (train, held) = Part::split(&all, 9, 0);
        assert_eq!((train.len(), held.len()), (9, 0));
    }

    #[test]
    fn of_more_windows_than_memory_can_number_an_even_spread_is_taken() {
        let all = Labels(&[0; 9]);
        assert_eq!(Part::split(&all, 4, 0).0.picked, [0, 2, 4, 6]);
        assert_eq!(Part::split(&all, 0, 0).0.len(), 0);
        assert_eq!(Part::split(&Labels(&[]), 4, 0).0.len(), 0);
    }
}
