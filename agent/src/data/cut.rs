//! Cuts the samples of a ring into windows, and counts them.

mod count;
mod places;
mod row;
mod seen;

pub use count::Counter;

use std::collections::VecDeque;

use dunlin_protocol::task::TaskSpec;

use super::labels::match_labels;
use super::ring::{Block, Header, Record, Ring};
use super::{DataError, LeftOut, LiveWindow, WindowSet};
use places::{Places, fit};
use row::{Judged, LabelMap, Row, Step};

/// All windows in `ring` that fit `task`, oldest first, scaled.
///
/// A window is `window` samples in a row; a missing sample, a step of more than 1.5 periods or a
/// clock set back ends a row. A window with a value that the ring could not hold is left out, in a
/// channel of the task. Within a row, windows begin `hop` samples apart. A window's label is
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
        let places = fit(ring.header(), task, true)?;
        let labels = label_map(texts, task)?;
        let cutter = Cutter::new(ring.header(), task, places, labels, values_max);
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
    let places = fit(ring.header(), task, false)?;
    let mut cutter = Cutter::new(ring.header(), task, places, None, usize::MAX);
    let first = ring.next_sequence().saturating_sub(cutter.row.window() as u64);
    ring.scan(first, |record| cutter.take(record))?;
    let Some(end_us) = cutter.row.newest_us().filter(|_| !cutter.found.is_empty()) else {
        return Ok(None);
    };
    let mut values = Vec::from(cutter.found);
    task.scale(&mut values);
    Ok(Some(LiveWindow { end_us, values }))
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
    places: Places,
    row: Row,
    hop: usize,
    windows_max: usize,
    /// Values of the row's last `window` samples.
    values: VecDeque<f32>,
    /// The values that are asked for, at its newest sample.
    asked: Vec<f32>,
    /// Samples until the next window may end.
    wait: usize,
    found: VecDeque<f32>,
    found_labels: VecDeque<u16>,
    off_rate: u64,
    cut: u64,
    unlabelled: u64,
    crowded_out: u64,
}

impl Cutter {
    fn new(
        header: &Header,
        task: &TaskSpec,
        places: Places,
        labels: Option<LabelMap>,
        values_max: usize,
    ) -> Self {
        let row = Row::new(header, task, &places, labels);
        Self {
            asked: Vec::with_capacity(places.values.len()),
            places,
            hop: usize::from(task.input.hop).max(1),
            windows_max: windows_max(task, values_max),
            values: VecDeque::new(),
            wait: row.window(),
            row,
            found: VecDeque::new(),
            found_labels: VecDeque::new(),
            off_rate: 0,
            cut: 0,
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
            Step::Moves => drop(self.values.drain(..self.places.channels.len())),
        }
        let Places { channels, values } = &self.places;
        self.values.extend(channels.iter().map(|place| place.value(record)));
        self.asked.clear();
        self.asked.extend(values.iter().map(|place| place.value(record)));
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
            Judged::Cut => self.cut += 1,
            Judged::OffRate => self.off_rate += 1,
        }
    }

    /// Keeps the window that ends now, and the newest ones of those before.
    fn keep(&mut self, label: Option<u16>) {
        let values = self.values.len() + self.asked.len();
        if self.found.len() >= self.windows_max.saturating_mul(values) {
            self.found.drain(..values);
            self.found_labels.pop_front();
            self.crowded_out += 1;
        }
        self.found_labels.extend(label);
        self.found.extend(&self.values);
        self.found.extend(&self.asked);
    }

    fn finish(mut self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        let Places { channels, values } = &self.places;
        let window_values = self.row.window() * channels.len() + values.len();
        let seen = self.row.take_seen();
        let left_out = LeftOut {
            found: (self.found.len() / window_values.max(1)) as u64,
            unlabelled: self.unlabelled,
            off_rate: self.off_rate,
            cut: self.cut,
            crowded_out: self.crowded_out,
            ..self.row.left_out(&seen, self.off_rate > 0)
        };
        if left_out.is_other_rate() {
            return Err(DataError::Clock(Box::new(left_out)));
        }
        if left_out.found > 0 {
            log::info!("from the ring: {left_out}");
        }
        let mut set = WindowSet {
            values: self.found.into(),
            labels: self.found_labels.into(),
            window_values,
            left_out,
        };
        task.scale(&mut set.values);
        Ok(set)
    }
}

#[cfg(test)]
mod tests;
