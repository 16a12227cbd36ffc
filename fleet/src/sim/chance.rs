//! What happens by chance in the whole; each device has draws of its own beside that.

use dunlin_protocol::rng::Rng;

use super::HOUR_MS;

/// Longest wait in milliseconds: some thirty thousand years.
const WAIT_MS_MAX: f64 = 1e15;

/// One stream of draws.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    rng: Rng,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::for_stream(seed, 1) }
    }

    /// Milliseconds until something happens that happens so often an hour; `None` when it never does.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at least 0
    pub(super) fn wait_ms(&mut self, per_h: f64) -> Option<u64> {
        (per_h > 0.0).then(|| {
            let wait = -libm::log(1.0 - f64::from(self.rng.unit_f32())) / per_h * HOUR_MS;
            1 + wait.min(WAIT_MS_MAX) as u64
        })
    }

    /// Whether something happens that happens in this share of cases.
    pub(super) fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && f64::from(self.rng.unit_f32()) < share
    }

    /// A number in `0..bound`.
    pub(super) fn below(&mut self, bound: usize) -> u64 {
        self.place(bound) as u64
    }

    /// A place in a list of `len`, which is not empty.
    pub(super) fn place(&mut self, len: usize) -> usize {
        self.rng.below(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happens_draws_nothing() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        assert_eq!((one.wait_ms(0.0), one.happens(0.0)), (None, false));
        assert_eq!(one.below(1 << 30), other.below(1 << 30));
    }

    #[test]
    fn things_happen_as_often_as_they_are_told() {
        let mut chance = Chance::new(1);
        let waits: u64 = (0..10_000).filter_map(|_| chance.wait_ms(60.0)).sum();
        assert!((570_000_000..630_000_000).contains(&waits), "{waits} ms, not 10,000 minutes");
        let often = (0..10_000).filter(|_| chance.happens(0.25)).count();
        assert!((2_250..2_750).contains(&often), "{often}");
    }
}
