//! `sparse`: most coordinates become 0. A little-endian `f32` step, then one range code.
//!
//! A coordinate `x` becomes `floor(|x| / step + 0.35)` with its sign, so that everything up to 0.65
//! steps is 0, and is read back as that many steps. Biased: what is lost must be kept by the sender
//! and added to the next vector (error feedback: Seide et al. 2014; Karimireddy et al. 2019,
//! arXiv:1901.09847).

use alloc::vec::Vec;

use super::ecdq::{HEADER_BYTES, root_mean_square, take_step};
use super::range::{Decoder, Encoder};
use super::symbols::{MAGNITUDE_MAX, Side, Symbols};
use crate::wire::WireError;

/// Added before rounding down: the dead zone reaches to one minus this.
const ROUNDING: f32 = 0.35;
/// Steps relative to the root mean square of the coordinates that may be asked for.
pub(super) const STEP_MIN: f32 = 1.0 / 256.0;
pub(super) const STEP_MAX: f32 = 64.0;
/// A coordinate is read back at most this many times as large as it was.
pub(super) const STRETCH: f64 = 1.0 / (1.0 - ROUNDING as f64);

/// Writes `values` with a step of `relative` root mean squares.
pub(super) fn encode(values: &[f32], relative: f32) -> Vec<u8> {
    let step = root_mean_square(values) * relative;
    let mut payload = Vec::with_capacity(HEADER_BYTES + values.len() / 16);
    if step < f32::MIN_POSITIVE {
        payload.extend_from_slice(&[0; HEADER_BYTES]);
        return payload;
    }
    payload.extend_from_slice(&step.to_le_bytes());
    let (mut encoder, mut symbols) = (Encoder::new(payload), Symbols::new());
    let per_unit = 1.0 / step;
    for value in values {
        #[allow(clippy::cast_possible_truncation)] // `as` saturates, clamp bounds
        let magnitude = libm::floorf(value.abs() * per_unit + ROUNDING) as i32;
        let magnitude = magnitude.clamp(0, MAGNITUDE_MAX.cast_signed());
        let code = if value.is_sign_negative() { -magnitude } else { magnitude };
        symbols.code(&mut encoder, code, Side::NONE);
    }
    encoder.finish(HEADER_BYTES)
}

/// Reads values into `out`.
///
/// # Errors
/// [`WireError`] when the payload is not one step and one code of `out.len()` values.
pub(super) fn decode(payload: &[u8], out: &mut [f32]) -> Result<(), WireError> {
    let (step, code) = take_step(payload)?;
    if step < f32::MIN_POSITIVE {
        out.fill(0.0);
        return Decoder::new(code).finish();
    }
    let (mut decoder, mut symbols) = (Decoder::new(code), Symbols::new());
    for value in out {
        #[allow(clippy::cast_precision_loss)] // at most 2^21
        let code = symbols.code(&mut decoder, 0, Side::NONE) as f32;
        *value = code * step;
    }
    decoder.finish()
}
