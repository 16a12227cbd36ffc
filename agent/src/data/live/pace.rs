//! Times for samples that bring none, from the moments in which they came in.

/// Share of the distance to the clock that one sample makes up for.
const PULL: i64 = 64;

/// Spaces samples by their period while their arrival allows, so that what delays them by a moment
/// does not tear a row apart, and follows the clock slowly. Where the clock is away by more than a
/// quarter of a second and four periods, because samples are missing or it was set, it starts anew
/// from the clock: the row ends there.
#[derive(Debug)]
pub struct Pace {
    period_ns: i64,
    slack_ns: i64,
    /// When the next sample is due.
    due_ns: Option<i64>,
}

impl Pace {
    /// A pace of one sample in `period_ns` nanoseconds, above 0.
    pub fn new(period_ns: u64) -> Self {
        let period_ns = i64::try_from(period_ns).unwrap_or(i64::MAX);
        Self { period_ns, slack_ns: period_ns.saturating_mul(4).max(250_000_000), due_ns: None }
    }

    /// Time in microseconds of a sample that was taken at about `clock_us` on the wall clock, in
    /// microseconds since 1970.
    pub fn next(&mut self, clock_us: i64) -> i64 {
        let clock_ns = clock_us.saturating_mul(1000);
        let time_ns = match self.due_ns {
            Some(due) if clock_ns.saturating_sub(due).saturating_abs() <= self.slack_ns => {
                let most = self.period_ns / 20;
                due.saturating_add((clock_ns.saturating_sub(due) / PULL).clamp(-most, most))
            }
            _ => clock_ns,
        };
        self.due_ns = Some(time_ns.saturating_add(self.period_ns));
        time_ns / 1000
    }

    /// Time in microseconds of a sample that came together with others at `clock_us`, `left` of
    /// them after it.
    pub fn next_of(&mut self, left: usize, clock_us: i64) -> i64 {
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        self.next(clock_us.saturating_sub(self.period_ns.saturating_mul(left) / 1000))
    }

    /// Lets the time of `count` samples pass that are missing: the row ends there.
    pub fn skip(&mut self, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let passed = self.period_ns.saturating_mul(count);
        self.due_ns = self.due_ns.map(|due| due.saturating_add(passed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD_US: i64 = 20_000;

    fn pace() -> Pace {
        Pace::new(20_000_000)
    }

    #[test]
    fn jitter_is_smoothed_and_a_clock_that_runs_differently_is_followed() {
        let mut pace = pace();
        let mut last = pace.next(0);
        for n in 1..10_000i64 {
            // One part in a thousand slower, and up to 15 ms late.
            let time = pace.next(n * (PERIOD_US + 20) + n * 7919 % 15_000);
            let step = time - last;
            assert!((19_000..=21_000).contains(&step), "{n}: {step}");
            last = time;
        }
        let clock = 9_999 * (PERIOD_US + 20);
        assert!((last - clock).abs() < 30_000, "{last} at {clock}");
    }

    #[test]
    fn a_clock_that_is_set_and_a_hole_start_anew() {
        let mut pace = pace();
        assert_eq!(pace.next(1_000_000), 1_000_000);
        assert_eq!(pace.next(1_020_000), 1_020_000);
        assert_eq!(pace.next(5_000_000), 5_000_000, "set forward, or nothing came for a while");
        assert_eq!(pace.next(17), 17, "set back");
        assert_eq!(pace.next(20_017), 20_017);
        for extreme in [i64::MAX, i64::MIN, i64::MAX, 0] {
            pace.next(extreme);
        }
    }

    #[test]
    fn missing_samples_leave_a_gap_of_their_length() {
        let mut pace = pace();
        let first = pace.next(0);
        pace.skip(1);
        assert_eq!(pace.next(40_000) - first, 2 * PERIOD_US);
        pace.skip(u64::MAX);
        pace.next(60_000);
    }

    #[test]
    fn samples_of_one_message_lie_before_its_arrival() {
        let mut pace = pace();
        let times: Vec<i64> = (0..3).rev().map(|left| pace.next_of(left, 100_000)).collect();
        assert_eq!(times, [60_000, 80_000, 100_000]);
    }
}
