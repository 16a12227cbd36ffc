//! Dates, times of day and time zones.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::decimal::scaled;
use super::{DAY_US, TimeProblem, bounded};

static ISO: DateTimeParser = DateTimeParser::new();

/// Turns local times into moments.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    name: String,
}

impl Calendar {
    /// A calendar without summer time.
    pub(super) fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// The calendar of `zone`: `UTC`, an offset, or a name that the system knows. UTC for `None`.
    pub(super) fn new(zone: Option<&str>) -> Result<Self, TimeProblem> {
        let Some(name) = zone.map(str::trim) else {
            return Ok(Self::utc());
        };
        let zone = match name {
            "UTC" | "utc" | "Z" => TimeZone::UTC,
            _ if name.starts_with(['+', '-']) => {
                let offset = offset(name).ok_or_else(|| TimeProblem::Zone(name.to_owned()))?;
                TimeZone::fixed(offset)
            }
            _ => TimeZone::get(name).map_err(|_| TimeProblem::Zone(name.to_owned()))?,
        };
        Ok(Self { zone, name: name.to_owned() })
    }

    /// The day since 1970 and the moment in microseconds of a start such as `2026-05-20`.
    pub(super) fn start(&self, text: &str) -> Option<(i64, i64)> {
        let us = self.iso(text.trim(), None).ok()?;
        Some((self.of_day(us).0, us))
    }

    /// The local day since 1970 of a moment, and microseconds of that day.
    pub(super) fn of_day(&self, time_us: i64) -> (i64, i64) {
        let moment = Timestamp::from_microsecond(time_us).unwrap_or(Timestamp::UNIX_EPOCH);
        let shift = i64::from(self.zone.to_offset(moment).seconds()) * 1_000_000;
        let local = time_us.saturating_add(shift);
        (local.div_euclid(DAY_US), local.rem_euclid(DAY_US))
    }

    /// The moment at which the local clock shows `of_day_us` on the day `day` since 1970.
    pub(super) fn at(
        &self,
        day: i64,
        of_day_us: i64,
        not_before: Option<i64>,
    ) -> Result<i64, TimeProblem> {
        let local_us = bounded(i128::from(day) * i128::from(DAY_US) + i128::from(of_day_us))?;
        let local = Timestamp::from_microsecond(local_us).map_err(|_| TimeProblem::Bounds)?;
        self.moment(TimeZone::UTC.to_datetime(local), not_before)
    }

    /// The moment of ISO 8601 text in microseconds; its own offset wins over the zone.
    pub(super) fn iso(&self, text: &str, not_before: Option<i64>) -> Result<i64, TimeProblem> {
        let pieces = ISO.parse_pieces(text).map_err(|_| TimeProblem::Iso)?;
        let local = pieces.date().to_datetime(pieces.time().unwrap_or_default());
        match pieces.to_numeric_offset() {
            Some(offset) => at_offset(offset, local),
            None => self.moment(local, not_before),
        }
    }

    /// The moment of text that follows `pattern`; an offset in it wins over the zone.
    pub(super) fn pattern(
        &self,
        pattern: &str,
        text: &str,
        not_before: Option<i64>,
    ) -> Result<i64, TimeProblem> {
        let wrong = || TimeProblem::Pattern(pattern.to_owned());
        let parsed = BrokenDownTime::parse(pattern, text).map_err(|_| wrong())?;
        if let Some(moment) = parsed.timestamp() {
            return bounded(i128::from(moment.as_microsecond()));
        }
        let local = match parsed.hour() {
            Some(_) => parsed.to_datetime(),
            None => parsed.to_date().map(|date| date.to_datetime(jiff::civil::Time::midnight())),
        };
        let local = local.map_err(|_| wrong())?;
        match parsed.offset() {
            Some(offset) => at_offset(offset, local),
            None => self.moment(local, not_before),
        }
    }

    fn moment(&self, local: DateTime, not_before: Option<i64>) -> Result<i64, TimeProblem> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => at_offset(offset, local),
            AmbiguousOffset::Gap { .. } => Err(TimeProblem::Gap(self.name.clone())),
            AmbiguousOffset::Fold { before, after } => {
                let first = at_offset(before, local)?;
                if not_before.is_some_and(|time| first < time) {
                    return at_offset(after, local);
                }
                Ok(first)
            }
        }
    }
}

fn at_offset(offset: Offset, local: DateTime) -> Result<i64, TimeProblem> {
    let moment = offset.to_timestamp(local).map_err(|_| TimeProblem::Bounds)?;
    // To the nearest microsecond: the last digit of nanoseconds is no reason for another rounding.
    bounded(super::rounded(moment.as_nanosecond(), 1000))
}

/// An offset such as `+02:00`, `-0530` or `+2`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let digits = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let (hours, minutes) = match rest.split_once(':') {
        Some(both) => both,
        None if rest.len() == 4 => rest.split_at_checked(2)?,
        None => (rest, "0"),
    };
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    let fits = digits && hours <= 18 && minutes < 60;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().filter(|_| fits)
}

/// Microseconds since midnight of text such as `23:59`, `23:59:59.5` or `11:59:59 PM`.
pub(super) fn time_of_day(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let (clock, half) = match upper.strip_suffix("AM").or_else(|| upper.strip_suffix("A.M.")) {
        Some(clock) => (clock, Some(0)),
        None => match upper.strip_suffix("PM").or_else(|| upper.strip_suffix("P.M.")) {
            Some(clock) => (clock, Some(12)),
            None => (upper.as_str(), None),
        },
    };
    let mut parts = clock.trim().split(':');
    let (hours, minutes) = (parts.next()?.parse::<u8>().ok()?, parts.next()?.parse::<u8>().ok()?);
    let seconds_us = match parts.next() {
        Some(text) if text.starts_with(|c: char| c.is_ascii_digit()) => scaled(text, 6)?,
        Some(_) => return None,
        None => 0,
    };
    let hours = match half {
        Some(half) => (1..=12).contains(&hours).then(|| hours % 12 + half)?,
        None => hours,
    };
    let fits = hours < 24 && minutes < 60 && (0..61_000_000).contains(&seconds_us);
    let us = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000_000;
    (fits && parts.next().is_none()).then(|| i64::try_from(seconds_us).map(|s| us + s).ok())?
}

/// Whether `pattern` can be read by at all.
pub(super) fn is_pattern(pattern: &str) -> bool {
    let day = Date::constant(2001, 2, 3).at(4, 5, 6, 0);
    TimeZone::UTC.to_zoned(day).is_ok_and(|day| jiff::fmt::strtime::format(pattern, &day).is_ok())
}
