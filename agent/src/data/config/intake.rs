//! What happens to samples between their reader and the ring.

use std::collections::BTreeMap;
use std::fmt;

use dunlin_protocol::limits::{CHANNELS_MAX, LABEL_CHARS_MAX};
use dunlin_service::config::Problems;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Range of factors; beyond, 32-bit values lose their meaning.
const FACTOR_RANGE: std::ops::RangeInclusive<f64> = 1e-30..=1e30;
/// Longest time in seconds for which a value may be missing: a year.
const MISSING_MAX_S: f64 = 366.0 * 86_400.0;
/// Lowest rate at which gravity can be told from movement, in hertz.
const GRAVITY_HZ_MIN: f64 = 1.0;

/// What happens to samples between their reader and the ring. By default values pass as they are,
/// a sample with a missing value is refused, one missing sample is filled in, and rows of one time are
/// spread evenly.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntakeConfig {
    /// What the values of all channels are multiplied by; 1 where it is not set.
    pub factor: Option<f64>,
    /// Factors of single channels, instead of `factor`.
    #[serde(default)]
    pub factors: BTreeMap<String, f64>,
    /// What is then added to the values of all channels.
    #[serde(default)]
    pub offset: f64,
    /// Offsets of single channels, instead of `offset`.
    #[serde(default)]
    pub offsets: BTreeMap<String, f64>,
    /// What becomes of a sample in which a value is missing.
    #[serde(default)]
    pub missing: MissingRules,
    /// Longest time in seconds for which a value may be missing, above 0. Where it is not set: 10 s or
    /// 10 periods to hold, 5 periods to interpolate, 2.5 periods of the input to resample.
    pub missing_max_s: Option<f64>,
    /// Whether exactly one missing sample between two others is filled in.
    #[serde(default = "yes")]
    pub fill: bool,
    /// Whether samples are brought to `rate_hz`, whatever the rate is at which they come.
    #[serde(default)]
    pub resample: bool,
    /// Whether rows of one equal time are spread evenly until the next time.
    #[serde(default = "yes")]
    pub spread: bool,
    /// Channels that are made from others.
    #[serde(default)]
    pub derive: BTreeMap<String, Derived>,
}

/// The keys of [`IntakeConfig`] under `[source]`.
pub(super) const INTAKE_KEYS: [&str; 10] = [
    "factor",
    "factors",
    "offset",
    "offsets",
    "missing",
    "missing_max_s",
    "fill",
    "resample",
    "spread",
    "derive",
];

/// What becomes of a sample in which a value is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The sample is refused, and counted.
    #[default]
    Refuse,
    /// The channel keeps its last value for a while.
    Hold,
    /// The value lies on a line from the last one to the next one, for which the sample waits.
    Interpolate,
}

/// What becomes of missing values, by channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingRules {
    /// For channels that are not named.
    pub others: Missing,
    /// For single channels.
    pub channels: BTreeMap<String, Missing>,
}

/// A channel that is made from others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Derived {
    /// The acceleration of this channel without gravity.
    Body(String),
    /// The part of this channel's acceleration that is gravity.
    Gravity(String),
    /// The length of the vector of these channels.
    Magnitude(Vec<String>),
}

fn yes() -> bool {
    true
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            factor: None,
            factors: BTreeMap::new(),
            offset: 0.0,
            offsets: BTreeMap::new(),
            missing: MissingRules::default(),
            missing_max_s: None,
            fill: yes(),
            resample: false,
            spread: yes(),
            derive: BTreeMap::new(),
        }
    }
}

impl<'de> Deserialize<'de> for MissingRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RulesVisitor;
        impl<'de> Visitor<'de> for RulesVisitor {
            type Value = MissingRules;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"refuse\", \"hold\" or \"interpolate\", or a table of channels to them",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<MissingRules, E> {
                let others = Missing::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(MissingRules { others, channels: BTreeMap::new() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MissingRules, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                let channels = BTreeMap::deserialize(table)?;
                Ok(MissingRules { others: Missing::Refuse, channels })
            }
        }
        deserializer.deserialize_any(RulesVisitor)
    }
}

impl MissingRules {
    /// What becomes of missing values of `channel`.
    pub fn of(&self, channel: &str) -> Missing {
        self.channels.get(channel).copied().unwrap_or(self.others)
    }
}

impl Derived {
    /// The channels that it is made from.
    pub fn sources(&self) -> &[String] {
        match self {
            Self::Body(source) | Self::Gravity(source) => std::slice::from_ref(source),
            Self::Magnitude(sources) => sources,
        }
    }
}

