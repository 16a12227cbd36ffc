//! A device's own time.

use dunlin_protocol::time::Instant;

/// A clock that starts with its device, somewhere, and is fast or slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the device was switched on.
    booted: Instant,
    /// What the clock said then, in milliseconds.
    ahead_ms: u32,
    /// Parts in a million by which it is fast.
    drift_ppm: f32,
}

impl Clock {
    pub(super) fn new(drift_ppm: f32) -> Self {
        Self { booted: Instant(0), ahead_ms: 0, drift_ppm }
    }

    /// Starts anew at `now` with a reading of `ahead_ms`.
    pub(super) fn start(&mut self, now: Instant, ahead_ms: u32) {
        (self.booted, self.ahead_ms) = (now, ahead_ms);
    }

    /// What the clock says at `at`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn local(&self, at: Instant) -> Instant {
        let ticks = at.since(self.booted) as f64 * self.rate();
        Instant(u64::from(self.ahead_ms) + ticks as u64)
    }

    /// When the clock says `at`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn global(&self, at: Instant) -> Instant {
        let ticks = at.0.saturating_sub(u64::from(self.ahead_ms)) as f64;
        self.booted.after((ticks / self.rate()).ceil() as u64)
    }

    fn rate(&self) -> f64 {
        1.0 + f64::from(self.drift_ppm) * 1e-6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_says_more_than_has_passed() {
        let mut clock = Clock::new(500_000.0);
        clock.start(Instant(5_000), 300);
        assert_eq!(clock.local(Instant(5_000)), Instant(300));
        assert_eq!(clock.local(Instant(6_000)), Instant(1_800));
        assert_eq!(clock.global(Instant(1_800)), Instant(6_000));
        assert_eq!(clock.global(Instant(1_801)), Instant(6_001), "not before it says so");
        assert_eq!(clock.global(Instant(10)), Instant(5_000), "it never said so: at its start");
    }
}
