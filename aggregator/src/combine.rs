//! The linear combiner: sums in integers, so that the order of arrival changes no bit.
//!
//! A device's share of the sum is one vector of `i64`: `weight * value` in fixed point for each
//! coordinate of the update, then extra coordinates for the weight and the figures. Sums of such
//! vectors are exact, so accumulators of several processes merge in any order.

use alloc::vec;
use alloc::vec::Vec;

mod figures;
mod fit;

use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::{LOSS_FRACTION_BITS, Score, WorkKind};
use serde::{Deserialize, Serialize};

pub use figures::Figures;
pub use fit::FitTotals;

/// Updates that one round can sum at the most.
pub const UPDATES_MAX: u32 = 1 << 20;
/// Fewest fraction bits that a round may be left with.
pub const FRACTION_BITS_MIN: i32 = 16;
/// Most fraction bits that are used: values have 24 significant bits, more would be zeros.
const FRACTION_BITS_MAX: i32 = 60;
/// What the loss coordinates were multiplied by.
const LOSS_FRACTION: f64 = (1_u32 << LOSS_FRACTION_BITS) as f64;

/// Coordinates behind those of the update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    Updates,
    Weight,
    Examples,
    TrainLoss,
    BeforeWindows,
    BeforeCorrect,
    BeforeLoss,
    AfterWindows,
    AfterCorrect,
    AfterLoss,
}

/// How many [`Extra`] coordinates there are.
const EXTRAS: usize = 10;

/// Why something could not be summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CombineError {
    /// The bounds leave fewer than [`FRACTION_BITS_MIN`] fraction bits.
    #[error(
        "max_abs, the weight cap and the number of updates leave {fraction_bits} fraction bits, at \
         least {FRACTION_BITS_MIN} are needed: lower one of them"
    )]
    TooCoarse {
        /// Fraction bits that would be left.
        fraction_bits: i32,
    },
    /// A sum would leave the range of 64 bits, or too many updates came.
    #[error("the sum would leave the range of 64 bits")]
    Overflow,
    /// Two accumulators differ in length or in scale.
    #[error("the sums belong to different rounds")]
    Mismatch,
    /// Nothing was summed: there is no mean.
    #[error("no update was summed")]
    Empty,
}

/// The fixed-point scale of one round: `62 - ceil(log2 max_abs) - ceil(log2(weight * updates))`
/// fraction bits, so that no sum of admitted updates can overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    fraction_bits: i8,
    updates_max: u32,
}

impl Scale {
    /// The scale for values of magnitude up to `max_abs` (above 0), weights up to `weight_max` and
    /// at most `updates_max` updates.
    ///
    /// # Errors
    /// [`CombineError::TooCoarse`] when too few fraction bits are left.
    pub fn new(max_abs: f32, weight_max: u32, updates_max: u32) -> Result<Self, CombineError> {
        let updates_max = updates_max.clamp(1, UPDATES_MAX);
        let heaviest = u64::from(weight_max.max(1)) * u64::from(updates_max);
        let weight_bits = 64 - (heaviest - 1).leading_zeros().cast_signed();
        let bits = (62 - ceil_log2(max_abs) - weight_bits).min(FRACTION_BITS_MAX);
        match i8::try_from(bits) {
            Ok(fraction_bits) if bits >= FRACTION_BITS_MIN => {
                Ok(Self { fraction_bits, updates_max })
            }
            _ => Err(CombineError::TooCoarse { fraction_bits: bits }),
        }
    }

    /// Fraction bits of each coordinate.
    pub fn fraction_bits(self) -> i8 {
        self.fraction_bits
    }

    /// What values are multiplied by: `2^fraction_bits`, exact.
    fn factor(self) -> f64 {
        f64::from_bits((1023 + i64::from(self.fraction_bits)).cast_unsigned() << 52)
    }
}

/// The smallest `e` with `2^e >= x`, for `x` above 0.
fn ceil_log2(x: f32) -> i32 {
    let bits = f64::from(x).to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0x7ff) - 1023;
    exponent + i32::from(bits & ((1 << 52) - 1) != 0)
}

