//! What a device spends on its link: an estimate of the bytes on the wire, and a cap for any day.
//!
//! Payloads are what the session knows. MQTT, TLS, TCP and IP add their own; on a metered link
//! they count too. The estimate is on the safe side: no compression of headers, an acknowledgement
//! for every packet, TLS also where there is none.

use dunlin_protocol::time::Instant;

/// MQTT: fixed header, length of the topic, packet id.
const MQTT_BYTES: u64 = 9;
/// A TLS 1.2 or 1.3 record beyond its data.
const TLS_BYTES: u64 = 29;
/// TCP and IPv4 headers with timestamps.
const TCP_BYTES: u64 = 52;
/// Data bytes of one TCP segment.
const SEGMENT_BYTES: u64 = 1_400;
/// A packet of MQTT's own (acknowledgement, ping) of at most four bytes, there and acknowledged.
const SMALL_BYTES: u64 = 4 + TLS_BYTES + 2 * TCP_BYTES;
/// A connection: TCP, TLS with two certificates, MQTT, and their ends.
pub const CONNECT_BYTES: u64 = 6_000;

const HOUR_MS: u64 = 3_600_000;
const HOURS: u64 = 24;
/// The current hour and the 24 before it: no span of 24 hours escapes.
const BUCKETS: usize = 25;

/// Estimated bytes on the wire of one publication with QoS 1, its acknowledgements included.
pub fn message_bytes(topic_bytes: usize, payload_bytes: usize) -> u64 {
    let data = MQTT_BYTES + topic_bytes as u64 + payload_bytes as u64 + TLS_BYTES;
    data + 2 * TCP_BYTES * data.div_ceil(SEGMENT_BYTES) + SMALL_BYTES
}

/// Counts bytes by the hour against a cap for any 24 hours.
#[derive(Clone, Debug)]
pub struct Meter {
    cap: u64,
    spent: [u64; BUCKETS],
    /// The hour of the clock that the newest bucket stands for.
    hour: u64,
    /// Until when pings are counted; `None` while there is no connection.
    pinged: Option<Instant>,
    keep_alive_ms: u64,
}

impl Meter {
    /// A meter with `cap` bytes for any 24 hours. What an earlier run spent counts as spent now:
    /// how long ago that was, nobody knows.
    pub fn new(cap: u64, keep_alive_ms: u64, spent: u64) -> Self {
        let mut this = Self { cap, spent: [0; BUCKETS], hour: 0, pinged: None, keep_alive_ms };
        this.spent[0] = spent.min(cap);
        this
    }

    /// Bytes of the last 24 hours, for the next start.
    pub fn spent(&self) -> u64 {
        self.spent.iter().sum()
    }

    #[allow(clippy::cast_possible_truncation)] // below BUCKETS
    fn bucket(hour: u64) -> usize {
        (hour % BUCKETS as u64) as usize
    }

    fn advance(&mut self, now: Instant) {
        let hour = now.0 / HOUR_MS;
        for passed in 1..=hour.saturating_sub(self.hour).min(BUCKETS as u64) {
            self.spent[Self::bucket(self.hour + passed)] = 0;
        }
        self.hour = self.hour.max(hour);
    }

    /// Counts `bytes` that were said or heard at `now`.
    pub fn spend(&mut self, now: Instant, bytes: u64) {
        self.advance(now);
        let bucket = &mut self.spent[Self::bucket(self.hour)];
        *bucket = bucket.saturating_add(bytes);
    }

    /// Counts the keep-alive messages of the connection, which begins or goes on (`up`) or is gone.
    pub fn connection(&mut self, now: Instant, up: bool) {
        if let Some(since) = self.pinged.filter(|_| self.keep_alive_ms > 0) {
            let pings = now.since(since) / self.keep_alive_ms;
            self.spend(now, pings * 2 * SMALL_BYTES);
            self.pinged = Some(since.after(pings * self.keep_alive_ms));
        }
        self.pinged = if up { self.pinged.or(Some(now)) } else { None };
    }

    /// Bytes that are left now.
    pub fn room(&mut self, now: Instant) -> u64 {
        self.advance(now);
        self.cap.saturating_sub(self.spent())
    }

    /// When `bytes` fit at the earliest, if nothing more is spent: `now` when they do. `None` when
    /// they are more than the cap.
    pub fn fits_at(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        if bytes > self.cap {
            return None;
        }
        let mut room = self.room(now);
        let mut at = now;
        // Hour by hour, the oldest bucket is forgotten.
        for passed in 1..=BUCKETS as u64 {
            if room >= bytes {
                return Some(at);
            }
            at = Instant((self.hour + passed) * HOUR_MS);
            room = room.saturating_add(self.spent[Self::bucket(self.hour + passed)]);
        }
        Some(at)
    }
}

/// The longest span after which a meter has forgotten everything, in milliseconds.
pub const FORGETS_MS: u64 = (HOURS + 1) * HOUR_MS;

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: u64) -> Instant {
        Instant(hours * HOUR_MS)
    }

    #[test]
    fn no_span_of_24_hours_spends_more_than_the_cap() {
        let mut meter = Meter::new(1000, 0, 0);
        let (mut times, mut now) = (alloc::vec::Vec::new(), Instant(0));
        while now < hours(100) {
            if meter.room(now) >= 100 {
                meter.spend(now, 100);
                times.push(now);
            }
            now = now.after(7 * 60_000);
        }
        for &start in &times {
            let inside = times.iter().filter(|at| **at >= start && at.since(start) < 24 * HOUR_MS);
            assert!(inside.count() <= 10);
        }
        assert!(times.len() >= 35, "{} times in 100 hours", times.len());
    }

    #[test]
    fn what_does_not_fit_fits_when_the_oldest_hours_are_forgotten() {
        let mut meter = Meter::new(1000, 0, 0);
        meter.spend(hours(1), 600);
        meter.spend(hours(3), 400);
        assert_eq!(meter.fits_at(hours(4), 1), Some(hours(26)));
        assert_eq!(meter.fits_at(hours(4), 700), Some(hours(28)));
        assert_eq!(meter.fits_at(hours(4), 1001), None);
        assert_eq!(meter.fits_at(hours(26), 600), Some(hours(26)));
        assert_eq!(meter.room(hours(1000)), 1000, "a long sleep forgets everything");
    }

    #[test]
    fn what_an_earlier_run_spent_counts_as_spent_now() {
        let mut meter = Meter::new(1000, 0, 5000);
        assert_eq!(meter.fits_at(Instant(5), 1), Some(Instant(FORGETS_MS)));
    }

    #[test]
    fn signs_of_life_cost_something_while_connected() {
        let mut meter = Meter::new(1 << 30, 30_000, 0);
        meter.connection(Instant(0), true);
        meter.connection(hours(1), true);
        assert_eq!(meter.spent(), 120 * 2 * SMALL_BYTES);
        meter.connection(hours(2), false);
        meter.connection(hours(9), true);
        assert_eq!(meter.spent(), 240 * 2 * SMALL_BYTES);
    }

    #[test]
    fn a_message_costs_more_than_its_payload() {
        let small = message_bytes(40, 33);
        assert!((200..400).contains(&small), "{small}");
        let large = message_bytes(40, 100_000);
        assert!(large > 105_000 && large < 110_000, "{large}");
    }
}
