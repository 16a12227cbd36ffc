//! How often a sensor is read, exactly: from megahertz down to one sample in a year.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds in a thousand seconds: a rate in millihertz counts samples in this time.
const MILLIHERTZ_NS: u64 = 1_000_000_000_000;
/// Longest sampling period in nanoseconds: 366 days.
pub const PERIOD_NS_MAX: u64 = 366 * 86_400 * 1_000_000_000;

/// Units of a period with their nanoseconds, longest first. A month is a twelfth of 365.2425 days.
const UNITS: [(&str, u64); 9] = [
    ("month", 2_629_746_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("ns", 1),
];

/// A sampling rate as a ratio in lowest terms: so many samples in so many nanoseconds.
///
/// Equal rates are equal however they were written: 50 Hz, 50,000 mHz and a period of 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    samples: u64,
    ns: u64,
}

/// Why a text or number is no sampling rate or period; says what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}")]
pub struct ParseRateError {
    text: String,
    what: &'static str,
}

impl ParseRateError {
    fn period(text: &str) -> Self {
        let what = "period: write a number and us, ms, s, min, h, d or month, such as \"15 min\"; \
                    at most 366 d";
        Self { text: text.into(), what }
    }

    fn rate(text: &str) -> Self {
        let what = "rate in Hz: write a number such as 62.4, or a ratio such as \"100/3\"; for slow \
                    data name the period, such as \"15 min\"";
        Self { text: text.into(), what }
    }
}

impl Rate {
    /// `samples` in `ns` nanoseconds, both above zero.
    pub const fn new(samples: u64, ns: u64) -> Option<Self> {
        if samples == 0 || ns == 0 { None } else { Some(Self::reduced(samples, ns)) }
    }

    /// A rate in thousandths of a hertz; a task refuses 0.
    pub const fn from_millihertz(millihertz: u32) -> Self {
        Self::reduced(millihertz as u64, MILLIHERTZ_NS)
    }

    /// One sample in `ns` nanoseconds; 0 counts as 1.
    pub const fn from_period_ns(ns: u64) -> Self {
        Self { samples: 1, ns: if ns == 0 { 1 } else { ns } }
    }

    /// In lowest terms; `ns` is above zero.
    const fn reduced(samples: u64, ns: u64) -> Self {
        let (mut a, mut b) = (ns, samples);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { samples: samples / a, ns: ns / a }
    }

    /// Reads a rate in hertz: a decimal number, or the ratio of two such as `100/3`.
    ///
    /// # Errors
    /// [`ParseRateError`] names the text.
    pub fn from_hz_text(text: &str) -> Result<Self, ParseRateError> {
        let (above, below) = text.split_once('/').unwrap_or((text, "1"));
        let ratio = || {
            let (above, tenths_above) = decimal(above)?;
            let (below, tenths_below) = decimal(below)?;
            let samples = above.checked_mul(10_u128.checked_pow(tenths_below)?)?;
            let ns = below.checked_mul(10_u128.checked_pow(tenths_above)?)?;
            Self::from_wide(samples, ns.checked_mul(1_000_000_000)?)
        };
        ratio().ok_or_else(|| ParseRateError::rate(text))
    }

    /// Reads a period: a decimal number and `ns`, `us`, `ms`, `s`, `min`, `h`, `d` or `month`.
    ///
    /// # Errors
    /// [`ParseRateError`] names the text.
    pub fn from_period_text(text: &str) -> Result<Self, ParseRateError> {
        let period = || {
            let number = text.trim();
            let unit_at = number.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, unit) = number.split_at(unit_at);
            let unit = unit.trim();
            let named =
                |(name, _): &&(&str, u64)| *name == unit || (*name == "month" && unit == "months");
            let (_, unit_ns) = UNITS.iter().find(named)?;
            let (number, tenths) = decimal(number)?;
            let ns = number.checked_mul(u128::from(*unit_ns))?;
            Self::from_wide(10_u128.checked_pow(tenths)?, ns)
        };
        period().ok_or_else(|| ParseRateError::period(text))
    }

    /// In lowest terms, if it fits and is neither zero nor slower than one sample in 366 days.
    fn from_wide(samples: u128, ns: u128) -> Option<Self> {
        let (mut a, mut b) = (ns, samples);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let (samples, ns) = (samples.checked_div(a)?, ns.checked_div(a)?);
        let rate = Self::new(u64::try_from(samples).ok()?, u64::try_from(ns).ok()?)?;
        rate.is_sane().then_some(rate)
    }

    /// Samples of the ratio.
    pub fn samples(self) -> u64 {
        self.samples
    }

    /// Nanoseconds in which [`Rate::samples`] are taken.
    pub fn ns(self) -> u64 {
        self.ns
    }

    /// The rate in thousandths of a hertz, where it is a whole number of them.
    pub fn millihertz(self) -> Option<u32> {
        let scaled = u128::from(self.samples) * u128::from(MILLIHERTZ_NS);
        let whole =
            scaled.is_multiple_of(u128::from(self.ns)).then(|| scaled / u128::from(self.ns));
        whole.and_then(|whole| u32::try_from(whole).ok())
    }

    /// Nanoseconds from one sample to the next, the nearest whole number, at least 1.
    pub fn period_ns(self) -> u64 {
        let samples = self.samples.max(1);
        let (whole, rest) = (self.ns / samples, self.ns % samples);
        (whole + u64::from(rest >= samples - rest)).max(1)
    }

    /// Samples a second.
    #[allow(clippy::cast_precision_loss)]
    pub fn hz(self) -> f64 {
        self.samples as f64 * 1e9 / self.ns as f64
    }

    /// Whether a task may have it: at most 4,294,967.295 Hz, at least one sample in 366 days.
    pub(super) fn is_sane(self) -> bool {
        let (samples, ns) = (u128::from(self.samples), u128::from(self.ns));
        self.samples > 0
            && samples * u128::from(MILLIHERTZ_NS) <= ns * u128::from(u32::MAX)
            && ns <= samples * u128::from(PERIOD_NS_MAX)
    }
}

