//! What all live sources are told: their channels, their rate, and how samples are kept.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dunlin_protocol::limits::{CHANNELS_MAX, LABEL_CHARS_MAX};
use dunlin_service::config::Problems;
use serde::{Deserialize, Serialize};

use super::{IntakeConfig, LabelFile, Period};
use crate::data::files::units_written;
use crate::data::intake::Intake;
use crate::data::labels::LabelNames;
use crate::data::ring::{CAPACITY_SAMPLES_MIN, Header, RingChannel, record_bytes};

/// Largest ring that can be configured, in MB (millions of bytes).
const CAPACITY_MB_MAX: u32 = 1_000_000;
/// Longest period, of the longest month, and the rates that it makes possible.
const RATES_HZ: std::ops::RangeInclusive<f64> = 1.0 / (31.0 * 86_400.0)..=1e6;
/// Range of factors and steps: beyond, 32-bit values lose their meaning.
const FACTOR_MAX: f32 = 1e30;

/// A live source: what all of them are told, and what only this kind `I` is told. `C` is what a
/// channel of the task comes from. In the file both stand side by side under `[source]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Live<C, I> {
    /// Channels, rate, and how samples are kept.
    pub sampling: Sampling<C>,
    /// Where samples come from.
    pub input: I,
}

/// Channels, rate, and how samples are kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling<C> {
    /// Samples a second, from one in 31 days to 1,000,000. In the file, `period` may stand instead.
    pub rate_hz: f64,
    /// Time from one sample to the next, exactly; `rate_hz` is then what it makes.
    pub period: Option<Period>,
    /// Channel name of the task to where its values come from.
    pub channels: BTreeMap<String, C>,
    /// Unit of times in the input and in the label file.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// File of `start,end,label` rows that may come later than their samples, or before.
    pub labels_path: Option<PathBuf>,
    /// How the label file is written, where it is not `start,end,label`.
    pub label_file: Option<LabelFile>,
    /// What the task calls the labels of the input, in columns and in label files; `*` stands for
    /// any characters, and labels that are not listed are kept as they are.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Resolution of the stored values: samples are kept as 16-bit multiples of this, so the range
    /// is 32767 times as large, and values outside of it spoil their windows. Without it, values are
    /// kept exactly, in twice the room.
    pub quantum: Option<f32>,
    /// Resolution of single channels, where `quantum` does not suit.
    #[serde(default)]
    pub quanta: BTreeMap<String, f32>,
    /// Unit of the values of all channels; taken to be the task's where neither this nor `units` says.
    pub unit: Option<String>,
    /// Units of single channels.
    #[serde(default)]
    pub units: BTreeMap<String, String>,
    /// Size of the ring on disk in MB; 64 where neither this nor `capacity_samples` is set.
    pub capacity_mb: Option<u32>,
    /// Size of the ring on disk in samples.
    pub capacity_samples: Option<u64>,
    /// Most memory in MB that the windows of one round may take; the newest windows are used.
    #[serde(default = "default_windows_mb")]
    pub windows_mb: u32,
    /// What happens to samples before they are kept; in the file its keys stand beside the others.
    #[serde(skip)]
    pub intake: IntakeConfig,
    /// The keys that say what a file means, as they were written, or the units where samples cannot be
    /// read again: samples that were read by others are not those of this configuration.
    #[serde(skip)]
    pub written: String,
}

/// The keys of [`Sampling`] under `[source]`.
pub(super) const SAMPLING_KEYS: [&str; 14] = [
    "rate_hz",
    "period",
    "channels",
    "time_unit",
    "labels_path",
    "label_file",
    "labels",
    "quantum",
    "quanta",
    "unit",
    "units",
    "capacity_mb",
    "capacity_samples",
    "windows_mb",
];

fn default_windows_mb() -> u32 {
    64
}

/// Unit of times in the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds, with a fraction or without.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds, with a fraction or without.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds, with a fraction, which is rounded, or without.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds, rounded to microseconds; exact where they come as integers or text.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl TimeUnit {
    /// `time` in microseconds; `None` when it is not finite or beyond 2^53 microseconds (285
    /// years), where it would no longer be exact.
    #[allow(clippy::cast_possible_truncation)]
    pub fn to_us(self, time: f64) -> Option<i64> {
        let factor = match self {
            Self::Seconds => 1e6,
            Self::Milliseconds => 1e3,
            Self::Microseconds => 1.0,
            Self::Nanoseconds => 1e-3,
        };
        let us = (time * factor).round();
        (us.abs() <= 9_007_199_254_740_992.0).then_some(us as i64)
    }

    /// Microseconds in one unit, as a power of ten.
    pub(in crate::data) fn power(self) -> i32 {
        match self {
            Self::Seconds => 6,
            Self::Milliseconds => 3,
            Self::Microseconds => 0,
            Self::Nanoseconds => -3,
        }
    }

    /// The text that names it in a configuration.
    pub fn text(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }
}