/// `value * 2^fraction_bits` as the nearest integer, halves away from zero: the digits of a finite
/// `value` shifted, since its product with a power of two has the same ones. A caller keeps the
/// result inside 63 bits.
fn shifted(value: f32, fraction_bits: i8) -> i64 {
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xff).cast_signed();
    let hidden = i64::from(exponent != 0) << 23;
    let digits = i64::from(bits & 0x7f_ffff) | hidden;
    // A float is `digits * 2^(exponent - 150)`; those without the hidden digit have exponent 1.
    let shift = exponent.max(1) - 150 + i32::from(fraction_bits);
    let size = match shift {
        // 24 digits: none are lost.
        0..40 => digits << shift,
        40.. => i64::MAX * digits.signum(),
        -24..0 => (digits + (1 << (-shift - 1))) >> -shift,
        _ => 0,
    };
    if bits >> 31 == 0 { size } else { -size }
}

#[allow(clippy::cast_precision_loss)] // sums of more than 53 bits are rounded once, to nearest
fn from_fixed(x: i64) -> f64 {
    x as f64
}

/// One device's share of the sum: `[n_update + extras]`, and of the sums of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution(Vec<i64>, FitTotals);

impl Contribution {
    /// The share of `values: [n_update]`, each of magnitude up to the scale's `max_abs`, with
    /// `weight`, and of the metrics of a report of this `kind`, as many as it declares.
    pub fn new(scale: Scale, values: &[f32], weight: u32, kind: WorkKind, metrics: &[u64]) -> Self {
        let (fraction_bits, times) = (scale.fraction_bits, i64::from(weight));
        let mut sums = Vec::with_capacity(values.len() + EXTRAS);
        let fixed = |value: &f32| shifted(*value, fraction_bits).saturating_mul(times);
        sums.extend(values.iter().map(fixed));
        let metric = |at: usize| metrics.get(at).map_or(0, |value| value.cast_signed());
        sums.extend([1, times]);
        match kind {
            WorkKind::Train => sums.extend((0..EXTRAS - 2).map(metric)),
            // What it measured on is what it looked at; there is no trained model.
            WorkKind::Evaluate => {
                sums.extend([metric(0), 0, metric(0), metric(1), metric(2), 0, 0, 0]);
            }
            WorkKind::Sums => sums.extend([metric(0), 0, 0, 0, 0, 0, 0, 0]),
        }
        Self(sums, FitTotals::default())
    }

    /// With the sums of errors that the device reported of its outputs, if any.
    #[must_use]
    pub fn with_fit(self, fit: FitTotals) -> Self {
        Self(self.0, fit)
    }
}

/// A sum of contributions. Merging is associative and commutative to the bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accumulator {
    scale: Scale,
    sums: Vec<i64>,
    /// Written by [`crate::collect::Collector`], where there are any.
    #[serde(skip)]
    fit: FitTotals,
}

impl Accumulator {
    /// An empty sum for updates of `n_update` coordinates (0 for evaluations).
    pub fn new(scale: Scale, n_update: usize) -> Self {
        Self { scale, sums: vec![0; n_update + EXTRAS], fit: FitTotals::default() }
    }

    /// The scale of the coordinates.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The sums in fixed point: the update's coordinates, then updates, weight, examples, training
    /// loss, and windows, hits and loss before and after training.
    pub fn sums(&self) -> &[i64] {
        &self.sums
    }

    /// The sums of errors of outputs that are values; empty for classes.
    pub fn fit(&self) -> &FitTotals {
        &self.fit
    }

    /// With sums of errors that were kept apart.
    #[must_use]
    pub(crate) fn with_fit(self, fit: FitTotals) -> Self {
        Self { fit, ..self }
    }

    /// Coordinates of an update.
    pub fn n_update(&self) -> usize {
        self.sums.len().saturating_sub(EXTRAS)
    }

    /// Adds one device's share; all of it or nothing.
    ///
    /// # Errors
    /// [`CombineError::Mismatch`] for another length, [`CombineError::Overflow`] when a sum would
    /// leave its range.
    pub fn add(&mut self, contribution: &Contribution) -> Result<(), CombineError> {
        self.add_sums(&contribution.0)?;
        self.fit.add(&contribution.1);
        Ok(())
    }

