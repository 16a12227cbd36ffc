//! Codecs from numbers, so that a fuzzer chooses them.

use dunlin_protocol::codec::{Codec, CodecSpec, Seeds};

use crate::memory::within;

/// Most coordinates that a target decodes.
pub(crate) const N_MAX: usize = 5_000;

/// Seeds that any payload may have.
pub(crate) const SEEDS: Seeds = Seeds { round: 11, device: 22 };

/// A codec of this number with parameters made from two bytes; always one that there is.
pub(crate) fn codec(id: u8, a: u8, b: u8) -> Codec {
    let scale = 2.0_f32.powi(i32::from(a % 13) - 8) * (1.0 + f32::from(b) / 256.0);
    let (param, scale) = match id {
        0 => (0, 0.0),
        1 => (1 + u32::from(a) * u32::from(b), 0.0),
        2 if a.is_multiple_of(4) => (1 + u32::from(b) * 16, 0.0),
        2 => (0, scale.clamp(1.0 / 256.0, 16.0)),
        3 => (1 << (a % 3), 0.0),
        4 => (2 + u32::from(a % 15), scale),
        _ => (1 + u32::from(b), scale.clamp(1.0 / 256.0, 64.0)),
    };
    Codec::from_spec(CodecSpec { id, param, scale }).expect("parameters in their ranges")
}

/// Decodes what a peer may send: four bytes say the codec's parameters and the length.
pub(crate) fn decode(id: u8, data: &[u8]) {
    let [a, b, low, high, payload @ ..] = data else { return };
    let n = usize::from(u16::from_le_bytes([*low, *high])) % N_MAX + 1;
    let codec = codec(id, *a, *b);
    read(codec, payload, n);
    // Where the length is fixed, hardly any payload has it: give it this one.
    let mut fitted = payload.to_vec();
    fitted.resize(codec.payload_bytes_max(n), 0);
    read(codec, &fitted, n);
}

fn read(codec: Codec, payload: &[u8], n: usize) {
    // The values, the copy of a padded last block, and small change.
    let most = 4 * n + 4 * n.next_power_of_two() + 1024;
    if let Ok(values) = within(most, || codec.decode(payload, n, SEEDS)) {
        assert_eq!(values.len(), n);
        assert!(values.iter().all(|value| value.is_finite()));
        assert!(payload.len() <= codec.payload_bytes_max(n));
    }
}
