//! Where a client stands with its broker, and by when something must happen there.

use dunlin_protocol::time::Instant;

use super::answers::overdue_at;

/// A broker that has not answered a ping by then, or within the keep-alive, does not answer.
const PINGRESP_MS: u64 = 10_000;

/// Where a client stands with its broker.
pub(super) enum Phase {
    /// The user wants no connection.
    Away,
    /// Whatever comes belongs to a connection that we gave up.
    Quiet { until: Instant },
    /// CONNECT was said; the broker has until then to answer.
    Connecting { until: Instant },
    /// The broker took us in.
    Connected(Connection),
}

/// A connection that stands.
pub(super) struct Connection {
    pub(super) since: Instant,
    /// When the last byte came.
    pub(super) heard: Instant,
    /// When the last packet was written.
    pub(super) sent: Instant,
    /// When the ping was sent that has no answer yet.
    pub(super) ping: Option<Instant>,
}

impl Connection {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, heard: now, sent: now, ping: None }
    }

    /// When to send a ping, or when the one that was sent has gone without an answer for too long.
    pub(super) fn ping_deadline(&self, keep_alive_s: u16) -> Instant {
        let keep_alive_ms = u64::from(keep_alive_s) * 1_000;
        match self.ping {
            Some(asked) => overdue_at(asked, self.heard, PINGRESP_MS.min(keep_alive_ms)),
            None => self.sent.after(keep_alive_ms / 2),
        }
    }
}
