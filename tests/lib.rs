//! What the tests that cross a crate line share: a task without Burn and a trainer that is exact.

use std::sync::Arc;

use dunlin_agent::job::{Job, JobFailure, Outcome, Survey, Trained};
use dunlin_agent::ports::Executor;
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{
    Channel, Features, Input, Layer, Op, Rate, Share, Target, Task, TaskSpec,
};
use dunlin_protocol::work::{Score, WorkKind};

/// A checked name.
///
/// # Panics
/// When the text is no name.
pub fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A task with one dense layer of `window * 10 + 10` parameters and ten classes.
pub fn toy_task(window: u16) -> TaskSpec {
    let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    TaskSpec {
        name: name("toy"),
        input: Input {
            channels: vec![channel],
            rate: Rate::from_millihertz(50_000),
            window,
            hop: window.div_ceil(2),
        },
        features: Features::Raw,
        layers: vec![Layer { op: Op::Dense { out: 10 }, share: Share::Shared }],
        target: Target::Classes((0..10).map(|label| format!("class {label}")).collect()),
    }
}

/// A trainer without a network: its update is a known power of two, so that a sum shows exactly
/// which devices are in it and how often.
#[derive(Clone, Copy, Debug)]
pub struct ToyTrainer {
    /// Every coordinate of the update.
    pub step: f32,
    /// Windows that it claims to have.
    pub windows: u32,
}

impl ToyTrainer {
    /// The trainer of device `place`: updates of `2^-(place + 4)`, one window.
    pub fn of(place: u8) -> Self {
        Self { step: 0.5_f32.powi(i32::from(place) + 4), windows: 1 }
    }
}

impl Executor for ToyTrainer {
    fn survey(
        &mut self,
        _task: &Arc<Task>,
        _stop: &dyn Fn() -> bool,
    ) -> Result<Survey, JobFailure> {
        Ok(Survey::new(self.windows, &[WorkKind::Train, WorkKind::Evaluate]))
    }

    fn run(&mut self, job: &Job, _stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        let layout = job.task.layout();
        let score = Score { windows: 10, correct: 5, loss_sum: 7.0 };
        let training = job.training().is_some();
        let trained = Trained {
            delta: if training { vec![self.step; layout.n_update()] } else { vec![] },
            local: vec![],
            examples: self.windows,
            train_loss: 0.5,
            before: score,
            after: if training { score } else { Score::default() },
            ..Trained::default()
        };
        Ok(trained.into())
    }
}
