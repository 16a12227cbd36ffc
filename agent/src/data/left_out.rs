//! What a cut into windows left out, and why.

use std::fmt;

use super::ring::pace;

/// Steps off the rate by more than this share make another rate: a tenth.
const OFF_TENTHS: u64 = 1;
/// Samples at the least before their steps are called another rate.
const SAMPLES_MIN: u64 = 8;
/// Reading times in the wrong unit is off by one of these, or one in so many.
const UNITS: [(u64, &str); 3] = [(1_000, "ms"), (1_000_000, "us"), (1_000_000_000, "ns")];

/// What a cut into windows found and left out. As text: why there are no windows, with a remedy; or what
/// was left out beside those that there are.
///
/// Counts of windows are exact. Those of rows and steps are of the samples that were looked at since
/// counting began; samples that the ring has dropped since may be among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Windows that were found.
    pub found: u64,
    /// Windows whose samples carry no label of the task, or several.
    pub unlabelled: u64,
    /// Windows that last longer or shorter than the rate says.
    pub off_rate: u64,
    /// Windows with a value that the ring could not hold.
    pub cut: u64,
    /// Windows that are older than fit into memory.
    pub crowded_out: u64,
    /// Rows that ended before they had a window. A gap, a step back and a missing sample end a row.
    pub rows_ended: u64,
    /// Samples of the longest row.
    pub longest_row: u64,
    /// Samples of a window.
    pub window: u64,
    /// Samples that were looked at.
    pub samples: u64,
    /// Steps of more than 1.5 periods.
    pub gaps: u64,
    /// Shortest and longest of these steps, in microseconds.
    pub gap_us: (u64, u64),
    /// Samples whose time is before that of the sample before.
    pub steps_back: u64,
    /// Samples that have the time of the sample before.
    pub same_time: u64,
    /// Steps that are a period long, to a half.
    pub on_time: u64,
    /// Samples that are missing in the ring.
    pub missing: u64,
    /// Rate by the times of the newest samples, in thousandths of a hertz; 0 where it is below one.
    pub measured_millihertz: Option<u64>,
    /// Usual step of the newest samples, in nanoseconds.
    pub step_ns: Option<u64>,
    /// Nanoseconds from one sample to the next by the configuration.
    pub period_ns: u64,
}

impl LeftOut {
    /// Whether something is wrong: there are samples and no windows, and not only because the first
    /// window is not full yet.
    pub fn is_trouble(&self) -> bool {
        let begun = self.samples > 0 && (self.samples >= self.window || self.rows_ended > 0);
        self.found == 0 && begun
    }

    /// What was left out, by one word for each reason that there is: windows, and rows that ended before
    /// they had one.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = [
            ("unlabelled", self.unlabelled),
            ("off_rate", self.off_rate),
            ("cut", self.cut),
            ("crowded_out", self.crowded_out),
            ("short_rows", self.rows_ended),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Whether there are no windows because the times of the samples run at another rate than the
    /// configuration says. Steps that are odd now and then are no other rate.
    pub(super) fn is_other_rate(&self) -> bool {
        let others = self.found + self.unlabelled + self.cut;
        if others > 0 || self.samples == 0 {
            return false;
        }
        let enough = self.samples >= self.window.max(SAMPLES_MIN);
        let none_on_time = self.on_time.saturating_mul(10) < self.samples;
        let is_other = enough && none_on_time && self.is_off_rate() && !self.is_coarse();
        self.off_rate > 0 || is_other
    }

    /// Whether many samples share their time, so that times tell no rate.
    fn is_coarse(&self) -> bool {
        self.same_time.saturating_mul(4) > self.samples
    }

    fn is_off_rate(&self) -> bool {
        let Some(step) = self.step_ns else { return false };
        u128::from(step.abs_diff(self.period_ns)) * 10
            > u128::from(self.period_ns) * u128::from(OFF_TENTHS)
    }

