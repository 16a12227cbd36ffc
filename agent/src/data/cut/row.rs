//! Samples that follow each other, and what a window of them is to a task.

use std::collections::VecDeque;

use dunlin_protocol::task::TaskSpec;

use super::places::Places;
use super::seen::{Seen, Watch};
use crate::data::LeftOut;
use crate::data::ring::{Header, Record};

/// Share of a window's samples that must carry its label, in tenths.
const LABEL_TENTHS: usize = 8;

/// For each label number in a ring the label of a task, where it has it.
pub(super) type LabelMap = Vec<Option<u16>>;

/// What a sample does to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It does not follow the one before: a row begins.
    Begins,
    /// The row is longer by it.
    Grows,
    /// The row held a whole window: its oldest sample is left behind.
    Moves,
}

/// What a whole window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// One to learn from, with its label where labels are looked at.
    Window(Option<u16>),
    /// One whose samples carry no label of the task, or several.
    Unlabelled,
    /// One that lasts longer or shorter than the rate says.
    OffRate,
    /// One with a value that the ring could not hold.
    Cut,
}

/// The end of a row: as many samples as a window has, or fewer where the row has just begun.
#[derive(Debug)]
pub(super) struct Row {
    window: usize,
    /// Longest step inside of a row, and how long a whole window lasts, in microseconds.
    step_max_us: i64,
    span_us: i64,
    tolerance_us: i64,
    /// `None`: labels are not looked at.
    labels: Option<LabelMap>,
    times: VecDeque<i64>,
    marks: VecDeque<Option<u16>>,
    /// Samples with each label of the task, and the label that enough for a window carry.
    tally: Vec<usize>,
    leader: Option<u16>,
    next_sequence: u64,
    /// Places in the ring of the channels that the network sees, and of those that are asked for.
    channels: Vec<usize>,
    asked: Vec<usize>,
    /// Whether a value that is asked for is not known at the newest sample.
    unknown: bool,
    /// Number of the newest sample with a value that the ring could not hold.
    cut_at: Option<u64>,
    watch: Watch,
    period_ns: u64,
    /// How long the last window was that did not run at its rate, in microseconds.
    off_us: Option<u64>,
}

impl Row {
    /// A row without samples yet, of a ring with this `header`, for windows of `task`, which come from
    /// `places` in the ring.
    pub(super) fn new(
        header: &Header,
        task: &TaskSpec,
        places: &Places,
        labels: Option<LabelMap>,
    ) -> Self {
        let window = task.input.window.max(1);
        let span_us = header.span_us(u64::from(window) - 1);
        Self {
            window: window.into(),
            step_max_us: header.span_us(3) / 2,
            span_us,
            tolerance_us: (span_us / 10).max(header.span_us(2)),
            labels,
            times: VecDeque::new(),
            marks: VecDeque::new(),
            tally: vec![0; task.labels().len()],
            leader: None,
            next_sequence: 0,
            channels: places.channels.iter().map(|place| place.at).collect(),
            asked: places.values.iter().map(|place| place.at).collect(),
            unknown: false,
            cut_at: None,
            watch: Watch::new(header.span_us(1), window.into()),
            period_ns: header.period_ns,
            off_us: None,
        }
    }

    /// Takes in label numbers that came to be known.
    pub(super) fn set_labels(&mut self, labels: Option<LabelMap>) {
        self.labels = labels;
    }

    /// Samples in a window.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Whether it holds a whole window.
    pub(super) fn is_whole(&self) -> bool {
        self.times.len() == self.window
    }

    /// Time of its newest sample in microseconds.
    pub(super) fn newest_us(&self) -> Option<i64> {
        self.times.back().copied()
    }

