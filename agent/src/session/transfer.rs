//! Objects on their way: up with a window of chunks, down by asking for the chunks that lack.

use alloc::vec::Vec;
use dunlin_protocol::backoff::{Backoff, Jitter};
use dunlin_protocol::id::ShortDigest;
use dunlin_protocol::limits::WINDOW_CHUNKS;
use dunlin_protocol::message::Ack;
use dunlin_protocol::object::{Assembly, Chunk, ObjectRef};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::wire::WireError;

/// Waits from five seconds to a minute, and up to half of that at random.
const WAITS: Backoff = Backoff::new(5_000, 60_000, Jitter::After);

/// When to say something again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pub(super) at: Instant,
    waits: Backoff,
}

/// A chunk is lost once so many came that were asked for after it.
const OVERTAKEN: usize = 4;
/// Times that an update is sent once more because other bytes arrived.
const RESTARTS_MAX: u8 = 3;
/// Waits after an object came spoiled: ten to fifteen seconds, then twice as long each time, up to an
/// hour and a half.
const SPOILED: Backoff = Backoff::new(10_000, 3_600_000, Jitter::After);

impl Retry {
    /// First repeat after five to seven and a half seconds.
    pub(super) fn start(now: Instant, rng: &mut Rng) -> Self {
        let mut this = Self { at: now, waits: WAITS };
        this.again(now, rng);
        this
    }

    /// The next repeat, after a longer wait.
    pub(super) fn again(&mut self, now: Instant, rng: &mut Rng) {
        self.at = now.after(self.waits.next_ms(rng));
    }
}

/// An update on its way up.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) reference: ObjectRef,
    object: Vec<u8>,
    acked: Option<Ack>,
    in_flight: Vec<u16>,
    pub(super) retry: Retry,
    restarts: u8,
}

impl Upload {
    pub(super) fn new(
        object: Vec<u8>,
        chunk_bytes: u32,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Self, WireError> {
        let reference = ObjectRef::of(&object, chunk_bytes)?;
        let retry = Retry::start(now, rng);
        let (acked, in_flight) = (None, Vec::new());
        Ok(Self { reference, object, acked, in_flight, retry, restarts: 0 })
    }

    pub(super) fn digest(&self) -> ShortDigest {
        self.reference.digest.short()
    }

    /// Cuts the object anew into shorter chunks, all of which have to go; false where they are not.
    pub(super) fn cut_into(&mut self, chunk_bytes: u32, now: Instant, rng: &mut Rng) -> bool {
        let shorter = chunk_bytes < self.reference.chunk_len();
        if shorter {
            self.reference.chunk_bytes = chunk_bytes;
            (self.acked, self.in_flight) = (None, Vec::new());
            self.retry = Retry::start(now, rng);
        }
        shorter
    }

    fn is_acked(&self, index: u16) -> bool {
        self.acked.as_ref().is_some_and(|ack| ack.has(index))
    }

    /// Length of the next chunk to send in bytes; `None` when all are acknowledged or on their way,
    /// or the window is full.
    pub(super) fn next_length(&self) -> Option<u32> {
        self.next_index().map(|_| self.reference.chunk_len())
    }

    fn next_index(&self) -> Option<u16> {
        let waits = |&index: &u16| !self.is_acked(index) && !self.in_flight.contains(&index);
        let room = self.in_flight.len() < WINDOW_CHUNKS;
        (0..self.reference.chunks()).find(waits).filter(|_| room)
    }

    /// The next chunk message; it counts as on its way.
    pub(super) fn next_chunk(&mut self) -> Option<Vec<u8>> {
        let index = self.next_index()?;
        let chunk = Chunk::cut(&self.reference, &self.object, index)?.encode();
        self.in_flight.push(index);
        Some(chunk)
    }

    /// Takes an acknowledgement. The receiver knows best: what it no longer has is sent again.
    pub(super) fn acknowledge(&mut self, ack: Ack, now: Instant, rng: &mut Rng) {
        if ack.chunks != self.reference.chunks() {
            return;
        }
        self.in_flight.retain(|&index| !ack.has(index));
        self.acked = Some(ack);
        self.retry = Retry::start(now, rng);
    }

    /// Begins anew with the next repeat, since other bytes arrived than were sent; false when that
    /// happened too often.
    pub(super) fn restart(&mut self) -> bool {
        (self.acked, self.in_flight) = (None, Vec::new());
        self.restarts = self.restarts.saturating_add(1);
        self.restarts <= RESTARTS_MAX
    }

    /// Counts everything unacknowledged as lost. When all is acknowledged and only the verdict
    /// lacks, the first chunk goes again to ask for it.
    pub(super) fn assume_lost(&mut self) {
        self.in_flight.clear();
        let all = (0..self.reference.chunks()).all(|index| self.is_acked(index));
        if all && let Some(ack) = &mut self.acked {
            ack.have[0] &= !1;
        }
    }
}

/// An object on its way down.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) reference: ObjectRef,
    assembly: Assembly,
    /// Chunks that were asked for and have not come, in the order in which they were.
    requested: Vec<u16>,
    /// Chunks that came while one that was asked for earlier had not.
    overtaken: u8,
    /// When a chunk came last, or the first was asked for.
    heard: Instant,
    pub(super) retry: Retry,
    /// How often all chunks came and were not the object.
    spoiled: u8,
    /// The waits after that.
    rests: Backoff,
    /// Until when nothing is asked for.
    rests_until: Instant,
}

