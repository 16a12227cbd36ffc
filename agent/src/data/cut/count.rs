//! Counts the windows in a ring without cutting them. What was seen of a sample is kept, so that
//! each is looked at once.
//!
//! A cut begins with the oldest sample, which moves on as new ones come, and with it the places of
//! all windows in the oldest row. So each place is kept where a window could begin, with what it
//! would be; neighbours that would be the same are one entry, a run.

use std::collections::VecDeque;

use dunlin_protocol::task::TaskSpec;

use super::places::fit;
use super::row::{Judged, Row, Step};
use super::seen::Seen;
use super::{label_map, windows_max};
use crate::data::ring::{Block, Record, Ring};
use crate::data::{DataError, LeftOut, WindowCounts};

/// Runs that are kept at the most, the newest ones: a megabyte. A change of label or a gap makes two;
/// what would be more is not counted.
const RUNS_MAX: usize = 32 * 1024;
/// Stretches at the most into which the ring is parted: what was seen in one is forgotten when the ring
/// holds none of its samples any more.
const STRETCHES: u64 = 32;

/// Neighbouring places in one row where a window could begin that would be the same.
#[derive(Debug)]
struct Run {
    /// Numbers of the first sample of the row, of the first place, and of the one behind the last.
    row: u64,
    first: u64,
    end: u64,
    is: Judged,
}

impl Run {
    /// Windows that a cut finds here that begins with sample `oldest`.
    fn windows(&self, oldest: u64, hop: u64) -> u64 {
        let row = self.row.max(oldest);
        let first = row + (self.first.max(oldest) - row).next_multiple_of(hop);
        self.end.saturating_sub(first).div_ceil(hop)
    }
}

/// The windows of one task in one ring, counted up to a sample.
#[derive(Debug)]
pub struct Counter {
    task: TaskSpec,
    /// How often the labels of the ring had changed when it began.
    relabelled: u64,
    /// Number of the first sample that came after it was asked to count.
    end: u64,
    /// The samples that were looked at last.
    block: Block,
    places: Places,
}

/// What is known of the places where windows could begin.
#[derive(Debug)]
struct Places {
    row: Row,
    /// Number of the first sample of the row.
    row_first: u64,
    runs: VecDeque<Run>,
    /// What the samples looked like in each stretch that is over, and the number of the sample behind
    /// it.
    stretches: VecDeque<(u64, Seen)>,
    /// What they look like in the one that is not.
    seen: Seen,
    /// Samples of a stretch, and the number of the sample with which the next one begins.
    stretch: u64,
    stretch_end: u64,
}

impl Counter {
    /// Goes on where `kept` has come to, if that counts for `task` and all labels are still those
    /// that it saw; begins with the oldest sample of `ring` otherwise. Both are of the same ring.
    ///
    /// # Errors
    /// As [`super::Cutting::begin`].
    pub fn begin(
        kept: Option<Self>,
        ring: &Ring,
        texts: &[String],
        task: &TaskSpec,
    ) -> Result<Self, DataError> {
        let found = fit(ring.header(), task, true)?;
        let labels = label_map(texts, task)?;
        let (relabelled, end) = (ring.relabelled(), ring.next_sequence());
        let kept = kept.filter(|kept| {
            kept.task == *task && (labels.is_none() || kept.relabelled == relabelled)
        });
        if let Some(mut kept) = kept {
            kept.places.row.set_labels(labels);
            return Ok(Self { end, ..kept });
        }
        let row = Row::new(ring.header(), task, &found, labels);
        let stretch = (ring.header().capacity / STRETCHES).max(1);
        let places = Places {
            row,
            row_first: 0,
            runs: VecDeque::new(),
            stretches: VecDeque::new(),
            seen: Seen::default(),
            stretch,
            stretch_end: ring.oldest_sequence() + stretch,
        };
        let (task, block) = (task.clone(), Block::before_all());
        Ok(Self { task, relabelled, end, block, places })
    }

