//! Whatever a device encodes can be decoded, is finite and no longer than its codec allows.
#![no_main]

use dunlin_fuzz::{N_MAX, SEEDS, codec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
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
});
