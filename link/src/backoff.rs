//! How long to wait before the next attempt.

use std::time::Duration;

use dunlin_protocol::rng::Rng;

/// Waits after lost connections: 2 s doubling up to 60 s, of which half is drawn.
const LOST_S: (u64, u64) = (2, 60);
/// Waits after a refusal, which a person has to mend: 20 s doubling up to 240 s, half drawn.
const REFUSED_S: (u64, u64) = (20, 240);
/// A connection that lasted this long ends the series of waits.
const STABLE: Duration = Duration::from_secs(30);

/// The waits between attempts of one client: they grow, and differ from client to client, so that
/// a fleet does not come back at one instant.
pub(crate) struct Backoff {
    rng: Rng,
    losses: u32,
    refusals: u32,
}

impl Backoff {
    /// The waits of the client with this id.
    pub(crate) fn new(client_id: &str) -> Self {
        // 64-bit FNV-1a
        let seed = client_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { rng: Rng::new(seed), losses: 0, refusals: 0 }
    }

    /// The wait after a connection that lasted `lasted` (zero when it never came about).
    pub(crate) fn after_loss(&mut self, lasted: Duration) -> Duration {
        if lasted >= STABLE {
            self.losses = 0;
        }
        if !lasted.is_zero() {
            self.refusals = 0;
        }
        self.losses = self.losses.saturating_add(1);
        self.draw(LOST_S, self.losses)
    }

    /// The wait after the broker refused us.
    pub(crate) fn after_refusal(&mut self) -> Duration {
        self.refusals = self.refusals.saturating_add(1);
        self.draw(REFUSED_S, self.refusals)
    }

    /// Between half of the ceiling and the whole, uniformly.
    fn draw(&mut self, (first, most): (u64, u64), attempt: u32) -> Duration {
        let ceiling = first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(most);
        let half = Duration::from_secs(ceiling) / 2;
        half + half.mul_f32(self.rng.unit_f32())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_one_minute() {
        let mut backoff = Backoff::new("wrist-1");
        for ceiling in [2, 4, 8, 16, 32, 60, 60] {
            let wait = backoff.after_loss(Duration::ZERO);
            let ceiling = Duration::from_secs(ceiling);
            assert!(wait >= ceiling / 2 && wait <= ceiling, "{wait:?} of {ceiling:?}");
        }
    }

    #[test]
    fn a_refusal_waits_at_least_ten_seconds() {
        let mut backoff = Backoff::new("wrist-1");
        assert!(backoff.after_refusal() >= Duration::from_secs(10));
        for _ in 0..100 {
            assert!(backoff.after_refusal() <= Duration::from_secs(240));
        }
    }

    #[test]
    fn a_stable_connection_ends_the_series_and_a_short_one_does_not() {
        let mut backoff = Backoff::new("wrist-1");
        for _ in 0..10 {
            backoff.after_loss(Duration::from_secs(1));
        }
        assert!(backoff.after_loss(Duration::from_secs(1)) >= Duration::from_secs(30));
        assert!(backoff.after_loss(STABLE) <= Duration::from_secs(2));
    }

    #[test]
    fn clients_draw_different_waits_and_the_same_client_the_same() {
        let first = |id| Backoff::new(id).after_loss(Duration::ZERO);
        assert_eq!(first("wrist-1"), first("wrist-1"));
        assert_ne!(first("wrist-1"), first("wrist-2"));
    }
}
