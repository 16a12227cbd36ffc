//! `dunlin-agent data show`: what the source makes of a file or has in its ring, before anything is
//! learned from it: first samples, units, gaps, what was left out and why, and a small plot.

pub mod cli;
mod html;
mod summary;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use dunlin_protocol::task::TaskSpec;
use serde::Serialize;

use crate::config::AgentConfig;
use crate::data::looks::{self, constants, far_out};
use crate::data::peek::{self, Peeked};
use crate::data::ring::{Header, NO_LABEL};
use crate::data::units::conversion;
use crate::data::{DataError, WindowSet};
use summary::Summary;

/// Everything that is shown of a source.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The file or ring, in words.
    pub source: String,
    /// Samples that are there.
    pub samples: u64,
    /// Time of the first sample, by ISO 8601; nothing where there are no samples.
    pub first: Option<String>,
    /// Time of the last sample.
    pub last: Option<String>,
    /// Rate by the configuration, in samples a second.
    pub configured_hz: f64,
    /// Rate by the times of the samples; nothing below two samples.
    pub measured_hz: Option<f64>,
    /// Steps of more than one and a half periods.
    pub gaps: u64,
    /// The longest step in seconds.
    pub longest_step_s: f64,
    /// Samples that are older than the one before.
    pub steps_back: u64,
    /// Channels in the order of their values.
    pub channels: Vec<ChannelShown>,
    /// The first samples.
    pub rows: Vec<RowShown>,
    /// Samples by label.
    pub labels: BTreeMap<String, u64>,
    /// Samples without a label.
    pub unlabelled: u64,
    /// What was left out while reading, by reason.
    pub left_out: Vec<LeftShown>,
    /// What the task makes of it; nothing where none is known.
    pub task: Option<TaskShown>,
    /// What deserves a look, worst first.
    pub warnings: Vec<String>,
}

/// One channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelShown {
    /// Name, as the task has it.
    pub name: String,
    /// Unit of the source; where the configuration names none it is taken to be the task's.
    pub unit: String,
    /// Unit of the task, where it has this channel.
    pub task_unit: Option<String>,
    /// Lowest value in the unit of the source; nothing without any value.
    pub low: Option<f32>,
    /// Highest value.
    pub high: Option<f32>,
    /// Mean of the values.
    pub mean: Option<f64>,
    /// Values that were outside of what the ring holds.
    pub cut: u64,
    /// Means of equal parts of the samples, oldest first, for a plot.
    pub plot: Vec<Option<f32>>,
    /// To the unit of the task, times the first plus the second.
    #[serde(skip)]
    to_task: Option<(f64, f64)>,
    /// The task's offset and scale.
    #[serde(skip)]
    scaling: Option<(f32, f32)>,
}

/// One sample.
#[derive(Clone, Debug, Serialize)]
pub struct RowShown {
    /// Its time by ISO 8601.
    pub time: String,
    /// Its label.
    pub label: Option<String>,
    /// Values in the source's unit; null where a value was cut.
    pub values: Vec<f32>,
    /// The same in the task's units; null for channels that the task does not have.
    pub in_task_unit: Vec<Option<f32>>,
    /// The same as the network sees them.
    pub scaled: Vec<Option<f32>>,
}

/// What was left out for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct LeftShown {
    /// The reason in one word.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// What they are.
    pub what: &'static str,
    /// The last of them: line, field and its text where there are such.
    pub last: String,
}

/// What a task makes of the samples.
#[derive(Clone, Debug, Serialize)]
pub struct TaskShown {
    /// Name of the task.
    pub name: String,
    /// Windows that can be cut.
    pub windows: usize,
    /// Windows of each label, in the task's order; empty where it has none.
    pub labels: Vec<(String, usize)>,
    /// What cutting left out, by reason in one word; `misfit` where the task does not suit at all.
    pub left_out: BTreeMap<&'static str, u64>,
    /// The same in words; why there are no windows, where there are none.
    pub why: String,
}

impl ChannelShown {
    /// `value` in the unit of the task, if it has this channel.
    fn in_task_unit(&self, value: f32) -> Option<f32> {
        self.scaling?;
        #[allow(clippy::cast_possible_truncation)] // values have 24 bits
        let convert = |(factor, offset): (f64, f64)| (f64::from(value) * factor + offset) as f32;
        Some(self.to_task.map_or(value, convert))
    }

    /// `value` as the network of the task sees it.
    fn scaled(&self, value: f32) -> Option<f32> {
        let (offset, scale) = self.scaling?;
        Some((self.in_task_unit(value)? - offset) * scale)
    }

    /// Whether the task wants another unit that is known.
    fn is_converted(&self) -> bool {
        self.to_task.is_some_and(|to_task| to_task != (1.0, 0.0))
    }
}

