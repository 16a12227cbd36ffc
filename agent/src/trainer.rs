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

/// Trains and measures on windows that the caller has, with one network that is used again.
pub struct NetworkTrainer {
    backend: Backend,
    network: Option<(Arc<TaskSpec>, Network)>,
}

impl NetworkTrainer {
    /// A trainer without a network; the first job brings its task.
    pub fn new(backend: Backend) -> Self {
        Self { backend, network: None }
    }

    /// The network for `task`, built when the task is new.
    fn network(&mut self, task: &Arc<TaskSpec>) -> Result<&mut Network, JobFailure> {
        if self.network.as_ref().is_none_or(|(known, _)| known != task) {
            let network = Network::new(task, self.backend).map_err(failure)?;
            self.network = Some((task.clone(), network));
        }
        let network = self.network.as_mut().map(|(_, network)| network);
        network.ok_or_else(|| JobFailure("no network".into()))
    }

    /// Does `job`: trains on the windows of `train`, measures on those of `held`.
    ///
    /// # Errors
    /// When model or windows do not suit the task, or the training diverges.
    pub fn run(
        &mut self,
        job: &Job,
        train: &WindowSet,
        held: &WindowSet,
        stop: &dyn Fn() -> bool,
    ) -> Result<Trained, JobFailure> {
        let task = job.task.clone();
        let layout = task.layout().map_err(failure)?;
        let local = job.local.as_deref();
        let before_params = all_params(&job.model, local, job.seed, &layout)?;
        let network = self.network(&task)?;
        network.set_params(&before_params).map_err(failure)?;
        let mut should_stop = || stop();
        let mut score = |network: &Network| match held.len() {
            0 => Ok(Score::default()),
            _ => network.evaluate_unless(&view(held, &task)?, &mut should_stop).map_err(failure),
        };
        let before = score(network)?;
        let Some(training) = &job.training else {
            let examples = before.windows;
            let after = Score::default();
            let local = local_of(&before_params, &layout);
            return Ok(Trained { delta: vec![], local, examples, train_loss: 0.0, before, after });
        };
        let report = network
            .train(&view(train, &task)?, training, job.seed, &mut || stop())
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

    /// How well a model of `task`, `[n_model]`, does on `windows`; layers that only devices have
    /// are drawn from `seed`.
    ///
    /// # Errors
    /// As [`NetworkTrainer::run`].
    pub fn score(
        &mut self,
        task: &Arc<TaskSpec>,
        model: &[f32],
        seed: u64,
        windows: &WindowSet,
    ) -> Result<Score, JobFailure> {
        let layout = task.layout().map_err(failure)?;
        let params = whole_params(model, seed, &layout)?;
        let network = self.network(task)?;
        network.set_params(&params).map_err(failure)?;
        network.evaluate(&view(windows, task)?).map_err(failure)
    }
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

pub(crate) fn failure(error: impl std::fmt::Display) -> JobFailure {
    JobFailure(error.to_string())
}

fn view<'a>(set: &'a WindowSet, task: &TaskSpec) -> Result<Windows<'a>, JobFailure> {
    Windows::new(task, &set.values, &set.labels).map_err(failure)
}

/// All parameters of a model, `[n_params]`; those that are not in it are drawn from `seed`.
fn whole_params(model: &[f32], seed: u64, layout: &ParamLayout) -> Result<Vec<f32>, JobFailure> {
    if model.len() != layout.n_model() || layout.n_params() > PARAMS_MAX {
        return Err(JobFailure("the model does not have the task's length".into()));
    }
    let mut params = match layout.n_model() == layout.n_params() {
        true => vec![0.0; layout.n_params()],
        false => layout.initial_params(seed),
    };
    layout.load_model(&mut params, model);
    Ok(params)
}

/// All parameters of a model, `[n_params]`, with this device's local layers or fresh ones.
///
/// # Errors
/// When the model does not suit the layout.
pub(crate) fn all_params(
    model: &[f32],
    local: Option<&[f32]>,
    seed: u64,
    layout: &ParamLayout,
) -> Result<Vec<f32>, JobFailure> {
    let mut params = whole_params(model, seed, layout)?;
    let mut local = local.into_iter().flatten();
    for range in layout.ranges(Share::Local) {
        params[range].iter_mut().zip(&mut local).for_each(|(param, kept)| *param = *kept);
    }
    Ok(params)
}

impl Trainer for BurnTrainer {
    fn use_task(
        &mut self,
        task: &Arc<TaskSpec>,
        stop: &dyn Fn() -> bool,
    ) -> Result<u32, JobFailure> {
        let all = self.source.windows_unless(task, stop).map_err(failure)?;
        let (train, _) = all.split(self.held_back);
        Ok(u32::try_from(train.len()).unwrap_or(u32::MAX))
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Trained, JobFailure> {
        let all = self.source.windows_unless(&job.task, stop).map_err(failure)?;
        let (train, held) = all.split(self.held_back);
        self.trainer.run(job, &train, &held, stop)
    }
}

fn local_of(params: &[f32], layout: &ParamLayout) -> Vec<f32> {
    layout.ranges(Share::Local).flat_map(|range| params[range].iter().copied()).collect()
}
