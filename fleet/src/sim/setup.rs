//! From a scenario to a running world: settings, tasks, learners, presets.

use dunlin_aggregator::settings::{Enrolment, Settings, Weighting};
use dunlin_protocol::id::Name;
use dunlin_protocol::plan::{Augment, Training};
use dunlin_protocol::task::TaskSpec;

use super::scenario::{Scenario, ScenarioError};
use super::toy::{self, ToyLearner};
use super::workers::Learner;
use super::world::server_name;

/// Scenarios that come with the program: name and text.
pub const PRESETS: [(&str, &str); 6] = [
    ("flute-lr", include_str!("presets/flute-lr.toml")),
    ("wearables", include_str!("presets/wearables.toml")),
    ("pi-gateways", include_str!("presets/pi-gateways.toml")),
    ("hospitals", include_str!("presets/hospitals.toml")),
    ("hostile", include_str!("presets/hostile.toml")),
    ("million", include_str!("presets/million.toml")),
];

/// The scenario of this name.
///
/// # Errors
/// When there is none; says which there are.
pub fn preset(name: &str) -> Result<Scenario, ScenarioError> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    let names = PRESETS.map(|(name, _)| name).join(", ");
    let (_, text) = found
        .ok_or_else(|| ScenarioError(vec![format!("no preset {name:?}; there are {names}")]))?;
    Scenario::parse(text)
}

/// The task that a scenario names.
pub fn task(scenario: &Scenario) -> Result<TaskSpec, String> {
    match scenario.learning.task.as_str() {
        "toy" => Ok(toy::task()),
        #[cfg(feature = "burn")]
        other => super::learner::task(other),
        #[cfg(not(feature = "burn"))]
        other => Err(format!("learning.task = {other:?} needs the feature \"burn\"")),
    }
}

/// What trains in a scenario.
///
/// # Errors
/// When the task cannot be built.
pub fn learner(scenario: &Scenario) -> Result<Box<dyn Learner>, String> {
    match scenario.learning.task.as_str() {
        "toy" => Ok(Box::new(ToyLearner::new(scenario))),
        #[cfg(feature = "burn")]
        _ => super::learner::BurnLearner::new(scenario)
            .map(|learner| Box::new(learner) as Box<dyn Learner>),
        #[cfg(not(feature = "burn"))]
        other => Err(format!("learning.task = {other:?} needs the feature \"burn\"")),
    }
}

/// A judge of versions in a scenario; it has no opinion where there is no network.
///
/// # Errors
/// When the task cannot be built.
pub fn judge(scenario: &Scenario) -> Result<Box<dyn FnMut(&[f32]) -> Option<f64>>, String> {
    if scenario.learning.task == "toy" {
        return Ok(Box::new(|_| None));
    }
    #[cfg(feature = "burn")]
    {
        let mut learner = super::learner::BurnLearner::new(scenario)?;
        let unseen = learner.unseen();
        Ok(Box::new(move |params| learner.judge(params, &unseen).ok()))
    }
    #[cfg(not(feature = "burn"))]
    Err("the task needs the feature \"burn\"".into())
}

/// The aggregator's settings in a scenario.
///
/// # Errors
/// What is wrong, in words.
pub fn settings(scenario: &Scenario) -> Result<Settings, String> {
    let name = |text: &str| Name::new(text).map_err(|error| error.to_string());
    let mut settings = Settings::new(name("fleet")?, name(server_name())?, task(scenario)?);
    let (learning, rounds) = (&scenario.learning, &scenario.rounds);
    settings.training = Training {
        epochs: learning.epochs,
        batch: learning.batch,
        learning_rate: learning.learning_rate,
        momentum: learning.momentum,
        weight_decay: 0.0,
        prox: 0.0,
        label_smoothing: 0.0,
        augment: Augment::default(),
    };
    settings.schedule = scenario.schedule()?;
    settings.learning_rate_final = match scenario.learning.schedule.as_str() {
        "constant" => learning.learning_rate,
        _ => 0.0,
    };
    settings.codec = scenario.codec()?;
    settings.downlink = scenario.downlink()?;
    settings.rounds = rounds.count;
    settings.target = rounds.target;
    settings.quorum =
        ((f64::from(rounds.target) * rounds.quorum).ceil() as u32).clamp(1, rounds.target);
    settings.min_online = settings.quorum.max(1);
    settings.overselect = rounds.overselect;
    settings.deadline_ms = (rounds.deadline_s * 1000.0) as u64;
    settings.pause_ms = (rounds.pause_s * 1000.0) as u64;
    settings.claim_wait_ms = settings.claim_wait_ms.min(settings.deadline_ms);
    settings.enrolled = Enrolment::Any;
    settings.clip_norm = 20.0;
    settings.max_abs = 8.0;
    settings.weighting = Weighting::Examples { cap: 4096 };
    // Simulations judge versions themselves; the last round's evaluation asks a few devices.
    settings.evaluate_devices = rounds.target.min(20);
    match settings.problems().first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(settings),
    }
}
