//! Spans of the day, and what local time is ahead of UTC, as they are written.

use serde::Deserialize;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Why a text is no span of the day, or no offset from UTC: the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoursError {
    /// It is not a [`DaySpan`].
    #[error("{0:?} is not a span of the day; write it as \"22:00-06:00\"")]
    Span(String),
    /// It is not a [`UtcOffset`].
    #[error("{0:?} is not an offset from UTC; write it as \"+01:00\" or \"-03:30\"")]
    Offset(String),
}

/// A span of the day, such as `22:00-06:00`; it may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DaySpan {
    /// Its first minute of the day, below 1440.
    from: u16,
    /// The minute of the day behind its last, at most 1440.
    to: u16,
}

impl DaySpan {
    /// Whether `minute` of the day lies in it. The end does not.
    pub fn contains(self, minute: u16) -> bool {
        let Self { from, to } = self;
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

impl TryFrom<String> for DaySpan {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        let span = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = (minutes(from.trim())?, minutes(to.trim())?);
            (from < DAY && to <= DAY && from != to).then_some(Self { from, to })
        });
        span.ok_or(HoursError::Span(text))
    }
}

/// What local time is ahead of UTC, such as `+05:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UtcOffset {
    /// In seconds, at most 14 hours either way.
    pub seconds: i32,
}

impl TryFrom<String> for UtcOffset {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        let ahead = match text.split_at_checked(1) {
            Some(("+", rest)) => minutes(rest).map(i32::from),
            Some(("-", rest)) => minutes(rest).map(|minutes| -i32::from(minutes)),
            Some(_) | None => None,
        };
        let ahead = ahead.filter(|minutes| minutes.abs() <= 14 * 60);
        ahead.map(|minutes| Self { seconds: minutes * 60 }).ok_or(HoursError::Offset(text))
    }
}

/// `hh:mm` in minutes, 0 to 1499; `None` for any other text.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, most: u16| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|number| plain && *number <= most)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 59)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Result<DaySpan, HoursError> {
        text.to_owned().try_into()
    }

    #[test]
    fn a_span_has_its_first_minute_and_not_its_end_and_may_pass_midnight() {
        let day = span("08:30-17:00").unwrap();
        assert!(day.contains(8 * 60 + 30) && day.contains(16 * 60 + 59));
        assert!(!day.contains(17 * 60) && !day.contains(8 * 60 + 29));
        let night = span("22:00 - 06:00").unwrap();
        assert!(night.contains(22 * 60) && night.contains(0) && night.contains(359));
        assert!(!night.contains(360) && !night.contains(22 * 60 - 1));
        let evening = span("18:00-24:00").unwrap();
        assert!(evening.contains(1439) && !evening.contains(0));
        let midnight = span("22:00-00:00").unwrap();
        assert!(midnight.contains(1439) && !midnight.contains(0));
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in ["", "-", "8-17", "25:00-06:00", "24:00-06:00", "08:60-09:00", "08:00-08:00"] {
            let error = span(text).unwrap_err().to_string();
            assert!(error.contains("22:00-06:00"), "{error}");
        }
        for text in ["+8:00-09:00", "08:00–09:00", "08:00-09:00-10:00", "٠٨:00-09:00"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn offsets_have_a_sign_and_reach_fourteen_hours() {
        let offset = |text: &str| UtcOffset::try_from(text.to_owned()).map(|at| at.seconds).ok();
        assert_eq!(offset("+05:30"), Some(19_800));
        assert_eq!(offset("-03:00"), Some(-10_800));
        assert_eq!(offset("+14:00"), Some(50_400));
        for text in ["", "+", "01:00", "+14:01", "-15:00", "é1:00", "+1"] {
            assert_eq!(offset(text), None, "{text}");
        }
    }
}