    /// Takes the next sample of the ring.
    pub(super) fn take(&mut self, record: &Record) -> Step {
        let step_us = self.newest_us().map(|last| record.time_us.saturating_sub(last));
        let follows = step_us.is_some_and(|us| us >= 0 && us <= self.step_max_us);
        let missing = match step_us {
            Some(_) => record.sequence.saturating_sub(self.next_sequence),
            None => 0,
        };
        let begins = !follows || record.sequence != self.next_sequence;
        self.watch.note(step_us, missing, begins);
        let step = if begins {
            self.clear();
            Step::Begins
        } else if self.is_whole() {
            self.times.pop_front();
            self.unmark();
            Step::Moves
        } else {
            Step::Grows
        };
        self.next_sequence = record.sequence.wrapping_add(1);
        self.times.push_back(record.time_us);
        self.mark(record.label);
        let is_cut = |at: &usize| record.values.get(*at).is_none_or(|value| value.is_nan());
        if self.channels.iter().any(is_cut) {
            self.cut_at = Some(record.sequence);
        }
        self.unknown = self.asked.iter().any(is_cut);
        step
    }

    fn clear(&mut self) {
        self.times.clear();
        self.marks.clear();
        self.tally.fill(0);
        self.leader = None;
    }

    /// Whether so many of a window's samples give it their label.
    fn is_enough(&self, samples: usize) -> bool {
        samples * 10 >= self.window * LABEL_TENTHS
    }

    /// Notes the label of the newest sample. A sample without one has a number that no label has.
    fn mark(&mut self, number: u16) {
        let Some(labels) = &self.labels else { return };
        let mark = labels.get(usize::from(number)).copied().flatten();
        self.marks.push_back(mark);
        if self.count(mark, |count| count + 1).is_some_and(|count| self.is_enough(count)) {
            self.leader = mark;
        }
    }

    /// Forgets the label of the oldest sample.
    fn unmark(&mut self) {
        let mark = self.marks.pop_front().flatten();
        let left = self.count(mark, |count| count.saturating_sub(1));
        if self.leader == mark && left.is_some_and(|count| !self.is_enough(count)) {
            self.leader = None;
        }
    }

    /// Changes how many samples carry this label; how many it then is.
    fn count(&mut self, mark: Option<u16>, change: fn(usize) -> usize) -> Option<usize> {
        let count = self.tally.get_mut(usize::from(mark?))?;
        *count = change(*count);
        Some(*count)
    }

    /// How long its samples last, in microseconds.
    fn lasts_us(&self) -> i64 {
        let (first, last) = (self.times.front(), self.times.back());
        first.zip(last).map_or(0, |(first, last)| last.saturating_sub(*first))
    }

    /// What the whole window is that it holds.
    ///
    /// A window lasts as long as the rate says, to a tenth or two periods. Its label is the one
    /// that at least 8 in 10 of its samples carry.
    pub(super) fn judge(&mut self) -> Judged {
        let lasts_us = self.lasts_us();
        if lasts_us.saturating_sub(self.span_us).saturating_abs() > self.tolerance_us {
            self.off_us = Some(lasts_us.unsigned_abs());
            return Judged::OffRate;
        }
        // Samples of a row have neighbouring numbers.
        let first = self.next_sequence.saturating_sub(self.window as u64);
        if self.unknown || self.cut_at.is_some_and(|at| at >= first) {
            return Judged::Cut;
        }
        match (&self.labels, self.leader) {
            (Some(_), None) => Judged::Unlabelled,
            (Some(_), label) => Judged::Window(label),
            (None, _) => Judged::Window(None),
        }
    }

    /// What was seen of the samples since this was asked last.
    pub(super) fn take_seen(&mut self) -> Seen {
        self.watch.take_seen()
    }

    /// What `seen`, all that was seen of the samples, says of them; counts of windows are left at 0.
    /// `off_rate`: whether there are windows that did not run at their rate.
    pub(super) fn left_out(&self, seen: &Seen, off_rate: bool) -> LeftOut {
        self.watch.left_out(seen, self.period_ns, self.off_us.filter(|_| off_rate))
    }
}
