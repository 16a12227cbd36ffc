//! Values of one stretch of samples at the moments of a grid.

use std::collections::VecDeque;

use super::kernel::{self, REACH_PERIODS};
use super::{Next, OwnedReading, Reading};

/// An input faster than this, in hundredths of the new rate, goes through a filter.
const FASTER: i128 = 110;

/// A stretch of samples that follow each other. The grid begins with the first sample.
///
/// Where samples come at the new rate or slower, values lie on lines between samples. Where they come
/// faster by more than a tenth, the filter of [`kernel`] is applied; it needs samples to both sides, so
/// that the first and the last 8 periods of such a stretch have no value.
#[derive(Debug)]
pub(super) struct Stretch {
    origin_us: i64,
    period_ns: u64,
    /// How far the filter reaches; `None` without one.
    reach_us: Option<i64>,
    /// Place in the grid that is next.
    place: u64,
    given: u64,
    rows: VecDeque<OwnedReading>,
    values: Vec<f32>,
    sums: Vec<f64>,
}

impl Stretch {
    /// An empty stretch from `origin_us` on, to one sample in `period_ns` nanoseconds; samples come
    /// `step_us` microseconds apart.
    pub(super) fn new(origin_us: i64, period_ns: u64, step_us: i64) -> Self {
        let faster = i128::from(step_us) * 1000 * FASTER < i128::from(period_ns) * 100;
        let reach_ns = period_ns.saturating_mul(REACH_PERIODS);
        let reach_us = i64::try_from(reach_ns.div_ceil(1000)).unwrap_or(i64::MAX);
        Self {
            origin_us,
            period_ns,
            reach_us: faster.then_some(reach_us),
            place: if faster { REACH_PERIODS } else { 0 },
            given: 0,
            rows: VecDeque::new(),
            values: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Time of the newest sample.
    pub(super) fn newest_us(&self) -> i64 {
        self.rows.back().map_or(self.origin_us, |row| row.time_us)
    }

    /// Takes the next sample, which is later than the one before; gives what it makes known.
    pub(super) fn take(&mut self, row: Reading<'_>, next: &mut Next<'_>) {
        self.rows.push_back(row.into());
        let known_us = row.time_us.saturating_sub(self.reach_us.unwrap_or(0));
        while self.moment_us() <= known_us {
            let at = self.moment_us();
            self.leave_behind(at);
            self.give(at, next);
            self.place += 1;
            self.given += 1;
        }
    }

    /// Samples that it has given.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// The next moment of the grid.
    fn moment_us(&self) -> i64 {
        let after_ns = u128::from(self.place) * u128::from(self.period_ns);
        let after_us = i64::try_from((after_ns + 500) / 1000).unwrap_or(i64::MAX);
        self.origin_us.saturating_add(after_us)
    }

    /// Drops samples that the moment `at` and those after it do not need.
    fn leave_behind(&mut self, at: i64) {
        let begin = at.saturating_sub(self.reach_us.unwrap_or(0));
        while self.rows.get(1).is_some_and(|second| second.time_us <= begin) {
            self.rows.pop_front();
        }
    }

    fn give(&mut self, at: i64, next: &mut Next<'_>) {
        self.values.clear();
        match self.reach_us {
            None => self.interpolate(at),
            Some(reach_us) => self.filter(at, reach_us),
        }
        // The earlier one where two are equally near.
        let nearest = self.rows.iter().min_by_key(|row| row.time_us.abs_diff(at));
        let label = nearest.map_or("", |row| &row.label);
        next(Reading { time_us: at, label, values: &self.values });
    }

    /// On the line from the sample before `at` to the one after it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn interpolate(&mut self, at: i64) {
        let Some(before) = self.rows.front() else { return };
        let passed_us = at.saturating_sub(before.time_us);
        let Some(after) = self.rows.get(1).filter(|_| passed_us > 0) else {
            return self.values.extend_from_slice(&before.values);
        };
        let share = passed_us as f64 / after.time_us.saturating_sub(before.time_us) as f64;
        let on_line = |(&from, &to): (&f32, &f32)| {
            (f64::from(from) + (f64::from(to) - f64::from(from)) * share) as f32
        };
        self.values.extend(before.values.iter().zip(&after.values).map(on_line));
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn filter(&mut self, at: i64, reach_us: i64) {
        let channels = self.rows.front().map_or(0, |row| row.values.len());
        self.sums.clear();
        self.sums.resize(channels, 0.0);
        let mut total = 0.0;
        let time = |place: usize| self.rows.get(place).map(|row| row.time_us);
        for (place, row) in self.rows.iter().enumerate() {
            let distance_us = row.time_us.saturating_sub(at);
            if distance_us > reach_us {
                break;
            }
            let before = place.checked_sub(1).and_then(time).unwrap_or(row.time_us);
            let after = time(place + 1).unwrap_or(row.time_us);
            let stands_for = after.saturating_sub(before) as f64;
            let periods = distance_us as f64 * 1000.0 / self.period_ns as f64;
            let weight = stands_for * kernel::weight(periods);
            total += weight;
            for (sum, &value) in self.sums.iter_mut().zip(&row.values) {
                *sum += weight * f64::from(value);
            }
        }
        self.values.extend(self.sums.iter().map(|sum| (sum / total) as f32));
    }
}
