//! Learners that train by Burn, as devices do: one network a thread, data made for each job.

use std::borrow::Cow;
use std::sync::Arc;

use dunlin_agent::data::WindowSet;
use dunlin_agent::job::{Job, JobFailure, Trained};
use dunlin_agent::trainer::NetworkTrainer;
use dunlin_models::Backend;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::TaskSpec;

use super::data::{draw_label, label_shares, quantity, rng};
use super::scenario::Scenario;
use super::shards::Shards;
use super::workers::Learner;
use crate::synthetic::{self, Mix};

/// Devices that do not learn and judge by their windows, where data are invented.
const JUDGES: u32 = 20;

/// Trains a scenario's task on invented or recorded data.
pub(super) struct BurnLearner {
    scenario: Scenario,
    task: Arc<TaskSpec>,
    trainer: NetworkTrainer,
    shards: Option<Arc<Shards>>,
    /// The middle of each class, `[classes, window_values]`, where noise around it is the data.
    middles: Vec<f32>,
    unseen: Option<WindowSet>,
}

impl BurnLearner {
    pub(super) fn new(scenario: &Scenario, task: &TaskSpec, shards: Option<Arc<Shards>>) -> Self {
        let mut rng = Rng::for_stream(scenario.seed, 2);
        let n = if shards.is_some() { 0 } else { task.labels().len() * task.window_values() };
        Self {
            scenario: scenario.clone(),
            task: Arc::new(task.clone()),
            trainer: NetworkTrainer::new(Backend::Flex),
            shards,
            middles: (0..n).map(|_| rng.uniform(-0.5, 0.5)).collect(),
            unseen: None,
        }
    }

    /// The windows of `device`.
    fn local(&self, device: u32) -> Cow<'_, WindowSet> {
        let n = quantity(&self.scenario, device) as usize;
        if let Some(shards) = &self.shards {
            let part = shards.of(device);
            return match n {
                0 => Cow::Borrowed(part),
                _ => Cow::Owned(self.drawn(device, part, n)),
            };
        }
        if self.scenario.learning.task_name() == "wrist" {
            let (mut values, labels) =
                synthetic::person_windows(self.scenario.seed, device, n, Mix::Own);
            self.task.scale(&mut values);
            let window_values = self.task.window_values();
            return Cow::Owned(WindowSet { values, labels, window_values });
        }
        Cow::Owned(self.around_middles(device, n))
    }

    /// `n` windows of `part`, drawn with replacement.
    fn drawn(&self, device: u32, part: &WindowSet, n: usize) -> WindowSet {
        let mut rng = rng(&self.scenario, device);
        let dirichlet = self.scenario.learning.dirichlet;
        let mut by_label: Vec<Vec<usize>> = Vec::new();
        if dirichlet > 0.0 && !part.labels.is_empty() {
            by_label = vec![Vec::new(); self.task.labels().len()];
            for (at, label) in part.labels.iter().enumerate() {
                by_label[usize::from(*label)].push(at);
            }
            by_label.retain(|windows| !windows.is_empty());
        }
        let shares = label_shares(&mut rng, by_label.len(), dirichlet);
        let mut drawn = WindowSet::empty(part.window_values);
        for _ in 0..n {
            let at = match by_label.as_slice() {
                [] => rng.below(part.len()),
                by_label => {
                    let windows = &by_label[usize::from(draw_label(&mut rng, &shares))];
                    windows[rng.below(windows.len())]
                }
            };
            drawn.values.extend_from_slice(part.window(at));
            drawn.labels.extend(part.labels.get(at));
        }
        drawn
    }

    /// `n` windows of noise around the middles of their classes.
    fn around_middles(&self, device: u32, n: usize) -> WindowSet {
        let (classes, width) = (self.task.labels().len(), self.task.window_values());
        let mut rng = rng(&self.scenario, device);
        let shares = label_shares(&mut rng, classes, self.scenario.learning.dirichlet);
        let mut local = WindowSet::empty(width);
        local.values.resize(n * width, 0.0);
        for window in local.values.chunks_exact_mut(width) {
            let label = draw_label(&mut rng, &shares);
            local.labels.push(label);
            window.copy_from_slice(&self.middles[usize::from(label) * width..][..width]);
            let (eights, rest) = window.as_chunks_mut::<8>();
            for eight in eights {
                let noise = rng.next_u64().to_le_bytes();
                *eight = std::array::from_fn(|at| eight[at] + f32::from(noise[at]) / 64.0 - 2.0);
            }
            for (value, noise) in rest.iter_mut().zip(rng.next_u64().to_le_bytes()) {
                *value += f32::from(noise) / 64.0 - 2.0;
            }
        }
        local
    }

    /// Windows that nobody learns from.
    fn judging(&self) -> WindowSet {
        if let Some(shards) = &self.shards {
            return shards.unseen.clone();
        }
        let mut all = WindowSet::empty(self.task.window_values());
        for device in 0..JUDGES {
            let one = self.local(u32::MAX - device);
            all.values.extend_from_slice(&one.values);
            all.labels.extend_from_slice(&one.labels);
        }
        all
    }

    fn accuracy(&mut self, model: &[f32], windows: &WindowSet) -> Option<f64> {
        if windows.labels.is_empty() {
            return None;
        }
        let score = self.trainer.score(&self.task, model, self.scenario.seed, windows);
        score.ok().map(|score| score.accuracy())
    }
}

impl Learner for BurnLearner {
    fn windows(&self, device: u32) -> u32 {
        match (&self.shards, quantity(&self.scenario, device)) {
            (Some(shards), 0) => u32::try_from(shards.of(device).len()).unwrap_or(u32::MAX),
            (_, drawn) => drawn,
        }
    }

    fn run(&mut self, device: u32, job: &Job) -> Result<Trained, JobFailure> {
        let local = self.local(device).into_owned();
        let none = WindowSet::empty(local.window_values);
        // An evaluation measures on all that a device has.
        let (train, held) = if job.training.is_some() { (&local, &none) } else { (&none, &local) };
        self.trainer.run(job, train, held, &|| false)
    }

    fn accuracy_unseen(&mut self, model: &[f32]) -> Option<f64> {
        let unseen = self.unseen.take().unwrap_or_else(|| self.judging());
        let accuracy = self.accuracy(model, &unseen);
        self.unseen = Some(unseen);
        accuracy
    }

    fn accuracy_on(&mut self, model: &[f32], device: u32) -> Option<f64> {
        let local = self.local(device).into_owned();
        self.accuracy(model, &local)
    }
}
