//! How long to wait before the next attempt.

use dunlin_protocol::backoff::{Backoff, Jitter, Reconnect};

/// Waits after lost connections: 2 s doubling up to 60 s, of which half is drawn.
const LOST: Backoff = Backoff::new(2_000, 60_000, Jitter::Before);
/// Waits after a refusal, which a person has to mend: 20 s doubling up to 240 s, half drawn.
const REFUSED: Backoff = Backoff::new(20_000, 240_000, Jitter::Before);

/// The waits of the client with this id.
pub(crate) fn waits(client_id: &str) -> Reconnect {
    // 64-bit FNV-1a
    let seed = client_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Reconnect::new(seed, LOST, REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_waits_for_seconds_and_a_refusal_longer() {
        let mut waits = waits("wrist-1");
        assert!((1_000..=2_000).contains(&waits.after_loss_ms(None)));
        assert!((10_000..=20_000).contains(&waits.after_refusal_ms()));
    }

    #[test]
    fn clients_draw_different_waits_and_the_same_client_the_same() {
        let first = |id| waits(id).after_loss_ms(None);
        assert_eq!(first("wrist-1"), first("wrist-1"));
        assert_ne!(first("wrist-1"), first("wrist-2"));
    }
}
