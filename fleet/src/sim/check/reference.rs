//! What the reports accepted in a round must add up to, computed apart from the aggregator's
//! admission and sums: from a report's bytes, the work that devices were told, and the operator's
//! settings, as the wire format and the scale of sums are written down.
//!
//! Short ways instead of fast ones, so that a reader sees that they are right. Of the product it
//! uses what files of an independent script check elsewhere: the reader of a report's header, the
//! public seeds, the random generator.

mod rotated;
mod table;
#[cfg(test)]
mod tests;
mod values;

use dunlin_aggregator::collect::Collector;
use dunlin_aggregator::combine::{Figures, Pooled};
use dunlin_aggregator::round::RoundKey;
use dunlin_aggregator::settings::Weighting;
use dunlin_protocol::codec::Seeds;
use dunlin_protocol::id::{DeviceId, Lineage, ModelVersion};
use dunlin_protocol::report::Report;
use dunlin_protocol::work::{LOSS_FRACTION_BITS, LOSS_SUM_MAX, Work, WorkKind};

use super::Known;
use crate::sim::LINEAGE;

/// Figures behind updates and weight: examples, training loss, and windows, hits and loss before
/// and after training.
const METRICS: usize = 8;

/// The sum of a round as it must be.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    key: RoundKey,
    base: ModelVersion,
    /// What devices were told to do.
    work: Work,
    /// Bits behind the point of each coordinate.
    fraction_bits: i32,
    /// The coordinates of an update, or the numbers of a table.
    numbers: Vec<i128>,
    updates: i128,
    weight: i128,
    metrics: [i128; METRICS],
}

/// What one report adds.
struct Share {
    numbers: Vec<i128>,
    weight: i128,
    metrics: [i128; METRICS],
}

impl Reference {
    /// The sum of a round before the first update.
    pub(super) fn new(key: RoundKey, base: ModelVersion, work: Work, known: &Known) -> Self {
        let (n, fraction_bits) = match &work {
            Work::Train(train) => (known.task.layout().n_update(), scale(train.max_abs, known)),
            Work::Sums(sums) => (table::length(sums, &known.task), 0),
            Work::Evaluate | Work::Unknown(_) => (0, 0),
        };
        let (numbers, metrics) = (vec![0; n], [0; METRICS]);
        Self { key, base, work, fraction_bits, numbers, updates: 0, weight: 0, metrics }
    }

    /// Adds the report that `bytes` are. `None`, and nothing is added, for a report that the round
    /// must not take.
    pub(super) fn add(&mut self, device: &DeviceId, bytes: &[u8], known: &Known) -> Option<()> {
        let report = Report::decode(bytes).ok()?;
        let header = &report.header;
        let belongs = header.lineage == Lineage(LINEAGE).tag()
            && header.round == self.key.round
            && header.kind == self.key.kind as u8
            && header.base_version == self.base
            && header.task == known.task.digest().tag();
        if !belongs {
            return None;
        }
        let share = self.share(device, &report, known)?;
        if share.numbers.len() != self.numbers.len() {
            return None;
        }
        self.numbers.iter_mut().zip(share.numbers).for_each(|(sum, number)| *sum += number);
        self.metrics.iter_mut().zip(share.metrics).for_each(|(sum, metric)| *sum += metric);
        self.updates += 1;
        self.weight += share.weight;
        Some(())
    }

    fn share(&self, device: &DeviceId, report: &Report<'_>, known: &Known) -> Option<Share> {
        let metrics: Vec<i128> = report.metrics.iter().map(|metric| i128::from(*metric)).collect();
        let most = i128::from(known.examples_max);
        // A loss at its bound is none that was measured.
        let bound = i128::from(LOSS_SUM_MAX) << LOSS_FRACTION_BITS;
        let losses: &[usize] = match &self.work {
            Work::Train(_) => &[1, 4, 7],
            Work::Evaluate => &[2],
            Work::Sums(_) | Work::Unknown(_) => &[],
        };
        if losses.iter().any(|at| metrics.get(*at).is_none_or(|loss| *loss >= bound)) {
            return None;
        }
        match (&self.work, metrics.as_slice()) {
            (Work::Train(work), &[examples, _, before, _, _, after, _, _]) => {
                if !(1..=most).contains(&examples) || before > most || after > most {
                    return None;
                }
                let (round, kind) = (report.header.round, report.header.kind);
                let seeds = Seeds::of_update(device, Lineage(LINEAGE), round, kind);
                let values = values::update(report, work, self.numbers.len(), seeds)?;
                let weight = weight(examples, known.weighting);
                let factor = 2_f64.powi(self.fraction_bits);
                let numbers = values.iter().map(|value| weight * fixed(*value, factor)).collect();
                let metrics = <[i128; METRICS]>::try_from(metrics.as_slice()).ok()?;
                Some(Share { numbers, weight, metrics })
            }
            (Work::Evaluate, &[windows, hits, loss]) => {
                if !(1..=most).contains(&windows) || !report.payload.is_empty() {
                    return None;
                }
                // It measured on what it looked at, and there is nothing after.
                let metrics = [windows, 0, windows, hits, loss, 0, 0, 0];
                Some(Share { numbers: Vec::new(), weight: 1, metrics })
            }
            (Work::Sums(work), &[windows]) => {
                let numbers = table::numbers(report.payload, work, &known.task)?;
                if windows > most || numbers.first() != Some(&windows) {
                    return None;
                }
                Some(Share { numbers, weight: 1, metrics: [windows, 0, 0, 0, 0, 0, 0, 0] })
            }
            _ => None,
        }
    }

