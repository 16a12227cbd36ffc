//! Learners that train by Burn: one network a thread, data made for each job.

use dunlin_agent::job::{Job, JobFailure, Trained};
use dunlin_models::{Backend, Network, Windows};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{ParamLayout, TaskSpec};
use dunlin_protocol::update::Score;

use super::data::{draw_label, label_shares, quantity, rng};
use super::scenario::Scenario;
use super::toy::dense_task;
use super::workers::Learner;
use crate::synthetic::{self, Mix};

/// Pixels and classes of the FLUTE table's logistic regression.
const PIXELS: u16 = 784;
const DIGITS: u16 = 10;

/// Windows and labels of one device.
pub(super) struct Local {
    pub(super) values: Vec<f32>,
    pub(super) labels: Vec<u16>,
}

/// The task of this name.
pub(super) fn task(name: &str) -> Result<TaskSpec, String> {
    match name {
        "wrist" => Ok(synthetic::task()),
        "flute-lr" => Ok(dense_task("flute-lr", PIXELS, DIGITS)),
        "har-like" => Ok(dunlin_models::tasks::har_cnn()),
        other => Err(format!("no task {other:?}")),
    }
}

/// Trains a scenario's task on invented data.
pub(super) struct BurnLearner {
    scenario: Scenario,
    task: TaskSpec,
    layout: ParamLayout,
    network: Network,
    /// The middle of each class, `[classes, window_values]`.
    middles: Vec<f32>,
}

impl BurnLearner {
    pub(super) fn new(scenario: &Scenario) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let task = task(&scenario.learning.task)?;
        let layout = task.layout().map_err(|error| text(&error))?;
        let network = Network::new(&task, Backend::Flex).map_err(|error| text(&error))?;
        let mut rng = Rng::for_stream(scenario.seed, 2);
        let n = task.labels().len() * task.window_values();
        let middles = (0..n).map(|_| rng.uniform(-0.5, 0.5)).collect();
        Ok(Self { scenario: scenario.clone(), task, layout, network, middles })
    }

    /// The windows of `device`.
    pub(super) fn local(&self, device: u32) -> Local {
        let n = quantity(&self.scenario, device) as usize;
        if self.scenario.learning.task == "wrist" {
            let (mut values, labels) =
                synthetic::person_windows(self.scenario.seed, device, n, Mix::Own);
            self.task.scale(&mut values);
            return Local { values, labels };
        }
        let (classes, width) = (self.task.labels().len(), self.task.window_values());
        let mut rng = rng(&self.scenario, device);
        let shares = label_shares(&mut rng, classes, self.scenario.learning.dirichlet);
        let mut local = Local { values: Vec::with_capacity(n * width), labels: Vec::new() };
        for _ in 0..n {
            let label = draw_label(&mut rng, &shares);
            local.labels.push(label);
            let middle = &self.middles[usize::from(label) * width..][..width];
            for part in middle.chunks(4) {
                let bits = rng.next_u64();
                for (at, middle) in part.iter().enumerate() {
                    let noise = f32::from((bits >> (16 * at)) as u16) * (1.0 / 32_768.0) - 1.0;
                    local.values.push(middle + 2.0 * noise);
                }
            }
        }
        local
    }

    /// Windows of devices that do not learn, to judge by.
    pub(super) fn unseen(&self) -> Local {
        let mut all = Local { values: Vec::new(), labels: Vec::new() };
        for device in 0..20 {
            let one = self.local(u32::MAX - device);
            all.values.extend(one.values);
            all.labels.extend(one.labels);
        }
        all
    }

    /// Accuracy of a version, `[n_model]`, on those windows.
    pub(super) fn judge(&mut self, model: &[f32], unseen: &Local) -> Result<f64, String> {
        let mut params = self.layout.initial_params(self.scenario.seed);
        self.layout.load_model(&mut params, model);
        self.network.set_params(&params).map_err(|error| error.to_string())?;
        let windows = Windows::new(&self.task, &unseen.values, &unseen.labels)
            .map_err(|error| error.to_string())?;
        self.network.evaluate(&windows).map(|score| score.accuracy()).map_err(|e| e.to_string())
    }
}

impl Learner for BurnLearner {
    fn windows(&self, device: u32) -> u32 {
        quantity(&self.scenario, device)
    }

    fn run(&mut self, device: u32, job: &Job) -> Result<Trained, JobFailure> {
        let failure = |error: &dyn std::fmt::Display| JobFailure(error.to_string());
        let local = self.local(device);
        // Only local layers begin on the device itself.
        let all_sent = self.layout.n_model() == self.layout.n_params();
        let mut before = match all_sent {
            true => vec![0.0; self.layout.n_params()],
            false => self.layout.initial_params(job.seed),
        };
        self.layout.load_model(&mut before, &job.model);
        self.network.set_params(&before).map_err(|error| failure(&error))?;
        let windows = Windows::new(&self.task, &local.values, &local.labels)
            .map_err(|error| failure(&error))?;
        let examples = u32::try_from(local.labels.len()).unwrap_or(u32::MAX);
        let none = Score::default();
        let Some(training) = &job.training else {
            let score = self.network.evaluate(&windows).map_err(|error| failure(&error))?;
            let (delta, local) = (vec![], vec![]);
            return Ok(Trained {
                delta,
                local,
                examples,
                train_loss: 0.0,
                before: score,
                after: none,
            });
        };
        let report = self
            .network
            .train(&windows, training, job.seed, &mut || false)
            .map_err(|error| failure(&error))?;
        let delta = self.layout.update_of(&before, self.network.params());
        let train_loss = report.mean_loss;
        Ok(Trained { delta, local: vec![], examples, train_loss, before: none, after: none })
    }
}