    /// Looks at everything that `read` brings, which is [`Ring::read_block`] on the same ring;
    /// `stop` is asked before each block.
    ///
    /// # Errors
    /// [`DataError::Io`] and [`DataError::Stopped`].
    pub fn catch_up(
        &mut self,
        stop: &dyn Fn() -> bool,
        mut read: impl FnMut(&mut Block, u64) -> Result<bool, DataError>,
    ) -> Result<(), DataError> {
        loop {
            if stop() {
                return Err(DataError::Stopped);
            }
            if !read(&mut self.block, self.end)? {
                return Ok(());
            }
            let places = &mut self.places;
            self.block.visit(|record| places.take(record));
        }
    }

    /// How many windows a cut would find now that `oldest` is the oldest sample; as many as have
    /// room in `values_max` values.
    ///
    /// # Errors
    /// [`DataError::Clock`], as a cut.
    pub fn counts(&mut self, oldest: u64, values_max: usize) -> Result<WindowCounts, DataError> {
        let places = &mut self.places;
        places.forget(oldest);
        let hop = u64::from(self.task.input.hop.max(1));
        let most = windows_max(&self.task, values_max);
        let mut by_label = vec![0; self.task.labels().len().max(1)];
        let mut room = most;
        let (mut off_rate, mut cut, mut unlabelled, mut crowded_out) = (0, 0, 0, 0);
        for run in places.runs.iter().rev() {
            let windows = run.windows(oldest, hop);
            match run.is {
                Judged::OffRate => off_rate += windows,
                Judged::Cut => cut += windows,
                Judged::Unlabelled => unlabelled += windows,
                Judged::Window(label) => {
                    let kept = usize::try_from(windows).unwrap_or(usize::MAX).min(room);
                    room -= kept;
                    crowded_out += windows - kept as u64;
                    if let Some(count) = by_label.get_mut(label.map_or(0, usize::from)) {
                        *count += kept;
                    }
                }
            }
        }
        let found = (most - room) as u64;
        let seen = places.seen();
        let left_out = LeftOut {
            found,
            unlabelled,
            off_rate,
            cut,
            crowded_out,
            ..places.row.left_out(&seen, off_rate > 0)
        };
        if left_out.is_other_rate() {
            return Err(DataError::Clock(Box::new(left_out)));
        }
        Ok(WindowCounts::new(by_label).with_left_out(left_out))
    }
}

impl Places {
    /// Forgets what lies before sample `oldest`.
    fn forget(&mut self, oldest: u64) {
        while self.runs.front().is_some_and(|run| run.end <= oldest) {
            self.runs.pop_front();
        }
        while self.stretches.front().is_some_and(|(end, _)| *end <= oldest) {
            self.stretches.pop_front();
        }
    }

    /// What the samples looked like in all stretches together.
    fn seen(&mut self) -> Seen {
        self.seen.add(&self.row.take_seen());
        let mut all = self.seen;
        self.stretches.iter().for_each(|(_, seen)| all.add(seen));
        all
    }

    fn take(&mut self, record: &Record) {
        if record.sequence >= self.stretch_end {
            let mut seen = std::mem::take(&mut self.seen);
            seen.add(&self.row.take_seen());
            self.stretches.push_back((record.sequence, seen));
            self.stretch_end = record.sequence + self.stretch;
        }
        if self.row.take(record) == Step::Begins {
            self.row_first = record.sequence;
        }
        if !self.row.is_whole() {
            return;
        }
        let is = self.row.judge();
        let end = record.sequence + 1;
        let first = end - self.row.window() as u64;
        match self.runs.back_mut() {
            // In one row, each sample is the last of one window more.
            Some(run) if run.row == self.row_first && run.is == is => run.end = first + 1,
            Some(_) | None => {
                if self.runs.len() == RUNS_MAX {
                    self.runs.pop_front();
                }
                self.runs.push_back(Run { row: self.row_first, first, end: first + 1, is });
            }
        }
    }
}

#[cfg(test)]
mod tests;
