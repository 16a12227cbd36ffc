//! The `[source]` section of the agent's configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use dunlin_protocol::limits::{CHANNELS_MAX, LABEL_CHARS_MAX};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::ring::{CAPACITY_SAMPLES_MIN, record_bytes};

/// Columns of one row at the most.
pub const COLUMNS_MAX: usize = 1024;
/// Largest ring that can be configured, in MB (millions of bytes).
const CAPACITY_MB_MAX: u32 = 1_000_000;

/// Where windows come from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceConfig {
    /// One person of the UCI HAR data set, as if the device were worn by that person.
    Har(HarConfig),
    /// A growing CSV file, a FIFO or standard input.
    Csv(CsvConfig),
}

/// One person of the UCI HAR data set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarConfig {
    /// The folder `UCI HAR Dataset`, or the folder that contains it.
    pub dir: PathBuf,
    /// Number of the person, 1 to 30.
    pub person: u16,
}

/// A growing CSV file, a FIFO or standard input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// File or FIFO; `-` is standard input. It need not exist yet.
    pub path: PathBuf,
    /// Samples a second.
    pub rate_hz: f64,
    /// Channel name of the task to column.
    pub channels: BTreeMap<String, Column>,
    /// Column of the time; without it, samples follow each other at `rate_hz`.
    pub time: Option<Column>,
    /// Unit of the time column and of the label file.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// Column of the label; an empty field is no label.
    pub label: Option<Column>,
    /// File of `start,end,label` rows that may come later than their samples, or before.
    pub labels_path: Option<PathBuf>,
    /// Whether the first row names the columns.
    #[serde(default = "default_header")]
    pub header: bool,
    /// Columns that each row has; by default as many as the header, or enough for the columns used.
    pub columns: Option<usize>,
    /// What stands between two columns: one ASCII character.
    #[serde(default = "default_delimiter")]
    pub delimiter: char,
    /// Resolution of the stored values: samples are kept as 16-bit multiples of this, so the range
    /// is 32767 times as large.
    #[serde(default = "default_quantum")]
    pub quantum: f32,
    /// Resolution of single channels, where `quantum` does not suit.
    #[serde(default)]
    pub quanta: BTreeMap<String, f32>,
    /// Size of the ring on disk in MB; 64 where neither this nor `capacity_samples` is set.
    pub capacity_mb: Option<u32>,
    /// Size of the ring on disk in samples.
    pub capacity_samples: Option<u64>,
    /// Most memory in MB that the windows of one round may take; the newest windows are used.
    #[serde(default = "default_windows_mb")]
    pub windows_mb: u32,
}

fn default_header() -> bool {
    true
}

fn default_delimiter() -> char {
    ','
}

fn default_quantum() -> f32 {
    0.001
}

fn default_windows_mb() -> u32 {
    64
}

/// Unit of times in the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TimeUnit {
    /// Seconds, with a fraction or without.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
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
        };
        let us = (time * factor).round();
        (us.abs() <= 9_007_199_254_740_992.0).then_some(us as i64)
    }
}

/// A column of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its place, from 0.
    Index(usize),
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ColumnVisitor;
        impl Visitor<'_> for ColumnVisitor {
            type Value = Column;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column: its name in the header as text, or its place from 0")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Column, E> {
                Ok(Column::Name(name.to_owned()))
            }
            fn visit_i64<E: Error>(self, index: i64) -> Result<Column, E> {
                let wrong =
                    |_| E::custom(format!("column {index} is below 0; columns count from 0"));
                usize::try_from(index).map(Column::Index).map_err(wrong)
            }
            fn visit_u64<E: Error>(self, index: u64) -> Result<Column, E> {
                usize::try_from(index).map(Column::Index).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(ColumnVisitor)
    }
}

/// One thing that is wrong in the configuration, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, such as `source.rate_hz`.
    pub key: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl SourceConfig {
    /// Everything that is wrong in the values, with key and next step; empty when all is well.
    /// Looks at no file: a live source may come later than the agent.
    pub fn check(&self) -> Vec<ConfigProblem> {
        let mut problems = Problems(Vec::new());
        match self {
            Self::Har(config) => {
                let no_dir = config.dir.as_os_str().is_empty();
                problems.add(no_dir, "dir", "is empty; name the folder `UCI HAR Dataset`");
                problems.add(config.person == 0, "person", "is 0; name a person from 1 to 30");
            }
            Self::Csv(config) => config.check(&mut problems),
        }
        problems.0
    }
}

struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, wrong: bool, key: &str, problem: impl Into<String>) {
        if wrong {
            let key = format!("source.{key}");
            self.0.push(ConfigProblem { key, problem: problem.into() });
        }
    }
}

