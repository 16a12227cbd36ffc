//! What training needs on every machine: a network that is used again, a base version and windows.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use dunlin_models::{Backend, ModelError, Network, Windows};
use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::limits::PARAMS_MAX;
use dunlin_protocol::task::{ParamLayout, Share, Task};
use dunlin_protocol::work::{Fit, Score};

use crate::job::{Job, JobFailure, Trained};

/// Trains and measures on windows that the caller has, with one network that is used again.
pub struct NetworkTrainer {
    backend: Backend,
    memory: Option<usize>,
    network: Option<(Arc<Task>, Network)>,
}

impl NetworkTrainer {
    /// A trainer without a network; the first job brings its task.
    pub fn new(backend: Backend) -> Self {
        Self { backend, memory: None, network: None }
    }

    /// Takes about `bytes` of memory at the most for what runs through the network, however large
    /// the batches of the plan are: see [`Network::bound_memory`].
    #[must_use]
    pub fn within(self, bytes: usize) -> Self {
        Self { memory: Some(bytes), network: None, ..self }
    }

    /// The network for `task`, built when the task is new.
    fn network(&mut self, task: &Arc<Task>) -> Result<&mut Network, JobFailure> {
        if self.network.as_ref().is_none_or(|(known, _)| known != task) {
            // The old one goes first: there may be no room for both.
            self.network = None;
            let mut network = Network::new(task, self.backend).map_err(model_failure)?;
            self.memory.iter().for_each(|&bytes| network.bound_memory(bytes));
            self.network = Some((task.clone(), network));
        }
        let network = self.network.as_mut().map(|(_, network)| network);
        network.ok_or_else(|| JobFailure::other("no network"))
    }

    /// Does `job`: trains on the windows of `train`, measures on those of `held`.
    ///
    /// # Errors
    /// When model or windows do not suit the task, or the training diverges.
    pub fn run(
        &mut self,
        job: &Job,
        train: &Windows<'_>,
        held: &Windows<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Trained, JobFailure> {
        if job.training().is_none() && held.is_empty() {
            return Err(JobFailure::new(GiveUp::NoData, "no windows are held back to measure on"));
        }
        let task = job.task.clone();
        let layout = task.layout();
        let local = job.local.as_deref();
        let before_params = all_params(&job.model, local, job.seed, layout)?;
        let network = self.network(&task)?;
        network.set_params(&before_params).map_err(model_failure)?;
        let mut should_stop = || stop();
        let mut score = |network: &Network| match held.len() {
            0 => Ok((Score::default(), Fit::new(&task))),
            _ => network.measure(held, &mut should_stop).map_err(model_failure),
        };
        let (before, fit_before) = score(network)?;
        let Some(training) = job.training() else {
            let examples = before.windows;
            let local = local_of(&before_params, layout);
            let fits = [fit_before, Fit::default()];
            return Ok(Trained { local, examples, before, fits, ..Trained::default() });
        };
        let report = network
            .train_from(&before_params, train, training, job.seed, &mut || stop())
            .map_err(model_failure)?;
        let (after, fit_after) = score(network)?;
        let params = network.params();
        Ok(Trained {
            delta: layout.update_of(&before_params, params),
            local: local_of(params, layout),
            examples: u32::try_from(train.len()).unwrap_or(u32::MAX),
            train_loss: report.mean_loss,
            before,
            after,
            fits: [fit_before, fit_after],
        })
    }

    /// How well a model of `task`, `[n_model]`, does on `windows`; layers that only devices have
    /// are drawn from `seed`.
    ///
    /// # Errors
    /// As [`NetworkTrainer::run`].
    pub fn score(
        &mut self,
        task: &Arc<Task>,
        model: &[f32],
        seed: u64,
        windows: &Windows<'_>,
    ) -> Result<(Score, Fit), JobFailure> {
        let params = whole_params(model, seed, task.layout())?;
        let network = self.network(task)?;
        network.set_params(&params).map_err(model_failure)?;
        network.measure(windows, &mut || false).map_err(model_failure)
    }
}

/// A failure in the words of `error`, for no reason that others would know.
pub fn failure(error: impl core::fmt::Display) -> JobFailure {
    JobFailure::other(error.to_string())
}

/// A failure of the source of windows, in its words.
pub fn no_data(error: impl core::fmt::Display) -> JobFailure {
    JobFailure::new(GiveUp::NoData, error.to_string())
}

/// What the network refused, in its words.
#[allow(clippy::needless_pass_by_value)] // stands in `map_err`
#[allow(clippy::wildcard_enum_match_arm)] // errors may come
pub fn model_failure(error: ModelError) -> JobFailure {
    let reason = match error {
        ModelError::Diverged { .. } => GiveUp::Diverged,
        ModelError::BatchTooLarge { .. } => GiveUp::Memory,
        ModelError::NoWindows | ModelError::SampleNotFinite { .. } => GiveUp::NoData,
        ModelError::Stopped | ModelError::Backend(_) => GiveUp::Other,
        _ => GiveUp::Misfit,
    };
    JobFailure::new(reason, error.to_string())
}

/// All parameters of a model, `[n_params]`; those that are not in it are drawn from `seed`.
fn whole_params<'a>(
    model: &'a [f32],
    seed: u64,
    layout: &ParamLayout,
) -> Result<Cow<'a, [f32]>, JobFailure> {
    if model.len() != layout.n_model() || layout.n_params() > PARAMS_MAX {
        return Err(JobFailure::new(GiveUp::Misfit, "the model does not have the task's length"));
    }
    if layout.n_model() == layout.n_params() {
        return Ok(Cow::Borrowed(model));
    }
    let mut params = layout.initial_params(seed);
    layout.load_model(&mut params, model);
    Ok(Cow::Owned(params))
}

/// All parameters of a model, `[n_params]`, with this device's local layers or fresh ones.
///
/// # Errors
/// When the model does not suit the layout.
pub(crate) fn all_params<'a>(
    model: &'a [f32],
    local: Option<&[f32]>,
    seed: u64,
    layout: &ParamLayout,
) -> Result<Cow<'a, [f32]>, JobFailure> {
    let mut params = whole_params(model, seed, layout)?;
    let mut local = local.into_iter().flatten();
    for range in layout.ranges(Share::Local) {
        params.to_mut()[range].iter_mut().zip(&mut local).for_each(|(param, kept)| *param = *kept);
    }
    Ok(params)
}

fn local_of(params: &[f32], layout: &ParamLayout) -> Vec<f32> {
    layout.ranges(Share::Local).flat_map(|range| params[range].iter().copied()).collect()
}
