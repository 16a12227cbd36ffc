//! Training gives way: the trainer's thread runs at the lowest priority.

use std::sync::Arc;

use dunlin_protocol::task::Task;

use crate::data::trouble::DataReport;
use crate::job::{Job, JobFailure, Outcome, Survey};
use crate::ports::Executor;

/// A trainer that lowers the priority of the thread that it works on, once, before its first work.
/// Other threads, such as those that read sensors, keep theirs.
pub struct Nice<T> {
    trainer: T,
    /// Niceness still to be set.
    level: Option<u8>,
}

impl<T: Executor> Nice<T> {
    /// `trainer` at niceness `level`, 0 (as other programs) to 19 (only when nobody else works).
    pub fn new(trainer: T, level: u8) -> Self {
        Self { trainer, level: Some(level).filter(|level| *level > 0) }
    }

    fn give_way(&mut self) {
        let Some(level) = self.level.take() else { return };
        // A sandbox may forbid it, and a service may have been given a niceness as a whole.
        if let Err(error) = set_niceness(level) {
            log::debug!("training keeps the priority of the program: niceness {level}: {error}");
        }
    }
}

impl<T: Executor> Executor for Nice<T> {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        self.give_way();
        self.trainer.survey(task, stop)
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        self.give_way();
        self.trainer.run(job, stop)
    }

    fn data(&self) -> DataReport {
        self.trainer.data()
    }
}

/// On Linux a niceness belongs to a thread, which has a number of its own.
#[cfg(target_os = "linux")]
fn set_niceness(level: u8) -> std::io::Result<()> {
    let thread = rustix::thread::gettid();
    rustix::process::setpriority_process(Some(thread), level.into())
        .map_err(|error| std::io::Error::from_raw_os_error(error.raw_os_error()))
}

#[cfg(not(target_os = "linux"))]
fn set_niceness(_level: u8) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
    }

    #[test]
    fn only_the_thread_that_trains_gives_way() {
        let before = niceness();
        let lowered = std::thread::spawn(|| set_niceness(19).map(|()| niceness())).join().unwrap();
        assert_eq!(lowered.unwrap(), 19);
        assert_eq!(niceness(), before);
    }
}