impl Download {
    pub(super) fn new(reference: ObjectRef, now: Instant, rng: &mut Rng) -> Self {
        let assembly = Assembly::new(reference);
        let (requested, retry) = (Vec::new(), Retry::start(now, rng));
        let (spoiled, rests, rests_until) = (0, SPOILED, now);
        let (overtaken, heard) = (0, now);
        #[rustfmt::skip]
        let this = Self {
            reference, assembly, requested, overtaken, heard, retry, spoiled, rests, rests_until,
        };
        this
    }

    /// How often all chunks came and were not the object.
    pub(super) fn spoiled(&self) -> u8 {
        self.spoiled
    }

    /// Whether nothing is to be asked for now: what came last was spoiled.
    pub(super) fn rests(&self, now: Instant) -> bool {
        now < self.rests_until
    }

    /// Chunks that were asked for and have not come.
    pub(super) fn requested(&self) -> usize {
        self.requested.len()
    }

    /// At most `most` more chunks to ask for.
    pub(super) fn next_requests(&mut self, most: usize) -> Vec<u16> {
        let lacking = self.assembly.missing().filter(|index| !self.requested.contains(index));
        let new: Vec<u16> = lacking.take(most).collect();
        self.requested.extend(&new);
        new
    }

    /// Takes a chunk that was asked for; whether it was one.
    pub(super) fn take(&mut self, chunk: &Chunk<'_>, now: Instant, rng: &mut Rng) -> bool {
        let Some(at) = self.requested.iter().position(|&index| index == chunk.index) else {
            return false;
        };
        if self.assembly.take(chunk).is_err() {
            return false;
        }
        self.requested.remove(at);
        self.overtaken = if at == 0 { 0 } else { self.overtaken.saturating_add(1) };
        self.heard = now;
        self.retry = Retry::start(now, rng);
        true
    }

    /// The chunk that was lost on its way, if one was: those asked for after it came instead. It
    /// counts as asked for again.
    pub(super) fn lost(&mut self) -> Option<u16> {
        if usize::from(self.overtaken) < OVERTAKEN {
            return None;
        }
        self.overtaken = 0;
        let lost = (!self.requested.is_empty()).then(|| self.requested.remove(0))?;
        self.requested.push(lost);
        Some(lost)
    }

    /// The first chunk that was asked for and has not come, how many are missing, and since when
    /// none has come.
    pub(super) fn awaited(&self) -> Option<(u16, usize, Instant)> {
        let first = self.requested.first()?;
        Some((*first, self.assembly.missing().count(), self.heard))
    }

    /// Chunks that were asked for and have not come; forgets that they were asked for.
    pub(super) fn forget_requests(&mut self) -> Vec<u16> {
        core::mem::take(&mut self.requested)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.assembly.is_complete()
    }

    /// The object; when its digest does not match, everything is fetched again after a rest.
    pub(super) fn finish(&mut self, now: Instant, rng: &mut Rng) -> Result<Vec<u8>, WireError> {
        let fresh = Assembly::new(self.reference);
        let object = core::mem::replace(&mut self.assembly, fresh).finish();
        if object.is_err() {
            self.spoiled = self.spoiled.saturating_add(1);
            self.rests_until = now.after(self.rests.next_ms(rng));
            self.retry = Retry { at: self.rests_until, waits: WAITS };
        }
        object
    }
}
