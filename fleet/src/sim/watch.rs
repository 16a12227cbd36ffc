//! How long something may take before that is a fault, and whether somebody is still to be looked at.

/// How long a device and an aggregator that can hear each other take to end a work that is over,
/// beside what the links take.
const HEARD_MS: u64 = 60_000;

/// What is known of the times of this run.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// A round's longest time.
    deadline_ms: u64,
    /// How much longer a round is by the slowest clock of a device.
    drift_ms: u64,
    /// The longest that a message took.
    slowest_ms: u64,
    /// Rounds whose devices are still to be looked at.
    rounds: u32,
}

impl Watch {
    /// `drift_ppm`: parts in a million by which a device's clock may be slow.
    pub(super) fn new(deadline_ms: u64, drift_ppm: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // up to a fifth of it
        let drift_ms = (2.0 * deadline_ms as f64 * drift_ppm * 1e-6) as u64;
        Self { deadline_ms, drift_ms, slowest_ms: 0, rounds: 0 }
    }

    /// A link took so long for a message.
    pub(super) fn carried(&mut self, took_ms: u64) {
        self.slowest_ms = self.slowest_ms.max(took_ms);
    }

    /// A conversation of some messages, each as slow as the slowest so far.
    pub(super) fn patience_ms(&self) -> u64 {
        HEARD_MS + 6 * self.slowest_ms
    }

    /// A round has ended; its devices are to be looked at in so many milliseconds. They measure the
    /// deadline by clocks of their own, from an answer that took its time.
    pub(super) fn begin(&mut self) -> u64 {
        self.rounds += 1;
        self.deadline_ms + self.drift_ms + HEARD_MS + self.slowest_ms
    }

    /// Some devices of a round are to be looked at again, in so many milliseconds.
    pub(super) fn begin_again(&mut self) -> u64 {
        self.rounds += 1;
        HEARD_MS
    }

    /// The devices of a round are looked at.
    pub(super) fn end(&mut self) {
        self.rounds -= 1;
    }

    /// Whether devices of a round are still to be looked at.
    pub(super) fn goes_on(&self) -> bool {
        self.rounds > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_slowest_message_alone() {
        let mut watch = Watch::new(600_000, 0.0);
        assert_eq!(watch.patience_ms(), HEARD_MS);
        watch.carried(500);
        watch.carried(20);
        assert_eq!(watch.patience_ms(), HEARD_MS + 3_000);
    }

    #[test]
    fn rounds_are_looked_at_after_the_deadline_of_the_slowest_clock() {
        // A thousandth slow against a thousandth fast.
        let mut watch = Watch::new(600_000, 1_000.0);
        assert_eq!(watch.begin(), 600_000 + 1_200 + HEARD_MS);
        watch.end();
        assert!(!watch.goes_on());
        assert_eq!(watch.begin_again(), HEARD_MS);
        assert!(watch.goes_on());
    }
}
