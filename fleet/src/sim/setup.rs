//! From a scenario to everything that a run needs: settings, task, data, learners, presets.

use std::path::Path;
use std::sync::Arc;

use dunlin_agent::session::training_kib;
use dunlin_aggregator::config::read_task;
use dunlin_aggregator::query::Query;
use dunlin_aggregator::settings::{Enrolment, Settings, Weighting};
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Task, TaskSpec};
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::Training;
use dunlin_service::config::{Problem, Problems};

use super::scenario::Scenario;
use super::shards::Shards;
use super::toy::{self, ToyLearner};
use super::trace::Trace;
use super::workers::Learner;

/// Scenarios that come with the program: name and text.
pub const PRESETS: [(&str, &str); 6] = [
    ("flute-lr", include_str!("presets/flute-lr.toml")),
    ("wearables", include_str!("presets/wearables.toml")),
    ("pi-gateways", include_str!("presets/pi-gateways.toml")),
    ("hospitals", include_str!("presets/hospitals.toml")),
    ("hostile", include_str!("presets/hostile.toml")),
    ("million", include_str!("presets/million.toml")),
];

/// Name of the aggregator.
const SERVER: &str = "dunlin-aggregator";

/// Pixels and classes of the FLUTE table's logistic regression.
const PIXELS: u16 = 784;
const DIGITS: u16 = 10;

/// The scenario of this name.
///
/// # Errors
/// When there is none; says which there are.
pub fn preset(name: &str) -> Result<Scenario, Problems> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    let names = PRESETS.map(|(name, _)| name).join(", ");
    let (_, text) = found.ok_or_else(|| {
        let text = format!("{name:?} is neither a file nor a preset; presets are {names}");
        Problem::new("", text)
    })?;
    Scenario::parse(text)
}

/// A scenario with all that it names read and checked.
pub struct Prepared {
    /// The scenario that was read and checked.
    pub scenario: Scenario,
    /// What its aggregator is told.
    pub settings: Settings,
    pub(super) task: Arc<Task>,
    /// Queries, and when they are asked.
    pub(super) queries: Vec<(Instant, Query)>,
    pub(super) trace: Option<Arc<Trace>>,
    pub(super) shards: Option<Arc<Shards>>,
    /// Memory that a device needs to train, in KiB.
    pub(super) job_kib: u32,
}

/// Reads what the scenario names and checks that it fits together.
///
/// # Errors
/// What is wrong, in words.
pub fn prepare(scenario: &Scenario) -> Result<Prepared, String> {
    let spec = task(scenario)?;
    let task = Task::new(spec.clone()).map_err(|error| format!("learning.task: {error}"))?;
    let trace = scenario.population.trace.as_deref().map(Trace::load).transpose()?.map(Arc::new);
    let devices = scenario.population.devices;
    let shards = scenario.learning.data.as_ref().map(|data| Shards::load(data, &task, devices));
    let shards = shards.transpose()?.map(Arc::new);
    let job_kib = u32::try_from(training_kib(&task.cost())).unwrap_or(u32::MAX);
    let settings = settings(scenario, spec)?;
    let queries = queries(scenario, &task, settings.quorum)?;
    let task = Arc::new(task);
    Ok(Prepared { scenario: scenario.clone(), settings, task, queries, trace, shards, job_kib })
}

impl Prepared {
    /// The same with another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        let scenario = Scenario { seed, ..self.scenario.clone() };
        let Self { settings, trace, shards, job_kib, .. } = self;
        let (settings, trace) = (settings.clone(), trace.clone());
        let (task, queries, shards) = (self.task.clone(), self.queries.clone(), shards.clone());
        Self { scenario, settings, task, queries, trace, shards, job_kib: *job_kib }
    }

    /// What trains and judges.
    pub fn learner(&self) -> Box<dyn Learner> {
        match self.scenario.learning.task_name() {
            "toy" => Box::new(ToyLearner::new(&self.scenario)),
            #[cfg(feature = "burn")]
            _ => {
                let (task, shards) = (self.task.clone(), self.shards.clone());
                Box::new(super::learner::BurnLearner::new(&self.scenario, task, shards))
            }
            #[cfg(not(feature = "burn"))]
            _ => unreachable!("tasks with a network are refused without Burn"),
        }
    }
}

