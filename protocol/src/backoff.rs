//! How long to wait before the next attempt: ever longer, and not all devices equally long, so that a
//! fleet does not come back at one instant.

use crate::rng::Rng;

/// A connection that lasted this many milliseconds ends the series of ever longer waits.
pub const STEADY_MS: u64 = 30_000;

/// Where the random part of a wait lies; it is half as long as the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// From half of the wait to the whole.
    Before,
    /// From three to five quarters of the wait.
    Around,
    /// From the wait to one and a half.
    After,
}

/// Waits that double from attempt to attempt, up to a longest one, before jitter.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first_ms: u32,
    most_ms: u32,
    jitter: Jitter,
    /// Waits drawn since the series began.
    drawn: u8,
}

impl Backoff {
    /// Waits of `first_ms` at first and `most_ms` at the most.
    pub const fn new(first_ms: u32, most_ms: u32, jitter: Jitter) -> Self {
        Self { first_ms, most_ms, jitter, drawn: 0 }
    }

    /// The next wait of the series in milliseconds; draws one number.
    pub fn next_ms(&mut self, rng: &mut Rng) -> u64 {
        let wait_ms = u64::from(self.first_ms) << self.drawn.min(16);
        self.drawn = self.drawn.saturating_add(1);
        self.draw(wait_ms.min(u64::from(self.most_ms)), rng)
    }

    /// A wait as at the beginning of the series, which goes on as if nothing had been asked; draws
    /// one number.
    pub fn shortest_ms(&self, rng: &mut Rng) -> u64 {
        self.draw(u64::from(self.first_ms), rng)
    }

    /// Begins the series again.
    pub fn reset(&mut self) {
        self.drawn = 0;
    }

    fn draw(&self, wait_ms: u64, rng: &mut Rng) -> u64 {
        let least_ms = match self.jitter {
            Jitter::Before => wait_ms / 2,
            Jitter::Around => wait_ms - wait_ms / 4,
            Jitter::After => wait_ms,
        };
        let half = usize::try_from(wait_ms / 2).unwrap_or_default();
        least_ms + rng.below(half) as u64
    }
}

/// The waits of one client between its connections.
#[derive(Clone, Debug)]
pub struct Reconnect {
    rng: Rng,
    losses: Backoff,
    refusals: Backoff,
}

impl Reconnect {
    /// The waits after lost connections and after refusals, which a person has to mend. Equal seeds
    /// draw equal waits.
    pub fn new(seed: u64, losses: Backoff, refusals: Backoff) -> Self {
        Self { rng: Rng::new(seed), losses, refusals }
    }

    /// The wait in milliseconds when nothing has gone wrong.
    pub fn shortest_ms(&mut self) -> u64 {
        self.losses.shortest_ms(&mut self.rng)
    }

    /// The wait in milliseconds after a connection that lasted `lasted_ms`, or did not come about.
    pub fn after_loss_ms(&mut self, lasted_ms: Option<u64>) -> u64 {
        if lasted_ms.is_some() {
            self.refusals.reset();
        }
        if lasted_ms.is_some_and(|lasted_ms| lasted_ms >= STEADY_MS) {
            self.losses.reset();
        }
        self.losses.next_ms(&mut self.rng)
    }

    /// The wait in milliseconds after the broker refused the client.
    pub fn after_refusal_ms(&mut self) -> u64 {
        self.refusals.next_ms(&mut self.rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reconnect(seed: u64) -> Reconnect {
        let losses = Backoff::new(2_000, 60_000, Jitter::Around);
        Reconnect::new(seed, losses, Backoff::new(20_000, 240_000, Jitter::Before))
    }

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_each_is_drawn() {
        let mut rng = Rng::new(1);
        for (jitter, least, most) in
            [(Jitter::Before, 2, 4), (Jitter::Around, 3, 5), (Jitter::After, 4, 6)]
        {
            let mut backoff = Backoff::new(2_000, 60_000, jitter);
            for step in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
                let wait = backoff.next_ms(&mut rng);
                let range = step * least / 4..step * most / 4;
                assert!(range.contains(&wait), "{wait} of {step}, {jitter:?}");
            }
            for _ in 0..300 {
                assert!(backoff.next_ms(&mut rng) >= 60_000 * least / 4);
            }
        }
    }

    #[test]
    fn each_wait_takes_one_number_from_the_generator() {
        let (mut drawn, mut passed) = (Rng::new(7), Rng::new(7));
        let mut backoff = Backoff::new(5_000, 60_000, Jitter::After);
        backoff.next_ms(&mut drawn);
        backoff.shortest_ms(&mut drawn);
        passed.next_u64();
        passed.next_u64();
        assert_eq!(drawn.next_u64(), passed.next_u64());
    }

    #[test]
    fn a_steady_connection_ends_the_series_and_a_short_one_does_not() {
        let mut waits = reconnect(1);
        for _ in 0..10 {
            waits.after_loss_ms(Some(1_000));
        }
        assert!(waits.after_loss_ms(None) >= 45_000);
        assert!(waits.after_loss_ms(Some(1_000)) >= 45_000);
        assert!(waits.shortest_ms() < 2_500);
        assert!(waits.after_loss_ms(Some(STEADY_MS)) < 2_500);
    }

    #[test]
    fn refusals_wait_longer_each_time_until_a_connection_comes_about() {
        let mut waits = reconnect(1);
        for _ in 0..100 {
            let wait = waits.after_refusal_ms();
            assert!((10_000..240_000).contains(&wait), "{wait}");
        }
        waits.after_loss_ms(None);
        assert!(waits.after_refusal_ms() >= 120_000);
        waits.after_loss_ms(Some(1));
        assert!(waits.after_refusal_ms() < 20_000);
    }

    #[test]
    fn clients_draw_different_waits_and_the_same_client_the_same() {
        let first = |seed| reconnect(seed).shortest_ms();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
