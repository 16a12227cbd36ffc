//! Learners that train by Burn, as devices do: one network a thread, data made for each job.

use std::sync::Arc;

use dunlin_agent::data::WindowSet;
use dunlin_agent::job::{Job, JobFailure, JobSpec, Outcome};
use dunlin_agent::network::NetworkTrainer;
use dunlin_agent::sums;
use dunlin_agent::trainer::view;
use dunlin_models::Backend;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Task, TaskSpec};
use dunlin_protocol::work::FitFigures;

use super::data::{draw_label, label_shares, quantity, rng};
use super::figures::Judgement;
use super::scenario::Scenario;
use super::shards::Shards;
use super::workers::Learner;
use crate::synthetic::{self, Mix};

/// Devices that do not learn and judge by their windows, where data are invented.
const JUDGES: u32 = 20;

/// Trains a scenario's task on invented or recorded data.
pub(super) struct BurnLearner {
    scenario: Scenario,
    task: Arc<Task>,
    trainer: NetworkTrainer,
    shards: Option<Arc<Shards>>,
    /// The middle of each class, `[classes, window_values]`, where noise around it is the data.
    middles: Vec<f32>,
    unseen: Option<WindowSet>,
    /// Windows of the last device.
    windows: WindowSet,
}

impl BurnLearner {
    pub(super) fn new(scenario: &Scenario, task: Arc<Task>, shards: Option<Arc<Shards>>) -> Self {
        let mut rng = Rng::for_stream(scenario.seed, 2);
        let n = if shards.is_some() { 0 } else { task.labels().len() * task.window_values() };
        Self {
            scenario: scenario.clone(),
            task,
            trainer: NetworkTrainer::new(Backend::Flex),
            shards,
            middles: (0..n).map(|_| rng.uniform(-0.5, 0.5)).collect(),
            unseen: None,
            windows: WindowSet::default(),
        }
    }

    /// Puts the windows of `device` into `windows`, whose memory is used again, as `spec` scales them
    /// where they have a unit.
    fn fill(&self, device: u32, windows: &mut WindowSet, spec: &TaskSpec) {
        let n = quantity(&self.scenario, device) as usize;
        windows.labels.clear();
        windows.window_values = self.task.window_values();
        match &self.shards {
            Some(shards) if n == 0 => windows.clone_from(shards.of(device)),
            Some(shards) => self.draw(device, shards.of(device), n, windows),
            None if self.scenario.learning.task_name() == "wrist" => {
                let (values, labels) =
                    synthetic::person_windows(self.scenario.seed, device, n, Mix::Own);
                (windows.values, windows.labels) = (values, labels);
                spec.scale(&mut windows.values);
            }
            None if self.scenario.learning.task_name() == "har-like" => {
                self.draw_rhythms(device, n, windows);
            }
            None => self.draw_around_middles(device, n, windows),
        }
    }

    /// `n` windows in which each class has a rhythm of its own, and each channel its share of it;
    /// devices differ in how strongly they move.
    fn draw_rhythms(&self, device: u32, n: usize, windows: &mut WindowSet) {
        let (classes, width) = (self.task.labels().len(), windows.window_values);
        let channels = self.task.input.channels.len();
        let mut rng = rng(&self.scenario, device);
        let shares = label_shares(&mut rng, classes, self.scenario.learning.dirichlet);
        let gain = rng.uniform(0.7, 1.4);
        windows.values.resize(n * width, 0.0);
        for window in windows.values.chunks_exact_mut(width) {
            let label = draw_label(&mut rng, &shares);
            windows.labels.push(label);
            let parts = &self.middles[usize::from(label) * width..][..channels];
            let turn = core::f32::consts::TAU * (1.5 + 2.0 * f32::from(label)) / 128.0;
            let (mut sin, mut cos) = libm::sincosf(rng.uniform(0.0, core::f32::consts::TAU));
            let (turn_sin, turn_cos) = libm::sincosf(turn);
            for sample in window.chunks_exact_mut(channels) {
                (sin, cos) = (sin * turn_cos + cos * turn_sin, cos * turn_cos - sin * turn_sin);
                for (values, parts) in sample.chunks_mut(8).zip(parts.chunks(8)) {
                    let noise = rng.next_u64().to_le_bytes();
                    for ((value, part), noise) in values.iter_mut().zip(parts).zip(noise) {
                        let wave = if *part < 0.0 { sin } else { cos };
                        *value = gain * (part + 0.5 * wave) + f32::from(noise) / 128.0 - 1.0;
                    }
                }
            }
        }
    }