impl IntakeConfig {
    /// What values of `channel` are multiplied by, and what is then added.
    pub fn conversion(&self, channel: &str) -> (f64, f64) {
        let of = |all: &BTreeMap<String, f64>, other| all.get(channel).copied().unwrap_or(other);
        (of(&self.factors, self.factor.unwrap_or(1.0)), of(&self.offsets, self.offset))
    }

    /// The channels that are kept, in the order of their names: those that are read and those that
    /// are made from them.
    pub fn kept<'a>(&'a self, read: impl Iterator<Item = &'a String>) -> Vec<String> {
        let mut names: Vec<String> = read.chain(self.derive.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Adds what is wrong; `channels` are those that are read, every `period_ns` nanoseconds.
    pub(super) fn check<'a>(
        &'a self,
        problems: &mut Problems,
        channels: impl Iterator<Item = &'a String>,
        period_ns: u64,
    ) {
        let read: Vec<&str> = channels.map(String::as_str).collect();
        self.check_values(problems, &read);
        if let Some(limit) = self.missing_max_s {
            let range = format!("is not above 0 and up to {MISSING_MAX_S} seconds");
            problems.add_if(!(limit > 0.0 && limit <= MISSING_MAX_S), "missing_max_s", range);
            let rules = self.missing.channels.values().chain([&self.missing.others]);
            let unused = !self.resample && rules.copied().all(|rule| rule == Missing::Refuse);
            let advice =
                "has no use; set missing = \"hold\" or \"interpolate\" besides, or remove it";
            problems.add_if(unused, "missing_max_s", advice);
        }
        self.check_derived(problems, &read, period_ns);
    }

    fn check_values(&self, problems: &mut Problems, read: &[&str]) {
        let usable = |factor: f64| FACTOR_RANGE.contains(&factor.abs());
        let factor = "must be a number other than 0, such as 0.101972 from m/s2 to g";
        problems.add_if(self.factor.is_some_and(|own| !usable(own)), "factor", factor);
        let fits = |offset: f64| offset.abs() <= *FACTOR_RANGE.end();
        let offset = "must be a finite number, such as -273.15 from K to degrees Celsius";
        problems.add_if(!fits(self.offset), "offset", offset);
        let named = |problems: &mut Problems, table: &str, name: &str| {
            let problem = "is no channel of [source.channels]; correct the name";
            problems.add_if(!read.contains(&name), &format!("{table}.{name}"), problem);
        };
        for (name, &value) in &self.factors {
            problems.add_if(!usable(value), &format!("factors.{name}"), factor);
            named(problems, "factors", name);
        }
        for (name, &value) in &self.offsets {
            problems.add_if(!fits(value), &format!("offsets.{name}"), offset);
            named(problems, "offsets", name);
        }
        self.missing.channels.keys().for_each(|name| named(problems, "missing", name));
    }

    fn check_derived(&self, problems: &mut Problems, read: &[&str], period_ns: u64) {
        for (name, derived) in &self.derive {
            let key = format!("derive.{name}");
            let bad = name.is_empty() || name.chars().count() > LABEL_CHARS_MAX;
            let problem = format!("names have 1 to {LABEL_CHARS_MAX} characters; use the task's");
            problems.add_if(bad, &key, problem);
            let twice = read.contains(&name.as_str());
            problems.add_if(twice, &key, "is a channel of [source.channels], too; rename one");
            let none = derived.sources().is_empty();
            problems.add_if(none, &key, "names no channel; such as magnitude = [\"x\", \"y\"]");
            let filtered = !matches!(derived, Derived::Magnitude(_));
            for source in derived.sources() {
                let made = self.derive.get(source);
                let made = made.is_some_and(|made| !matches!(made, Derived::Magnitude(_)));
                let known = read.contains(&source.as_str()) || (made && !filtered);
                let problem = "is no channel of [source.channels]; correct the name";
                problems.add_if(!known, &key, format!("{source:?} {problem}"));
            }
            #[allow(clippy::cast_precision_loss)]
            let slow = filtered && 1e9 / (period_ns as f64) < GRAVITY_HZ_MIN;
            let problem = format!("needs a rate of {GRAVITY_HZ_MIN} Hz or more to find gravity");
            problems.add_if(slow, &key, problem);
        }
        let count = read.len() + self.derive.len();
        let many = count > CHANNELS_MAX && read.len() <= CHANNELS_MAX;
        let problem =
            format!("makes {count} channels with those that are read; {CHANNELS_MAX} fit");
        problems.add_if(many, "derive", problem);
    }
}