impl fmt::Display for Rate {
    /// Such as `62.4 Hz`, or `one sample in 15 min` for whole periods of a second and more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.samples == 1 && self.ns >= 2_000_000_000 {
            let (count, unit) = in_units(self.ns);
            write!(f, "one sample in {count} {unit}")
        } else {
            write!(f, "{} Hz", self.hz())
        }
    }
}

/// The largest unit that gives a whole number, and the number.
fn in_units(ns: u64) -> (u64, &'static str) {
    let whole = UNITS.iter().find(|(_, unit_ns)| ns.is_multiple_of(*unit_ns));
    whole.map_or((ns, "ns"), |&(unit, unit_ns)| (ns / unit_ns, unit))
}

/// The digits of a decimal number without sign and exponent, and how many stand behind its point.
fn decimal(text: &str) -> Option<(u128, u32)> {
    let text = text.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let number = format!("{whole}{part}").parse().ok()?;
    Some((number, u32::try_from(part.len()).ok()?))
}

/// A rate in a task file: exactly one of three keys.
#[derive(Clone, Debug, Default)]
pub(super) struct RateKeys {
    rate_millihertz: Option<u32>,
    rate_hz: Option<Hertz>,
    period: Option<String>,
}

/// A rate in hertz as people write it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Hertz {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl RateKeys {
    pub(super) fn new(
        rate_millihertz: Option<u32>,
        rate_hz: Option<Hertz>,
        period: Option<String>,
    ) -> Self {
        Self { rate_millihertz, rate_hz, period }
    }

    /// The rate that the keys name.
    ///
    /// # Errors
    /// A text that says which key is wrong.
    pub(super) fn read(&self) -> Result<Rate, String> {
        let hz = |hz: &Hertz| match hz {
            Hertz::Whole(hz) => Rate::from_hz_text(&format!("{hz}")),
            Hertz::Number(hz) => Rate::from_hz_text(&format!("{hz}")),
            Hertz::Text(hz) => Rate::from_hz_text(hz),
        };
        match (self.rate_millihertz, &self.rate_hz, &self.period) {
            (Some(millihertz), None, None) => Ok(Rate::from_millihertz(millihertz)),
            (None, Some(text), None) => hz(text).map_err(|error| format!("rate_hz: {error}")),
            (None, None, Some(text)) => {
                Rate::from_period_text(text).map_err(|error| format!("period: {error}"))
            }
            _ => Err("name the rate once: rate_hz, period or rate_millihertz".into()),
        }
    }

    /// The keys that name `rate`, the older one where it can.
    pub(super) fn of(rate: Rate) -> Self {
        if let Some(millihertz) = rate.millihertz() {
            return Self::new(Some(millihertz), None, None);
        }
        if rate.samples == 1 {
            let (count, unit) = in_units(rate.ns);
            return Self::new(None, None, Some(format!("{count} {unit}")));
        }
        let samples = u128::from(rate.samples) * 1_000_000_000;
        Self::new(None, Some(Hertz::Text(format!("{samples}/{}", rate.ns))), None)
    }

    /// The keys by themselves.
    pub(super) fn parts(self) -> (Option<u32>, Option<Hertz>, Option<String>) {
        (self.rate_millihertz, self.rate_hz, self.period)
    }
}

#[cfg(test)]
mod tests;