    /// `n` windows of `part`, drawn with replacement.
    fn draw(&self, device: u32, part: &WindowSet, n: usize, windows: &mut WindowSet) {
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
        windows.values.clear();
        for _ in 0..n {
            let at = match by_label.as_slice() {
                [] => rng.below(part.len()),
                by_label => {
                    let windows = &by_label[usize::from(draw_label(&mut rng, &shares))];
                    windows[rng.below(windows.len())]
                }
            };
            windows.values.extend_from_slice(part.window(at));
            windows.labels.extend(part.labels.get(at));
        }
    }

    /// `n` windows of noise around the middles of their classes.
    fn draw_around_middles(&self, device: u32, n: usize, windows: &mut WindowSet) {
        let (classes, width) = (self.task.labels().len(), windows.window_values);
        let mut rng = rng(&self.scenario, device);
        let shares = label_shares(&mut rng, classes, self.scenario.learning.dirichlet);
        windows.values.resize(n * width, 0.0);
        for window in windows.values.chunks_exact_mut(width) {
            let label = draw_label(&mut rng, &shares);
            windows.labels.push(label);
            let middle = &self.middles[usize::from(label) * width..][..width];
            let noisy = |middle: f32, noise: u8| middle + f32::from(noise) / 64.0 - 2.0;
            let ((eights, rest), (middles, rest_middles)) =
                (window.as_chunks_mut::<8>(), middle.as_chunks::<8>());
            for (eight, middle) in eights.iter_mut().zip(middles) {
                let noise = rng.next_u64().to_le_bytes();
                *eight = std::array::from_fn(|at| noisy(middle[at], noise[at]));
            }
            let last = rest.iter_mut().zip(rest_middles).zip(rng.next_u64().to_le_bytes());
            last.for_each(|((value, middle), noise)| *value = noisy(*middle, noise));
        }
    }

    /// Windows that nobody learns from.
    fn judging(&self) -> WindowSet {
        if let Some(shards) = &self.shards {
            return shards.unseen.clone();
        }
        let mut all = WindowSet::empty(self.task.window_values());
        let mut one = all.clone();
        for device in 0..JUDGES {
            self.fill(u32::MAX - device, &mut one, &self.task);
            all.values.extend_from_slice(&one.values);
            all.labels.extend_from_slice(&one.labels);
        }
        all
    }

    fn judge(&mut self, model: &[f32], windows: &WindowSet) -> Option<Judgement> {
        if windows.is_empty() {
            return None;
        }
        let windows = view(windows, &self.task).ok()?;
        let score = self.trainer.score(&self.task, model, self.scenario.seed, &windows);
        let (score, fit) = score.ok()?;
        let accuracy = self.task.needs_labels().then(|| score.accuracy());
        let fit = FitFigures::of(&self.task, score.windows.into(), &fit.numbers());
        Some(Judgement { accuracy, fit })
    }
}

impl Learner for BurnLearner {
    fn windows(&self, device: u32) -> u32 {
        match (&self.shards, quantity(&self.scenario, device)) {
            (Some(shards), 0) => u32::try_from(shards.of(device).len()).unwrap_or(u32::MAX),
            (_, drawn) => drawn,
        }
    }

    fn run(&mut self, device: u32, job: &Job) -> Result<Outcome, JobFailure> {
        let mut local = std::mem::take(&mut self.windows);
        if let JobSpec::Sums(work) = &job.spec {
            let visit = &mut |spec: &TaskSpec, each: &mut dyn FnMut(&[f32], Option<u16>)| {
                self.fill(device, &mut local, spec);
                local.iter().for_each(|(window, label)| each(window, label));
                Ok(())
            };
            let sums = sums::add_up(work, &job.task, visit);
            self.windows = local;
            return sums.map(Outcome::Sums);
        }
        self.fill(device, &mut local, &self.task.clone());
        let none = WindowSet::empty(local.window_values);
        // An evaluation measures on all that a device has.
        let (train, held) =
            if job.training().is_some() { (&local, &none) } else { (&none, &local) };
        let views = view(train, &job.task).and_then(|train| Ok((train, view(held, &job.task)?)));
        let outcome =
            views.and_then(|(train, held)| self.trainer.run(job, &train, &held, &|| false));
        self.windows = local;
        outcome.map(Outcome::Trained)
    }

    fn judge_unseen(&mut self, model: &[f32]) -> Option<Judgement> {
        let unseen = self.unseen.take().unwrap_or_else(|| self.judging());
        let judgement = self.judge(model, &unseen);
        self.unseen = Some(unseen);
        judgement
    }

    fn judge_on(&mut self, model: &[f32], device: u32) -> Option<Judgement> {
        let mut local = std::mem::take(&mut self.windows);
        self.fill(device, &mut local, &self.task.clone());
        let judgement = self.judge(model, &local);
        self.windows = local;
        judgement
    }
}
