//! What a simulation is told: a TOML file, checked, with defaults for everything.

use std::fmt;

use dunlin_aggregator::settings::{ANCHOR_EVERY, Downlink, Schedule};
use dunlin_protocol::codec::Codec;
use serde::{Deserialize, Serialize};

/// A whole federation and what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, for people.
    pub name: String,
    /// Seed of everything that is drawn.
    #[serde(default = "one")]
    pub seed: u64,
    /// Virtual time after which the run ends, in hours.
    #[serde(default = "a_week")]
    pub end_h: f64,
    /// The devices.
    pub population: Population,
    /// What they learn.
    #[serde(default)]
    pub learning: Learning,
    /// How rounds go.
    pub rounds: Rounds,
    /// Kinds of devices; shares add up to 1.
    #[serde(default = "plain_class", rename = "class")]
    pub classes: Vec<Class>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
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
    /// Devices, 1 to 2,000,000.
    pub devices: u32,
    /// They join over this time, in seconds.
    #[serde(default = "a_minute")]
    pub join_s: f64,
    /// When they are there.
    #[serde(default)]
    pub availability: Availability,
}

fn a_minute() -> f64 {
    60.0
}

/// When devices are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Always.
    #[default]
    Always,
    /// Some hours of each day, more of them at night than by day by four to one, as published for
    /// phones that train while they charge (Bonawitz et al. 2019, arXiv:1902.01046, section 9).
    Diurnal,
}

/// What is learned, by whom, from which data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Learning {
    /// `toy` (exact arithmetic, no network), `wrist` (invented persons), `flute-lr` or `har-like`.
    pub task: String,
    /// Windows of one device.
    pub windows: u32,
    /// Spread of the windows over devices: each has between `windows / (1 + s)` and
    /// `windows * (1 + s)`.
    pub quantity_skew: f64,
    /// Concentration of the Dirichlet draw of each device's labels; 0 is even.
    pub dirichlet: f64,
    /// Local passes.
    pub epochs: u16,
    /// Windows in a batch.
    pub batch: u16,
    /// Step length in the first round.
    pub learning_rate: f32,
    /// Share of the last step that is kept.
    pub momentum: f32,
    /// How the step length goes to 0 over the rounds.
    pub schedule: String,
}

impl Default for Learning {
    fn default() -> Self {
        Self {
            task: "toy".into(),
            windows: 60,
            quantity_skew: 0.0,
            dirichlet: 0.0,
            epochs: 1,
            batch: 10,
            learning_rate: 0.05,
            momentum: 0.0,
            schedule: "constant".into(),
        }
    }
}

/// How rounds go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounds {
    /// Versions to make.
    pub count: u32,
    /// Updates that a round wants.
    pub target: u32,
    /// Fewest updates that make a version, as a share of the target.
    #[serde(default = "half")]
    pub quorum: f64,
    /// Devices invited for each update wanted (1.3 by default: Bonawitz et al. 2019, section 3.3).
    #[serde(default = "overselect")]
    pub overselect: f32,
    /// A round's longest time in seconds.
    #[serde(default = "ten_minutes")]
    pub deadline_s: f64,
    /// Rest between rounds in seconds.
    #[serde(default)]
    pub pause_s: f64,
    /// How updates are written.
    #[serde(default = "int8")]
    pub codec: String,
    /// How versions go down.
    #[serde(default = "plain")]
    pub downlink: String,
    /// Versions are judged when this divides their number; 0 is the last one only.
    #[serde(default)]
    pub judge_every: u32,
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

/// One kind of device and its link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Share of the devices.
    pub share: f64,
    /// Time that training takes for each window and epoch, in milliseconds.
    pub ms_per_window: f64,
    /// Share of jobs that never end: the device is needed for something else (6 to 10 % of phones
    /// drop out: Bonawitz et al. 2019, section 9).
    pub drop_out: f64,
    /// Rate of the uplink in kbit/s.
    pub up_kbps: f64,
    /// Rate of the downlink in kbit/s.
    pub down_kbps: f64,
    /// Time from one end to the other in milliseconds.
    pub delay_ms: f64,
    /// Up to so much more, at random.
    pub jitter_ms: f64,
    /// Share of messages that the link loses once: they come a timeout later.
    pub loss: f64,
    /// Share of messages that come twice.
    pub duplicate: f64,
    /// Share of messages that overtake those before them.
    pub reorder: f64,
    /// Connections that break, an hour.
    pub cuts_per_h: f64,
    /// Codecs that the device's program has, by their texts; empty is all: older programs.
    pub only_codecs: Vec<String>,
}

impl Default for Class {
    fn default() -> Self {
        Self {
            name: "device".into(),
            share: 1.0,
            ms_per_window: 10.0,
            drop_out: 0.0,
            up_kbps: 10_000.0,
            down_kbps: 10_000.0,
            delay_ms: 20.0,
            jitter_ms: 0.0,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            cuts_per_h: 0.0,
            only_codecs: Vec::new(),
        }
    }
}

