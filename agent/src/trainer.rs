//! The trainer: local windows, a network in Burn, and a held-back share that is never trained on.

use std::sync::Arc;

use dunlin_models::{Backend, Windows};
use dunlin_protocol::task::{Task, TaskSpec};

use crate::data::{WindowSet, WindowSource};
use crate::job::{Job, JobFailure, Trained};
use crate::network::{NetworkTrainer, failure};
use crate::ports::Trainer;

/// How a device trains.
#[derive(Clone, Copy, Debug)]
pub struct TrainerSettings {
    /// Which of Burn's backends computes.
    pub backend: Backend,
    /// Share of the windows that only measures, 0 to below 1.
    pub held_back: f32,
}

/// Trains a task's network on the windows of one source.
pub struct BurnTrainer {
    source: Box<dyn WindowSource + Send>,
    held_back: f32,
    trainer: NetworkTrainer,
}

impl BurnTrainer {
    /// A trainer for the windows of `source`.
    pub fn new(source: Box<dyn WindowSource + Send>, settings: TrainerSettings) -> Self {
        let TrainerSettings { backend, held_back } = settings;
        Self { source, held_back, trainer: NetworkTrainer::new(backend) }
    }
}

/// The windows of `set` as a network of `task` takes them.
///
/// # Errors
/// When they do not suit the task.
pub fn view<'a>(set: &'a WindowSet, task: &TaskSpec) -> Result<Windows<'a>, JobFailure> {
    Windows::new(task, &set.values, &set.labels).map_err(failure)
}

impl Trainer for BurnTrainer {
    fn use_task(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<u32, JobFailure> {
        let all = self.source.windows_unless(task, stop).map_err(failure)?;
        let (train, _) = all.split(self.held_back);
        Ok(u32::try_from(train.len()).unwrap_or(u32::MAX))
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Trained, JobFailure> {
        let all = self.source.windows_unless(&job.task, stop).map_err(failure)?;
        let (train, held) = all.split(self.held_back);
        self.trainer.run(job, &view(&train, &job.task)?, &view(&held, &job.task)?, stop)
    }
}
