//! Sampling periods as text: for what comes too seldom to be told in hertz.

use dunlin_protocol::task::{ParseRateError, Rate};
use serde::Deserialize;

/// Time from one sample to the next, such as `15 min`, `1 h` or `1 month` (of 30.436875 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(Rate);

impl Period {
    /// Its length in nanoseconds, above 0.
    pub fn ns(self) -> u64 {
        self.0.period_ns()
    }

    /// As samples a second.
    pub fn rate_hz(self) -> f64 {
        self.0.hz()
    }
}

impl TryFrom<String> for Period {
    type Error = ParseRateError;

    fn try_from(text: String) -> Result<Self, ParseRateError> {
        Rate::from_period_text(&text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_exact_from_microseconds_to_a_month() {
        let ns = |text: &str| Period::try_from(text.to_owned()).map(Period::ns);
        assert_eq!(ns("20 ms"), Ok(20_000_000));
        assert_eq!(ns("15 min"), Ok(900_000_000_000));
        assert_eq!(ns("1 d"), Ok(86_400_000_000_000));
        assert_eq!(ns("1 month"), Ok(2_629_746_000_000_000));
        for bad in ["", "15", "min", "15 lightyears", "-1 s", "0 s"] {
            let error = ns(bad).unwrap_err().to_string();
            assert!(error.contains("15 min"), "{bad}: {error}");
        }
    }
}
