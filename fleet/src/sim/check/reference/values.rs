//! An update's values from its payload: each codec by the text of the wire format, then the bounds
//! of the work.

use dunlin_protocol::codec::{Codec, CodecSpec, Seeds};
use dunlin_protocol::report::Report;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::work::TrainWork;

use super::rotated;

/// Numbers of codecs on the wire.
const F32: u8 = 0;
const INT8: u8 = 1;
const ECDQ: u8 = 2;
const EDEN: u8 = 3;
const UNIFORM: u8 = 4;
const SPARSE: u8 = 5;

/// How far a bound may be exceeded: twice what admission allows for rounding, so that the last
/// digit of a bound decides nothing.
const SLACK: f64 = 2e-5;
/// Coarsest step of `ecdq`, in root mean squares.
const ECDQ_STEP_MAX: f64 = 16.0;
/// Deviations above its mean up to which a norm is taken for an honest device's.
const DEVIATIONS: f64 = 8.0;

/// The `n` values of a report as they count: read, checked, each cut to the largest magnitude. `None`
/// for values that a round of `work` must not take.
pub(super) fn update(
    report: &Report<'_>,
    work: &TrainWork,
    n: usize,
    seeds: Seeds,
) -> Option<Vec<f32>> {
    if report.header.codec != work.codec.id {
        return None;
    }
    let mut values = decoded(report.payload, work.codec, n, seeds)?;
    let largest = f64::from(work.max_abs) * (1.0 + SLACK);
    // These codecs make no value larger than the device had it, and devices keep to the bound.
    let kept = matches!(work.codec.id, F32 | INT8);
    if kept && values.iter().any(|value| f64::from(value.abs()) > largest) {
        return None;
    }
    let (norm, clip) = (norm(&values), f64::from(work.clip_norm));
    if norm > longest(work.codec, n, clip) * (1.0 + SLACK) {
        return None;
    }
    values.iter_mut().for_each(|value| *value = value.clamp(-work.max_abs, work.max_abs));
    Some(values)
}

/// The `n` values that `codec` wrote, all finite.
pub(super) fn decoded(
    payload: &[u8],
    codec: CodecSpec,
    n: usize,
    seeds: Seeds,
) -> Option<Vec<f32>> {
    let param = usize::try_from(codec.param).ok()?;
    let values = match codec.id {
        F32 => plain(payload, n),
        INT8 => int8(payload, n, param),
        ECDQ => {
            let mut draws = Rng::new(seeds.device);
            in_steps(payload, codec, n, seeds, move || 0.5 - draws.unit_f32())
        }
        EDEN => rotated::eden(payload, n, param, seeds.device),
        UNIFORM => rotated::uniform(payload, n, param, codec.scale, seeds.round),
        SPARSE => in_steps(payload, codec, n, seeds, || 0.0),
        _ => None,
    };
    values.filter(|values| values.iter().all(|value| value.is_finite()))
}

/// A payload of `n` little-endian `f32`, as codec `f32` writes it.
fn plain(payload: &[u8], n: usize) -> Option<Vec<f32>> {
    let (values, rest) = payload.as_chunks::<4>();
    let fits = values.len() == n && rest.is_empty();
    fits.then(|| values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// For each block a step, then a signed byte a value.
fn int8(payload: &[u8], n: usize, block: usize) -> Option<Vec<f32>> {
    let (mut rest, mut values) = (payload, Vec::with_capacity(n));
    while values.len() < n {
        let (step, behind) = rest.split_first_chunk::<4>()?;
        let (codes, behind) = behind.split_at_checked(block.min(n - values.len()))?;
        let step = f32::from_le_bytes(*step);
        values.extend(codes.iter().map(|code| f32::from(code.cast_signed()) * step));
        rest = behind;
    }
    rest.is_empty().then_some(values)
}

/// A step, then whole symbols under a range code: `(symbol + offset) * step`.
///
/// The range coder is not written a third time: vector files by an independent script check it. Of
/// what the protocol reads only the symbols are taken; step, offset and value are computed here.
#[allow(clippy::cast_possible_truncation)] // symbols have 21 bits
fn in_steps(
    payload: &[u8],
    codec: CodecSpec,
    n: usize,
    seeds: Seeds,
    mut offset: impl FnMut() -> f32,
) -> Option<Vec<f32>> {
    let step = f32::from_le_bytes(*payload.first_chunk::<4>()?);
    let read = Codec::from_spec(codec)?.decode(payload, n, seeds).ok()?;
    // A step that is no normal number stands for zeros, and no code follows.
    if step < f32::MIN_POSITIVE {
        return Some(vec![0.0; n]);
    }
    let value = |read: &f32| {
        let offset = offset();
        let symbol = f64::from(*read) / f64::from(step) - f64::from(offset);
        (symbol.round() as f32 + offset) * step
    };
    Some(read.iter().map(value).collect())
}

/// The Euclidean norm. Its last digits depend on the order of additions: value `i` goes to sum
/// `i mod 4` as long as fours are whole, the others to a fifth.
fn norm(values: &[f32]) -> f64 {
    let square = |value: &f32| f64::from(*value) * f64::from(*value);
    let (fours, others) = values.split_at(values.len() / 4 * 4);
    let sum = |first: usize| fours.iter().skip(first).step_by(4).map(square).sum::<f64>();
    let others: f64 = others.iter().map(square).sum();
    ((sum(0) + sum(1)) + (sum(2) + sum(3)) + others).sqrt()
}

/// The largest norm that an honest update of `n` values, of norm `clip` before it was written, is
/// read with: an unbiased codec adds the norm of its error.
#[allow(clippy::cast_precision_loss)] // far below 2^53
fn longest(codec: CodecSpec, n: usize, clip: f64) -> f64 {
    let n = n.max(1) as f64;
    match codec.id {
        // A value moves by less than the block's largest / 127.
        INT8 => clip * (1.0 + f64::from(codec.param).sqrt() / 127.0),
        // The error is uniform within half a step to either side.
        ECDQ => {
            let step = if codec.scale > 0.0 { f64::from(codec.scale) } else { ECDQ_STEP_MAX };
            let mean = step * step / 12.0;
            let deviation = step / (3.0 * n).sqrt() + step * step / (180.0 * n).sqrt();
            let likely = (1.0 + mean + DEVIATIONS * deviation).sqrt();
            clip * likely.min(1.0 + step / 2.0)
        }
        // What the quantiser loses of the square is made up for by the scale (Max 1960, table I).
        EDEN => {
            let lost: f64 = match codec.param {
                1 => 0.363_380,
                2 => 0.117_482,
                _ => 0.009_501,
            };
            clip / (1.0 - lost).sqrt() * (1.0 + DEVIATIONS / n.sqrt())
        }
        // A rotated value moves by less than a step; padding may double their number.
        UNIFORM => clip + f64::from(codec.scale) * (2.0 * n).sqrt(),
        // What is 0.65 steps is read as one.
        SPARSE => clip / 0.65,
        _ => clip,
    }
}
