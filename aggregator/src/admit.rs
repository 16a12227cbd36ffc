//! Admission: what an update must be before it may touch the sum.

use alloc::vec::Vec;
use dunlin_protocol::codec::{Codec, Seeds, squared_norm};
use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::limits::{EXTENSION_BYTES_MAX, EXTENSIONS_MAX};
use dunlin_protocol::message::Refusal;
use dunlin_protocol::report::Report;
use dunlin_protocol::task::Task;
use dunlin_protocol::wire::WireError;
use dunlin_protocol::work::{
    Coding, Section, TrainWork, VectorSpec, WorkKind, fit_is_beyond, read_fits, read_integers,
};

use crate::collect::{Collector, Share};
use crate::combine::{Contribution, FitTotals};
use crate::round::Job;

/// Room for the envelope, header, metrics and extensions of a report in bytes; without extensions
/// postcard needs at most 69.
pub const HEADER_BYTES_MAX: usize = 256 + EXTENSIONS_MAX * (EXTENSION_BYTES_MAX + 4);
/// Relative slack for what rounding in `f32` may add to a norm or to a value.
const ROUNDING: f64 = 1e-5;

/// What a round takes.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The version that reports start from.
    pub base: ModelVersion,
    /// What coordinates and figures mean.
    pub task: &'a Task,
    /// Public seeds of this device's payload.
    pub seeds: Seeds,
    /// What the devices of the round do.
    pub job: &'a Job,
    /// Most windows that a report may claim.
    pub examples_max: u32,
    /// What the report is to be added to.
    pub collector: &'a Collector,
}

/// Longest legal payload of `vector` in bytes.
pub fn payload_bytes_max(vector: &VectorSpec) -> usize {
    /// Bytes of a whole number of 128 bits as a varint.
    const INTEGER_BYTES_MAX: usize = 19;
    let bytes = |section: &Section| match section.coding {
        Coding::Real(codec) => {
            Codec::from_spec(codec).map_or(0, |codec| codec.payload_bytes_max(section.len))
        }
        Coding::Integers => INTEGER_BYTES_MAX * section.len,
    };
    vector.sections.iter().map(bytes).sum()
}

/// The reason that a device is told when its update object cannot be read.
pub fn refusal_of(error: &WireError) -> Refusal {
    if matches!(error, WireError::Schema { .. } | WireError::Extension { .. }) {
        Refusal::Schema
    } else if matches!(error, WireError::Work { .. }) {
        Refusal::RoundClosed
    } else if matches!(error, WireError::TooLong { .. }) {
        Refusal::Oversized
    } else {
        Refusal::Malformed
    }
}

/// Checks `report` against the terms and makes its share of the sum.
///
/// # Errors
/// The first [`Refusal`] that applies; the caller has checked lineage, round and repeats.
pub fn admit(report: &Report<'_>, terms: &Terms<'_>) -> Result<Share, Refusal> {
    let header = &report.header;
    if header.base_version != terms.base {
        return Err(Refusal::StaleBase);
    }
    if header.task != terms.task.digest().tag() {
        return Err(Refusal::WrongLayout);
    }
    let kind = WorkKind::from_number(header.kind);
    if kind.is_some_and(|kind| kind.is_beyond(&report.metrics)) {
        return Err(Refusal::NotFinite);
    }
    let most = u64::from(terms.examples_max);
    let counts = |at: usize| report.metrics.get(at).copied().unwrap_or(u64::MAX);
    let (weighs, fits) = (|at| (1..=most).contains(&counts(at)), |at| counts(at) <= most);
    match (terms.job, terms.collector) {
        (Job::Train { work, .. }, Collector::Mean(sum)) => {
            if !weighs(0) || !fits(2) || !fits(5) {
                return Err(Refusal::BadWeight);
            }
            let values = values(report, work, terms)?;
            let weight = terms.job.weight(u32::try_from(counts(0)).unwrap_or(u32::MAX));
            let metrics = &report.metrics;
            let share = Contribution::new(sum.scale(), &values, weight, WorkKind::Train, metrics);
            Ok(Share::Mean(share.with_fit(fit(report, terms.task, [counts(2), counts(5)])?)))
        }
        (Job::Evaluate, Collector::Mean(sum)) => {
            if !weighs(0) {
                return Err(Refusal::BadWeight);
            }
            if !report.payload.is_empty() {
                return Err(Refusal::Malformed);
            }
            let (kind, metrics) = (WorkKind::Evaluate, &report.metrics);
            let share = Contribution::new(sum.scale(), &[], 1, kind, metrics);
            Ok(Share::Mean(share.with_fit(fit(report, terms.task, [counts(0), 0])?)))
        }
        (Job::Sums { work, .. }, Collector::Table(table)) => {
            if !fits(0) {
                return Err(Refusal::BadWeight);
            }
            let numbers = read_integers(report.payload, table.values().len());
            let numbers = numbers.map_err(|_| Refusal::Malformed)?;
            let windows = numbers.first().and_then(|windows| u64::try_from(*windows).ok());
            if windows != Some(counts(0)) || !work.is_consistent(terms.task, &numbers) {
                return Err(Refusal::ValueTooLarge);
            }
            Ok(Share::Table(numbers))
        }
        (Job::Train { .. } | Job::Evaluate, Collector::Table(_))
        | (Job::Sums { .. }, Collector::Mean(_)) => Err(Refusal::RoundClosed),
    }
}

/// The sums of errors that the report carries, of `windows` before and after training; none where one is
/// at its bound.
fn fit(report: &Report<'_>, task: &Task, windows: [u64; 2]) -> Result<FitTotals, Refusal> {
    let measurements = if report.header.kind == WorkKind::Train as u8 { 2 } else { 1 };
    let sums = read_fits(&report.extensions, task, measurements);
    let sums = sums.map_err(|_| Refusal::Malformed)?.unwrap_or_default();
    let sums = if fit_is_beyond(&sums) { Vec::new() } else { sums };
    Ok(FitTotals::new(task, windows, &sums))
}

/// The update's values `[n_update]`, decoded and checked, each cut to the largest magnitude.
///
/// What is longer than the clip norm counts as it is, up to the longest that the codec makes of an
/// update at that norm: scaled down, every such update would lose what an unbiased codec's error adds.
fn values(report: &Report<'_>, work: &TrainWork, terms: &Terms<'_>) -> Result<Vec<f32>, Refusal> {
    let named = Codec::from_spec(work.codec).filter(|_| report.header.codec == work.codec.id);
    let codec = named.ok_or(Refusal::Codec)?;
    let n = terms.task.layout().n_update();
    let mut values = codec.decode(report.payload, n, terms.seeds).map_err(|error| {
        let length = matches!(error, WireError::Truncated | WireError::Trailing { .. });
        // With the length right, only values that are not finite are left to refuse.
        if length { Refusal::Malformed } else { Refusal::NotFinite }
    })?;
    let value_max = f64::from(work.max_abs) * (1.0 + ROUNDING);
    let beyond = |value: &f32| f64::from(value.abs()) > value_max;
    if codec.keeps_largest() && values.iter().any(beyond) {
        return Err(Refusal::ValueTooLarge);
    }
    let norm = libm::sqrt(squared_norm(&values));
    if norm > codec.norm_max(n, work.clip_norm) * (1.0 + ROUNDING) {
        return Err(Refusal::NormTooLarge);
    }
    let bound = work.max_abs;
    values.iter_mut().for_each(|value| *value = value.clamp(-bound, bound));
    Ok(values)
}

#[cfg(test)]
mod tests;
