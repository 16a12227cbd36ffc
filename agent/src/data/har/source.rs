//! One person as a source of windows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_protocol::task::TaskSpec;

use super::{HarDataset, PersonWindows};
use crate::data::config::HarConfig;
use crate::data::{DataError, LiveWindow, SourceStatus, WindowCounts, WindowSet, WindowSource};

/// One person of the data set as a source of windows: always the same ones.
#[derive(Debug)]
pub struct HarSource {
    dataset: HarDataset,
    person: u16,
    /// The windows with the channels that were asked for last.
    read: Mutex<Option<Arc<PersonWindows>>>,
    /// Windows that were given as the newest one so far.
    played: AtomicUsize,
}

impl HarSource {
    /// Opens the data set and looks for the person.
    ///
    /// # Errors
    /// As [`HarDataset::open`], and [`DataError::NoPerson`].
    pub fn open(config: &HarConfig) -> Result<Self, DataError> {
        let dataset = HarDataset::open(&config.dir)?;
        if !dataset.persons.iter().any(|person| person.id == config.person) {
            return Err(dataset.nobody(config.person));
        }
        let (read, played) = (Mutex::default(), AtomicUsize::default());
        Ok(Self { dataset, person: config.person, read, played })
    }

    /// The person's windows with the channels of `task`.
    fn person_for(&self, task: &TaskSpec) -> Result<Arc<PersonWindows>, DataError> {
        let channels: Vec<String> = task.input.channels.iter().map(|c| c.name.clone()).collect();
        // Whoever asks meanwhile waits for the files, but not for what is then made of them.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |read: &&Arc<PersonWindows>| *read.channels == *channels;
        if let Some(known) = read.as_ref().filter(same) {
            return Ok(Arc::clone(known));
        }
        let person = self.dataset.read(&[self.person], &channels)?.pop();
        let person = Arc::new(person.ok_or_else(|| self.dataset.nobody(self.person))?);
        *read = Some(Arc::clone(&person));
        Ok(person)
    }
}

impl WindowSource for HarSource {
    fn windows(&self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        self.person_for(task)?.for_task(task)
    }

    fn count(&self, task: &TaskSpec, _stop: &dyn Fn() -> bool) -> Result<WindowCounts, DataError> {
        self.person_for(task)?.count_for(task)
    }

    /// The person's windows one after the other, from the start again after the last: each counts
    /// as the newest one once.
    fn newest_window(&self, task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
        let person = self.person_for(task)?;
        let window = person.replayed(task, self.played.load(Ordering::Relaxed))?;
        self.played.fetch_add(1, Ordering::Relaxed);
        Ok(window)
    }

    fn status(&self) -> SourceStatus {
        let person = self.dataset.persons.iter().find(|person| person.id == self.person);
        let windows = person.map_or(0, |person| person.windows) as u64;
        SourceStatus { samples: windows * 64, ended: true, ..SourceStatus::default() }
    }
}
