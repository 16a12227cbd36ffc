//! A task and a learner without a network: exact, fast, and different for each device and round.

use dunlin_agent::job::{Job, JobFailure, JobSpec, Outcome, Trained};
use dunlin_agent::sums;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share, Target, TaskSpec};
use dunlin_protocol::work::Score;

use super::data::quantity;
use super::scenario::Scenario;
use super::workers::Learner;

/// One dense layer and two classes.
pub(super) fn task(window: u16) -> TaskSpec {
    dense_task("toy", window, 2)
}

/// One dense layer from `window` samples of one channel to `classes` classes.
pub(super) fn dense_task(name: &str, window: u16, classes: u16) -> TaskSpec {
    let channel = Channel { name: "x".into(), unit: "1".into(), offset: 0.0, scale: 1.0 };
    let Ok(name) = dunlin_protocol::id::Name::new(name) else {
        unreachable!("names of tasks are constants")
    };
    TaskSpec {
        name,
        input: Input {
            channels: vec![channel],
            rate: Rate::from_millihertz(1000),
            window,
            hop: window,
        },
        features: Features::Raw,
        layers: vec![Layer { op: Op::Dense { out: classes }, share: Share::Shared }],
        target: Target::Classes((0..classes).map(|class| format!("class {class}")).collect()),
    }
}

/// Draws its updates from the job's seed and the device's number; scores are constants.
pub(super) struct ToyLearner {
    scenario: Scenario,
}

impl ToyLearner {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { scenario: scenario.clone() }
    }
}

impl Learner for ToyLearner {
    fn windows(&self, device: u32) -> u32 {
        quantity(&self.scenario, device)
    }

    fn run(&mut self, device: u32, job: &Job) -> Result<Outcome, JobFailure> {
        if let JobSpec::Sums(work) = &job.spec {
            let n = self.windows(device);
            let visit = &mut |spec: &TaskSpec, each: &mut dyn FnMut(&[f32], Option<u16>)| {
                made_up(device, n, spec, each);
                Ok(())
            };
            return sums::add_up(work, &job.task, visit).map(Outcome::Sums);
        }
        let layout = job.task.layout();
        let mut rng = Rng::for_stream(job.seed, u64::from(device));
        let training = job.training().is_some();
        let n = if training { layout.n_update() } else { 0 };
        let delta = (0..n).map(|_| rng.uniform(-0.01, 0.01)).collect();
        let windows = self.windows(device);
        let score = Score { windows: 4, correct: 2, loss_sum: 2.5 };
        let after = if training { score } else { Score::default() };
        let examples = if training { windows } else { score.windows };
        let local = vec![];
        let trained = Trained {
            delta,
            local,
            examples,
            train_loss: 0.5,
            before: score,
            after,
            ..Trained::default()
        };
        Ok(trained.into())
    }
}

/// Shows `each` the `n` windows that a device without data has: values from -1 to 1, and the labels in
/// turn.
pub(super) fn made_up(
    device: u32,
    n: u32,
    spec: &TaskSpec,
    each: &mut dyn FnMut(&[f32], Option<u16>),
) {
    let classes = u32::try_from(spec.labels().len()).unwrap_or(u32::MAX);
    for index in 0..n {
        let mut rng = Rng::for_stream(u64::from(device), u64::from(index));
        let window: Vec<f32> = (0..spec.window_values()).map(|_| rng.uniform(-1.0, 1.0)).collect();
        let label = index.checked_rem(classes).and_then(|label| u16::try_from(label).ok());
        each(&window, label);
    }
}
