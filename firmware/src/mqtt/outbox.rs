//! Bytes that wait for the stream: whole packets, in memory that is taken while they wait.

use alloc::vec::Vec;

use super::packet::packet_length;

/// Room beyond the user's limit for short packets of our own: acknowledgements, pings, goodbyes.
const CONTROL_BYTES: usize = 32;
/// The part of it that acknowledgements leave for pings and goodbyes.
const CONTROL_SPARE_BYTES: usize = 8;
/// Memory that is kept for short packets while nothing waits.
const KEPT_BYTES: usize = 256;

/// The packets on their way out.
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// Bytes at the front of `bytes` that the stream has taken.
    taken: usize,
    /// Bytes that the stream has yet to take of a packet of which it took a part.
    rest_of_packet: usize,
    limit: usize,
}

impl Outbox {
    /// Room for packets of `limit` bytes altogether.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), taken: 0, rest_of_packet: 0, limit }
    }

    /// What the stream should take next.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Whether nothing waits for the stream.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// The stream took `count` bytes; how many of them there were.
    pub(super) fn written(&mut self, count: usize) -> usize {
        let count = count.min(self.waiting().len());
        let mut left = count;
        while left > 0 {
            if self.rest_of_packet == 0 {
                self.rest_of_packet = packet_length(self.waiting());
            }
            let step = left.min(self.rest_of_packet.max(1));
            self.rest_of_packet = self.rest_of_packet.saturating_sub(step);
            self.taken += step;
            left -= step;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.taken = 0;
        }
        count
    }

    /// Room for a packet of `length` bytes: a place to write it, or nothing when it does not fit.
    pub(super) fn room(&mut self, length: usize) -> Option<&mut Vec<u8>> {
        self.fit(length, self.limit)
    }

    /// Whether an acknowledgement of four bytes fits.
    pub(super) fn has_room_for_ack(&self) -> bool {
        self.waiting().len() + 4 + CONTROL_SPARE_BYTES <= self.limit.saturating_add(CONTROL_BYTES)
    }

    /// Adds a short packet of our own, beyond the user's limit when need be; whether it fits.
    pub(super) fn push_control(&mut self, packet: &[u8]) -> bool {
        let limit = self.limit.saturating_add(CONTROL_BYTES);
        let Some(room) = self.fit(packet.len(), limit) else { return false };
        room.extend_from_slice(packet);
        true
    }

    /// Drops every packet that the stream has not begun to take. The rest of one that it has begun
    /// stays: the broker would count what follows as a part of it.
    pub(super) fn forget(&mut self) {
        self.bytes.truncate(self.taken.saturating_add(self.rest_of_packet));
    }

    fn fit(&mut self, length: usize, limit: usize) -> Option<&mut Vec<u8>> {
        if self.waiting().len().saturating_add(length) > limit {
            return None;
        }
        // Moved to the front only when the memory would grow otherwise.
        if self.bytes.len().saturating_add(length) > self.bytes.capacity() {
            self.bytes.drain(..self.taken.min(self.bytes.len()));
            self.taken = 0;
            self.bytes.reserve_exact(length);
        }
        Some(&mut self.bytes)
    }
}
