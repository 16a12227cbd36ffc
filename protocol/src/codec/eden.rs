//! `eden`: each block rotated, then 1, 2 or 4 bits a coordinate: for each block a little-endian
//! `f32` scale and the indices of the nearest centroids of the normal distribution (Vargaftik et
//! al. 2022, arXiv:2108.08842). The size depends on nothing but the number of coordinates.
//!
//! The scale `|x|^2 / <Rx, q>` makes the result unbiased over the seed; its mean squared error is
//! `D / (1 - D)` of the squared norm, `D` the distortion of the Lloyd-Max quantiser.

use alloc::vec::Vec;

use super::bits::{self, Reader, Writer};
use super::rotation::{Block, blocks, rotate, rotate_back};
use crate::wire::WireError;

/// Positive centroids of the Lloyd-Max quantiser of the normal distribution (Max 1960, table I;
/// more digits from the fixed point of its equations).
const CENTROIDS_1: [f32; 1] = [0.797_884_6];
const CENTROIDS_2: [f32; 2] = [0.452_780_04, 1.510_417_6];
const CENTROIDS_4: [f32; 8] = [
    0.128_395_02,
    0.388_048_23,
    0.656_758_96,
    0.942_340_27,
    1.256_231,
    1.618_046,
    2.069_016_7,
    2.732_588_8,
];

/// Bytes of a block's scale.
const SCALE_BYTES: usize = 4;

/// Widths that there are centroids for.
pub(super) fn has_width(bits: u8) -> bool {
    matches!(bits, 1 | 2 | 4)
}

fn centroids(bits: u8) -> &'static [f32] {
    match bits {
        1 => &CENTROIDS_1,
        2 => &CENTROIDS_2,
        _ => &CENTROIDS_4,
    }
}

/// Share of the squared norm that the quantiser loses before the scale makes up for it.
pub(super) fn distortion(bits: u8) -> f64 {
    match bits {
        1 => 0.363_380,
        2 => 0.117_482,
        _ => 0.009_501,
    }
}

fn block_bytes(block: &Block, bits: u8) -> usize {
    SCALE_BYTES + bits::bytes(block.len, bits)
}

pub(super) fn payload_bytes(n: usize, bits: u8) -> usize {
    blocks(n).map(|block| block_bytes(&block, bits)).sum()
}

/// Calls `with` for each block of `values`, padded where needed; writes back what fits.
pub(super) fn for_each_block(values: &mut [f32], mut with: impl FnMut(&Block, &mut [f32])) {
    for block in blocks(values.len()) {
        let values = &mut values[block.range.clone()];
        if values.len() == block.len {
            with(&block, values);
        } else {
            let mut padded = alloc::vec![0.0; block.len];
            padded[..values.len()].copy_from_slice(values);
            with(&block, &mut padded);
            values.copy_from_slice(&padded[..values.len()]);
        }
    }
}

/// Writes `values`; they are rotated in place.
pub(super) fn encode(values: &mut [f32], bits: u8, seed: u64) -> Vec<u8> {
    let mut payload = Vec::with_capacity(payload_bytes(values.len(), bits));
    for_each_block(values, |block, values| {
        rotate(values, seed, block.index);
        encode_block(values, bits, &mut payload);
    });
    payload
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // to f32, the nearest
fn encode_block(values: &[f32], bits: u8, payload: &mut Vec<u8>) {
    let centroids = centroids(bits);
    let square: f64 = values.iter().map(|&y| f64::from(y) * f64::from(y)).sum();
    let deviation = libm::sqrt(square / values.len() as f64) as f32;
    let at = payload.len();
    payload.extend_from_slice(&[0; SCALE_BYTES]);
    let (mut writer, mut dot) = (Writer::new(bits), 0.0_f64);
    for &value in values {
        let magnitude = value.abs();
        let edge = |pair: &&[f32]| magnitude > 0.5 * (pair[0] + pair[1]) * deviation;
        let level = centroids.windows(2).take_while(edge).count();
        dot += f64::from(magnitude) * f64::from(centroids[level]);
        let sign = u32::from(value.is_sign_negative()) << (bits - 1);
        writer.push(sign | level as u32, payload);
    }
    writer.finish(payload);
    // Nothing but zeros, or values that have lost their digits, is as good as zero.
    let scale = if deviation >= f32::MIN_POSITIVE { (square / dot) as f32 } else { 0.0 };
    payload[at..at + SCALE_BYTES].copy_from_slice(&scale.to_le_bytes());
}

/// Reads values into `out`; `payload` has the length of [`payload_bytes`].
///
/// # Errors
/// [`WireError::Invalid`] when bits behind the last code of a block are set.
pub(super) fn decode(
    payload: &[u8],
    out: &mut [f32],
    bits: u8,
    seed: u64,
) -> Result<(), WireError> {
    let (mut rest, mut tidy) = (payload, true);
    for_each_block(out, |block, values| {
        let (bytes, behind) = rest.split_at(block_bytes(block, bits).min(rest.len()));
        rest = behind;
        tidy &= decode_block(bytes, values, bits);
        rotate_back(values, seed, block.index);
    });
    if tidy { Ok(()) } else { Err(WireError::Invalid("bits behind the last code are 0")) }
}

fn decode_block(bytes: &[u8], values: &mut [f32], bits: u8) -> bool {
    let Some((scale, codes)) = bytes.split_first_chunk::<SCALE_BYTES>() else { return false };
    let (scale, centroids) = (f32::from_le_bytes(*scale), centroids(bits));
    let mut reader = Reader::new(codes, bits);
    let sign_bit = 1 << (bits - 1);
    for value in values {
        let code = reader.next();
        let magnitude = scale * centroids[(code & (sign_bit - 1)) as usize];
        *value = if code & sign_bit == 0 { magnitude } else { -magnitude };
    }
    reader.rest_is_zero()
}
