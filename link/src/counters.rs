//! What a link counts.

/// What has gone through a link since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payload bytes that were written to a connection.
    pub payload_bytes_up: u64,
    /// Payload bytes that arrived.
    pub payload_bytes_down: u64,
    /// Publications that were written to a connection.
    pub messages_up: u64,
    /// Messages that arrived, whether or not the user took them.
    pub messages_down: u64,
    /// Publications that were never written, and messages that arrived and were not taken.
    pub dropped: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Connections that ended over a packet longer than what is read.
    pub overlong: u64,
}

/// Packets that a broker may be refusing: connections in a row ended while a packet was longer than
/// all that it had acknowledged before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// The longest packet that was written and not acknowledged in the last of them, in bytes.
    pub bytes: usize,
    /// The longest that was acknowledged before it, in bytes; 0 where there was none.
    pub passed: usize,
    /// How many connections in a row ended so.
    pub times: u32,
}

/// What waits to be sent or acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Publications, subscriptions and unsubscriptions in the queue.
    pub messages: usize,
    /// Bytes of topics and payloads in the queue.
    pub bytes: usize,
    /// Publications taken from the queue that the broker has not acknowledged yet.
    pub unacknowledged: usize,
}
