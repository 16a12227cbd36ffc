//! One experiment as a federation in memory, trained by Burn on virtual time: the same seed gives
//! the same figures.

use std::sync::{Arc, Mutex};

use dunlin_agent::job::{Job, JobFailure, Outcome, Survey};
use dunlin_agent::ports::Executor;
use dunlin_agent::trainer::{BurnTrainer, TrainerSettings};
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::{Enrolment, Settings};
use dunlin_models::Backend;
use dunlin_protocol::id::Name;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;

use crate::experiment::{Experiment, FixedSource};
use crate::judge::Judge;
use crate::memory::MemoryFleet;

/// How long a job takes on virtual time.
const JOB_MS: u64 = 1_000;
/// Virtual time after which a federation that has not finished never will.
const END: Instant = Instant(1_000_000_000);
/// Share of each device's windows that only measures.
const HOLDOUT: f32 = 0.1;

/// The state of a federation as one version is published.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Accuracy of the version on unseen persons.
    pub accuracy: f64,
    /// Payload bytes that one device sent so far, the mean.
    pub up: f64,
    /// Payload bytes that one device got so far, the mean.
    pub down: f64,
}

/// A trained update as it left a trainer, and how long the training took.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Trained minus base, `[n_update]`.
    pub delta: Vec<f32>,
    /// Seconds that the job took.
    pub seconds: f64,
}

/// What trainers write down.
pub type Recorder = Arc<Mutex<Vec<Recorded>>>;

/// A trainer that writes its updates down.
struct Recording {
    trainer: BurnTrainer,
    recorder: Option<Recorder>,
}

impl Executor for Recording {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        self.trainer.survey(task, stop)
    }

    #[allow(clippy::disallowed_methods)] // measures what a job costs, decides nothing
    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        let started = std::time::Instant::now();
        let outcome = self.trainer.run(job, stop)?;
        let recorder = self.recorder.as_ref().filter(|_| job.training().is_some());
        let recorder = recorder.map(|recorder| recorder.lock());
        if let (Some(Ok(mut all)), Outcome::Trained(trained)) = (recorder, &outcome) {
            let seconds = started.elapsed().as_secs_f64();
            all.push(Recorded { delta: trained.delta.clone(), seconds });
        }
        Ok(outcome)
    }
}

/// Runs `experiment` with `settings`, everybody in every round, until its rounds are done.
///
/// `on_step` hears of each version; `recorder` gets every update.
///
/// # Errors
/// What went wrong, in words.
pub fn federate(
    experiment: &Experiment,
    settings: &Settings,
    seed: u64,
    recorder: Option<&Recorder>,
    mut on_step: impl FnMut(Step),
) -> Result<Vec<Step>, String> {
    let devices = u32::try_from(experiment.devices.len()).map_err(text)?;
    let mut settings = settings.clone();
    (settings.target, settings.quorum, settings.min_online) = (devices, devices, devices);
    settings.enrolled = Enrolment::Any;
    let mut fleet = MemoryFleet::new(settings);
    for device in &experiment.devices {
        let source = Box::new(FixedSource(device.windows.clone()));
        let trainer = TrainerSettings { backend: Backend::Flex, holdout: HOLDOUT };
        let trainer = BurnTrainer::new(source, trainer);
        let trainer = Recording { trainer, recorder: recorder.cloned() };
        fleet.add_device(Name::new(&device.name).map_err(text)?, trainer, JOB_MS);
    }
    fleet.start_aggregator(seed).map_err(text)?;
    let mut judge = Judge::new(&experiment.task, Backend::Flex).map_err(text)?;
    let layout = experiment.task.layout().map_err(text)?;
    let mut steps = Vec::new();
    let mut seen = 0;
    loop {
        let more = fleet.run(END, |fleet| fleet.log.len() > seen);
        if !more {
            return Err("the federation stands still; this is a bug".into());
        }
        let (up, down) = fleet.device_bytes();
        while let Some((_, event)) = fleet.log.get(seen) {
            seen += 1;
            match event {
                RoundEvent::RoundPublished { params, .. } => {
                    let mut all = layout.initial_params(seed);
                    layout.load_model(&mut all, params);
                    let score = judge.score(&all, &experiment.unseen).map_err(text)?;
                    let mean = |bytes: u64| bytes as f64 / f64::from(devices);
                    let step = Step { accuracy: score.accuracy(), up: mean(up), down: mean(down) };
                    on_step(step);
                    steps.push(step);
                }
                RoundEvent::Finished { .. } => return Ok(steps),
                RoundEvent::RoundFailed { summary } => {
                    return Err(format!("{} failed; this is a bug", summary.key));
                }
                RoundEvent::Answered { .. }
                | RoundEvent::AnsweredBefore { .. }
                | RoundEvent::Started { .. }
                | RoundEvent::RoundOpened { .. }
                | RoundEvent::FractionRaised { .. }
                | RoundEvent::ClaimAnswered { .. }
                | RoundEvent::UpdateAccepted { .. }
                | RoundEvent::UpdateRefused { .. }
                | RoundEvent::GaveUp { .. }
                | RoundEvent::Waits { .. }
                | RoundEvent::Unreadable { .. }
                | RoundEvent::Evaluated { .. }
                | RoundEvent::Imported { .. }
                | RoundEvent::ImportRefused { .. } => {}
                _ => {}
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