    /// Which rate the samples have, and what may be wrong.
    fn write_rate(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(step), expected) = (self.step_ns, self.period_ns) else { return Ok(()) };
        for (factor, unit) in UNITS {
            if is_near(step, expected.saturating_mul(factor)) {
                let (step, expected) = (seconds(step), seconds(expected));
                return write!(
                    f,
                    "by their times, samples come every {step} s, {expected} s expected: is time_unit \
                     {unit:?}?"
                );
            }
            if is_near(step.saturating_mul(factor), expected) {
                let (step, expected) = (seconds(step), seconds(expected));
                return write!(
                    f,
                    "by their times, samples come every {step} s, {expected} s expected: is time_unit \
                     too small, {unit:?} where it is \"s\"?"
                );
            }
        }
        if step <= 1_000_000_000 && expected <= 1_000_000_000 {
            let (has, wants) = (pace(step), pace(expected));
            let wants = wants.trim_end_matches(" Hz");
            write!(f, "samples come at {has}, rate_hz says {wants}")?;
        } else {
            let (step, expected) = (seconds(step), seconds(expected));
            write!(f, "samples come every {step} s, {expected} s by rate_hz or period")?;
        }
        f.write_str(": correct that, or set resample = true")
    }

    /// Why rows ended.
    fn write_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows_ended, longest_row, gaps, steps_back, .. } = self;
        write!(f, "{rows_ended} rows ended early, the longest has {longest_row} samples")?;
        if *gaps > 0 {
            let (shortest, longest) = self.gap_us;
            let (from, to) = (seconds(shortest * 1000), seconds(longest * 1000));
            let span = if from == to { from } else { format!("{from} to {to}") };
            let expected = seconds(self.period_ns);
            write!(f, "; {gaps} gaps of {span} s where {expected} s is expected")?;
        }
        if *steps_back > 0 {
            write!(f, "; {steps_back} steps back in time")?;
        }
        if self.missing > 0 {
            write!(f, "; {} samples missing in the ring", self.missing)?;
        }
        if self.is_coarse() {
            return Ok(());
        }
        f.write_str("; set resample = true, or take a task with shorter windows")
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, window, samples, .. } = self;
        if *found > 0 {
            write!(f, "{found} windows")?;
        } else if *samples == 0 {
            return f.write_str("no samples yet");
        } else if self.is_trouble() {
            write!(f, "no window of {window} samples in {samples}")?;
        } else {
            return write!(f, "no window of {window} samples yet: there are {samples}");
        }
        let mut separator = if *found > 0 { "; left out: " } else { ": " };
        let mut next = |f: &mut fmt::Formatter<'_>| {
            f.write_str(separator)?;
            separator = "; ";
            Ok(())
        };
        if *found == 0 && self.is_coarse() {
            next(f)?;
            write!(
                f,
                "{} of {samples} samples have the time of the one before: their times are too coarse, \
                 set spread = true",
                self.same_time
            )?;
        } else if self.is_other_rate() {
            next(f)?;
            self.write_rate(f)?;
        }
        let counts = [
            (self.off_rate, "last longer or shorter than the rate says"),
            (self.cut, "have values that the ring cannot hold (set a larger quantum, or none)"),
            (self.unlabelled, "have no label of the task"),
            (self.crowded_out, "are older than fit into memory (windows_mb)"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            next(f)?;
            write!(f, "{count} windows {what}")?;
        }
        if *found == 0 && self.rows_ended > 0 {
            next(f)?;
            return self.write_rows(f);
        }
        if self.rows_ended > 0 {
            next(f)?;
            write!(f, "{} rows ended early", self.rows_ended)?;
        }
        Ok(())
    }
}

/// Whether two spans differ by less than a twentieth.
fn is_near(a: u64, b: u64) -> bool {
    u128::from(a.abs_diff(b)) * 20 < u128::from(b)
}

