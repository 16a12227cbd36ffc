//! Chunks, and an object put together from them in any order. Checksums are mended on the way, so
//! that the fuzzer gets past them.
#![no_main]

use dunlin_fuzz::within;
use dunlin_protocol::object::{Assembly, CHUNK_HEADER_BYTES, Chunk, ObjectRef};
use libfuzzer_sys::fuzz_target;

fn mended(data: &[u8]) -> Vec<u8> {
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

fuzz_target!(|data: &[u8]| {
    let bytes = mended(data);
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
});
