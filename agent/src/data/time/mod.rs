//! Reads times as people and devices write them, into microseconds.

mod calendar;
mod decimal;

use std::fmt;

use calendar::Calendar;
use decimal::{rounded, scaled};

use super::config::{TimeFormat, TimeKind, TimeUnit};

/// Beyond this many microseconds (285 years) a time is taken for a mistake.
const US_MAX: i128 = 9_007_199_254_740_992;
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Why a time cannot be read. The texts go on after the quoted text of the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeProblem {
    /// It is no number.
    #[error("is not a number of {unit}{hint}")]
    Number {
        /// The unit that numbers have.
        unit: TimeUnit,
        /// What would read it, where that is known.
        hint: &'static str,
    },
    /// It is more than 285 years from 1970.
    #[error("is not within 285 years of 1970; is the unit of times right?")]
    Bounds,
    /// It is not ISO 8601.
    #[error("is not a time such as 2026-05-20T13:05:00 (format = \"iso\")")]
    Iso,
    /// It does not follow the pattern.
    #[error("does not follow the time format {0:?}")]
    Pattern(String),
    /// It is no time of day.
    #[error("is not a time of day such as 23:59:59.5 (format = \"of_day\")")]
    OfDay,
    /// Clocks went forward over it.
    #[error("does not exist in the zone {0}: clocks went forward over it; is the zone right?")]
    Gap(String),
    /// The zone of the configuration is not known.
    #[error(
        "zone {0:?} is not known here; use UTC, an offset such as \"+02:00\", or a name of \
         /usr/share/zoneinfo such as \"Europe/Berlin\" (Debian's package tzdata)"
    )]
    Zone(String),
    /// The start of the configuration cannot be read.
    #[error("start {0:?} is not a time such as 2026-05-20 or 2026-05-20T13:05:00")]
    Start(String),
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Reads the times of one input, in the order of its samples.
///
/// A time that exists twice because clocks went back is the first of both, unless that would lie
/// before the time read last: then the second. `of_day` and `delta` remember what came before.
#[derive(Clone, Debug)]
pub struct TimeReader {
    kind: TimeKind,
    unit: TimeUnit,
    calendar: Calendar,
    problem: Option<TimeProblem>,
    /// Day of the first `of_day`, in days since 1970.
    start_day: i64,
    /// Where the first `delta` begins, and what epochs count from, in microseconds.
    start_us: i64,
    last: Option<Last>,
}

/// What was read last.
#[derive(Clone, Copy, Debug)]
struct Last {
    time_us: i64,
    /// Day since 1970 and microseconds of that day, of an `of_day`.
    day: i64,
    of_day_us: i64,
}

impl TimeReader {
    /// A reader of times written as `format` says; numbers are of `default_unit` where the format
    /// names none. Where the zone or the start of the format cannot be used, each read says so.
    pub fn new(format: &TimeFormat, default_unit: TimeUnit) -> Self {
        let (calendar, mut problem) = match Calendar::new(format.zone.as_deref()) {
            Ok(calendar) => (calendar, None),
            Err(problem) => (Calendar::utc(), Some(problem)),
        };
        let start = format.start.as_deref().map(|text| {
            let wrong = TimeProblem::Start(text.to_owned());
            calendar.start(text).ok_or(wrong)
        });
        let (start_day, start_us) = match start {
            Some(Ok(start)) => start,
            Some(Err(wrong)) => {
                problem = problem.or(Some(wrong));
                (0, 0)
            }
            None => (0, 0),
        };
        let (kind, unit) = (format.kind.clone(), format.unit.unwrap_or(default_unit));
        Self { kind, unit, calendar, problem, start_day, start_us, last: None }
    }

    /// What is wrong with the format itself: an unknown zone, a start that is no time.
    pub fn setup_problem(&self) -> Option<TimeProblem> {
        let pattern = match &self.kind {
            TimeKind::Pattern(pattern) => Some(pattern),
            TimeKind::Epoch | TimeKind::Iso | TimeKind::OfDay | TimeKind::Delta => None,
        };
        let bad = pattern.filter(|pattern| !calendar::is_pattern(pattern));
        self.problem.clone().or_else(|| bad.map(|text| TimeProblem::Pattern(text.clone())))
    }

    /// Begins again, as with another input.
    pub fn restart(&mut self) {
        self.last = None;
    }

    /// Goes on after a sample of `time_us`, in microseconds, that was read before this reader was.
    pub fn resume(&mut self, time_us: i64) {
        let (day, of_day_us) = self.calendar.of_day(time_us);
        self.last = Some(Last { time_us, day, of_day_us });
    }

    /// The time that was read last, in microseconds.
    pub fn last_us(&self) -> Option<i64> {
        self.last.map(|last| last.time_us)
    }

