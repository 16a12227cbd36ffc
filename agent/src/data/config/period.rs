//! Sampling periods as text: for what comes too seldom to be told in hertz.

use std::fmt;

use serde::Deserialize;

/// Seconds of a month: a twelfth of a year of 365.2425 days.
const MONTH_S: f64 = 2_629_746.0;
/// Units and their lengths in nanoseconds.
const UNITS: [(&[&str], f64); 8] = [
    (&["us", "µs"], 1e3),
    (&["ms"], 1e6),
    (&["s", "sec", "second", "seconds"], 1e9),
    (&["min", "minute", "minutes"], 60e9),
    (&["h", "hour", "hours"], 3_600e9),
    (&["d", "day", "days"], 86_400e9),
    (&["week", "weeks"], 604_800e9),
    (&["month", "months"], MONTH_S * 1e9),
];

/// Time from one sample to the next, such as `15 min`, `1 h` or `1 month` (of 30.436875 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Period {
    ns: u64,
}

/// A text is no period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no period; write a number and us, ms, s, min, h, d, week or month: \"15 min\"")]
pub struct ParsePeriodError(String);

impl Period {
    /// Its length in nanoseconds, above 0.
    pub fn ns(self) -> u64 {
        self.ns
    }

    /// As samples a second.
    #[allow(clippy::cast_precision_loss)] // 53 bits are enough
    pub fn rate_hz(self) -> f64 {
        1e9 / self.ns as f64
    }
}

impl TryFrom<String> for Period {
    type Error = ParsePeriodError;

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn try_from(text: String) -> Result<Self, ParsePeriodError> {
        let trimmed = text.trim();
        let end = trimmed.find(|sign: char| sign.is_alphabetic()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let length = UNITS.iter().find(|(names, _)| names.contains(&unit.trim()));
        let number = number.trim().parse::<f64>().ok();
        let ns = number.zip(length).map(|(number, (_, ns))| (number * ns).round());
        // Below 2^53 whole nanoseconds are exact; that is 104 days.
        match ns.filter(|ns| (1.0..=9e15).contains(ns)) {
            Some(ns) => Ok(Self { ns: ns as u64 }),
            None => Err(ParsePeriodError(text)),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", 1.0 / self.rate_hz())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_exact_from_microseconds_to_a_month() {
        let ns = |text: &str| Period::try_from(text.to_owned()).map(Period::ns);
        assert_eq!(ns("20 ms"), Ok(20_000_000));
        assert_eq!(ns("0.5us"), Ok(500));
        assert_eq!(ns("15 min"), Ok(900_000_000_000));
        assert_eq!(ns(" 1 h "), Ok(3_600_000_000_000));
        assert_eq!(ns("1 d"), Ok(86_400_000_000_000));
        assert_eq!(ns("1 month"), Ok(2_629_746_000_000_000));
        assert_eq!(ns("2.5 s").map(|ns| ns % 7), Ok(2_500_000_000 % 7));
        for bad in
            ["", "15", "min", "15 lightyears", "-1 s", "0 s", "inf s", "1e300 h", "5 months "]
        {
            let error = ns(bad).unwrap_err().to_string();
            assert!(error.contains("15 min"), "{bad}: {error}");
        }
    }
}
