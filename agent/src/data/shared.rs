//! One source for two threads: the one that trains and the one that classifies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dunlin_protocol::task::TaskSpec;

use super::{DataError, LiveWindow, SourceStatus, WindowSet, WindowSource};

/// A source that several threads ask in turn; clones ask the same one.
#[derive(Clone)]
pub struct SharedSource(Arc<Mutex<Box<dyn WindowSource + Send>>>);

impl SharedSource {
    /// Shares `source`.
    pub fn new(source: Box<dyn WindowSource + Send>) -> Self {
        Self(Arc::new(Mutex::new(source)))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn WindowSource + Send>> {
        // A source that panicked in another thread says itself what it can still do.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WindowSource for SharedSource {
    fn windows(&mut self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        self.lock().windows(task)
    }

    fn windows_unless(
        &mut self,
        task: &TaskSpec,
        stop: &dyn Fn() -> bool,
    ) -> Result<WindowSet, DataError> {
        self.lock().windows_unless(task, stop)
    }

    fn newest_window(&mut self, task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
        self.lock().newest_window(task)
    }

    fn status(&self) -> SourceStatus {
        self.lock().status()
    }
}
