//! Times of rows that bring none.

/// Times of samples that bring none: one period apart, with a gap wherever rows may be missing.
#[derive(Debug, Default)]
pub(super) struct ImpliedTime {
    /// Time of the first row, in microseconds.
    pub(super) base_us: i64,
    /// Rows since.
    pub(super) steps: u64,
}

impl ImpliedTime {
    /// Time of the next row, in microseconds.
    pub(super) fn now_us(&self, period_ns: u64) -> i64 {
        let passed = u128::from(self.steps) * u128::from(period_ns) / 1000;
        self.base_us.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// Periods in at least one second, and at least two: more than a row of samples may miss.
    pub(super) fn gap_steps(period_ns: u64) -> u64 {
        (1_000_000_000 / period_ns.max(1)).max(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_times_stay_exact_over_years() {
        let time = ImpliedTime { base_us: 5, steps: 62_400_000 };
        assert_eq!(time.now_us(16_025_641), 5 + 999_999_998_400);
        assert_eq!(ImpliedTime::gap_steps(20_000_000), 50);
        assert_eq!(ImpliedTime::gap_steps(300_000_000_000), 2);
    }
}
