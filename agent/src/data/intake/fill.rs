//! One missing sample between two others is filled in, so that a row goes on.
//!
//! Missing is a sample where a step takes 1.5 to 2.5 periods. So that an input of half the rate is not
//! doubled without a word, there must have been as many ordinary steps as samples are filled in; up
//! to [`CREDIT_MAX`] of them are remembered.

use super::{Next, Reading};

/// Samples that may be filled in one after the other, with no ordinary step between them.
const CREDIT_MAX: u32 = 4;

/// Fills in single samples.
#[derive(Debug)]
pub(super) struct Filler {
    /// Longest ordinary step, and longest step with one sample missing, in microseconds.
    ordinary_us: i64,
    longest_us: i64,
    /// Time of the sample before, whose values `before` are.
    last_us: Option<i64>,
    before: Vec<f32>,
    between: Vec<f32>,
    credit: u32,
    /// Whether a sample was filled in before the last one.
    bridged: bool,
    filled: u64,
}

impl Filler {
    /// A filler for samples that come every `period_ns` nanoseconds.
    pub(super) fn new(period_ns: u64) -> Self {
        let halves =
            |count: u64| i64::try_from(period_ns.saturating_mul(count) / 2000).unwrap_or(i64::MAX);
        Self {
            ordinary_us: halves(3),
            longest_us: halves(5),
            last_us: None,
            before: Vec::new(),
            between: Vec::new(),
            credit: 0,
            bridged: false,
            filled: 0,
        }
    }

    /// Takes the next sample.
    pub(super) fn take(&mut self, row: Reading<'_>, next: &mut Next<'_>) {
        let step_us = self.last_us.map(|last| row.time_us.saturating_sub(last));
        self.bridged = false;
        match step_us {
            Some(us) if (0..=self.ordinary_us).contains(&us) => {
                self.credit = (self.credit + 1).min(CREDIT_MAX);
            }
            Some(us) if us > self.ordinary_us && us <= self.longest_us && self.credit > 0 => {
                self.credit -= 1;
                self.filled += 1;
                self.bridged = true;
                self.between.clear();
                self.between.extend(self.before.iter().zip(row.values).map(middle));
                next(Reading { time_us: row.time_us - us / 2, values: &self.between, ..row });
            }
            _ => self.credit = 0,
        }
        self.remember(row.time_us, row.values);
        next(row);
    }

    fn remember(&mut self, time_us: i64, values: &[f32]) {
        self.last_us = Some(time_us);
        self.before.clear();
        self.before.extend_from_slice(values);
    }

    /// Takes this sample to have come, a step of `step_us` microseconds after the one before it.
    pub(super) fn prime(&mut self, step_us: Option<i64>, time_us: i64, values: &[f32]) {
        self.remember(time_us, values);
        let ordinary = step_us.is_some_and(|us| (0..=self.ordinary_us).contains(&us));
        self.credit = if ordinary { CREDIT_MAX } else { 0 };
    }

    /// Whether the last two samples tell all that is known, as [`Filler::prime`] takes them.
    pub(super) fn is_settled(&self) -> bool {
        self.credit == CREDIT_MAX || (self.credit == 0 && !self.bridged)
    }

    /// Forgets the sample before.
    pub(super) fn restart(&mut self) {
        self.last_us = None;
        self.credit = 0;
    }

    /// Samples that were filled in.
    pub(super) fn filled(&self) -> u64 {
        self.filled
    }
}

/// The value in the middle between two.
#[allow(clippy::cast_possible_truncation)]
fn middle((&before, &after): (&f32, &f32)) -> f32 {
    f64::midpoint(f64::from(before), f64::from(after)) as f32
}
