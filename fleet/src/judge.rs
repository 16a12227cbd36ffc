//! Judging models: on persons that nobody trained on, and against devices that train alone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin_agent::data::WindowSet;
use dunlin_models::{Backend, ModelError, Network, Windows};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::{Score, Training};

use crate::experiment::Experiment;

/// What a device that trains alone reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Alone {
    /// Accuracy on its own holdout.
    pub holdout: f64,
    /// Accuracy on unseen persons.
    pub unseen: f64,
}

/// Computes scores of parameter vectors, with one network that is used again and again.
pub struct Judge {
    task: TaskSpec,
    network: Network,
}

impl Judge {
    /// A judge for `task`.
    ///
    /// # Errors
    /// When the task cannot be built.
    pub fn new(task: &TaskSpec, backend: Backend) -> Result<Self, ModelError> {
        Ok(Self { task: task.clone(), network: Network::new(task, backend)? })
    }

    /// The score of `params: [n_params]` on `windows`.
    ///
    /// # Errors
    /// When parameters or windows do not suit the task.
    pub fn score(&mut self, params: &[f32], windows: &WindowSet) -> Result<Score, ModelError> {
        if windows.is_empty() {
            return Ok(Score::default());
        }
        self.network.set_params(params)?;
        let view = Windows::new(&self.task, &windows.values, &windows.labels)?;
        self.network.evaluate(&view)
    }
}

/// How a device trains alone: as it would in the federation, with nobody to share with.
#[derive(Clone, Debug)]
pub struct AloneSettings {
    /// Local training of each round, in order: as many as the federation had.
    pub rounds: Vec<Training>,
    /// The backend of Burn that trains and judges.
    pub backend: Backend,
    /// Share of the windows that only measures.
    pub holdout: f32,
    /// Seed of initial weights and shuffles.
    pub seed: u64,
}

/// Trains every device of `experiment` alone, on two threads; `done` hears how many are ready.
///
/// # Errors
/// The first device's error, when one cannot train.
pub fn train_alone(
    experiment: &Experiment,
    settings: &AloneSettings,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Alone>, ModelError> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![Ok(Alone::default()); experiment.devices.len()]);
    let finished = AtomicUsize::new(0);
    let work = || {
        loop {
            let device = next.fetch_add(1, Ordering::Relaxed);
            let Some(data) = experiment.devices.get(device) else { return };
            let seed = Rng::for_stream(settings.seed, device as u64).next_u64();
            let result = train_one(experiment, &data.windows, settings, seed);
            if let Ok(mut results) = results.lock() {
                results[device] = result;
            }
            done(finished.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    results.into_inner().unwrap_or_default().into_iter().collect()
}

fn train_one(
    experiment: &Experiment,
    windows: &WindowSet,
    settings: &AloneSettings,
    seed: u64,
) -> Result<Alone, ModelError> {
    let task = &experiment.task;
    let mut judge = Judge::new(task, settings.backend)?;
    let (train, held) = windows.clone().split(settings.holdout);
    let start = judge.network.layout().initial_params(settings.seed);
    judge.network.set_params(&start)?;
    let view = Windows::new(task, &train.values, &train.labels)?;
    for (round, training) in settings.rounds.iter().enumerate() {
        let seed = Rng::for_stream(seed, round as u64).next_u64();
        judge.network.train(&view, training, seed, &mut || false)?;
    }
    let params = judge.network.params().to_vec();
    let holdout = judge.score(&params, &held)?.accuracy();
    let unseen = judge.score(&params, &experiment.unseen)?.accuracy();
    Ok(Alone { holdout, unseen })
}