/// The queries of a scenario.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: up to 1e5 hours
fn queries(scenario: &Scenario, task: &Task, quorum: u32) -> Result<Vec<(Instant, Query)>, String> {
    let mut queries = Vec::new();
    for (place, ask) in scenario.queries.iter().enumerate() {
        if !(0.0..=100_000.0).contains(&ask.at_h) {
            return Err(format!("query[{place}].at_h is from 0 to 100,000"));
        }
        let name = Name::new(&format!("query-{place}")).map_err(|error| error.to_string())?;
        let query = ask.query.query(name, task, quorum);
        let query = query.map_err(|problems| problems.under(&format!("query[{place}]")));
        let query = query.map_err(|problems| problems.to_string())?;
        queries.push((Instant((ask.at_h * 3_600_000.0) as u64), query));
    }
    Ok(queries)
}

/// The task that a scenario names.
fn task(scenario: &Scenario) -> Result<TaskSpec, String> {
    let learning = &scenario.learning;
    if learning.task_name() == "toy" {
        return Ok(toy::task(learning.toy_values));
    }
    if !cfg!(feature = "burn") {
        let name = learning.task_name();
        return Err(format!("learning.task = {name:?}: this program was built without Burn"));
    }
    match learning.task_name() {
        "wrist" => Ok(crate::synthetic::task()),
        "flute-lr" => Ok(toy::dense_task("flute-lr", PIXELS, DIGITS)),
        #[cfg(feature = "burn")]
        "har-like" => Ok(dunlin_models::tasks::har_cnn()),
        #[cfg(feature = "burn")]
        name if !learning.is_task_file() => dunlin_models::tasks::task(name)
            .ok_or_else(|| format!("learning.task = {name:?}: no such task")),
        path => read_task(Path::new(path)).map_err(|error| format!("learning.task: {error}")),
    }
}

/// The aggregator's settings in a scenario.
fn settings(scenario: &Scenario, task: TaskSpec) -> Result<Settings, String> {
    let name = |text: &str| Name::new(text).map_err(|error| error.to_string());
    let mut settings = Settings::new(name("fleet")?, name(SERVER)?, task);
    let (learning, rounds) = (&scenario.learning, &scenario.rounds);
    settings.training = Training {
        momentum: learning.momentum,
        ..Training::sgd(learning.epochs, learning.batch, learning.learning_rate)
    };
    settings.schedule = scenario.schedule()?;
    settings.learning_rate_final = match learning.schedule.as_str() {
        "constant" => learning.learning_rate,
        _ => 0.0,
    };
    settings.codec = scenario.codec()?;
    settings.downlink = scenario.downlink()?;
    settings.chunk_bytes = rounds.chunk_bytes;
    settings.rounds = rounds.count;
    settings.target = rounds.target;
    settings.quorum = scenario.quorum();
    settings.min_online = scenario.min_online();
    settings.overselect = rounds.overselect;
    settings.deadline_ms = milliseconds(rounds.deadline_s);
    settings.pause_ms = milliseconds(rounds.pause_s);
    settings.claim_wait_ms = settings.claim_wait_ms.min(settings.deadline_ms);
    settings.enrolled = Enrolment::Any;
    settings.clip_norm = 20.0;
    settings.max_abs = 8.0;
    settings.weighting = Weighting::Examples { cap: 4096 };
    // Simulations judge versions themselves; the last round's evaluation asks a few devices.
    settings.evaluate_devices = rounds.target.min(20);
    // They are named as in an aggregator's file.
    let checked = settings.problems().or(settings);
    checked.map_err(|problems| problems.to_string().replace("training.", "learning."))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: 0 to 1e9 seconds
pub(super) fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}
