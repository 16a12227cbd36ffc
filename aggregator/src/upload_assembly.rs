//! Updates that are still arriving, chunk by chunk, in bounded memory.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use dunlin_protocol::id::DeviceId;
use dunlin_protocol::message::{Ack, Refusal};
use dunlin_protocol::object::{Assembly, Chunk};
use dunlin_protocol::time::Instant;

use crate::settings::DEVICES_MAX;

/// After this time without a chunk, a transfer makes room for others.
const IDLE_MS: u64 = 60_000;

/// What became of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Taken {
    /// More chunks are needed; `repeated` when this one had come before.
    Partial { ack: Ack, repeated: bool },
    /// The object is complete and has its digest.
    Whole(Vec<u8>),
    /// The object is not taken.
    Refused(Refusal),
}

#[derive(Clone, Debug)]
struct Transfer {
    assembly: Assembly,
    touched: Instant,
}

/// One transfer a device at the most; a new object replaces an unfinished one.
#[derive(Clone, Debug)]
pub(crate) struct UploadAssembly {
    transfers: BTreeMap<DeviceId, Transfer>,
    bytes: u64,
    bytes_max: u64,
}

impl UploadAssembly {
    /// Room for `bytes_max` bytes over all devices.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { transfers: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// Takes a chunk of an object of at most `object_bytes_max` bytes.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        device: &DeviceId,
        chunk: &Chunk<'_>,
        object_bytes_max: usize,
    ) -> Taken {
        if chunk.object_bytes as usize > object_bytes_max {
            self.drop_transfer(device);
            return Taken::Refused(Refusal::Oversized);
        }
        let mut repeated = self.add(now, device, chunk);
        if repeated.is_none() {
            // No transfer yet, or one of another object: this chunk begins a new one.
            self.drop_transfer(device);
            if !self.make_room(now, u64::from(chunk.object_bytes)) {
                return Taken::Refused(Refusal::Busy);
            }
            self.bytes += u64::from(chunk.object_bytes);
            let transfer = Transfer { assembly: Assembly::for_chunk(chunk), touched: now };
            self.transfers.insert(device.clone(), transfer);
            repeated = self.add(now, device, chunk);
        }
        let complete = |t: &Transfer| t.assembly.is_complete();
        if self.transfers.get(device).is_some_and(complete) {
            let finished = self.drop_transfer(device).map(Assembly::finish);
            return match finished {
                Some(Ok(object)) => Taken::Whole(object),
                _ => Taken::Refused(Refusal::Digest),
            };
        }
        match (self.transfers.get(device), repeated) {
            (Some(t), Some(repeated)) => Taken::Partial { ack: t.assembly.ack(), repeated },
            _ => Taken::Refused(Refusal::Malformed),
        }
    }

    /// Adds to the device's transfer; `None` when the chunk does not belong to it, else whether
    /// it had come before.
    fn add(&mut self, now: Instant, device: &DeviceId, chunk: &Chunk<'_>) -> Option<bool> {
        let transfer = self.transfers.get_mut(device)?;
        transfer.touched = now;
        transfer.assembly.take(chunk).ok().map(|new| !new)
    }

    /// Whether `bytes` more fit, after idle transfers have been dropped where needed.
    fn make_room(&mut self, now: Instant, bytes: u64) -> bool {
        let full = |this: &Self| {
            this.bytes.saturating_add(bytes) > this.bytes_max || this.transfers.len() >= DEVICES_MAX
        };
        if full(self) {
            let mut freed = 0;
            self.transfers.retain(|_, transfer| {
                let keep = now.since(transfer.touched) < IDLE_MS;
                freed += if keep { 0 } else { u64::from(transfer.assembly.object_bytes()) };
                keep
            });
            self.bytes -= freed;
        }
        !full(self)
    }

    fn drop_transfer(&mut self, device: &DeviceId) -> Option<Assembly> {
        let transfer = self.transfers.remove(device)?;
        self.bytes -= u64::from(transfer.assembly.object_bytes());
        Some(transfer.assembly)
    }

    /// Drops every transfer: no round is open that could want it.
    pub(crate) fn clear(&mut self) {
        self.transfers.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::id::Name;
    use dunlin_protocol::object::ObjectRef;

    const CHUNK: u32 = 4096;

    fn device(name: &str) -> DeviceId {
        Name::new(name).unwrap()
    }

    fn chunk<'a>(object: &'a [u8], index: u16) -> Chunk<'a> {
        Chunk::cut(&ObjectRef::of(object, CHUNK).unwrap(), object, index).unwrap()
    }

    #[test]
    fn an_object_arrives_in_any_order_and_repeats_are_seen() {
        let object = vec![7; 10_000];
        let mut uploads = UploadAssembly::new(1 << 20);
        let mut take = |i| uploads.take(Instant(0), &device("a"), &chunk(&object, i), 10_000);
        assert!(matches!(take(2), Taken::Partial { repeated: false, .. }));
        assert!(matches!(take(2), Taken::Partial { repeated: true, ack } if ack.has(2)));
        assert!(matches!(take(0), Taken::Partial { repeated: false, .. }));
        assert_eq!(take(1), Taken::Whole(object.clone()));
        assert_eq!(uploads.bytes, 0);
    }

    #[test]
    fn a_new_object_replaces_an_unfinished_one() {
        let (first, second) = (vec![1; 9000], vec![2; 9000]);
        let mut uploads = UploadAssembly::new(9000);
        for object in [&first, &second, &second, &first] {
            let taken = uploads.take(Instant(0), &device("a"), &chunk(object, 0), 9000);
            assert!(matches!(taken, Taken::Partial { .. }), "{taken:?}");
            assert_eq!(uploads.bytes, 9000);
        }
    }

    #[test]
    fn too_long_objects_are_refused_and_a_full_memory_is_busy_until_transfers_idle() {
        let object = vec![1; 9000];
        let mut uploads = UploadAssembly::new(10_000);
        let first = chunk(&object, 0);
        let oversized = uploads.take(Instant(0), &device("a"), &first, 8999);
        assert_eq!(oversized, Taken::Refused(Refusal::Oversized));
        assert_eq!((uploads.bytes, uploads.transfers.len()), (0, 0));
        uploads.take(Instant(0), &device("a"), &first, 9000);
        let busy = uploads.take(Instant(1), &device("b"), &first, 9000);
        assert_eq!(busy, Taken::Refused(Refusal::Busy));
        let later = uploads.take(Instant(IDLE_MS), &device("b"), &first, 9000);
        assert!(matches!(later, Taken::Partial { .. }));
        assert_eq!((uploads.bytes, uploads.transfers.len()), (9000, 1));
    }

    #[test]
    fn bytes_that_are_not_the_object_are_refused() {
        let object = vec![1; 100];
        let mut uploads = UploadAssembly::new(1 << 20);
        let mut wrong = chunk(&object, 0);
        wrong.object.0[0] ^= 1;
        let taken = uploads.take(Instant(0), &device("a"), &wrong, 9000);
        assert_eq!(taken, Taken::Refused(Refusal::Digest));
        assert_eq!(uploads.bytes, 0);
    }
}