/// What goes wrong beyond links.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Power cuts of a device, an hour.
    pub power_cuts_per_h: f64,
    /// Share of power cuts during which the last write to the disk is lost.
    pub lost_write: f64,
    /// Restarts of the broker, an hour.
    pub broker_restarts_per_h: f64,
    /// Share of these after which it remembers nothing.
    pub broker_forgets: f64,
    /// Kills of the aggregator, an hour; it is back after some seconds.
    pub aggregator_kills_per_h: f64,
    /// Partitions an hour: for a minute, a tenth of the devices cannot reach the broker.
    pub partitions_per_h: f64,
    /// Devices' clocks run up to so many parts in a million fast or slow.
    pub clock_drift_ppm: f64,
}

/// Everything that is wrong with a scenario, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError(pub Vec<String>);

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ScenarioError {}

/// Tasks that a scenario can name.
pub const TASKS: [&str; 4] = ["toy", "wrist", "flute-lr", "har-like"];

impl Scenario {
    /// Reads and checks a scenario.
    ///
    /// # Errors
    /// Every problem found.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError(vec![error.to_string()]))?;
        let problems = scenario.problems();
        if problems.is_empty() { Ok(scenario) } else { Err(ScenarioError(problems)) }
    }

    /// How updates are written.
    pub fn codec(&self) -> Result<Codec, String> {
        self.rounds.codec.parse().map_err(|error| format!("rounds.codec: {error}"))
    }

    /// How versions go down.
    pub fn downlink(&self) -> Result<Downlink, String> {
        let codec: Codec =
            self.rounds.downlink.parse().map_err(|error| format!("rounds.downlink: {error}"))?;
        Downlink::new(codec, ANCHOR_EVERY).map_err(|error| format!("rounds.downlink: {error}"))
    }

    /// How the learning rate falls.
    pub fn schedule(&self) -> Result<Schedule, String> {
        match self.learning.schedule.as_str() {
            "constant" => Ok(Schedule::Constant),
            "linear" => Ok(Schedule::Linear),
            "cosine" => Ok(Schedule::Cosine),
            other => Err(format!("learning.schedule = {other:?}: constant, linear or cosine")),
        }
    }

    /// Everything that is wrong.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut unless = |right: bool, text: &str| {
            if !right {
                found.push(text.to_owned());
            }
        };
        let devices = self.population.devices;
        unless((1..=2_000_000).contains(&devices), "population.devices: 1 to 2000000");
        unless(self.end_h > 0.0 && self.end_h <= 1e5, "end_h: above 0, at most 100000");
        unless(self.population.join_s >= 0.0, "population.join_s: 0 or more");
        let learning = &self.learning;
        unless(
            TASKS.contains(&learning.task.as_str()),
            "learning.task: toy, wrist, flute-lr or har-like",
        );
        unless((1..=100_000).contains(&learning.windows), "learning.windows: 1 to 100000");
        unless(learning.quantity_skew >= 0.0, "learning.quantity_skew: 0 or more");
        unless(learning.dirichlet >= 0.0, "learning.dirichlet: 0 or more");
        let rounds = &self.rounds;
        unless(rounds.count > 0, "rounds.count: 1 or more");
        unless((1..=devices.max(1)).contains(&rounds.target), "rounds.target: 1 to the devices");
        unless((0.0..=1.0).contains(&rounds.quorum), "rounds.quorum: a share from 0 to 1");
        unless(rounds.deadline_s >= 1.0, "rounds.deadline_s: 1 or more");
        let shares: f64 = self.classes.iter().map(|class| class.share).sum();
        unless((shares - 1.0).abs() < 1e-6, "class.share: shares add up to 1");
        for class in &self.classes {
            let rates = class.up_kbps > 0.0 && class.down_kbps > 0.0;
            unless(rates, "class.up_kbps, down_kbps: above 0");
            let parts = [class.drop_out, class.loss, class.duplicate, class.reorder];
            let shares = parts.iter().all(|part| (0.0..1.0).contains(part));
            unless(shares, "class: drop_out, loss, duplicate and reorder are from 0 to below 1");
            let times = [class.ms_per_window, class.delay_ms, class.jitter_ms, class.cuts_per_h];
            unless(times.iter().all(|time| *time >= 0.0), "class: times are 0 or more");
            let known = class.only_codecs.iter().all(|text| text.parse::<Codec>().is_ok());
            unless(known, "class.only_codecs: texts of codecs");
        }
        found.extend(
            [self.codec().err(), self.downlink().err(), self.schedule().err()]
                .into_iter()
                .flatten(),
        );
        found
    }
}
