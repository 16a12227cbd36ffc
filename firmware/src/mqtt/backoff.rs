//! How long to keep quiet between giving a connection up and the next CONNECT.

use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;

/// First and longest wait; a quarter more or less is drawn. The stream must have closed its old
/// connection and made a new one meanwhile: QEMU takes a second for that.
const QUIET_MS: (u64, u64) = (2_000, 60_000);
/// Wait after a refusal that a person has to mend, before a quarter more or less is drawn.
const REFUSED_MS: u64 = 40_000;
/// A connection that lasted this long ends the series of ever longer waits.
const STEADY_MS: u64 = 30_000;

/// The waits of one client: they grow, and differ from client to client, so that a fleet does not
/// come back at one instant.
pub(super) struct Backoff {
    rng: Rng,
    /// Connections in a row that were lost soon or did not come about.
    failures: u32,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), failures: 0 }
    }

    /// When to connect if nothing has gone wrong, only the old connection must have time to end.
    pub(super) fn shortest(&mut self, now: Instant) -> Instant {
        self.draw(now, QUIET_MS.0)
    }

    /// When to connect after a connection that stood since `since`, or did not come about.
    pub(super) fn after_loss(&mut self, now: Instant, since: Option<Instant>) -> Instant {
        if since.is_some_and(|since| now.since(since) >= STEADY_MS) {
            self.failures = 0;
        }
        let wait_ms = (QUIET_MS.0 << self.failures.min(16)).min(QUIET_MS.1);
        self.failures = self.failures.saturating_add(1);
        self.draw(now, wait_ms)
    }

    /// When to connect after a refusal that a person has to mend.
    pub(super) fn after_refusal(&mut self, now: Instant) -> Instant {
        self.draw(now, REFUSED_MS)
    }

    /// A moment between three and five quarters of `wait_ms` from now.
    fn draw(&mut self, now: Instant, wait_ms: u64) -> Instant {
        let half = usize::try_from(wait_ms / 2).unwrap_or_default();
        now.after(wait_ms - wait_ms / 4 + self.rng.below(half) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1_000_000);

    #[test]
    fn waits_double_from_two_seconds_to_a_minute_and_a_quarter_is_drawn() {
        let mut backoff = Backoff::new(1);
        for middle in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let wait = backoff.after_loss(NOW, None).since(NOW);
            assert!(wait >= middle * 3 / 4 && wait < middle * 5 / 4, "{wait} of {middle}");
        }
    }

    #[test]
    fn a_steady_connection_ends_the_series_and_a_short_one_does_not() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            backoff.after_loss(NOW, Some(Instant(NOW.0 - 1_000)));
        }
        assert!(backoff.after_loss(NOW, Some(Instant(NOW.0 - 1_000))).since(NOW) >= 45_000);
        assert!(backoff.after_loss(NOW, Some(Instant(NOW.0 - STEADY_MS))).since(NOW) < 2_500);
    }

    #[test]
    fn every_wait_is_longer_than_qemu_takes_to_reconnect_and_a_refusal_waits_half_a_minute() {
        let mut backoff = Backoff::new(1);
        for _ in 0..200 {
            assert!(backoff.shortest(NOW).since(NOW) >= 1_500);
            assert!(backoff.after_refusal(NOW).since(NOW) >= 30_000);
        }
    }

    #[test]
    fn clients_draw_different_waits_and_the_same_client_the_same() {
        let first = |seed| Backoff::new(seed).shortest(NOW);
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
