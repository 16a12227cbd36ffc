//! Brings samples to one rate, whatever the rate at which they come.
//!
//! Samples that follow each other make a stretch. Of each stretch the first [`HEAD`] samples tell at
//! which rate it comes; then a [`Stretch`] gives its values at its first time and at whole periods of
//! the new rate after it. A step that is too long, a clock that is set back, or another rate, begins
//! a new stretch.

use std::collections::VecDeque;

use super::stretch::Stretch;
use super::tally::Tally;
use super::{Next, OwnedReading, Reading};
use crate::data::Loss;

/// Samples that tell the rate of a stretch.
const HEAD: usize = 16;
/// Samples after which the rate is looked at again.
const LOOK: usize = 64;
/// Samples over which a step is measured: several may come in one bundle, with nearly equal times.
const BUNDLE: usize = 4;
/// A step of so many periods of the input begins a new stretch where no limit is set, in tenths.
const GAP_TENTHS: i64 = 25;

/// Brings samples to one rate.
#[derive(Debug)]
pub(super) struct Resampler {
    period_ns: u64,
    /// Longest step in a stretch, where it is set, in microseconds.
    step_max_us: Option<i64>,
    /// Samples of a stretch whose rate is not known yet.
    head: VecDeque<OwnedReading>,
    open: Option<Open>,
    newest_us: Option<i64>,
    pub(super) lost: Tally,
}

/// A stretch whose rate is known.
#[derive(Debug)]
struct Open {
    stretch: Stretch,
    /// Mean step of the input, and the longest in a stretch, in microseconds.
    step_us: i64,
    step_max_us: i64,
    /// Samples since the rate was measured last, and the time of that.
    count: usize,
    since_us: i64,
}

impl Resampler {
    /// A resampler to one sample in `period_ns` nanoseconds; a step of more than `step_max_s` seconds
    /// begins a new stretch.
    pub(super) fn new(period_ns: u64, step_max_s: Option<f64>) -> Self {
        #[allow(clippy::cast_possible_truncation)] // checked to be at most a year
        let step_max_us = step_max_s.map(|seconds| (seconds * 1e6).round() as i64);
        Self {
            period_ns: period_ns.max(1),
            step_max_us,
            head: VecDeque::new(),
            open: None,
            newest_us: None,
            lost: Tally::default(),
        }
    }

    /// Takes the next sample.
    pub(super) fn take(&mut self, row: Reading<'_>, next: &mut Next<'_>) {
        if self.newest_us == Some(row.time_us) {
            let problem = format!("a sample has the time of the one before, {} us", row.time_us);
            return self.lost.lose(Loss::Order, problem);
        }
        if self.newest_us.is_some_and(|newest| row.time_us < newest) {
            self.flush(next);
        }
        self.newest_us = Some(row.time_us);
        if self.open.as_mut().is_some_and(|open| !open.continues(row.time_us)) {
            self.close();
        }
        match &mut self.open {
            Some(open) => open.stretch.take(row, next),
            None => {
                self.head.push_back(row.into());
                if self.head.len() >= HEAD {
                    self.begin(next);
                }
            }
        }
    }

    /// Gives what waits: the next sample begins a new stretch.
    pub(super) fn flush(&mut self, next: &mut Next<'_>) {
        self.close();
        while !self.head.is_empty() {
            self.begin(next);
            self.close();
        }
        self.newest_us = None;
    }

    /// Whether no sample waits.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.open.is_none()
    }

    /// Ends the stretch at hand.
    fn close(&mut self) {
        if self.open.take().is_some_and(|open| open.stretch.given() == 0) {
            let problem = "a stretch of samples is too short for the filter of source.resample, \
                           which needs 16 periods; raise source.missing_max_s where gaps may be \
                           bridged";
            self.lost.lose(Loss::Missing, problem.to_owned());
        }
    }

    /// Makes stretches of the samples in the head; the last one stays open where it goes up to the
    /// newest sample.
    fn begin(&mut self, next: &mut Next<'_>) {
        let alone = i64::try_from(self.period_ns / 1000).unwrap_or(i64::MAX);
        let step_us = mean_step(&self.head).unwrap_or(alone.max(1));
        let tenths = step_us.saturating_mul(GAP_TENTHS) / 10;
        let step_max_us = self.step_max_us.unwrap_or(tenths);
        let pairs = self.head.iter().zip(self.head.iter().skip(1));
        let gap = pairs
            .enumerate()
            .find(|(_, (a, b))| b.time_us.saturating_sub(a.time_us) > step_max_us)
            .map(|(at, _)| at + 1);
        let rest = gap.map(|at| self.head.split_off(at));
        let mut rows = std::mem::take(&mut self.head);
        let Some(first) = rows.front() else { return };
        let since_us = rows.back().map_or(first.time_us, |row| row.time_us);
        let mut stretch = Stretch::new(first.time_us, self.period_ns, step_us);
        rows.drain(..).for_each(|row| stretch.take(row.lend(), next));
        self.open = Some(Open { stretch, step_us, step_max_us, count: 0, since_us });
        if let Some(rest) = rest {
            self.close();
            self.head = rest;
        }
    }
}

impl Open {
    /// Whether a sample of this time is of the same stretch.
    fn continues(&mut self, time_us: i64) -> bool {
        if time_us.saturating_sub(self.stretch.newest_us()) > self.step_max_us {
            return false;
        }
        self.count += 1;
        if self.count < LOOK {
            return true;
        }
        let span_us = time_us.saturating_sub(self.since_us);
        let expected_us = self.step_us.saturating_mul(i64::try_from(self.count).unwrap_or(1));
        (self.count, self.since_us) = (0, time_us);
        span_us.saturating_mul(4) >= expected_us.saturating_mul(3)
            && span_us.saturating_mul(3) <= expected_us.saturating_mul(4)
    }
}

/// The usual step from sample to sample of `rows`, in microseconds; `None` with fewer than two.
fn mean_step(rows: &VecDeque<OwnedReading>) -> Option<i64> {
    let bundle = BUNDLE.min(rows.len().saturating_sub(1)).max(1);
    let pairs = rows.iter().zip(rows.iter().skip(bundle));
    let mut spans: Vec<i64> = pairs.map(|(a, b)| b.time_us.saturating_sub(a.time_us)).collect();
    spans.sort_unstable();
    let span_us = spans.get(spans.len() / 2)?;
    Some((span_us / i64::try_from(bundle).unwrap_or(1)).max(1))
}
