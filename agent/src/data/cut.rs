//! Cuts the samples of a ring into windows, and counts them.

mod count;
mod row;

pub use count::Counter;

use std::collections::VecDeque;

use dunlin_protocol::task::{Channel, TaskSpec};

use super::labels::match_labels;
use super::ring::{Block, Header, Record, Ring};
use super::{DataError, LiveWindow, WindowSet};
use row::{Judged, LabelMap, Row, Step};

/// All windows in `ring` that fit `task`, oldest first, scaled.
///
/// A window is `window` samples in a row; a missing sample, a step of more than 1.5 periods or a
/// clock set back ends a row. Within a row, windows begin `hop` samples apart. A window's label is
/// the one that at least 8 in 10 of its samples carry; a task with labels skips the others, a task
/// without labels takes every window. `texts` are the label texts by number. When the windows would
/// take more than `values_max` values, the newest are kept.
///
/// # Errors
/// [`DataError`] when the ring lacks a channel, has another rate (more than 1 % apart), none of the
/// task's labels, or a time column that contradicts its rate; or cannot be read.
pub fn windows(
    ring: &mut Ring,
    texts: &[String],
    task: &TaskSpec,
    values_max: usize,
) -> Result<WindowSet, DataError> {
    windows_unless(ring, texts, task, values_max, &|| false)
}

/// As [`windows`]; `stop` is asked before each block of samples.
///
/// # Errors
/// As [`windows`], and [`DataError::Stopped`].
pub fn windows_unless(
    ring: &mut Ring,
    texts: &[String],
    task: &TaskSpec,
    values_max: usize,
    stop: &dyn Fn() -> bool,
) -> Result<WindowSet, DataError> {
    Cutting::begin(ring, texts, task, values_max)?
        .finish(task, stop, |block, end| ring.read_block(block, end))
}

/// Windows that are being cut, block by block: a sensor can add samples in between.
pub struct Cutting {
    cutter: Cutter,
    /// Number of the first sample that came later.
    end: u64,
}

impl Cutting {
    /// Begins with the oldest sample of `ring`. See [`windows`].
    ///
    /// # Errors
    /// As [`windows`], but for what only the samples show.
    pub fn begin(
        ring: &Ring,
        texts: &[String],
        task: &TaskSpec,
        values_max: usize,
    ) -> Result<Self, DataError> {
        let channels = fit(ring.header(), task)?;
        let row = Row::new(ring.header(), task, label_map(texts, task)?);
        let mut cutter = Cutter::new(ring.header(), task, channels, row, values_max);
        cutter.asked = places(ring.header(), task.value_channels().iter())?;
        Ok(Self { cutter, end: ring.next_sequence() })
    }

    /// Cuts everything that `read` brings, which is [`Ring::read_block`] on the same ring; `stop` is
    /// asked before each block.
    ///
    /// # Errors
    /// As [`windows_unless`].
    pub fn finish(
        mut self,
        task: &TaskSpec,
        stop: &dyn Fn() -> bool,
        mut read: impl FnMut(&mut Block, u64) -> Result<bool, DataError>,
    ) -> Result<WindowSet, DataError> {
        let mut block = Block::before_all();
        loop {
            if stop() {
                return Err(DataError::Stopped);
            }
            if !read(&mut block, self.end)? {
                return self.cutter.finish(task);
            }
            block.visit(|record| self.cutter.take(record));
        }
    }
}

/// The window of `task` that ends with the newest sample of `ring`, scaled; `None` when its samples
/// are too few, do not follow each other, or do not run at their rate. Reads these samples only,
/// and looks at no label.
///
/// # Errors
/// [`DataError`] when the ring lacks a channel or has another rate (more than 1 % apart), or cannot
/// be read.
pub fn newest(ring: &mut Ring, task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
    let channels = fit(ring.header(), task)?;
    let row = Row::new(ring.header(), task, None);
    let mut cutter = Cutter::new(ring.header(), task, channels, row, usize::MAX);
    let first = ring.next_sequence().saturating_sub(cutter.row.window() as u64);
    ring.scan(first, |record| cutter.take(record))?;
    let Some(end_us) = cutter.row.newest_us().filter(|_| !cutter.found.is_empty()) else {
        return Ok(None);
    };
    let mut values = Vec::from(cutter.found);
    // What is asked for is not measured: a network does not look at it.
    values.resize(task.window_values(), 0.0);
    task.scale(&mut values);
    Ok(Some(LiveWindow { end_us, values }))
}

/// For each channel of `task`: its place in a ring with this header, and the value of one step.
///
/// # Errors
/// [`DataError`] when the ring lacks a channel or has another rate (more than 1 % apart).
fn fit(header: &Header, task: &TaskSpec) -> Result<Vec<(usize, f32)>, DataError> {
    let (wanted, has) = (task.input.period_ns(), header.period_ns);
    if u128::from(wanted.abs_diff(has)) * 100 > u128::from(wanted) {
        let task = task.input.nearest_millihertz();
        return Err(DataError::Rate { task, has: header.rate_millihertz() });
    }
    let channels = places(header, task.input.channels.iter())?;
    if channels.is_empty() {
        return Err(DataError::Channels { missing: Vec::new(), has: header.names() });
    }
    Ok(channels)
}

