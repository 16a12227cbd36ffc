//! `uniform`: one rotation and one step for all devices of a round, stochastic rounding, integers
//! of a fixed width. Codes of different devices add up: the sum of updates can be read from the sum
//! of their codes, which is all that a masked round reveals.
//!
//! A rotated coordinate `y` becomes `floor(y / step + u)` with `u` uniform in `[0, 1)`, unbiased as
//! long as it stays within the width. What lies beyond is cut off: the step decides how likely that
//! is, see [`step`].

use alloc::vec::Vec;

use super::bits::{self, Reader, Writer};
use super::eden::for_each_block;
use super::rotation::{padded, rotate, rotate_back};
use crate::rng::Rng;
use crate::wire::WireError;

/// Widths that may be asked for.
pub(super) const BITS_MIN: u8 = 2;
pub(super) const BITS_MAX: u8 = 16;
/// Deviations of a rotated coordinate that the codes reach to: beyond them is one in 16,000.
const REACH: f32 = 4.0;

/// Largest code: codes are symmetric around 0.
fn code_max(bits: u8) -> i32 {
    (1 << (bits - 1)) - 1
}

/// The step by which codes of `bits` bits reach four deviations of a rotated vector of `n`
/// coordinates whose norm is `norm`.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(super) fn step(bits: u8, n: usize, norm: f32) -> f32 {
    let deviation = norm / libm::sqrt(n.max(1) as f64) as f32;
    REACH * deviation / code_max(bits) as f32
}

pub(super) fn payload_bytes(n: usize, bits: u8) -> usize {
    bits::bytes(padded(n), bits)
}

/// Writes `values`; they are rotated in place. `noise` drives the rounding and stays secret.
pub(super) fn encode(values: &mut [f32], bits: u8, step: f32, seed: u64, noise: u64) -> Vec<u8> {
    let mut payload = Vec::with_capacity(payload_bytes(values.len(), bits));
    let (mut writer, mut rng) = (Writer::new(bits), Rng::new(noise));
    let (per_unit, limit) = (1.0 / step, code_max(bits));
    for_each_block(values, |block, values| {
        rotate(values, seed, block.index);
        for value in values {
            #[allow(clippy::cast_possible_truncation)] // `as` saturates, clamp bounds
            let code = libm::floorf(*value * per_unit + rng.unit_f32()) as i32;
            writer.push(code.clamp(-limit, limit).cast_unsigned(), &mut payload);
        }
    });
    writer.finish(&mut payload);
    payload
}

/// What is wrong with codes that no encoder writes.
const UNTIDY: WireError =
    WireError::Invalid("codes lie symmetric around 0, with zeros behind the last one");

/// Reads codes in two's complement; remembers whether all were such as an encoder writes.
struct Codes<'a> {
    reader: Reader<'a>,
    sign: u32,
    limit: i32,
    tidy: bool,
}

impl<'a> Codes<'a> {
    fn new(payload: &'a [u8], bits: u8) -> Self {
        let (sign, limit) = (32 - u32::from(bits), code_max(bits));
        Self { reader: Reader::new(payload, bits), sign, limit, tidy: true }
    }

    fn next(&mut self) -> i32 {
        let code = (self.reader.next() << self.sign).cast_signed() >> self.sign;
        self.tidy &= code >= -self.limit;
        code
    }

    fn finish(&self) -> Result<(), WireError> {
        if self.tidy && self.reader.rest_is_zero() { Ok(()) } else { Err(UNTIDY) }
    }
}

/// The codes of a payload for `n` coordinates, padding included: what devices' updates add up in.
///
/// # Errors
/// [`WireError::Invalid`] when a code is outside the width or bits are left behind the last one.
pub(super) fn codes(payload: &[u8], n: usize, bits: u8) -> Result<Vec<i32>, WireError> {
    let mut reader = Codes::new(payload, bits);
    let codes = (0..padded(n)).map(|_| reader.next()).collect();
    reader.finish().map(|()| codes)
}

/// Reads values into `out`.
///
/// # Errors
/// As [`codes`].
pub(super) fn decode(
    payload: &[u8],
    out: &mut [f32],
    bits: u8,
    step: f32,
    seed: u64,
) -> Result<(), WireError> {
    let mut reader = Codes::new(payload, bits);
    place(out, step, seed, || reader.next());
    reader.finish()
}

/// Reads the sum of values from the sum of codes, `[padded(n)]`, into `out`.
pub(super) fn from_codes(codes: &[i32], out: &mut [f32], step: f32, seed: u64) {
    let mut codes = codes.iter();
    place(out, step, seed, || codes.next().copied().unwrap_or(0));
}

/// Turns codes into values and rotates them back, block by block.
fn place(out: &mut [f32], step: f32, seed: u64, mut next: impl FnMut() -> i32) {
    for_each_block(out, |block, values| {
        for value in &mut *values {
            #[allow(clippy::cast_precision_loss)] // sums of fewer than 2^24 are exact
            let code = next() as f32;
            *value = code * step;
        }
        rotate_back(values, seed, block.index);
    });
}
