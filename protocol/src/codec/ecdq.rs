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
/// Codings that the search for a budget tries.
const TRIALS: usize = 5;
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

/// The largest whole number that is not above `x`, within what can be coded.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // `as` saturates
pub(super) fn floor(x: f32) -> i32 {
    let limit = MAGNITUDE_MAX.cast_signed();
    let towards_zero = (x as i32).clamp(-limit, limit);
    towards_zero - i32::from((towards_zero as f32) > x)
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
        let code = floor(value * per_unit + unit(dither));
        symbols.code(&mut encoder, code, Side::of(dither));
    }
    encoder.finish(HEADER_BYTES)
}

/// Writes `values` with about the finest step that fits into `budget` bytes.
///
/// The length is close to a power of the step: each trial, a whole coding, follows the line through
/// the last two on logarithmic scales. Three trials mostly come within 3 % of the budget.
///
/// # Errors
/// [`WireError::Invalid`] when not even the coarsest step fits.
pub(super) fn encode_within(
    values: &[f32],
    budget: usize,
    seed: u64,
) -> Result<Vec<u8>, WireError> {
    let mut search = Search::new(values.len(), budget);
    let mut best: Option<Vec<u8>> = None;
    for _ in 0..TRIALS {
        let trial = encode(values, search.step, seed);
        let fits = trial.len() <= budget;
        let full = trial.len() * 100 >= budget * 97;
        search.note(trial.len());
        if fits && best.as_ref().is_none_or(|best| trial.len() > best.len()) {
            best = Some(trial);
        }
        if fits && (full || search.step <= STEP_MIN) {
            break;
        }
    }
    let coarsest = || Some(encode(values, STEP_MAX, seed)).filter(|last| last.len() <= budget);
    best.or_else(coarsest)
        .ok_or(WireError::Invalid("the byte budget is below what the coarsest step needs"))
}

/// Bits a coordinate that updates of UCI HAR need at a step of `relative` root mean squares, and a
/// tenth more.
pub(super) fn likely_bits(relative: f32) -> f32 {
    1.1 * libm::powf(relative / 1.9, -1.0 / 1.4)
}

/// Where the search for a step stands.
struct Search {
    budget: f32,
    step: f32,
    /// Logarithms of the last trial's step and length.
    last: Option<(f32, f32)>,
    /// How the logarithm of the length falls with that of the step.
    slope: f32,
}

impl Search {
    /// Begins at the step that updates of UCI HAR need for so many bits a coordinate.
    #[allow(clippy::cast_precision_loss)]
    fn new(n: usize, budget: usize) -> Self {
        let bits = 8.0 * budget as f32 / n.max(1) as f32;
        let step = (1.9 * libm::powf(bits, -1.4)).clamp(STEP_MIN, STEP_MAX);
        // Aim a little below: what lies above is lost.
        Self { budget: 0.985 * budget as f32, step, last: None, slope: -0.75 }
    }

    #[allow(clippy::cast_precision_loss)]
    fn note(&mut self, length: usize) {
        let (x, y) = (libm::logf(self.step), libm::logf(length as f32));
        if let Some((x0, y0)) = self.last {
            let slope = (y - y0) / (x - x0);
            self.slope = if slope.is_finite() { slope.clamp(-2.0, -0.2) } else { self.slope };
        }
        self.last = Some((x, y));
        let next = x + (libm::logf(self.budget) - y) / self.slope;
        self.step = libm::expf(next).clamp(STEP_MIN, STEP_MAX);
    }
}

/// The step in front of a payload, and the code behind it.
pub(super) fn take_step(payload: &[u8]) -> Result<(f32, &[u8]), WireError> {
    let (step, code) = payload.split_first_chunk::<HEADER_BYTES>().ok_or(WireError::Truncated)?;
    let step = f32::from_le_bytes(*step);
    if step.is_finite() && step >= 0.0 {
        Ok((step, code))
    } else {
        Err(WireError::Invalid("a step is finite and not negative"))
    }
}

/// Reads values into `out`.
///
/// # Errors
/// [`WireError`] when the payload is not one step and one code of `out.len()` values.
pub(super) fn decode(payload: &[u8], out: &mut [f32], seed: u64) -> Result<(), WireError> {
    let (step, code) = take_step(payload)?;
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
