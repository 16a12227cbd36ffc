//! The trainer: local windows, a network in Burn, and a holdout that is never trained on.

use std::sync::Arc;

use dunlin_models::{Backend, Windows};
use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::task::{Task, TaskSpec};

use crate::data::looks::Oddities;
use crate::data::trouble::{DataReport, Looked};
use crate::data::{DataError, WindowSet, WindowSource, looks};
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
    /// What the last look for windows came to.
    looked: Looked,
    /// What is odd about the values of the windows, and of how many for which task.
    odd: Oddities,
    seen: Option<(Arc<Task>, usize)>,
}

impl BurnTrainer {
    /// A trainer for the windows of `source`.
    pub fn new(source: Box<dyn WindowSource>, settings: TrainerSettings) -> Self {
        let TrainerSettings { backend, holdout } = settings;
        let (trainer, looked) = (NetworkTrainer::new(backend), Looked::NoTask);
        Self { source, holdout, trainer, looked, odd: Oddities::default(), seen: None }
    }

    /// Looks at the values of `windows` windows where that is worth it: those of a new task, and again
    /// whenever there are twice as many. A training looks at its windows anyway.
    fn look_at_values(&mut self, task: &Arc<Task>, windows: usize, stop: &dyn Fn() -> bool) {
        let seen = self.seen.as_ref().filter(|(seen, _)| seen == task);
        if seen.map_or(windows == 0, |(_, seen)| windows < seen.saturating_mul(2)) {
            return;
        }
        if let Ok(all) = self.source.windows_unless(task, stop) {
            self.see(task, &all);
        }
    }

    fn see(&mut self, task: &Arc<Task>, all: &WindowSet) {
        self.odd = Oddities::of(task, all);
        self.seen = Some((task.clone(), all.len().max(1)));
    }
}

/// The windows of `set` as a network of `task` takes them.
///
/// # Errors
/// When they do not suit the task.
pub fn view<'a>(set: &'a WindowSet, task: &TaskSpec) -> Result<Windows<'a>, JobFailure> {
    Windows::new(task, &set.values, &set.labels).map_err(model_failure)
}

/// Why training failed, with what its data may have to do with it: a lower learning rate does not
/// help against values in another unit than the task's.
fn explain(failure: JobFailure, task: &TaskSpec, train: &WindowSet) -> JobFailure {
    if failure.reason != GiveUp::Diverged {
        return failure;
    }
    match looks::far_out(&looks::spans(task, train)) {
        Some(far) => {
            let step = "See to that before the learning rate: dunlin-agent data show";
            JobFailure { why: format!("training diverged: {far} {step}"), ..failure }
        }
        None => failure,
    }
}

impl Executor for BurnTrainer {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        let counts = match self.source.count(task, stop) {
            Ok(counts) => counts,
            Err(error) => {
                if !matches!(error, DataError::Stopped) {
                    self.looked = Looked::Misfit(error.to_string());
                }
                return Err(no_data(error));
            }
        };
        self.looked = Looked::Windows(counts.total(), counts.left_out.clone());
        let (total, train) = (counts.total(), counts.for_training(self.holdout));
        self.look_at_values(task, total, stop);
        Ok(Survey::of_split(train, total.saturating_sub(train)))
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
        self.see(&job.task, &all);
        let (train, held) = all.split(self.holdout);
        let windows = (view(&train, &job.task)?, view(&held, &job.task)?);
        let trained = self.trainer.run(job, &windows.0, &windows.1, stop);
        trained.map(Outcome::Trained).map_err(|failure| explain(failure, &job.task, &train))
    }

    fn data(&self) -> DataReport {
        DataReport::of(&self.source.status(), &self.looked, &self.odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::id::Name;
    use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};

    #[test]
    fn a_training_that_diverged_on_values_in_another_unit_is_not_sent_to_the_learning_rate() {
        let channel = Channel { name: "gl".into(), unit: "mmol/L".into(), offset: 0.0, scale: 1.0 };
        let task = TaskSpec {
            name: Name::new("sugar").unwrap(),
            input: Input {
                channels: vec![channel],
                rate: Rate::from_millihertz(1000),
                window: 2,
                hop: 1,
            },
            features: Features::Raw,
            layers: vec![],
            target: Target::Reconstruct,
        };
        let told = |reason, values: &[f32]| {
            let values = values.to_vec();
            let train = WindowSet { values, window_values: 2, ..WindowSet::default() };
            explain(JobFailure::new(reason, "lower the learning rate"), &task, &train).why
        };
        let why = told(GiveUp::Diverged, &[90.0, 180.0]);
        assert!(why.starts_with("training diverged: gl is 90 to 180 mmol/L"), "{why}");
        assert!(why.contains("|x| = 180") && why.contains("data show"), "{why}");
        assert_eq!(told(GiveUp::Diverged, &[0.5, 1.5]), "lower the learning rate");
        assert_eq!(told(GiveUp::Memory, &[90.0, 180.0]), "lower the learning rate");
    }
}