    /// Adds the sum of another process or of an earlier run; all of it or nothing.
    ///
    /// # Errors
    /// As [`Accumulator::add`].
    pub fn merge(&mut self, other: &Self) -> Result<(), CombineError> {
        if other.scale != self.scale {
            return Err(CombineError::Mismatch);
        }
        self.add_sums(&other.sums)?;
        self.fit.add(&other.fit);
        Ok(())
    }

    fn add_sums(&mut self, others: &[i64]) -> Result<(), CombineError> {
        if others.len() != self.sums.len() || others.len() < EXTRAS {
            return Err(CombineError::Mismatch);
        }
        let fits = self.sums.iter().zip(others).all(|(sum, add)| sum.checked_add(*add).is_some());
        let updates = self.sums.len() - EXTRAS + Extra::Updates as usize;
        let count = self.sums[updates].saturating_add(others[updates]);
        if !fits || count > i64::from(self.scale.updates_max) {
            return Err(CombineError::Overflow);
        }
        self.sums.iter_mut().zip(others).for_each(|(sum, add)| *sum += add);
        Ok(())
    }

    fn extra(&self, extra: Extra) -> i64 {
        let at = self.n_update() + extra as usize;
        self.sums.get(at).copied().unwrap_or(0)
    }

    /// The weighted mean of the updates, `[n_update]`: one division in `f64` a coordinate.
    ///
    /// # Errors
    /// [`CombineError::Empty`] when no weight was summed.
    #[allow(clippy::cast_possible_truncation)] // to f32, the nearest
    pub fn mean(&self) -> Result<Vec<f32>, CombineError> {
        let weight = self.extra(Extra::Weight);
        if weight <= 0 {
            return Err(CombineError::Empty);
        }
        let divisor = from_fixed(weight) * self.scale.factor();
        let values = &self.sums[..self.n_update()];
        Ok(values.iter().map(|sum| (from_fixed(*sum) / divisor) as f32).collect())
    }

    /// The figures summed so far.
    pub fn figures(&self) -> Figures {
        let count = |extra| self.extra(extra).max(0).cast_unsigned();
        let loss = |extra| from_fixed(self.extra(extra)) / LOSS_FRACTION;
        let examples = count(Extra::Examples);
        let examples_f64 = from_fixed(self.extra(Extra::Examples)).max(1.0);
        Figures {
            updates: count(Extra::Updates),
            weight: count(Extra::Weight),
            examples,
            train_loss: loss(Extra::TrainLoss) / examples_f64,
            before: Pooled {
                windows: count(Extra::BeforeWindows),
                correct: count(Extra::BeforeCorrect),
                loss_sum: loss(Extra::BeforeLoss),
            },
            after: Pooled {
                windows: count(Extra::AfterWindows),
                correct: count(Extra::AfterCorrect),
                loss_sum: loss(Extra::AfterLoss),
            },
            fit_before: Vec::new(),
            fit_after: Vec::new(),
        }
    }

    /// As [`Accumulator::figures`], with the errors of outputs that are values.
    pub fn figures_of(&self, task: &TaskSpec) -> Figures {
        let (fit_before, fit_after) = self.fit.figures(task);
        Figures { fit_before, fit_after, ..self.figures() }
    }
}

/// Scores of many devices added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pooled {
    /// Windows that models were tried on; 0 when there were none.
    pub windows: u64,
    /// Windows classified rightly; 0 for tasks without classes.
    pub correct: u64,
    /// Sum of the loss; each device adds at most [`dunlin_protocol::work::LOSS_SUM_MAX`].
    pub loss_sum: f64,
}

#[allow(clippy::cast_precision_loss)]
impl Pooled {
    /// Share of windows classified rightly, 0 without windows.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.windows.max(1) as f64
    }

    /// Mean loss of a window, 0 without windows.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.windows.max(1) as f64
    }
}

impl From<Score> for Pooled {
    fn from(score: Score) -> Self {
        let Score { windows, correct, loss_sum } = score;
        let (windows, correct) = (u64::from(windows), u64::from(correct));
        Self { windows, correct, loss_sum: f64::from(loss_sum) }
    }
}

#[cfg(test)]
mod tests;