/// Looks at what `config` finds in `file`, or at its own samples; `rows` of them are kept. `scratch`
/// is an empty folder.
///
/// # Errors
/// As [`peek::open`]. A task that does not suit the samples is no error: it is told.
pub fn look(
    config: &AgentConfig,
    file: Option<&Path>,
    task: Option<&TaskSpec>,
    rows: usize,
    scratch: &Path,
) -> Result<Shown, DataError> {
    let Peeked { mut store, from, values_max, is_file } =
        peek::open(&config.source, file, &config.state_dir, scratch)?;
    store.flush()?;
    let texts = store.label_texts().to_vec();
    let header = store.ring().header().clone();
    let mut summary = Summary::new(&header, store.ring().len(), rows);
    store.scan(|record| summary.take(record))?;
    let status = store.status();
    let mut channels: Vec<_> = header
        .channels
        .iter()
        .map(|channel| of_channel(&channel.name, &channel.unit, task))
        .collect();
    summary.describe(&mut channels);
    let losses = status.losses.iter().map(|(loss, count, last)| LeftShown {
        reason: loss.word(),
        count,
        what: loss.describe(),
        last: last.to_owned(),
    });
    let (by_label, unlabelled) = summary.labels(&texts, NO_LABEL);
    let mut shown = Shown {
        source: from,
        samples: summary.samples,
        first: summary.first.map(iso),
        last: summary.last.map(iso),
        configured_hz: 1e9 / header.period_ns.max(1) as f64,
        measured_hz: summary.measured_hz(),
        gaps: summary.gaps,
        longest_step_s: summary.longest_us as f64 / 1e6,
        steps_back: summary.steps_back,
        rows: summary.rows(&channels, &texts),
        channels,
        labels: by_label,
        unlabelled,
        left_out: losses.collect(),
        task: None,
        warnings: Vec::new(),
    };
    shown.warn(&header, is_file);
    shown.warnings.extend(status.hints.into_values());
    if let Some(task) = task {
        let set = store.windows(task, values_max);
        shown.with_task(task, set);
    }
    Ok(shown)
}

fn of_channel(name: &str, unit: &str, task: Option<&TaskSpec>) -> ChannelShown {
    let wanted = task.and_then(|task| task.input.channels.iter().find(|c| c.name == name));
    let to_task = wanted.and_then(|wanted| match unit {
        // Where the configuration names no unit, it is taken to be the task's.
        "" => None,
        unit => conversion(unit, &wanted.unit),
    });
    let own = match (unit, wanted) {
        ("", Some(wanted)) => &wanted.unit,
        (unit, _) => unit,
    };
    ChannelShown {
        name: name.to_owned(),
        unit: own.to_owned(),
        task_unit: wanted.map(|wanted| wanted.unit.clone()),
        low: None,
        high: None,
        mean: None,
        cut: 0,
        plot: Vec::new(),
        to_task,
        scaling: wanted.map(|wanted| (wanted.offset, wanted.scale)),
    }
}

impl Shown {
    /// What the samples alone say.
    fn warn(&mut self, header: &Header, is_file: bool) {
        let mut warnings = Vec::new();
        if self.samples == 0 {
            let why =
                if is_file { "every row was left out, or there is none" } else { "none has come" };
            warnings.push(format!("no samples: {why}"));
        }
        for channel in &self.channels {
            let ChannelShown { name, unit, cut, low, .. } = channel;
            if *cut > 0 {
                warnings.push(format!(
                    "{name}: {cut} values are outside of what the ring holds with this quantum; \
                     windows with them are refused: remove source.quantum, then values are kept as \
                     they are"
                ));
            }
            if let (Some(low), true) = (low, self.samples > 1 && channel.low == channel.high) {
                warnings.push(format!("{name} is always {low} {unit}: does the sensor work?"));
            }
        }
        let period_s = header.period_ns as f64 / 1e9;
        if let Some(hz) = self.measured_hz
            && (hz * period_s - 1.0).abs() > 0.01
        {
            warnings.push(format!(
                "by their times, samples come every {}, every {} is configured: correct rate_hz, or \
                 the unit of the time",
                span(1.0 / hz),
                span(period_s)
            ));
        }
        self.warnings = warnings;
    }

    /// What `task` makes of the samples.
    fn with_task(&mut self, task: &TaskSpec, set: Result<WindowSet, DataError>) {
        let mut shown = TaskShown {
            name: task.name.to_string(),
            windows: 0,
            labels: Vec::new(),
            left_out: BTreeMap::new(),
            why: String::new(),
        };
        match set {
            Ok(set) => {
                let spans = looks::spans(task, &set);
                self.warnings.extend(far_out(&spans));
                // Over all samples it was said already.
                if self.warnings.iter().all(|warning| !warning.contains("is always")) {
                    self.warnings
                        .extend(constants(&spans).map(|text| format!("in all windows {text}")));
                }
                shown.windows = set.len();
                shown.labels = looks::by_label(task, &set);
                if set.is_empty() {
                    self.warnings.push(format!("task {}: {}", task.name, set.left_out));
                }
                shown.left_out = set.left_out.counts().collect();
                shown.why = set.left_out.to_string();
            }
            Err(problem) => {
                self.warnings
                    .push(format!("task {} cannot be learned from this: {problem}", task.name));
                shown.left_out = BTreeMap::from([("misfit", 1)]);
                shown.why = problem.to_string();
            }
        }
        self.task = Some(shown);
    }
}

/// Microseconds since 1970 by ISO 8601.
fn iso(time_us: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(time_us);
    time.map_or_else(|_| format!("{time_us} us"), |time| time.to_string())
}

/// Seconds in words.
fn span(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")];
    let unit = units.into_iter().find(|(size, _)| seconds >= *size);
    let (size, name) = unit.unwrap_or((1e-6, "us"));
    format!("{} {name}", dunlin_protocol::work::Significant(seconds / size))
}
