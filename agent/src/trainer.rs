//! The trainer: local windows, a network in Burn, and a holdout that is never trained on.

use std::sync::Arc;

use dunlin_models::{Backend, Windows};
use dunlin_protocol::task::{Task, TaskSpec};

use crate::data::{DataError, WindowSet, WindowSource};
use crate::job::{Job, JobFailure, JobSpec, Outcome, Survey};
use crate::network::{NetworkTrainer, model_failure, no_data};
use crate::ports::Executor;
use crate::sums;

/// How a device trains.
#[derive(Clone, Copy, Debug)]
pub struct TrainerSettings {
    /// Which of Burn's backends computes.
    pub backend: Backend,
    /// Share of the windows that only measures, 0 to below 1.
    pub holdout: f32,
}

impl Default for TrainerSettings {
    /// The default backend; every tenth window only measures.
    fn default() -> Self {
        Self { backend: Backend::default(), holdout: 0.1 }
    }
}

/// Trains a task's network on the windows of one source.
pub struct BurnTrainer {
    source: Box<dyn WindowSource>,
    holdout: f32,
    trainer: NetworkTrainer,
}

impl BurnTrainer {
    /// A trainer for the windows of `source`.
    pub fn new(source: Box<dyn WindowSource>, settings: TrainerSettings) -> Self {
        let TrainerSettings { backend, holdout } = settings;
        Self { source, holdout, trainer: NetworkTrainer::new(backend) }
    }
}

/// The windows of `set` as a network of `task` takes them.
///
/// # Errors
/// When they do not suit the task.
pub fn view<'a>(set: &'a WindowSet, task: &TaskSpec) -> Result<Windows<'a>, JobFailure> {
    Windows::new(task, &set.values, &set.labels).map_err(model_failure)
}

impl Executor for BurnTrainer {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        let counts = self.source.count(task, stop).map_err(no_data)?;
        let train = counts.for_training(self.holdout);
        Ok(Survey::of_split(train, counts.total().saturating_sub(train)))
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        if let JobSpec::Sums(work) = &job.spec {
            let source = &self.source;
            let sums = sums::add_up(work, &job.task, &mut |task, each| {
                let all = match source.windows_unless(task, stop) {
                    // A device without labels can still say what its channels measure.
                    Err(DataError::Labels { .. }) => return Ok(()),
                    all => all.map_err(no_data)?,
                };
                all.iter().for_each(|(window, label)| each(window, label));
                Ok(())
            });
            return sums.map(Outcome::Sums);
        }
        let all = self.source.windows_unless(&job.task, stop).map_err(no_data)?;
        let (train, held) = all.split(self.holdout);
        let (train, held) = (view(&train, &job.task)?, view(&held, &job.task)?);
        self.trainer.run(job, &train, &held, stop).map(Outcome::Trained)
    }
}