    /// What is wrong with the sum that is stored; `None` when it is that of the reports added.
    pub(super) fn difference(&self, stored: &Collector) -> Option<String> {
        let numbers = self.numbers.iter().copied();
        match (stored, self.key.kind) {
            (Collector::Mean(sum), WorkKind::Train | WorkKind::Evaluate) => {
                let bits = i32::from(sum.scale().fraction_bits());
                // An evaluation has no coordinates that could have a point.
                if self.key.kind == WorkKind::Train && bits != self.fraction_bits {
                    return Some(format!("{bits} fraction bits, not {}", self.fraction_bits));
                }
                let right = numbers.chain([self.updates, self.weight]).chain(self.metrics);
                first_difference(sum.sums().iter().map(|number| i128::from(*number)), right)
            }
            (Collector::Table(table), WorkKind::Sums) => {
                let stored = table.values().iter().copied().chain([i128::from(table.devices())]);
                first_difference(stored, numbers.chain([self.updates]))
            }
            (Collector::Mean(_) | Collector::Table(_), _) => Some("a sum of another kind".into()),
        }
    }

    /// What the devices reported, added up.
    pub(super) fn figures(&self) -> Figures {
        let [examples, train_loss, before @ .., windows, hits, loss] = self.metrics;
        let pooled = |[windows, hits, loss]: [i128; 3]| Pooled {
            windows: count(windows),
            correct: count(hits),
            loss_sum: loss_of(loss),
        };
        Figures {
            updates: count(self.updates),
            weight: count(self.weight),
            examples: count(examples),
            train_loss: loss_of(train_loss) / real(examples.max(1)),
            before: pooled(before),
            after: pooled([windows, hits, loss]),
            ..Figures::default()
        }
    }
}

/// Whether nothing was added to the sum that is stored.
pub(super) fn is_empty(stored: &Collector) -> bool {
    match stored {
        Collector::Mean(sum) => sum.sums().iter().all(|number| *number == 0),
        Collector::Table(table) => {
            table.devices() == 0 && table.values().iter().all(|number| *number == 0)
        }
    }
}

/// Where two sums differ first.
fn first_difference(
    mut stored: impl Iterator<Item = i128>,
    mut right: impl Iterator<Item = i128>,
) -> Option<String> {
    let mut place = 0_usize;
    loop {
        match (stored.next(), right.next()) {
            (None, None) => return None,
            (stored, right) if stored == right => place += 1,
            (stored, right) => {
                return Some(format!("number {place} is {stored:?}, not {right:?}"));
            }
        }
    }
}

/// The weight of an update of `examples` windows.
fn weight(examples: i128, weighting: Weighting) -> i128 {
    match weighting {
        Weighting::Equal => 1,
        Weighting::Examples { cap } => examples.min(i128::from(cap)).max(1),
    }
}

/// Fraction bits of a sum of values up to `max_abs`: of 62 bits, as many as the largest value, the
/// largest weight and the number of updates leave, and no more than 60.
fn scale(max_abs: f32, known: &Known) -> i32 {
    let weight_max = match known.weighting {
        Weighting::Equal => 1,
        Weighting::Examples { cap } => cap.max(1),
    };
    let heaviest = f64::from(weight_max) * f64::from(known.target.max(1));
    (62 - bits_of(f64::from(max_abs)) - bits_of(heaviest)).min(60)
}

/// The smallest whole `e` with `2^e >= x`, for `x` from an `f32`'s smallest number on.
fn bits_of(x: f64) -> i32 {
    let mut bits = -150;
    while 2_f64.powi(bits) < x {
        bits += 1;
    }
    bits
}

/// `value * factor` as the nearest whole number, halves away from zero. The product is exact: the
/// factor is a power of two.
#[allow(clippy::cast_possible_truncation)] // below 2^63: the scale leaves room for it
fn fixed(value: f32, factor: f64) -> i128 {
    i128::from((f64::from(value) * factor).round() as i64)
}

fn count(sum: i128) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}

/// A loss as metrics have it, times 2^16, as a number.
fn loss_of(sum: i128) -> f64 {
    real(sum) / 65_536.0
}

#[allow(clippy::cast_precision_loss)] // to the nearest
fn real(sum: i128) -> f64 {
    sum as f64
}
