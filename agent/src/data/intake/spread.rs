//! Rows of one time, such as a whole second, get times of their own.
//!
//! The first row of a time goes on at once with that time, so that nothing waits where each row has a
//! time of its own. Further rows of the time T wait for the next time T': of `n` rows, number `k` is
//! then of the moment T + k (T' - T) / n.

use super::tally::Tally;
use super::{Next, OwnedReading, Reading};
use crate::data::Loss;

/// Rows of one time that may wait: two seconds of them, but not fewer or more than this.
const ROWS: std::ops::RangeInclusive<u64> = 4096..=65_536;
/// Even steps that are taken to be the rate's, in hundredths of a period.
const STEPS: std::ops::RangeInclusive<i128> = 60..=150;

/// Spreads rows of one time.
#[derive(Debug)]
pub(super) struct Spreader {
    period_ns: i128,
    rows_max: u64,
    group: Option<Group>,
    /// The rows of the group that have not gone on.
    held: Vec<OwnedReading>,
    pub(super) lost: Tally,
}

/// Rows of one time.
#[derive(Clone, Copy, Debug)]
struct Group {
    time_us: i64,
    /// Rows that came, and how many of them have gone on.
    rows: u64,
    passed: u64,
    /// The moment that the last of them got.
    last_us: i64,
    /// Whether nothing is known of what was before: rows at its beginning may be missing.
    first: bool,
}

impl Spreader {
    /// A spreader of rows that come every `period_ns` nanoseconds.
    pub(super) fn new(period_ns: u64) -> Self {
        let two_seconds = 2_000_000_000 / period_ns.max(1);
        Self {
            period_ns: i128::from(period_ns),
            rows_max: two_seconds.clamp(*ROWS.start(), *ROWS.end()),
            group: None,
            held: Vec::new(),
            lost: Tally::default(),
        }
    }

    /// Takes the next row.
    pub(super) fn take(&mut self, row: Reading<'_>, next: &mut Next<'_>) {
        let first = self.group.is_none();
        match &mut self.group {
            Some(group) if group.time_us == row.time_us => {
                group.rows += 1;
                if group.rows <= self.rows_max {
                    return self.held.push(row.into());
                }
                let (most, time_us) = (self.rows_max, row.time_us);
                let problem = format!(
                    "more than {most} rows have the time {time_us} us; correct the time, or leave \
                     it out where the input has none"
                );
                self.lost.lose(Loss::Time, problem);
            }
            _ => {
                self.release(Some(row.time_us), next);
                self.begin(row.time_us, first);
                next(row);
            }
        }
    }

    fn begin(&mut self, time_us: i64, first: bool) {
        self.group = Some(Group { time_us, rows: 1, passed: 1, last_us: time_us, first });
    }

    /// Gives the rows that wait, a period apart; more of the same time may come.
    pub(super) fn pause(&mut self, next: &mut Next<'_>) {
        self.release(None, next);
    }

    /// Forgets the rows before.
    pub(super) fn restart(&mut self) {
        self.group = None;
        self.held.clear();
    }

    /// Takes a row of this time to have come.
    pub(super) fn prime(&mut self, time_us: i64) {
        self.begin(time_us, false);
    }

    /// Whether all that is known is the time of the last row.
    pub(super) fn is_settled(&self) -> bool {
        self.group.is_none_or(|group| group.rows == 1)
    }

    /// Gives the rows that wait; the next time is `until`, where it is known.
    fn release(&mut self, until: Option<i64>, next: &mut Next<'_>) {
        let Some(group) = &mut self.group else { return };
        let places = Places::of(group, until, self.period_ns);
        for mut row in self.held.drain(..) {
            row.time_us = places.at(group, group.passed).max(group.last_us);
            group.passed += 1;
            group.last_us = row.time_us;
            next(row.lend());
        }
        // Those that were refused have had their places, too.
        group.passed = group.rows;
    }
}

/// Where the rows of a group lie.
#[derive(Clone, Copy, Debug)]
enum Places {
    /// Evenly over so many microseconds.
    Even(i128),
    /// A period of this many nanoseconds apart, from the group's time on.
    FromStart(i128),
    /// The same, up to this time: the recording began in the midst of the group.
    UpTo(i64, i128),
    /// All at the group's time: so many rows cannot be in so little time.
    Together,
}

impl Places {
    fn of(group: &Group, until: Option<i64>, period_ns: i128) -> Self {
        let Some(until) = until.filter(|&until| until > group.time_us) else {
            return Self::FromStart(period_ns);
        };
        let span_us = i128::from(until) - i128::from(group.time_us);
        let expected_ns = i128::from(group.rows) * period_ns;
        let hundredths = span_us * 100_000 / expected_ns.max(1);
        if STEPS.contains(&hundredths) {
            Self::Even(span_us)
        } else if hundredths < *STEPS.start() {
            Self::Together
        } else if group.first {
            Self::UpTo(until, period_ns)
        } else {
            Self::FromStart(period_ns)
        }
    }

    /// The time of row `number` of the group, in microseconds.
    fn at(self, group: &Group, number: u64) -> i64 {
        let (number, rows) = (i128::from(number), i128::from(group.rows));
        let after = |us: i128| i64::try_from(i128::from(group.time_us) + us).unwrap_or(i64::MAX);
        match self {
            Self::Even(span_us) => after(number * span_us / rows.max(1)),
            Self::FromStart(period_ns) => after(number * period_ns / 1000),
            Self::UpTo(until, period_ns) => {
                let left_us = (rows - number) * period_ns / 1000;
                i64::try_from(i128::from(until) - left_us).unwrap_or(group.time_us)
            }
            Self::Together => group.time_us,
        }
    }
}
