//! The trainer: local windows, a network in Burn, and a holdout that is never trained on.

use std::sync::Arc;

use dunlin_models::{Backend, Windows};
use dunlin_protocol::task::{Task, TaskSpec};

use crate::data::trouble::{DataReport, Looked};
use crate::data::{DataError, WindowSet, WindowSource, looks};
use crate::job::{Job, JobFailure, JobSpec, Outcome, Survey};
use crate::network::{NetworkTrainer, failure};
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
    /// What the last look for windows came to.
    looked: Looked,
}

impl BurnTrainer {
    /// A trainer for the windows of `source`.
    pub fn new(source: Box<dyn WindowSource>, settings: TrainerSettings) -> Self {
        let TrainerSettings { backend, holdout } = settings;
        Self { source, holdout, trainer: NetworkTrainer::new(backend), looked: Looked::NoTask }
    }
}

/// The windows of `set` as a network of `task` takes them.
///
/// # Errors
/// When they do not suit the task.
pub fn view<'a>(set: &'a WindowSet, task: &TaskSpec) -> Result<Windows<'a>, JobFailure> {
    Windows::new(task, &set.values, &set.labels).map_err(failure)
}

/// Why training failed, with what its data may have to do with it: a lower learning rate does not
/// help against values in another unit than the task's.
fn explain(failure: JobFailure, task: &TaskSpec, train: &WindowSet) -> JobFailure {
    let JobFailure(text) = &failure;
    match looks::far_out(&looks::spans(task, train)) {
        Some(far) if text.contains("diverged") => JobFailure(format!(
            "{text}, but look at the data first: {far} `dunlin-agent data show` shows them"
        )),
        Some(_) | None => failure,
    }
}

impl Executor for BurnTrainer {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        let counts = match self.source.count(task, stop) {
            Ok(counts) => counts,
            Err(DataError::Stopped) => return Err(failure(DataError::Stopped)),
            Err(error) => {
                self.looked = Looked::Misfit(error.to_string());
                return Err(failure(error));
            }
        };
        self.looked = Looked::Windows(counts.total(), counts.left_out.clone());
        let windows = counts.for_training(self.holdout);
        Ok(Survey::of(u32::try_from(windows).unwrap_or(u32::MAX)))
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        if let JobSpec::Sums(work) = &job.spec {
            let source = &self.source;
            let sums = sums::add_up(work, &job.task, &mut |task, each| {
                let all = match source.windows_unless(task, stop) {
                    // A device without labels can still say what its channels measure.
                    Err(DataError::Labels { .. }) => return Ok(()),
                    all => all.map_err(failure)?,
                };
                all.iter().for_each(|(window, label)| each(window, label));
                Ok(())
            });
            return sums.map(Outcome::Sums);
        }
        let all = self.source.windows_unless(&job.task, stop).map_err(failure)?;
        let (train, held) = all.split(self.holdout);
        let windows = (view(&train, &job.task)?, view(&held, &job.task)?);
        let trained = self.trainer.run(job, &windows.0, &windows.1, stop);
        trained.map(Outcome::Trained).map_err(|failure| explain(failure, &job.task, &train))
    }

    fn data(&self) -> DataReport {
        DataReport::of(&self.source.status(), &self.looked)
    }
}