impl CsvConfig {
    /// Nanoseconds from one sample to the next.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn period_ns(&self) -> u64 {
        (1e9 / self.rate_hz).round().max(1.0) as u64
    }

    /// Resolution of `channel`.
    pub fn quantum_of(&self, channel: &str) -> f32 {
        self.quanta.get(channel).copied().unwrap_or(self.quantum)
    }

    /// Capacity of the ring in samples.
    pub fn capacity(&self) -> u64 {
        let bytes = u64::from(self.capacity_mb.unwrap_or(64)) * 1_000_000;
        let samples = bytes / record_bytes(self.channels.len()) as u64;
        self.capacity_samples.unwrap_or(samples).max(CAPACITY_SAMPLES_MIN)
    }

    /// All columns in use, with the keys that name them.
    pub(super) fn columns_used(&self) -> impl Iterator<Item = (String, &Column)> {
        let channels = self.channels.iter().map(|(name, c)| (format!("channels.{name}"), c));
        let time = self.time.iter().map(|c| ("time".to_owned(), c));
        channels.chain(time).chain(self.label.iter().map(|c| ("label".to_owned(), c)))
    }

    fn check(&self, problems: &mut Problems) {
        let no_path = self.path.as_os_str().is_empty();
        problems.add(no_path, "path", "is empty; name a file or FIFO, or `-` for standard input");
        let rate_fits = (0.001..=1e6).contains(&self.rate_hz);
        problems.add(!rate_fits, "rate_hz", "is not in 0.001 to 1000000; set samples per second");
        let single =
            self.delimiter.is_ascii() && !matches!(self.delimiter, '"' | '\n' | '\r' | '\0');
        problems.add(!single, "delimiter", "must be one ASCII character, such as \",\" or \"\\t\"");
        let bad_windows = self.windows_mb == 0 || self.windows_mb > 65_536;
        problems.add(bad_windows, "windows_mb", "is not in 1 to 65536; 64 suits most devices");
        self.check_columns(problems);
        self.check_ring(problems);
    }

    fn check_columns(&self, problems: &mut Problems) {
        let count = self.channels.len();
        let bad_count = count == 0 || count > CHANNELS_MAX;
        problems.add(
            bad_count,
            "channels",
            format!(
                "has {count} entries; map 1 to {CHANNELS_MAX} channels, such as acc_x = \"ax\""
            ),
        );
        for name in self.channels.keys() {
            let bad = name.is_empty() || name.chars().count() > LABEL_CHARS_MAX;
            let problem = format!("names have 1 to {LABEL_CHARS_MAX} characters; use the task's");
            problems.add(bad, &format!("channels.{name}"), problem);
        }
        let columns = self.columns.unwrap_or(COLUMNS_MAX);
        let bad_columns = columns == 0 || columns > COLUMNS_MAX;
        problems.add(
            bad_columns,
            "columns",
            format!("is {columns}; a row has 1 to {COLUMNS_MAX} columns"),
        );
        for (key, column) in self.columns_used() {
            match column {
                Column::Name(name) => {
                    let problem = "names a column, but header = false; give its place from 0";
                    problems.add(!self.header, &key, format!("{name:?} {problem}"));
                }
                Column::Index(index) => {
                    let problem =
                        format!("is {index}, but columns are 0 to {}", columns.max(1) - 1);
                    problems.add(*index >= columns, &key, problem);
                }
            }
        }
    }

    fn check_ring(&self, problems: &mut Problems) {
        let usable = |quantum: f32| quantum.is_normal() && quantum > 0.0 && quantum <= 1e30;
        let advice = "must be above 0, such as 0.001: the smallest step worth keeping";
        problems.add(!usable(self.quantum), "quantum", advice);
        for (name, &quantum) in &self.quanta {
            let key = format!("quanta.{name}");
            problems.add(!usable(quantum), &key, advice);
            let unknown = !self.channels.contains_key(name);
            problems.add(unknown, &key, "is no channel of [source.channels]; correct the name");
        }
        let both = self.capacity_mb.is_some() && self.capacity_samples.is_some();
        problems.add(both, "capacity_mb", "is set beside capacity_samples; remove one of them");
        let bad_mb = self.capacity_mb.is_some_and(|mb| mb == 0 || mb > CAPACITY_MB_MAX);
        problems.add(bad_mb, "capacity_mb", format!("is not in 1 to {CAPACITY_MB_MAX}"));
        let record = record_bytes(self.channels.len()) as u64;
        let most = u64::from(CAPACITY_MB_MAX) * 1_000_000 / record;
        let range = CAPACITY_SAMPLES_MIN..=most;
        let bad_samples = self.capacity_samples.is_some_and(|n| !range.contains(&n));
        problems.add(
            bad_samples,
            "capacity_samples",
            format!("is not in {CAPACITY_SAMPLES_MIN} to {most}"),
        );
    }
}

#[cfg(test)]
mod tests;
