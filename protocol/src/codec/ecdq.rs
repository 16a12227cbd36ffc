//! `ecdq`: entropy-coded dithered quantisation. A little-endian `f32` step, then one range code.
//!
//! With a dither `v` uniform in `[0, 1)` that both ends draw from the public seed, a coordinate `x`
//! becomes `q = floor(x / step + v)` and is read back as `step * (q + 1/2 - v)`. The error is
//! uniform in half a step to either side and independent of `x` (Ziv 1985; Zamir and Feder 1992):
//! unbiased for every input, with a mean square of `step^2 / 12`.

use alloc::vec::Vec;

use super::range::{Decoder, Encoder};
use super::symbols::{MAGNITUDE_MAX, Side, Symbols};
use crate::rng::Rng;
use crate::wire::WireError;

/// Steps relative to the root mean square of the coordinates that may be asked for.
pub(super) const STEP_MIN: f32 = 1.0 / 256.0;
pub(super) const STEP_MAX: f32 = 16.0;
/// Codings that the search for a budget tries after the coarsest.
const TRIALS: usize = 7;
/// Bits of a dither: exact in `f32`.
const DITHER_BITS: u32 = 24;
const DITHER_UNIT: f32 = 1.0 / 16_777_216.0;

/// Bytes of the step.
pub(super) const HEADER_BYTES: usize = 4;

/// The dithers of a payload, one a coordinate.
struct Dither(Rng);

impl Dither {
    #[allow(clippy::cast_possible_truncation)] // 24 bits are left
    fn next(&mut self) -> u32 {
        (self.0.next_u64() >> (64 - DITHER_BITS)) as u32
    }
}

#[allow(clippy::cast_precision_loss)] // 24 bits are exact
fn unit(dither: u32) -> f32 {
    dither as f32 * DITHER_UNIT
}

/// Root mean square of `values`; 0 for none.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // to f32, the nearest
pub(super) fn root_mean_square(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    libm::sqrt(sum / values.len().max(1) as f64) as f32
}

/// Writes `values` with a step of `relative` root mean squares.
pub(super) fn encode(values: &[f32], relative: f32, seed: u64) -> Vec<u8> {
    let step = root_mean_square(values) * relative;
    let mut payload = Vec::with_capacity(HEADER_BYTES + values.len() / 4);
    payload.extend_from_slice(&step.to_le_bytes());
    if step < f32::MIN_POSITIVE {
        // All values are as good as zero; a step of 0 says so.
        payload[..HEADER_BYTES].fill(0);
        return payload;
    }
    let mut encoder = Encoder::new(payload);
    let (mut symbols, mut dither) = (Symbols::new(), Dither(Rng::new(seed)));
    let per_unit = 1.0 / step;
    for value in values {
        let dither = dither.next();
        #[allow(clippy::cast_possible_truncation)] // `as` saturates, clamp bounds
        let code = libm::floorf(value * per_unit + unit(dither)) as i32;
        let limit = MAGNITUDE_MAX.cast_signed();
        symbols.code(&mut encoder, code.clamp(-limit, limit), Side::of(dither));
    }
    encoder.finish(HEADER_BYTES)
}

/// Writes `values` with the finest step that fits into `budget` bytes, found by bisection of the
/// step's logarithm. Every trial is a whole coding.
///
/// # Errors
/// [`WireError::Invalid`] when not even the coarsest step fits.
pub(super) fn encode_within(
    values: &[f32],
    budget: usize,
    seed: u64,
) -> Result<Vec<u8>, WireError> {
    let (mut fine, mut coarse) = (STEP_MIN, STEP_MAX);
    let mut best = encode(values, coarse, seed);
    if best.len() > budget {
        return Err(WireError::Invalid("the update fits the byte budget at the coarsest step"));
    }
    for _ in 0..TRIALS {
        let middle = libm::sqrtf(fine * coarse);
        let trial = encode(values, middle, seed);
        if trial.len() > budget {
            fine = middle;
        } else {
            coarse = middle;
            best = trial;
        }
    }
    Ok(best)
}

/// Reads values into `out`.
///
/// # Errors
/// [`WireError`] when the payload is not one step and one code of `out.len()` values.
pub(super) fn decode(payload: &[u8], out: &mut [f32], seed: u64) -> Result<(), WireError> {
    let (step, code) = payload.split_first_chunk::<HEADER_BYTES>().ok_or(WireError::Truncated)?;
    let step = f32::from_le_bytes(*step);
    if !step.is_finite() || step < 0.0 {
        return Err(WireError::Invalid("a step is finite and not negative"));
    }
    if step < f32::MIN_POSITIVE {
        out.fill(0.0);
        return Decoder::new(code).finish();
    }
    let (mut decoder, mut symbols) = (Decoder::new(code), Symbols::new());
    let mut dither = Dither(Rng::new(seed));
    for value in out {
        let dither = dither.next();
        let code = symbols.code(&mut decoder, 0, Side::of(dither));
        #[allow(clippy::cast_precision_loss)] // at most 2^20 + 15
        let code = code as f32;
        *value = (code + (0.5 - unit(dither))) * step;
    }
    decoder.finish()
}
