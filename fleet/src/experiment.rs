//! Who learns what from which data: the devices of a federation and the people that judge it.

use std::path::Path;

use dunlin_agent::data::har::{HarDataset, Split};
use dunlin_agent::data::{DataError, WindowSet, WindowSource};
use dunlin_aggregator::settings::{Schedule, Settings};
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::{Augment, Training};

use crate::synthetic::{self, Mix};

/// Windows that one synthetic person wears the watch for.
const SYNTHETIC_WINDOWS: usize = 240;
/// Persons that judge a synthetic federation, and windows of each.
const SYNTHETIC_JUDGES: (u32, usize) = (12, 120);

/// One device and its windows.
#[derive(Clone, Debug)]
pub struct DeviceData {
    /// Name of the device and its id in a federation, such as `wrist-00`.
    pub name: String,
    /// Its windows, scaled by the task: those it trains on and those that measure.
    pub windows: WindowSet,
}

/// How a task is learned well: settings chosen without a look at the persons that judge.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Local training in the first round.
    pub training: Training,
    /// How the learning rate goes to `learning_rate_final` over the rounds.
    pub schedule: Schedule,
    /// Learning rate of the last round.
    pub learning_rate_final: f32,
    /// Training rounds of the federation.
    pub rounds: u32,
}

impl Recipe {
    /// Puts the recipe into an aggregator's settings.
    pub fn apply(&self, settings: &mut Settings) {
        settings.training = self.training.clone();
        settings.schedule = self.schedule;
        settings.learning_rate_final = self.learning_rate_final;
        settings.rounds = self.rounds;
    }
}

/// Two local epochs of SGD with momentum, the learning rate falling along half a cosine.
fn recipe(learning_rate: f32, rotation: f32, rounds: u32) -> Recipe {
    let augment = Augment { rotation, ..Augment::default() };
    let training = Training { momentum: 0.9, augment, ..Training::sgd(2, 32, learning_rate) };
    Recipe { training, schedule: Schedule::Cosine, learning_rate_final: 0.0, rounds }
}

/// A task, the devices that learn it, and persons that none of them has seen.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Where the data come from, for people.
    pub dataset: String,
    /// What is learned, and how windows are scaled.
    pub task: TaskSpec,
    /// How it is learned.
    pub recipe: Recipe,
    /// One device a person.
    pub devices: Vec<DeviceData>,
    /// Windows of persons whose data no device has; used to judge, never to choose.
    pub unseen: WindowSet,
}

/// A source that gives the windows it was made with.
#[derive(Clone, Debug)]
pub struct FixedSource(pub WindowSet);

impl WindowSource for FixedSource {
    fn windows(&self, _task: &TaskSpec) -> Result<WindowSet, DataError> {
        Ok(self.0.clone())
    }
}

/// Adds the windows of `other`.
fn append(set: &mut WindowSet, other: &WindowSet) {
    set.values.extend_from_slice(&other.values);
    set.labels.extend_from_slice(&other.labels);
}

/// Synthetic wrist data for `devices` persons of `seed`, and unseen persons to judge by.
pub fn wrist(devices: u32, seed: u64) -> Experiment {
    let task = synthetic::task();
    let scaled = |person: u32, n: usize, mix: Mix| {
        let (mut values, labels) = synthetic::person_windows(seed, person, n, mix);
        task.scale(&mut values);
        WindowSet {
            values,
            labels,
            window_values: synthetic::WINDOW_VALUES,
            ..WindowSet::default()
        }
    };
    let devices_data = (0..devices).map(|person| DeviceData {
        name: format!("wrist-{person:02}"),
        windows: scaled(person, SYNTHETIC_WINDOWS, Mix::Own),
    });
    let mut unseen = WindowSet::empty(synthetic::WINDOW_VALUES);
    for judge in 0..SYNTHETIC_JUDGES.0 {
        append(&mut unseen, &scaled(1_000_000 + judge, SYNTHETIC_JUDGES.1, Mix::Balanced));
    }
    Experiment {
        dataset: "synthetic wrist IMU".into(),
        task: task.clone(),
        recipe: recipe(0.02, 0.0, 20),
        devices: devices_data.collect(),
        unseen,
    }
}

/// UCI HAR in its original folders: one device for each of the first `devices` persons of the
/// training split, the persons of the test split to judge by.
///
/// # Errors
/// When the data set is not there or not in its original layout.
pub fn har(dir: &Path, task: TaskSpec, devices: Option<u32>) -> Result<Experiment, DataError> {
    let persons = HarDataset::load(dir)?;
    let mut learners = Vec::new();
    let mut unseen = WindowSet::empty(task.window_values());
    let limit = devices.map_or(usize::MAX, |devices| devices as usize);
    for person in &persons {
        let windows = person.for_task(&task)?;
        match person.person.split {
            Split::Test => append(&mut unseen, &windows),
            Split::Train if learners.len() < limit => {
                let name = format!("person-{:02}", person.person.id);
                learners.push(DeviceData { name, windows });
            }
            Split::Train => {}
        }
    }
    let recipe = recipe(if task.name.as_str() == "har-mlp" { 0.05 } else { 0.04 }, 0.3, 60);
    Ok(Experiment { dataset: "UCI HAR".into(), task, recipe, devices: learners, unseen })
}

impl Experiment {
    /// The same experiment judged by the devices with these names, which no longer learn: for
    /// choosing settings without looking at the unseen persons.
    #[must_use]
    pub fn judged_by(mut self, names: &[&str]) -> Self {
        let (judges, learners): (Vec<_>, Vec<_>) =
            self.devices.into_iter().partition(|device| names.contains(&device.name.as_str()));
        self.devices = learners;
        self.unseen = WindowSet::empty(self.task.window_values());
        judges.iter().for_each(|judge| append(&mut self.unseen, &judge.windows));
        self
    }
}
