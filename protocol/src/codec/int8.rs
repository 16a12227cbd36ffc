//! `int8`: for each block a little-endian `f32` step, then one signed byte a coordinate.
//!
//! `step = largest magnitude / 127`; a coordinate `x` becomes `floor(x / step + u)` with `u`
//! uniform in `[0, 1)`, so that its expected decoded value is `x`.

use alloc::vec::Vec;

use crate::rng::Rng;

const CODE_MAX: f32 = 127.0;

pub(super) fn payload_bytes(n: usize, block: usize) -> usize {
    n + 4 * n.div_ceil(block)
}

pub(super) fn encode(values: &[f32], block: usize, rng: &mut Rng) -> Vec<u8> {
    let mut payload = Vec::with_capacity(payload_bytes(values.len(), block));
    for block in values.chunks(block) {
        let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let step = largest / CODE_MAX;
        payload.extend_from_slice(&step.to_le_bytes());
        // A step this small has lost its own digits: all values are as good as zero.
        let steps_per_unit = if step >= f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
        for value in block {
            let code = libm::floorf(value * steps_per_unit + rng.unit_f32());
            #[allow(clippy::cast_possible_truncation)] // clamped to the codes of an i8
            payload.push((code.clamp(-CODE_MAX, CODE_MAX) as i8).cast_unsigned());
        }
    }
    payload
}

/// Reads values into `out`; `payload` has the length of [`payload_bytes`].
pub(super) fn decode(payload: &[u8], out: &mut [f32], block: usize) {
    for (values, bytes) in out.chunks_mut(block).zip(payload.chunks(block + 4)) {
        let Some((step, codes)) = bytes.split_first_chunk::<4>() else { break };
        let step = f32::from_le_bytes(*step);
        for (value, code) in values.iter_mut().zip(codes) {
            *value = f32::from(code.cast_signed()) * step;
        }
    }
}
