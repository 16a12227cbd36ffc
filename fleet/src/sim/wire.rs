//! One direction of a device's link: rate, delay, loss, and what a bad link does beyond that.

use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;

use super::scenario::Class;

/// Bytes around a payload: topic, MQTT, TLS, TCP and IP, roughly.
const FRAMING_BYTES: f64 = 150.0;
/// What a lost segment costs at least until it is sent again, in milliseconds (RFC 6298, 2.4).
const RETRANSMIT_MS: f64 = 1000.0;

/// When a message arrives, once or twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) again: Option<Instant>,
}

/// One direction: what was given to it is carried in order, unless it reorders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pipe {
    free: Instant,
    last: Instant,
}

impl Default for Pipe {
    fn default() -> Self {
        Self { free: Instant(0), last: Instant(0) }
    }
}

impl Pipe {
    /// Whether everything has arrived, but for what it repeats or lets be overtaken.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        self.last < now
    }

    /// Gives `bytes` to the pipe at `now`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(super) fn carry(
        &mut self,
        now: Instant,
        bytes: usize,
        kbps: f64,
        class: &Class,
        rng: &mut Rng,
    ) -> Arrival {
        let chance = |rng: &mut Rng, share: f64| share > 0.0 && f64::from(rng.unit_f32()) < share;
        let sending = (bytes as f64 + FRAMING_BYTES) * 8.0 / kbps;
        let begin = self.free.max(now);
        self.free = begin.after(sending.ceil() as u64);
        let mut delay = class.delay_ms;
        if class.jitter_ms > 0.0 {
            delay += class.jitter_ms * f64::from(rng.unit_f32());
        }
        if chance(rng, class.loss) {
            delay += RETRANSMIT_MS.max(2.0 * class.delay_ms);
        }
        let mut at = self.free.after(delay.round() as u64);
        if !chance(rng, class.reorder) {
            at = at.max(self.last);
            self.last = at;
        }
        let again = chance(rng, class.duplicate).then(|| at.after(1 + rng.below(2000) as u64));
        Arrival { at, again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_keeps_order_rate_and_delay() {
        let class = Class { delay_ms: 10.0, ..Class::default() };
        let (mut pipe, mut rng) = (Pipe::default(), Rng::new(1));
        // 850 + 150 bytes at 8 kbit/s are a second.
        let mut send = |now| pipe.carry(Instant(now), 850, 8.0, &class, &mut rng).at;
        assert_eq!(send(0), Instant(1010));
        assert_eq!(send(0), Instant(2010), "the second waits for the first");
        assert_eq!(send(10_000), Instant(11_010));
    }

    #[test]
    fn a_bad_link_delays_repeats_and_reorders_as_often_as_it_is_told() {
        let class = Class { loss: 0.2, duplicate: 0.1, reorder: 0.3, ..Class::default() };
        let (mut pipe, mut rng) = (Pipe::default(), Rng::new(1));
        let (mut late, mut twice, mut overtaken, mut last) = (0, 0, 0, Instant(0));
        for now in (0..1_000_000).step_by(100) {
            let arrival = pipe.carry(Instant(now), 0, 1e6, &class, &mut rng);
            late += u32::from(arrival.at.since(Instant(now)) > 900);
            twice += u32::from(arrival.again.is_some());
            overtaken += u32::from(arrival.at < last);
            last = last.max(arrival.at);
        }
        assert!((1900..4000).contains(&late), "{late}");
        assert!((800..1200).contains(&twice), "{twice}");
        assert!(overtaken > 500, "{overtaken}");
    }
}
