//! Joins the values of several topics to samples at the configured rate.
//!
//! A sample has for each channel the last value that came since the sample before, and nothing where
//! none came: `missing` says what becomes of that. Samples begin when every channel has had a value, and
//! end when nothing comes for as long as a value may be missing.

/// Longest time in seconds for which nothing may come, where the configuration does not say.
const SILENCE_S: f64 = 10.0;
/// The same in periods, whichever is longer.
const SILENCE_PERIODS: i64 = 10;
/// Most samples between two messages.
const SILENCE_PERIODS_MAX: i64 = 100_000;

/// Values of all channels, on their way to a sample.
#[derive(Debug)]
pub(super) struct Joiner {
    /// By channel, what came since the last sample: the time in microseconds and the value.
    fresh: Vec<Option<(i64, f32)>>,
    /// The last label, and its time.
    label: (i64, String),
    period_ns: i64,
    silence_us: i64,
    /// Number of the next sample: whole periods since 1970.
    next: Option<i64>,
    /// Time of the newest value.
    heard_us: i64,
}

impl Joiner {
    /// A joiner of `channels` to one sample in `period_ns` nanoseconds, above 0, until nothing has
    /// come for `silence_s`.
    #[allow(clippy::cast_possible_truncation)] // as casts keep within the range
    pub(super) fn new(channels: usize, period_ns: u64, silence_s: Option<f64>) -> Self {
        let period_ns = i64::try_from(period_ns).unwrap_or(i64::MAX).max(1);
        let periods = |count: i64| (i128::from(period_ns) * i128::from(count) / 1000) as i64;
        let asked = silence_s.map(|seconds| (seconds * 1e6) as i64);
        let usual = periods(SILENCE_PERIODS).max((SILENCE_S * 1e6) as i64);
        Self {
            fresh: vec![None; channels],
            label: (i64::MIN, String::new()),
            period_ns,
            silence_us: asked.unwrap_or(usual).clamp(1, periods(SILENCE_PERIODS_MAX).max(1)),
            next: None,
            heard_us: i64::MIN,
        }
    }

    /// Takes in what one message has: values of channels by their numbers, those that are NaN left
    /// out, and a label, if any. Whether it was in time: not when the samples are already past it
    /// by more than a silence.
    pub(super) fn set(
        &mut self,
        time_us: i64,
        label: &str,
        values: impl Iterator<Item = (usize, f32)>,
    ) -> bool {
        let oldest_us = self.heard_us.saturating_sub(self.silence_us);
        if time_us < oldest_us {
            return false;
        }
        for (channel, value) in values.filter(|(_, value)| !value.is_nan()) {
            if let Some(fresh) = self.fresh.get_mut(channel) {
                *fresh = Some((time_us, value));
            }
        }
        if !label.is_empty() {
            self.label = (time_us, label.to_owned());
        }
        self.heard_us = self.heard_us.max(time_us);
        if self.next.is_none() && self.unheard().is_empty() {
            let ns = i128::from(self.heard_us) * 1000;
            let period = i128::from(self.period_ns);
            let next = ns.div_euclid(period) + i128::from(ns.rem_euclid(period) > 0);
            self.next = i64::try_from(next).ok();
        }
        true
    }

    /// Channels that have had no value for so long that no sample can begin.
    pub(super) fn unheard(&self) -> Vec<usize> {
        if self.next.is_some() {
            return Vec::new();
        }
        let oldest_us = self.heard_us.saturating_sub(self.silence_us);
        let known = |fresh: &Option<(i64, f32)>| fresh.is_some_and(|(time, _)| time >= oldest_us);
        (0..self.fresh.len()).filter(|&at| !self.fresh.get(at).is_some_and(known)).collect()
    }

    /// Gives the samples before `now_us`: time, label and values, NaN for what is missing.
    pub(super) fn advance(&mut self, now_us: i64, mut give: impl FnMut(i64, &str, &[f32])) {
        while let Some(next) = self.next {
            let time_us = i128::from(next) * i128::from(self.period_ns) / 1000;
            let Some(time_us) = i64::try_from(time_us).ok().filter(|time| *time < now_us) else {
                return;
            };
            let silent = |since: i64| time_us.saturating_sub(since) > self.silence_us;
            if silent(self.heard_us) {
                self.next = None;
                return;
            }
            let label = if silent(self.label.0) { "" } else { self.label.1.as_str() };
            let values = self.fresh.iter_mut().map(|fresh| fresh.take().map_or(f32::NAN, |f| f.1));
            let values: Vec<f32> = values.collect();
            give(time_us, label, &values);
            self.next = next.checked_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Times in seconds and values of the samples before `now`; 0 for what is missing.
    fn given(joiner: &mut Joiner, now_us: i64) -> Vec<(i64, Vec<f32>)> {
        let mut given = Vec::new();
        joiner.advance(now_us, |time, _, values| {
            let values = values.iter().map(|value| if value.is_nan() { 0.0 } else { *value });
            given.push((time / SECOND, values.collect()));
        });
        given
    }

    #[test]
    fn samples_have_the_last_values_and_begin_when_all_channels_are_known() {
        let mut joiner = Joiner::new(2, 1_000_000_000, None);
        assert!(joiner.set(SECOND / 2, "", [(0, 1.0)].into_iter()));
        assert_eq!(joiner.unheard(), [1]);
        assert_eq!(given(&mut joiner, 3 * SECOND), []);
        joiner.set(3 * SECOND, "", [(1, 7.0), (0, f32::NAN)].into_iter());
        assert_eq!(given(&mut joiner, 3 * SECOND), []);
        assert_eq!(given(&mut joiner, 4 * SECOND), [(3, vec![1.0, 7.0])]);
        joiner.set(4 * SECOND, "", [(0, 2.0)].into_iter());
        joiner.set(4 * SECOND + 9, "", [(0, 3.0)].into_iter());
        let expected = [(4, vec![3.0, 0.0]), (5, vec![0.0, 0.0])];
        assert_eq!(given(&mut joiner, 6 * SECOND), expected);
    }

    #[test]
    fn samples_end_with_a_silence_and_begin_again_with_all_channels() {
        let mut joiner = Joiner::new(2, 1_000_000_000, Some(3.0));
        joiner.set(0, "", [(0, 1.0), (1, 1.0)].into_iter());
        assert_eq!(given(&mut joiner, 1000 * SECOND).len(), 4);
        joiner.set(1000 * SECOND, "", [(0, 1.0)].into_iter());
        assert!(!joiner.set(900 * SECOND, "", [(1, 1.0)].into_iter()), "too late");
        assert_eq!(joiner.unheard(), [1]);
        joiner.set(1002 * SECOND, "", [(1, 1.0)].into_iter());
        assert_eq!(given(&mut joiner, 1003 * SECOND), [(1002, vec![1.0, 1.0])]);
    }

    #[test]
    fn extreme_times_and_silences_are_bounded() {
        let mut joiner = Joiner::new(1, 1, Some(1e30));
        joiner.set(0, "", [(0, 1.0)].into_iter());
        // Times are whole microseconds, of a thousand periods each.
        assert!(given(&mut joiner, i64::MAX).len() <= 102_000);
        for time in [i64::MAX, i64::MIN, 0] {
            joiner.set(time, "x", [(0, 1.0)].into_iter());
            given(&mut joiner, time);
        }
    }
}