    /// Reads a time from text; white space around it does not matter. Gives microseconds since
    /// 1970, or since whatever the numbers count from.
    ///
    /// # Errors
    /// [`TimeProblem`]; what `of_day` and `delta` remember is then unchanged.
    pub fn read_text(&mut self, text: &str) -> Result<i64, TimeProblem> {
        let text = text.trim();
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let not_before = self.last.map(|last| last.time_us);
        let time_us = match &self.kind {
            TimeKind::Epoch => self.since_start(self.units(text)?)?,
            TimeKind::Delta => self.after(self.units(text)?)?,
            TimeKind::Iso => self.calendar.iso(text, not_before)?,
            TimeKind::Pattern(pattern) => self.calendar.pattern(pattern, text, not_before)?,
            TimeKind::OfDay => {
                let of_day = calendar::time_of_day(text)
                    .or_else(|| self.units(text).ok().filter(|us| (0..=DAY_US).contains(us)));
                return self.on_day(of_day.ok_or(TimeProblem::OfDay)?);
            }
        };
        self.note(time_us)
    }

    /// Reads a time that is an integer, exactly. Gives microseconds as [`TimeReader::read_text`].
    ///
    /// # Errors
    /// As [`TimeReader::read_text`].
    pub fn read_integer(&mut self, number: i128) -> Result<i64, TimeProblem> {
        if !matches!(self.kind, TimeKind::Epoch | TimeKind::Delta) {
            return self.read_text(&number.to_string());
        }
        let power = self.unit.power();
        let size = 10_i128.pow(power.unsigned_abs());
        let us = match power >= 0 {
            true => number.checked_mul(size).ok_or(TimeProblem::Bounds)?,
            false => rounded(number, size),
        };
        self.number(bounded(us)?)
    }

    /// Reads a time that is a number, as exactly as its 64 bits say. Gives microseconds as
    /// [`TimeReader::read_text`].
    ///
    /// # Errors
    /// As [`TimeReader::read_text`].
    pub fn read_number(&mut self, number: f64) -> Result<i64, TimeProblem> {
        if !matches!(self.kind, TimeKind::Epoch | TimeKind::Delta) {
            return self.read_text(&number.to_string());
        }
        self.number(self.unit.to_us(number).ok_or(TimeProblem::Bounds)?)
    }

    /// Takes a number of microseconds for what the format says.
    fn number(&mut self, us: i64) -> Result<i64, TimeProblem> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let time_us = match self.kind {
            TimeKind::Delta => self.after(us)?,
            TimeKind::Epoch | TimeKind::Iso | TimeKind::OfDay | TimeKind::Pattern(_) => {
                self.since_start(us)?
            }
        };
        self.note(time_us)
    }

    fn units(&self, text: &str) -> Result<i64, TimeProblem> {
        let Some(us) = scaled(text, self.unit.power()) else {
            let number = text.parse::<f64>().is_ok_and(f64::is_finite);
            let hint = self.hint(text);
            let no_number = TimeProblem::Number { unit: self.unit, hint };
            return Err(if number { TimeProblem::Bounds } else { no_number });
        };
        bounded(us)
    }

    fn hint(&self, text: &str) -> &'static str {
        if self.calendar.iso(text, None).is_ok() {
            "; format = \"iso\" reads it"
        } else if calendar::time_of_day(text).is_some() {
            "; format = \"of_day\" reads it"
        } else {
            ""
        }
    }

    fn since_start(&self, us: i64) -> Result<i64, TimeProblem> {
        bounded(i128::from(self.start_us) + i128::from(us))
    }

    fn after(&self, us: i64) -> Result<i64, TimeProblem> {
        let before = self.last.map_or(self.start_us, |last| last.time_us);
        bounded(i128::from(before) + i128::from(us))
    }

    /// The moment of a time of day: on the day before, the same or the next one.
    fn on_day(&mut self, of_day_us: i64) -> Result<i64, TimeProblem> {
        let day = match self.last {
            None => self.start_day,
            // Samples may come a little out of order, also around midnight.
            Some(last) if of_day_us < last.of_day_us - HOUR_US => last.day + 1,
            Some(last) if of_day_us > last.of_day_us + 23 * HOUR_US => last.day - 1,
            Some(last) => last.day,
        };
        let not_before = self.last.map(|last| last.time_us);
        let time_us = self.calendar.at(day, of_day_us, not_before)?;
        if self.last.is_none_or(|last| (day, of_day_us) > (last.day, last.of_day_us)) {
            self.last = Some(Last { time_us, day, of_day_us });
        }
        Ok(time_us)
    }

    fn note(&mut self, time_us: i64) -> Result<i64, TimeProblem> {
        self.last = Some(Last { time_us, day: 0, of_day_us: 0 });
        Ok(time_us)
    }
}

fn bounded(us: i128) -> Result<i64, TimeProblem> {
    let fits = us.abs() <= US_MAX;
    i64::try_from(us).ok().filter(|_| fits).ok_or(TimeProblem::Bounds)
}

/// A time in microseconds for people: a date in UTC, or seconds where it is no time since 1970.
pub fn show_us(time_us: i64) -> String {
    if time_us.abs() < 3650 * DAY_US {
        let seconds = time_us / 1_000_000;
        return format!("{seconds}.{:03} s", (time_us % 1_000_000).abs() / 1000);
    }
    let moment = jiff::Timestamp::from_microsecond(time_us);
    moment.map_or_else(|_| format!("{time_us} us"), |moment| format!("{moment:.3}"))
}

#[cfg(test)]
mod tests;