impl<C> Sampling<C> {
    /// `channels` at `rate_hz`; everything else as where the file is silent.
    pub fn new(rate_hz: f64, channels: BTreeMap<String, C>) -> Self {
        Self {
            rate_hz,
            period: None,
            channels,
            time_unit: TimeUnit::default(),
            labels_path: None,
            label_file: None,
            labels: BTreeMap::new(),
            quantum: None,
            quanta: BTreeMap::new(),
            unit: None,
            units: BTreeMap::new(),
            capacity_mb: None,
            capacity_samples: None,
            windows_mb: default_windows_mb(),
            intake: IntakeConfig::default(),
            written: String::new(),
        }
    }

    /// Everything that is wrong in the values, with key and next step; empty when all is well.
    pub fn problems(&self) -> Problems {
        let mut problems = Problems::default();
        self.check(&mut problems, "x");
        problems
    }

    /// Nanoseconds from one sample to the next.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn period_ns(&self) -> u64 {
        self.period.map_or_else(|| (1e9 / self.rate_hz).round().max(1.0) as u64, Period::ns)
    }

    /// Value of one step of `channel` as it is stored, its own or that of all; `None` where values are
    /// kept as they are.
    pub fn quantum_of(&self, channel: &str) -> Option<f32> {
        self.quanta.get(channel).copied().or(self.quantum)
    }

    /// Unit of `channel`, its own, that of the channel it is made from, or that of all; empty where the
    /// configuration names none.
    pub fn unit_of<'s>(&'s self, channel: &'s str) -> &'s str {
        let own = self.units.get(channel).or_else(|| self.units.get(self.read_for(channel)));
        own.or(self.unit.as_ref()).map_or("", String::as_str)
    }

    /// Notes which units the configuration names, for a source that cannot be read again.
    pub(super) fn note_units(&mut self) {
        let kept = self.kept();
        self.written =
            units_written(kept.iter().map(|name| (name.as_str(), self.unit_of(name).trim())));
    }

    /// What the numbers of `channel` are multiplied by, and what is added then.
    fn scaling_of(&self, channel: &str) -> (f64, f64) {
        self.intake.conversion(self.read_for(channel))
    }

    /// The channel that is read, of which `channel` is made; itself where it is read.
    fn read_for<'s>(&'s self, channel: &'s str) -> &'s str {
        // A channel may be made from one that is made, and no further.
        let source = |name: &'s str| {
            let made = self.intake.derive.get(name);
            made.and_then(|made| made.sources().first()).map_or(name, String::as_str)
        };
        source(source(channel))
    }

    /// Bytes of one sample in the ring.
    pub fn record_bytes(&self) -> usize {
        record_bytes(self.kept().iter().map(|name| self.quantum_of(name).unwrap_or(0.0)))
    }

    /// The channels that the ring keeps, in the order of their names: those that are read, and those
    /// that are made from them.
    pub fn kept(&self) -> Vec<String> {
        self.intake.kept(self.channels.keys())
    }

    /// What brings samples into shape before they are kept.
    pub fn intake(&self) -> Intake {
        let read: Vec<String> = self.channels.keys().cloned().collect();
        Intake::new(&self.intake, &read, self.period_ns())
    }

    /// Capacity of the ring in samples.
    pub fn capacity(&self) -> u64 {
        let bytes = u64::from(self.capacity_mb.unwrap_or(64)) * 1_000_000;
        let samples = bytes / self.record_bytes() as u64;
        self.capacity_samples.unwrap_or(samples).max(CAPACITY_SAMPLES_MIN)
    }

    /// What the ring must hold.
    pub(in crate::data) fn header(&self) -> Header {
        let channel = |name: &String| {
            let (factor, offset) = self.scaling_of(name);
            RingChannel {
                name: name.clone(),
                quantum: self.quantum_of(name).unwrap_or(0.0),
                factor,
                offset,
                unit: self.unit_of(name).trim().to_owned(),
            }
        };
        Header {
            channels: self.kept().iter().map(channel).collect(),
            period_ns: self.period_ns(),
            capacity: self.capacity(),
        }
    }

    /// Most values of the windows of one round.
    pub(in crate::data) fn values_max(&self) -> usize {
        let bytes = usize::try_from(self.windows_mb).unwrap_or(1).saturating_mul(1_000_000);
        bytes / size_of::<f32>()
    }

    /// Adds what is wrong; `example` is a channel as this kind of source names it.
    pub(super) fn check(&self, problems: &mut Problems, example: &str) {
        let key = if self.period.is_some() { "period" } else { "rate_hz" };
        problems.add_if(
            !RATES_HZ.contains(&self.rate_hz),
            key,
            "is not between a million samples a second and one in 31 days; set rate_hz, or period",
        );
        let bad_windows = self.windows_mb == 0 || self.windows_mb > 65_536;
        problems.add_if(bad_windows, "windows_mb", "is not in 1 to 65536; 64 suits most devices");
        let count = self.channels.len();
        let advice = format!("map 1 to {CHANNELS_MAX} channels, such as acc_x = {example:?}");
        let bad_count = count == 0 || count > CHANNELS_MAX;
        problems.add_if(bad_count, "channels", format!("has {count} entries; {advice}"));
        for name in self.channels.keys() {
            let bad = name.is_empty() || name.chars().count() > LABEL_CHARS_MAX;
            let problem = format!("names have 1 to {LABEL_CHARS_MAX} characters; use the task's");
            problems.add_if(bad, &format!("channels.{name}"), problem);
        }
        if let Some(file) = &self.label_file {
            file.check(problems, self.labels_path.is_some());
        }
        self.intake.check(problems, self.channels.keys(), self.period_ns());
        self.check_ring(problems);
    }

    /// Path and form of the label file, where it is an index of recordings.
    pub fn index(&self) -> Option<(PathBuf, LabelFile)> {
        self.label_file(',').filter(|(_, form)| form.is_index())
    }

    /// Path and form of the label file, where there is one; `delimiter` is what stands between the
    /// columns of one that says nothing else.
    pub fn label_file(&self, delimiter: char) -> Option<(PathBuf, LabelFile)> {
        let form = self.label_file.clone().unwrap_or_else(|| LabelFile::plain(delimiter));
        let path = form.path.clone().or_else(|| self.labels_path.clone());
        path.map(|path| (path, form))
    }

    /// What the task calls the labels of the input.
    pub fn label_names(&self) -> LabelNames {
        LabelNames::new(self.labels.clone())
    }

    fn check_ring(&self, problems: &mut Problems) {
        let usable = |quantum: f32| quantum > 0.0 && is_factor(quantum);
        let advice = "must be above 0, such as 0.001: the smallest step worth keeping; without it, values \
                      are kept exactly";
        problems.add_if(self.quantum.is_some_and(|q| !usable(q)), "quantum", advice);
        for (name, &quantum) in &self.quanta {
            problems.add_if(!usable(quantum), &format!("quanta.{name}"), advice);
            let unknown = !self.kept().contains(name);
            let problem = "is no channel of [source.channels]; correct the name";
            problems.add_if(unknown, &format!("quanta.{name}"), problem);
        }
        let good = |unit: &String| (1..=LABEL_CHARS_MAX).contains(&unit.trim().chars().count());
        let advice = format!("must have 1 to {LABEL_CHARS_MAX} characters, such as \"m/s2\"");
        problems.add_if(self.unit.as_ref().is_some_and(|u| !good(u)), "unit", advice.clone());
        for (name, unit) in &self.units {
            problems.add_if(!good(unit), &format!("units.{name}"), advice.clone());
            let unknown = !self.kept().contains(name);
            let problem = "is no channel of [source.channels]; correct the name";
            problems.add_if(unknown, &format!("units.{name}"), problem);
        }
        let both = self.capacity_mb.is_some() && self.capacity_samples.is_some();
        problems.add_if(both, "capacity_mb", "is set beside capacity_samples; remove one of them");
        let bad_mb = self.capacity_mb.is_some_and(|mb| mb == 0 || mb > CAPACITY_MB_MAX);
        problems.add_if(bad_mb, "capacity_mb", format!("is not in 1 to {CAPACITY_MB_MAX}"));
        let record = self.record_bytes() as u64;
        let most = u64::from(CAPACITY_MB_MAX) * 1_000_000 / record;
        let range = CAPACITY_SAMPLES_MIN..=most;
        let bad_samples = self.capacity_samples.is_some_and(|n| !range.contains(&n));
        problems.add_if(
            bad_samples,
            "capacity_samples",
            format!("is not in {CAPACITY_SAMPLES_MIN} to {most}"),
        );
    }
}

/// Whether values can be multiplied by `factor` and mean something.
fn is_factor(factor: f32) -> bool {
    factor.is_normal() && factor.abs() <= FACTOR_MAX
}
