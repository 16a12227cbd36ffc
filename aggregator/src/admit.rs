//! Admission: what an update must be before it may touch the sum.

use dunlin_protocol::codec::{Codec, Seeds, squared_norm};
use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::limits::OBJECT_BYTES_MAX;
use dunlin_protocol::message::Refusal;
use dunlin_protocol::plan::TrainWork;
use dunlin_protocol::task::TaskDigest;
use dunlin_protocol::update::Update;
use dunlin_protocol::wire::WireError;

use crate::combine::{Contribution, Scale};
use crate::round::Job;

/// Room for the envelope and the header of an update object in bytes; postcard needs at most 90.
pub const HEADER_BYTES_MAX: usize = 256;
/// Relative slack for what rounding in `f32` may add to a norm or to a value.
const ROUNDING: f64 = 1e-5;

/// What a round takes.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The version that updates start from.
    pub base: ModelVersion,
    /// What coordinates mean.
    pub task: TaskDigest,
    /// Coordinates of an update.
    pub n_update: usize,
    /// Public seeds of this device's payload.
    pub seeds: Seeds,
    /// What devices do.
    pub job: &'a Job,
    /// Most windows that an update may claim.
    pub examples_max: u32,
    /// The sum's fixed-point scale.
    pub scale: Scale,
}

/// Longest legal update object for this codec and number of coordinates in bytes.
pub fn object_bytes_max(codec: Codec, n_update: usize) -> usize {
    (HEADER_BYTES_MAX + codec.payload_bytes_max(n_update)).min(OBJECT_BYTES_MAX as usize)
}

/// The reason that a device is told when its update object cannot be read.
pub fn refusal_of(error: &WireError) -> Refusal {
    if matches!(error, WireError::Schema { .. } | WireError::Extension { .. }) {
        Refusal::Schema
    } else if matches!(error, WireError::TooLong { .. }) {
        Refusal::Oversized
    } else {
        Refusal::Malformed
    }
}

/// Checks `update` against the terms and makes its share of the sum.
///
/// # Errors
/// The first [`Refusal`] that applies; the caller has checked lineage, round and repeats.
pub fn admit(update: &Update<'_>, terms: &Terms<'_>) -> Result<Contribution, Refusal> {
    let header = &update.header;
    if header.base_version != terms.base {
        return Err(Refusal::StaleBase);
    }
    if header.task != terms.task.tag() {
        return Err(Refusal::WrongLayout);
    }
    let weighs = |windows: u32| (1..=terms.examples_max).contains(&windows);
    let fits = |windows: u32| windows <= terms.examples_max;
    match terms.job {
        Job::Train { work, .. } => {
            if !weighs(header.examples)
                || !fits(header.before.windows)
                || !fits(header.after.windows)
            {
                return Err(Refusal::BadWeight);
            }
            let values = values(update, work, terms)?;
            let weight = terms.job.weight(header.examples);
            Ok(Contribution::new(terms.scale, &values, weight, header))
        }
        Job::Evaluate => {
            if !weighs(header.before.windows)
                || !fits(header.examples)
                || !fits(header.after.windows)
            {
                return Err(Refusal::BadWeight);
            }
            if !update.payload.is_empty() {
                return Err(Refusal::Malformed);
            }
            Ok(Contribution::new(terms.scale, &[], 1, header))
        }
    }
}

/// The update's values `[n_update]`, decoded, checked and clipped to the norm bound.
#[allow(clippy::cast_possible_truncation)] // to f32, the nearest
fn values(update: &Update<'_>, work: &TrainWork, terms: &Terms<'_>) -> Result<Vec<f32>, Refusal> {
    let named = Codec::from_spec(work.codec).filter(|_| update.header.codec == work.codec.id);
    let codec = named.ok_or(Refusal::Codec)?;
    let n = terms.n_update;
    let mut values = codec.decode(update.payload, n, terms.seeds).map_err(|error| {
        let length = matches!(error, WireError::Truncated | WireError::Trailing { .. });
        // With the length right, only values that are not finite are left to refuse.
        if length { Refusal::Malformed } else { Refusal::NotFinite }
    })?;
    let value_max = f64::from(work.max_abs) * (1.0 + ROUNDING);
    let beyond = |value: &f32| f64::from(value.abs()) > value_max;
    if codec.keeps_largest() && values.iter().any(beyond) {
        return Err(Refusal::ValueTooLarge);
    }
    let norm = squared_norm(&values).sqrt();
    let clip = f64::from(work.clip_norm);
    if norm > codec.norm_max(n, work.clip_norm) * (1.0 + ROUNDING) {
        return Err(Refusal::NormTooLarge);
    }
    if norm > clip {
        let shrink = clip / norm;
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * shrink) as f32);
    }
    let bound = work.max_abs;
    values.iter_mut().for_each(|value| *value = value.clamp(-bound, bound));
    Ok(values)
}
