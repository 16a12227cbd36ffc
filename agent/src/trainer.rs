//! The trainer: local windows, a network in Burn, and a held-back share that is never trained on.

use std::sync::Arc;

use dunlin_models::{Backend, Network, Windows};
use dunlin_protocol::limits::PARAMS_MAX;
use dunlin_protocol::task::{ParamLayout, Share, TaskSpec};
use dunlin_protocol::update::Score;

use crate::data::{WindowSet, WindowSource};
use crate::job::{Job, JobFailure, Trained};
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
    settings: TrainerSettings,
    network: Option<(Arc<TaskSpec>, Network)>,
}

impl BurnTrainer {
    /// A trainer for the windows of `source`.
    pub fn new(source: Box<dyn WindowSource + Send>, settings: TrainerSettings) -> Self {
        Self { source, settings, network: None }
    }

    /// The network for `task`, built when the task is new.
    fn network(&mut self, task: &Arc<TaskSpec>) -> Result<&mut Network, JobFailure> {
        if self.network.as_ref().is_none_or(|(known, _)| known != task) {
            let network = Network::new(task, self.settings.backend).map_err(failure)?;
            self.network = Some((task.clone(), network));
        }
        let network = self.network.as_mut().map(|(_, network)| network);
        network.ok_or_else(|| JobFailure("no network".into()))
    }

    fn split(&mut self, task: &TaskSpec) -> Result<(WindowSet, WindowSet), JobFailure> {
        let all = self.source.windows(task).map_err(failure)?;
        Ok(all.split(self.settings.held_back))
    }
}

fn failure(error: impl std::fmt::Display) -> JobFailure {
    JobFailure(error.to_string())
}

fn view<'a>(set: &'a WindowSet, task: &TaskSpec) -> Result<Windows<'a>, JobFailure> {
    Windows::new(task, &set.values, &set.labels).map_err(failure)
}

/// The base version in all parameters: the model, and this device's local layers or fresh ones.
fn base_params(job: &Job, layout: &ParamLayout) -> Result<Vec<f32>, JobFailure> {
    if job.model.len() != layout.n_model() || layout.n_params() > PARAMS_MAX {
        return Err(JobFailure("the model does not have the task's length".into()));
    }
    let mut params = layout.initial_params(job.seed);
    layout.load_model(&mut params, &job.model);
    let mut local = job.local.iter().flatten();
    for range in layout.ranges(Share::Local) {
        params[range].iter_mut().zip(&mut local).for_each(|(param, kept)| *param = *kept);
    }
    Ok(params)
}

impl Trainer for BurnTrainer {
    fn use_task(&mut self, task: &Arc<TaskSpec>) -> Result<u32, JobFailure> {
        let (train, _) = self.split(task)?;
        Ok(u32::try_from(train.len()).unwrap_or(u32::MAX))
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Trained, JobFailure> {
        let task = job.task.clone();
        let layout = task.layout().map_err(failure)?;
        let before_params = base_params(job, &layout)?;
        let (train, held) = self.split(&task)?;
        let network = self.network(&task)?;
        network.set_params(&before_params).map_err(failure)?;
        let score = |network: &Network| match held.len() {
            0 => Ok(Score::default()),
            _ => network.evaluate(&view(&held, &task)?).map_err(failure),
        };
        let before = score(network)?;
        let Some(training) = &job.training else {
            let examples = before.windows;
            let after = Score::default();
            let local = local_of(&before_params, &layout);
            return Ok(Trained { delta: vec![], local, examples, train_loss: 0.0, before, after });
        };
        let mut should_stop = || stop();
        let report = network
            .train(&view(&train, &task)?, training, job.seed, &mut should_stop)
            .map_err(failure)?;
        let after = score(network)?;
        let params = network.params();
        Ok(Trained {
            delta: layout.update_of(&before_params, params),
            local: local_of(params, &layout),
            examples: u32::try_from(train.len()).unwrap_or(u32::MAX),
            train_loss: report.mean_loss,
            before,
            after,
        })
    }
}

fn local_of(params: &[f32], layout: &ParamLayout) -> Vec<f32> {
    layout.ranges(Share::Local).flat_map(|range| params[range].iter().copied()).collect()
}
