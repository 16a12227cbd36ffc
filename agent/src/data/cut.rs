//! Cuts the samples of a ring into windows.

use std::collections::VecDeque;

use dunlin_protocol::task::TaskSpec;

use super::labels::match_labels;
use super::ring::{Block, NO_LABEL, Record, Ring};
use super::{DataError, LiveWindow, WindowSet};

/// Share of a window's samples that must carry its label, in tenths.
const LABEL_TENTHS: usize = 8;

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
        let labels = match_labels(texts, task.labels()).or_else(|error| {
            // Without labels of its own a task cannot miss any.
            if task.needs_labels() { Err(error) } else { Ok(Vec::new()) }
        });
        let mut cutter = Cutter::new(ring, task, values_max)?;
        cutter.needs_label = task.needs_labels();
        cutter.labels = labels?;
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
    let mut cutter = Cutter::new(ring, task, usize::MAX)?;
    let first = ring.next_sequence().saturating_sub(cutter.window as u64);
    ring.scan(first, |record| cutter.take(record))?;
    let Some(&end_us) = cutter.times.back().filter(|_| !cutter.found.is_empty()) else {
        return Ok(None);
    };
    let mut values = Vec::from(cutter.found);
    task.scale(&mut values);
    Ok(Some(LiveWindow { end_us, values }))
}

struct Cutter {
    /// For each channel of the task: its place in the ring, and the value of one step.
    channels: Vec<(usize, f32)>,
    /// For each label number in the ring the label of the task.
    labels: Vec<Option<u16>>,
    needs_label: bool,
    window: usize,
    hop: usize,
    windows_max: usize,
    /// Longest step inside of a row, and how long a whole window lasts, in microseconds.
    step_max_us: i64,
    span_us: i64,
    tolerance_us: i64,
    rate_millihertz: u32,
    /// The row so far: values, times and labels of its last `window` samples.
    values: VecDeque<f32>,
    times: VecDeque<i64>,
    marks: VecDeque<Option<u16>>,
    next_sequence: u64,
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
    /// A cutter that looks at no labels.
    fn new(ring: &Ring, task: &TaskSpec, values_max: usize) -> Result<Self, DataError> {
        let header = ring.header();
        let (wanted, has) = (task.input.rate_millihertz, header.rate_millihertz());
        if u64::from(wanted.abs_diff(has)) * 100 > u64::from(wanted) {
            return Err(DataError::Rate { task: wanted, source: has });
        }
        let mut channels = Vec::new();
        let mut missing = Vec::new();
        for channel in &task.input.channels {
            match header.channels.iter().position(|(name, _)| *name == channel.name) {
                Some(at) => channels.push((at, header.channels[at].1)),
                None => missing.push(channel.name.clone()),
            }
        }
        if !missing.is_empty() || channels.is_empty() {
            return Err(DataError::Channels { missing, has: header.names() });
        }
        let window = usize::from(task.input.window).max(1);
        Ok(Self {
            windows_max: (values_max / (window * channels.len())).max(1),
            channels,
            labels: Vec::new(),
            needs_label: false,
            window,
            hop: usize::from(task.input.hop).max(1),
            step_max_us: header.span_us(3) / 2,
            span_us: header.span_us(window as u64 - 1),
            tolerance_us: (header.span_us(window as u64 - 1) / 10).max(header.span_us(2)),
            rate_millihertz: has,
            values: VecDeque::new(),
            times: VecDeque::new(),
            marks: VecDeque::new(),
            next_sequence: 0,
            wait: window,
            found: VecDeque::new(),
            found_labels: VecDeque::new(),
            off_rate: 0,
            measured: 0,
            unlabelled: 0,
            crowded_out: 0,
        })
    }

    fn take(&mut self, record: &Record) {
        let step = self.times.back().map(|&last| record.time_us.saturating_sub(last));
        let in_row = step.is_some_and(|us| us >= 0 && us <= self.step_max_us);
        if !in_row || record.sequence != self.next_sequence {
            self.values.clear();
            self.times.clear();
            self.marks.clear();
            self.wait = self.window;
        }
        self.next_sequence = record.sequence.wrapping_add(1);
        if self.times.len() == self.window {
            self.values.drain(..self.channels.len());
            self.times.pop_front();
            self.marks.pop_front();
        }
        let value = |&(at, quantum): &(usize, f32)| f32::from(record.codes[at]) * quantum;
        self.values.extend(self.channels.iter().map(value));
        self.times.push_back(record.time_us);
        let known = record.label != NO_LABEL;
        let label = self.labels.get(usize::from(record.label)).copied().flatten();
        self.marks.push_back(label.filter(|_| known));
        self.wait -= 1;
        if self.wait == 0 {
            self.wait = self.hop;
            self.end_window();
        }
    }

    fn end_window(&mut self) {
        if !self.runs_at_rate() {
            return;
        }
        if self.needs_label {
            let Some(label) = self.label() else {
                self.unlabelled += 1;
                return;
            };
            self.found_labels.push_back(label);
        }
        let values = self.window * self.channels.len();
        if self.found.len() >= self.windows_max.saturating_mul(values) {
            self.found.drain(..values);
            if self.needs_label {
                self.found_labels.pop_front();
            }
            self.crowded_out += 1;
        }
        self.found.extend(&self.values);
    }

    /// Whether the window lasts as long as the rate says, to a tenth or two periods.
    fn runs_at_rate(&mut self) -> bool {
        let (Some(first), Some(last)) = (self.times.front(), self.times.back()) else {
            return false;
        };
        let lasts = last.saturating_sub(*first);
        let fits = (lasts - self.span_us).abs() <= self.tolerance_us;
        if !fits {
            self.off_rate += 1;
            let steps = u64::try_from(self.window).unwrap_or(u64::MAX).saturating_sub(1);
            self.measured = steps.saturating_mul(1_000_000_000) / lasts.max(1).unsigned_abs();
        }
        fits
    }

    /// The label that enough samples of the window carry.
    ///
    /// The only candidate is the one that a majority may carry (Boyer and Moore, 1981).
    fn label(&self) -> Option<u16> {
        let mut candidate = None;
        let mut lead = 0usize;
        for &mark in &self.marks {
            if lead == 0 {
                candidate = mark;
            }
            lead = if mark == candidate { lead + 1 } else { lead - 1 };
        }
        let count = self.marks.iter().filter(|&&mark| mark == candidate).count();
        candidate.filter(|_| count * 10 >= self.window * LABEL_TENTHS)
    }

    fn finish(self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        if self.found.is_empty() && self.unlabelled == 0 && self.off_rate > 0 {
            let (windows, measured) = (self.off_rate, self.measured);
            return Err(DataError::Clock { windows, measured, configured: self.rate_millihertz });
        }
        let mut set = WindowSet {
            values: self.found.into(),
            labels: self.found_labels.into(),
            window_values: self.window * self.channels.len(),
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
