//! What a simulation is told: a TOML file, checked, with defaults for everything.

mod check;
mod class;
mod faults;
mod learning;

pub use class::Class;
pub use faults::{Faults, Partition};
pub(super) use learning::labels_of;
pub use learning::{By, ColumnKey, CsvData, Data, Learning};

use std::path::{Path, PathBuf};

use dunlin_aggregator::query::file::QueryFile;
use dunlin_aggregator::settings::{ANCHOR_EVERY, Downlink, Schedule};
use dunlin_protocol::codec::Codec;
use dunlin_service::config::{ConfigError, Problem, Problems, read_file};
use serde::{Deserialize, Serialize};

/// Most devices of a simulation: as many as one aggregator follows.
pub const DEVICES_MAX: u32 = 1 << 20;
/// Longest scenario file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A whole federation and what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, for people.
    pub name: String,
    /// Seed of everything that is drawn.
    #[serde(default = "one")]
    pub seed: u64,
    /// Virtual time after which the run ends, in hours, above 0 and up to 100,000.
    #[serde(default = "a_week")]
    pub end_h: f64,
    /// The devices, and when they are there.
    pub population: Population,
    /// What the devices learn, from which data.
    #[serde(default)]
    pub learning: Learning,
    /// How many rounds, how large and how long.
    pub rounds: Rounds,
    /// Kinds of devices; shares add up to 1. One plain kind where there is none.
    #[serde(default = "plain_class", rename = "class")]
    pub classes: Vec<Class>,
    /// What goes wrong beyond links; nothing by default.
    #[serde(default)]
    pub faults: Faults,
    /// What the operator asks of the devices' data.
    #[serde(default, rename = "query", skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<Ask>,
}

/// A query, and when it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// When it is asked, in hours of virtual time.
    pub at_h: f64,
    /// The query, with the keys of a query file.
    #[serde(flatten)]
    pub query: QueryFile,
}

fn one() -> u64 {
    1
}

fn a_week() -> f64 {
    168.0
}

fn plain_class() -> Vec<Class> {
    vec![Class::default()]
}

/// How many devices, and when they are there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Devices, 1 to [`DEVICES_MAX`].
    pub devices: u32,
    /// They join one after the other over this time, in seconds.
    #[serde(default = "a_minute")]
    pub join_s: f64,
    /// When they are there.
    #[serde(default)]
    pub availability: Availability,
    /// How long a device stays there with `availability = "diurnal"`, in hours, on average.
    #[serde(default = "three")]
    pub stay_h: f64,
    /// File of the times at which devices are there, for `availability = "trace"`; a relative path
    /// starts at the scenario's folder. Its rows are `device,from_s,to_s`, a header first: stays in
    /// seconds from the beginning of the recording, which repeats.
    pub trace: Option<PathBuf>,
}

fn three() -> f64 {
    3.0
}

fn a_minute() -> f64 {
    60.0
}

/// When devices are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// All the time, once they have joined.
    #[default]
    Always,
    /// Some hours of each day. Four times as many are there at night as by day, as published for
    /// phones that train while they charge (Bonawitz et al. 2019, arXiv:1902.01046, section 9);
    /// stays of over five hours even that out to less.
    Diurnal,
    /// At the times of `trace`, which repeat.
    Trace,
}

/// How many rounds, how large, how long, and how updates and versions are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounds {
    /// Versions to make, 1 or more.
    pub count: u32,
    /// Updates that a round wants, 1 to the number of devices.
    pub target: u32,
    /// Fewest updates that make a version, as a share of the target, 0 to 1.
    #[serde(default = "half")]
    pub quorum: f64,
    /// Devices invited for each update wanted, 1 to 16 (1.3 by default: Bonawitz et al. 2019,
    /// section 3.3).
    #[serde(default = "overselect")]
    pub overselect: f32,
    /// A round's longest time in seconds.
    #[serde(default = "ten_minutes")]
    pub deadline_s: f64,
    /// Rest between rounds in seconds.
    #[serde(default)]
    pub pause_s: f64,
    /// How updates are written: `f32`, `int8`, `ecdq=STEP`, `eden=BITS`, `uniform=BITS`,
    /// `sparse=STEP`.
    #[serde(default = "int8")]
    pub codec: String,
    /// How versions go down: `f32` for whole models, else deltas by this codec.
    #[serde(default = "plain")]
    pub downlink: String,
    /// Share of the devices that must be there before a round opens, 0 to 1; at least a quorum must.
    #[serde(default)]
    pub min_online: f64,
    /// Bytes of each chunk of an update or a model but the last, 4,096 to 122,880.
    #[serde(default = "chunk_bytes")]
    pub chunk_bytes: u32,
    /// Versions are judged when this divides their number; 0 is the last one only.
    #[serde(default)]
    pub judge_every: u32,
}

fn chunk_bytes() -> u32 {
    dunlin_protocol::limits::CHUNK_BYTES_DEFAULT
}

fn half() -> f64 {
    0.5
}

fn overselect() -> f32 {
    1.3
}

fn ten_minutes() -> f64 {
    600.0
}

fn int8() -> String {
    "int8".into()
}

fn plain() -> String {
    "f32".into()
}

impl Scenario {
    /// Reads and checks a scenario.
    ///
    /// # Errors
    /// Every problem found.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let scenario: Self = toml::from_str(text)?;
        scenario.problems().or(scenario)
    }

    /// Reads and checks a scenario file; relative paths in it start at its folder.
    ///
    /// # Errors
    /// Every problem found, with the file's path.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let scenario: Self = read_file(path, FILE_BYTES_MAX)?;
        let checked = scenario.problems().or(scenario);
        let mut scenario = checked.map_err(|problems| problems.in_file(path))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let task_file = scenario.learning.task_file_mut();
        let trace = scenario.population.trace.as_mut();
        for file in task_file.into_iter().chain(trace) {
            *file = folder.join(&*file);
        }
        if let Some(data) = &mut scenario.learning.data {
            data.start_at(folder);
        }
        Ok(scenario)
    }

    /// How updates are written.
    pub fn codec(&self) -> Result<Codec, Problem> {
        let codec = self.rounds.codec.parse::<Codec>();
        codec.map_err(|error| Problem::new("rounds.codec", error.to_string()))
    }

    /// How versions go down.
    pub fn downlink(&self) -> Result<Downlink, Problem> {
        let codec = self.rounds.downlink.parse::<Codec>().map_err(|error| error.to_string());
        let downlink = codec.and_then(|codec| {
            Downlink::new(codec, ANCHOR_EVERY).map_err(|error| error.to_string())
        });
        downlink.map_err(|error| Problem::new("rounds.downlink", error))
    }

    /// How the learning rate falls.
    pub fn schedule(&self) -> Result<Schedule, Problem> {
        match self.learning.schedule.as_str() {
            "constant" => Ok(Schedule::Constant),
            "linear" => Ok(Schedule::Linear),
            "cosine" => Ok(Schedule::Cosine),
            other => {
                let text = "constant, linear or cosine";
                Err(Problem::of_value("learning.schedule", format_args!("{other:?}"), text))
            }
        }
    }

    /// Fewest updates that make a version.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
    pub fn quorum(&self) -> u32 {
        let wanted = f64::from(self.rounds.target) * self.rounds.quorum;
        (wanted.ceil() as u32).clamp(1, self.rounds.target.max(1))
    }

    /// Devices that must be there before a round opens.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
    pub fn min_online(&self) -> u32 {
        let wanted = f64::from(self.population.devices) * self.rounds.min_online;
        (wanted.ceil() as u32).max(self.quorum())
    }
}
