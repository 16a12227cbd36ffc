//! The checks by name. Each takes any bytes and panics where a promise is broken.

use dunlin_agent::state::DeviceState;
use dunlin_protocol::delta::Delta;
use dunlin_protocol::limits::TASK_BYTES_MAX;
use dunlin_protocol::message::{Ack, Claim, Go, Verdict};
use dunlin_protocol::model::Model;
use dunlin_protocol::object::{Assembly, CHUNK_HEADER_BYTES, Chunk, ObjectRef};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::report::Report;
use dunlin_protocol::seeded::Seeded;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::wire::{self, Message};

use crate::codec::{N_MAX, SEEDS, codec, decode};
use crate::memory::within;

/// Texts and lists of a message take some times their bytes; never more than this.
const MESSAGE_MEMORY_MAX: usize = 16 * TASK_BYTES_MAX;

/// Payloads of `f32`: no panic, no value that is not finite, no more memory than declared.
pub fn decode_f32(data: &[u8]) {
    decode(0, data);
}

/// Payloads of `int8`, as [`decode_f32`].
pub fn decode_int8(data: &[u8]) {
    decode(1, data);
}

/// Payloads of `ecdq`, as [`decode_f32`].
pub fn decode_ecdq(data: &[u8]) {
    decode(2, data);
}

/// Payloads of `eden`, as [`decode_f32`].
pub fn decode_eden(data: &[u8]) {
    decode(3, data);
}

/// Payloads of `uniform`, as [`decode_f32`].
pub fn decode_uniform(data: &[u8]) {
    decode(4, data);
}

/// Payloads of `sparse`, as [`decode_f32`].
pub fn decode_sparse(data: &[u8]) {
    decode(5, data);
}

/// Whatever a device encodes can be decoded, is finite and no longer than its codec allows.
pub fn codec_round_trip(data: &[u8]) {
    let [id, a, b, rest @ ..] = data else { return };
    let codec = codec(id % 6, *a, *b);
    let mut values: Vec<f32> = rest
        .as_chunks::<4>()
        .0
        .iter()
        .take(N_MAX)
        .map(|bytes| f32::from_le_bytes(*bytes))
        .map(|value| if value.is_finite() { value.clamp(-1e12, 1e12) } else { 1.0 })
        .collect();
    if values.is_empty() {
        return;
    }
    let n = values.len();
    // A byte budget may be too small; nothing else fails.
    if let Ok(payload) = codec.encode(&mut values, SEEDS, 7) {
        assert!(payload.len() <= codec.payload_bytes_max(n), "{codec}: {} bytes", payload.len());
        let decoded = codec.decode(&payload, n, SEEDS).expect("what was encoded");
        assert_eq!(decoded.len(), n);
    } else {
        assert!(codec.to_string().ends_with('B'), "{codec} does not encode");
    }
}

/// Plans, tasks, claims, answers and presence: what is read can be written again.
pub fn messages(data: &[u8]) {
    again::<Plan>(data);
    again::<Claim>(data);
    again::<Go>(data);
    again::<Ack>(data);
    again::<Verdict>(data);
    again::<Seeded>(data);
    again::<TaskSpec>(data);
    if let Some(presence) = Presence::decode(data) {
        assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence));
    }
}

fn again<M: Message>(data: &[u8]) {
    if let Ok(message) = within(MESSAGE_MEMORY_MAX, || wire::decode::<M>(data)) {
        let written = wire::encode(&message).expect("what was read can be written");
        wire::decode::<M>(&written).expect("and read again");
    }
}

/// Model objects: memory of four bytes for each parameter that is there, whatever the header says.
pub fn model(data: &[u8]) {
    if let Ok(model) = within(2 * data.len() + 1024, || Model::decode(data)) {
        assert!(model.encode().is_ok());
    }
}

/// Update objects: the payload stays where it is.
pub fn update(data: &[u8]) {
    // Extensions are read into memory of their own, up to what they may be.
    if let Ok(update) = within(1024 + 3 * data.len(), || Report::decode(data)) {
        let written = update.encode().expect("what was read can be written");
        assert_eq!(Report::decode(&written), Ok(update));
    }
}

/// Deltas on a version that a device holds.
pub fn delta(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else { return };
    let base = vec![0.5_f32; 1 + usize::from(size) * 8];
    let most = 64 * base.len() + bytes.len() + 4096;
    within(most, || {
        if let Ok(delta) = Delta::decode(bytes) {
            assert!(delta.encode().is_ok());
            if let Ok(params) = delta.apply(&base) {
                assert_eq!(params.len(), base.len());
            }
        }
    });
}

/// The state that a device finds on its disk.
pub fn device_state(data: &[u8]) {
    let most = 8 * data.len() + 64 * 1024;
    if let Ok(state) = within(most, || DeviceState::decode(data)) {
        assert!(DeviceState::decode(&state.encode()).is_ok());
    }
}

/// Chunks, and an object put together from them in any order.
pub fn chunk(data: &[u8]) {
    let bytes = with_checksum(data);
    let Ok(chunk) = within(1024, || Chunk::decode(&bytes)) else { return };
    assert_eq!(chunk.encode(), bytes);
    let most = chunk.object_bytes as usize + 4096;
    within(most, || {
        let mut assembly = Assembly::for_chunk(&chunk);
        assert_eq!(assembly.take(&chunk), Ok(true));
        assert_eq!(assembly.take(&chunk), Ok(false));
        let _ = assembly.finish();
    });
    if let Ok(reference) = ObjectRef::of(chunk.data, 4096) {
        assert!(Chunk::cut(&reference, chunk.data, reference.chunks()).is_none());
    }
}

/// The bytes with a checksum that fits, so that a fuzzer gets past it.
fn with_checksum(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    if let Ok(chunk) = Chunk::decode(&bytes) {
        return chunk.encode();
    }
    if bytes.len() >= CHUNK_HEADER_BYTES {
        let at = CHUNK_HEADER_BYTES - 4;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[2..at]);
        crc.update(&bytes[CHUNK_HEADER_BYTES..]);
        bytes[at..CHUNK_HEADER_BYTES].copy_from_slice(&crc.finalize().to_le_bytes());
    }
    bytes
}