/// Nanoseconds as seconds with as many digits as tell something.
#[allow(clippy::cast_precision_loss)] // for people
fn seconds(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    let digits = if seconds < 1.0 { 6 } else { 3 };
    let text = format!("{seconds:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1000 samples at 50 Hz by the configuration, none of which follow each other.
    fn torn(step_ns: u64) -> LeftOut {
        let gap_us = (step_ns / 1000, step_ns / 1000);
        LeftOut {
            window: 50,
            samples: 1000,
            rows_ended: 999,
            longest_row: 1,
            gaps: 999,
            gap_us,
            step_ns: Some(step_ns),
            period_ns: 20_000_000,
            ..LeftOut::default()
        }
    }

    #[test]
    fn times_in_another_unit_are_told_with_the_unit() {
        let text = torn(20_000_000_000).to_string();
        let expected = "samples come every 20 s, 0.02 s expected: is time_unit \"ms\"?";
        assert!(text.contains(expected), "{text}");
        assert!(torn(20_000_000_000_000).to_string().contains("is time_unit \"us\"?"));
        let fast = LeftOut { off_rate: 7, gaps: 0, rows_ended: 0, ..torn(20_000) };
        let text = fast.to_string();
        assert!(text.contains("\"ms\" where it is \"s\"") && text.contains("7 windows"), "{text}");
    }

    #[test]
    fn another_rate_is_told_in_hertz_or_seconds() {
        let text = torn(32_000_000).to_string();
        assert!(text.contains("samples come at 31.25 Hz, rate_hz says 50:"), "{text}");
        let slow = LeftOut { period_ns: 300_000_000_000, ..torn(900_000_000_000) };
        let text = slow.to_string();
        assert!(text.contains("samples come every 900 s, 300 s by rate_hz or period"), "{text}");
        assert!(slow.is_other_rate() && slow.is_trouble());
    }

    #[test]
    fn gaps_now_and_then_are_no_other_rate() {
        let odd = LeftOut {
            rows_ended: 25,
            longest_row: 39,
            gaps: 25,
            gap_us: (40_000, 40_000),
            on_time: 974,
            ..torn(20_000_000)
        };
        assert!(odd.is_trouble() && !odd.is_other_rate());
        let expected = "no window of 50 samples in 1000: 25 rows ended early, the longest has 39 \
                        samples; 25 gaps of 0.04 s where 0.02 s is expected; set resample = true, or \
                        take a task with shorter windows";
        assert_eq!(odd.to_string(), expected);
        let one_gap = LeftOut { samples: 2, rows_ended: 1, gaps: 1, ..torn(32_000_000) };
        assert!(!one_gap.is_other_rate(), "too few to tell");
    }

    #[test]
    fn coarse_times_and_too_few_samples_are_told() {
        let coarse = LeftOut { same_time: 980, gaps: 19, steps_back: 3, ..torn(20_000_000) };
        let text = coarse.to_string();
        assert!(text.contains("980 of 1000 samples") && text.contains("spread = true"), "{text}");
        assert!(text.contains("3 steps back in time"), "{text}");
        let few = LeftOut { window: 128, samples: 20, longest_row: 20, ..LeftOut::default() };
        assert_eq!(few.to_string(), "no window of 128 samples yet: there are 20");
        assert!(!few.is_trouble() && !LeftOut::default().is_trouble());
        assert_eq!(LeftOut::default().to_string(), "no samples yet");
    }

    #[test]
    fn what_is_left_out_beside_windows_is_counted() {
        let some = LeftOut { found: 7, cut: 2, unlabelled: 1, rows_ended: 3, ..LeftOut::default() };
        let expected = "7 windows; left out: 2 windows have values that the ring cannot hold (set a \
                        larger quantum, or none); 1 windows have no label of the task; 3 rows ended \
                        early";
        assert_eq!(some.to_string(), expected);
        let counts: Vec<_> = some.counts().collect();
        assert_eq!(counts, [("unlabelled", 1), ("cut", 2), ("short_rows", 3)]);
        let all = LeftOut { found: 7, ..LeftOut::default() };
        assert_eq!((all.to_string(), all.is_other_rate()), ("7 windows".to_owned(), false));
    }
}
