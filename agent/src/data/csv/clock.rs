//! Times of rows that bring none, and which rows are in the ring already.

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

/// Rows that are in the ring already: they came after the position that was saved last.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// None.
    Nothing,
    /// So many good ones.
    Rows(u64),
    /// Those of this span, until the first of another time.
    Until {
        /// Time where the position was saved, in microseconds.
        from_us: i64,
        /// Time of the newest sample in the ring, in microseconds.
        until_us: i64,
    },
}

impl Skip {
    /// Whether a good row of `time_us` is in the ring already.
    pub(super) fn takes(&mut self, time_us: i64) -> bool {
        let takes = match self {
            Self::Nothing => return false,
            Self::Rows(rows) => {
                let some = *rows > 0;
                *rows = rows.saturating_sub(1);
                some
            }
            Self::Until { from_us, until_us } => (*from_us..=*until_us).contains(&time_us),
        };
        if !takes || *self == Self::Rows(0) {
            *self = Self::Nothing;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_skipped_by_their_times_until_one_is_new() {
        let mut skip = Skip::Until { from_us: 10, until_us: 30 };
        assert!(skip.takes(10) && skip.takes(30) && skip.takes(30));
        assert!(!skip.takes(40) && !skip.takes(20), "nothing is skipped after a new one");
        let mut skip = Skip::Until { from_us: 10, until_us: 30 };
        assert!(!skip.takes(5), "a clock that was set back is no reason to skip");
        let mut skip = Skip::Rows(2);
        assert_eq!([0, 0, 0].map(|time| skip.takes(time)), [true, true, false]);
        assert_eq!(skip, Skip::Nothing);
    }

    #[test]
    fn implied_times_stay_exact_over_years() {
        let time = ImpliedTime { base_us: 5, steps: 62_400_000 };
        assert_eq!(time.now_us(16_025_641), 5 + 999_999_998_400);
        assert_eq!(ImpliedTime::gap_steps(20_000_000), 50);
        assert_eq!(ImpliedTime::gap_steps(300_000_000_000), 2);
    }
}
