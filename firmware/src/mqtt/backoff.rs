//! How long to keep quiet between giving a connection up and the next CONNECT.

use dunlin_protocol::backoff::{Backoff, Jitter, Reconnect};

/// Waits of 2 s doubling up to 60 s, a quarter more or less. The stream must have closed its old
/// connection and made a new one meanwhile: QEMU takes a second for that.
const QUIET: Backoff = Backoff::new(2_000, 60_000, Jitter::Around);
/// Wait after a refusal that a person has to mend: 40 s, a quarter more or less.
const REFUSED: Backoff = Backoff::new(40_000, 40_000, Jitter::Around);

/// The waits of the client with this seed.
pub(super) fn waits(seed: u64) -> Reconnect {
    Reconnect::new(seed, QUIET, REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_is_longer_than_qemu_takes_to_reconnect_and_a_refusal_waits_half_a_minute() {
        let mut waits = waits(1);
        for _ in 0..200 {
            assert!(waits.shortest_ms() >= 1_500);
            let wait = waits.after_refusal_ms();
            assert!((30_000..50_000).contains(&wait), "{wait}");
        }
    }
}
