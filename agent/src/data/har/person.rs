//! The windows of one person, before any task looks at them.

use std::sync::Arc;

use dunlin_protocol::task::TaskSpec;

use super::{PERIOD_NS, Person};
use crate::data::labels::match_labels;
use crate::data::{DataError, LiveWindow, WindowCounts, WindowSet};

/// The windows of one person, in the units of the data set.
#[derive(Clone, Debug)]
pub struct PersonWindows {
    /// The person whose windows they are.
    pub person: Person,
    /// Names of the channels that were read.
    pub channels: Arc<[String]>,
    /// Names of the activities.
    pub label_names: Arc<[String]>,
    /// Samples in a window.
    pub window: usize,
    /// `[n, window, channels]`, sample by sample, in the order of the files.
    pub values: Vec<f32>,
    /// `[n]`: index into `label_names`.
    pub labels: Vec<u16>,
}

impl PersonWindows {
    pub(super) fn new(person: Person, channels: Arc<[String]>, label_names: Arc<[String]>) -> Self {
        let labels = Vec::with_capacity(person.windows);
        Self { person, channels, label_names, window: 0, values: Vec::new(), labels }
    }

    /// Puts `samples: [window]` of one channel into window `index`. The first call fixes the length
    /// of all windows.
    pub(super) fn put(&mut self, index: usize, channel: usize, samples: &[f32]) {
        let channels = self.channels.len();
        if self.values.is_empty() {
            self.window = samples.len();
            self.values = vec![0.0; self.person.windows * self.window * channels];
        }
        let start = index * self.window * channels + channel;
        let places = self.values[start..].iter_mut().step_by(channels);
        places.zip(samples).for_each(|(place, &sample)| *place = sample);
    }

    /// The windows as `task` wants them: its channels in its order, scaled, with its labels.
    /// Windows with an activity that the task does not know are left out.
    ///
    /// # Errors
    /// [`DataError`] when the task wants another rate than 50 Hz (by more than 1 %), another window
    /// length, other channels, or none of the activities.
    pub fn for_task(&self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        let places = self.places_for(task)?;
        let needs_labels = task.needs_labels();
        let labels =
            if needs_labels { match_labels(&self.label_names, task.labels())? } else { Vec::new() };
        let mut set = WindowSet::empty(self.window * places.len());
        set.values.reserve_exact(self.labels.len() * set.window_values);
        let stored = self.values.chunks_exact(self.window * self.channels.len());
        for (values, &activity) in stored.zip(&self.labels) {
            if needs_labels {
                let Some(label) = labels.get(usize::from(activity)).copied().flatten() else {
                    continue;
                };
                set.labels.push(label);
            }
            set.values.extend(self.pick(values, &places));
        }
        task.scale(&mut set.values);
        Ok(set)
    }

    /// How many windows `task` has of each label.
    ///
    /// # Errors
    /// As [`PersonWindows::for_task`].
    pub fn count_for(&self, task: &TaskSpec) -> Result<WindowCounts, DataError> {
        self.places_for(task)?;
        if !task.needs_labels() {
            return Ok(WindowCounts::new(vec![self.labels.len()]));
        }
        let labels = match_labels(&self.label_names, task.labels())?;
        let label = |activity: &u16| labels.get(usize::from(*activity)).copied().flatten();
        Ok(WindowCounts::of_labels(self.labels.iter().filter_map(label)))
    }

    /// The window of `task` after `played` others, if a device had measured them without a pause
    /// and over and over; its label is not looked at. `None` for a person without windows.
    pub(super) fn replayed(
        &self,
        task: &TaskSpec,
        played: usize,
    ) -> Result<Option<LiveWindow>, DataError> {
        let places = self.places_for(task)?;
        let mut stored = self.values.chunks_exact(self.window * self.channels.len());
        let at = played.checked_rem(stored.len()).unwrap_or(0);
        let Some(values) = stored.nth(at) else { return Ok(None) };
        let mut values: Vec<f32> = self.pick(values, &places).collect();
        task.scale(&mut values);
        let samples = (played as u64).saturating_add(1).saturating_mul(self.window as u64);
        let us = samples.saturating_mul(PERIOD_NS / 1000);
        Ok(Some(LiveWindow { end_us: i64::try_from(us).unwrap_or(i64::MAX), values }))
    }

    /// The channels at `places` of a stored window, sample by sample.
    fn pick<'a>(&self, values: &'a [f32], places: &'a [usize]) -> impl Iterator<Item = f32> + 'a {
        let samples = values.chunks_exact(self.channels.len());
        samples.flat_map(move |sample| places.iter().map(move |&place| sample[place]))
    }

    /// For each channel of the task its place here.
    ///
    /// # Errors
    /// As [`PersonWindows::for_task`], but for labels.
    fn places_for(&self, task: &TaskSpec) -> Result<Vec<usize>, DataError> {
        let (task_ns, has_ns) = (task.input.period_ns(), PERIOD_NS);
        if task_ns.abs_diff(has_ns).saturating_mul(100) > task_ns {
            return Err(DataError::Rate { task_ns, has_ns });
        }
        let window = usize::from(task.input.window);
        if window != self.window {
            return Err(DataError::Window { task: window, has: self.window });
        }
        let (places, missing) = self.places(task);
        if !missing.is_empty() || places.is_empty() {
            return Err(DataError::Channels { missing, has: self.channels.to_vec() });
        }
        Ok(places)
    }

    /// For each channel of the task its place here, and the names that are not here.
    fn places(&self, task: &TaskSpec) -> (Vec<usize>, Vec<String>) {
        let (mut places, mut missing) = (Vec::new(), Vec::new());
        for channel in &task.input.channels {
            match self.channels.iter().position(|name| *name == channel.name) {
                Some(place) => places.push(place),
                None => missing.push(channel.name.clone()),
            }
        }
        // The data set has no values to ask for.
        missing.extend(task.value_channels().iter().map(|channel| channel.name.clone()));
        (places, missing)
    }
}