/// For each of `channels` its place in a ring with this header, and the value of one step.
///
/// # Errors
/// [`DataError::Channels`] names those that the ring lacks.
fn places<'a>(
    header: &Header,
    wanted: impl Iterator<Item = &'a Channel>,
) -> Result<Vec<(usize, f32)>, DataError> {
    let mut channels = Vec::new();
    let mut missing = Vec::new();
    for channel in wanted {
        match header.channels.iter().position(|(name, _)| *name == channel.name) {
            Some(at) => channels.push((at, header.channels[at].1)),
            None => missing.push(channel.name.clone()),
        }
    }
    if !missing.is_empty() {
        return Err(DataError::Channels { missing, has: header.names() });
    }
    Ok(channels)
}

/// For each label number in the ring, whose texts these are, the label of `task`; `None` for a task
/// that has no labels and so can miss none.
///
/// # Errors
/// [`DataError::Labels`] when there are texts and the task has none of them.
fn label_map(texts: &[String], task: &TaskSpec) -> Result<Option<LabelMap>, DataError> {
    task.needs_labels().then(|| match_labels(texts, task.labels())).transpose()
}

/// Windows of `task` that have room in `values_max` values, one at the least.
fn windows_max(task: &TaskSpec, values_max: usize) -> usize {
    (values_max / task.window_values().max(1)).max(1)
}

struct Cutter {
    /// For each channel of the task: its place in the ring, and the value of one step.
    channels: Vec<(usize, f32)>,
    /// The same for the values that the task asks for beside its channels.
    asked: Vec<(usize, f32)>,
    /// These values at the newest sample.
    answers: Vec<f32>,
    row: Row,
    hop: usize,
    windows_max: usize,
    rate_millihertz: u32,
    /// Values of the row's last `window` samples.
    values: VecDeque<f32>,
    /// Samples until the next window may end.
    wait: usize,
    found: VecDeque<f32>,
    found_labels: VecDeque<u16>,
    off_rate: u64,
    measured: u64,
    unlabelled: u64,
    crowded_out: u64,
}

impl Cutter {
    fn new(
        header: &Header,
        task: &TaskSpec,
        channels: Vec<(usize, f32)>,
        row: Row,
        values_max: usize,
    ) -> Self {
        Self {
            channels,
            asked: Vec::new(),
            answers: Vec::new(),
            hop: usize::from(task.input.hop).max(1),
            windows_max: windows_max(task, values_max),
            rate_millihertz: header.rate_millihertz(),
            values: VecDeque::new(),
            wait: row.window(),
            row,
            found: VecDeque::new(),
            found_labels: VecDeque::new(),
            off_rate: 0,
            measured: 0,
            unlabelled: 0,
            crowded_out: 0,
        }
    }

    fn take(&mut self, record: &Record) {
        match self.row.take(record) {
            Step::Begins => {
                self.values.clear();
                self.wait = self.row.window();
            }
            Step::Grows => {}
            Step::Moves => drop(self.values.drain(..self.channels.len())),
        }
        let value = |&(at, quantum): &(usize, f32)| f32::from(record.codes[at]) * quantum;
        self.values.extend(self.channels.iter().map(value));
        self.answers.clear();
        self.answers.extend(self.asked.iter().map(value));
        self.wait -= 1;
        if self.wait == 0 {
            self.wait = self.hop;
            self.end_window();
        }
    }

    fn end_window(&mut self) {
        match self.row.judge() {
            Judged::Window(label) => self.keep(label),
            Judged::Unlabelled => self.unlabelled += 1,
            Judged::OffRate => {
                self.off_rate += 1;
                self.measured = self.row.measured_millihertz();
            }
        }
    }

    /// Keeps the window that ends now, and the newest ones of those before.
    fn keep(&mut self, label: Option<u16>) {
        let values = self.values.len() + self.answers.len();
        if self.found.len() >= self.windows_max.saturating_mul(values) {
            self.found.drain(..values);
            self.found_labels.pop_front();
            self.crowded_out += 1;
        }
        self.found_labels.extend(label);
        self.found.extend(&self.values);
        self.found.extend(&self.answers);
    }

    fn finish(self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        if self.found.is_empty() && self.unlabelled == 0 && self.off_rate > 0 {
            let (windows, measured) = (self.off_rate, self.measured);
            return Err(DataError::Clock { windows, measured, configured: self.rate_millihertz });
        }
        let mut set = WindowSet {
            values: self.found.into(),
            labels: self.found_labels.into(),
            window_values: task.window_values(),
        };
        task.scale(&mut set.values);
        log::info!(
            "{} windows from the ring; left out: {} without label, {} off the rate, {} older than \
             fit into memory",
            set.len(),
            self.unlabelled,
            self.off_rate,
            self.crowded_out
        );
        Ok(set)
    }
}

#[cfg(test)]
mod tests;
