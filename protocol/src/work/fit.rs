//! How near outputs that are values come to what was measured: sums that a report carries beside its
//! figures, and what follows from them.
//!
//! Sums are over all values of a channel in scaled units, in fixed point with
//! [`FIT_FRACTION_BITS`]: those of many devices add up in any order to the same bits, and the mean
//! error, the error of a baseline and R2 of all devices together follow from them exactly.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{read_integers, write_integers};
use crate::extension::{Extension, Extensions};
use crate::task::{Target, TaskSpec};
use crate::wire::WireError;

/// Number of the extension of a report that carries the sums; older readers skip it.
pub const FIT_EXTENSION: u8 = 1;
/// Fraction bits of each sum.
pub const FIT_FRACTION_BITS: u8 = 32;
/// Channels that have sums of their own; those of a task with more are added up as one.
pub const FIT_CHANNELS_MAX: usize = 10;
/// Sums of each channel.
pub const FIT_SUMS: usize = 5;

/// Largest magnitude of a sum of one device: it stands for everything beyond.
const SUM_MAX: i128 = 1 << 58;
const ONE: f64 = (1_u64 << FIT_FRACTION_BITS) as f64;

/// Sums over the values of one channel, scaled as the task says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FitSums {
    /// Of the squared differences between what was said and what was measured.
    pub squared: f64,
    /// Of the magnitudes of these differences.
    pub absolute: f64,
    /// Of the squared differences of a forecast that repeats the last sample that the network
    /// sees; 0 for other targets.
    pub repeated: f64,
    /// Of the values that were measured.
    pub values: f64,
    /// Of their squares.
    pub value_squares: f64,
}

impl FitSums {
    /// Adds one value: what was `said`, what `is`, and what a forecast would repeat.
    pub fn add(&mut self, said: f32, is: f32, last: Option<f32>) {
        let (said, is) = (f64::from(said), f64::from(is));
        let wrong = said - is;
        self.squared += wrong * wrong;
        self.absolute += libm::fabs(wrong);
        let stays = last.map_or(0.0, |last| f64::from(last) - is);
        self.repeated += stays * stays;
        self.values += is;
        self.value_squares += is * is;
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn numbers(&self) -> [i128; FIT_SUMS] {
        [self.squared, self.absolute, self.repeated, self.values, self.value_squares].map(|sum| {
            let most = SUM_MAX as f64;
            // What is no number is as wrong as can be.
            let fixed = libm::rint(sum * ONE);
            if fixed.is_nan() { SUM_MAX } else { fixed.clamp(-most, most) as i128 }
        })
    }
}

/// The sums of one measurement: one of each channel of [`fit_channels`], none for classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit(pub Vec<FitSums>);

impl Fit {
    /// Nothing measured yet.
    pub fn new(task: &TaskSpec) -> Self {
        Self(vec![FitSums::default(); fit_channels(task).len()])
    }

    /// Adds the outputs for one window, and the scaled values that they should be; `last`: the last
    /// sample that the network sees, for the channels of the outputs, where a forecast is asked for.
    pub fn add(&mut self, outputs: &[f32], targets: &[f32], last: Option<&[f32]>, channels: usize) {
        let groups = self.0.len();
        for (at, (said, is)) in outputs.iter().zip(targets).enumerate() {
            let channel = at.checked_rem(channels).unwrap_or(0);
            let last = last.and_then(|last| last.get(channel)).copied();
            let group = if groups == 1 { 0 } else { channel };
            if let Some(sums) = self.0.get_mut(group) {
                sums.add(*said, *is, last);
            }
        }
    }

    /// The sums in fixed point, `[channels * FIT_SUMS]`.
    pub fn numbers(&self) -> Vec<i128> {
        self.0.iter().flat_map(FitSums::numbers).collect()
    }

    /// The extensions of a report of these measurements, in their order.
    ///
    /// # Errors
    /// [`WireError`] when they get too long, which sums of [`FIT_CHANNELS_MAX`] channels do not.
    pub fn extensions(fits: &[&Self]) -> Result<Extensions, WireError> {
        let numbers: Vec<i128> = fits.iter().flat_map(|fit| fit.numbers()).collect();
        if numbers.is_empty() {
            return Ok(Extensions::NONE);
        }
        let bytes = write_integers(&numbers)?;
        Ok(Extensions(Vec::from([Extension { number: FIT_EXTENSION, bytes }])))
    }
}

/// Whether one of these sums is at its bound, which stands for everything beyond: they measured nothing
/// that could be added to those of others.
pub fn is_beyond(sums: &[i128]) -> bool {
    sums.iter().any(|sum| sum.abs() >= SUM_MAX)
}

/// The sums that a report's `extensions` carry of `measurements` by `task`, one after another;
/// `None` where it has none, as from a device of an older version.
///
/// # Errors
/// [`WireError`] when there are more or fewer numbers, or one that no sum can have.
pub fn read_fits(
    extensions: &Extensions,
    task: &TaskSpec,
    measurements: usize,
) -> Result<Option<Vec<i128>>, WireError> {
    let channels = fit_channels(task).len();
    let Some(bytes) = extensions.get(FIT_EXTENSION).filter(|_| channels > 0) else {
        return Ok(None);
    };
    let numbers = read_integers(bytes, measurements * channels * FIT_SUMS)?;
    let sane = |(at, number): (usize, &i128)| {
        let signed = at % FIT_SUMS == 3;
        let least = if signed { -SUM_MAX } else { 0 };
        (least..=SUM_MAX).contains(number)
    };
    if numbers.iter().enumerate().all(sane) {
        Ok(Some(numbers))
    } else {
        Err(WireError::Invalid("sums of errors are not negative and within their bound"))
    }
}

/// What one set of sums is about.
#[derive(Clone, Debug, PartialEq)]
pub struct FitChannel {
    /// Name of the channel, or `all channels`.
    pub name: String,
    /// Unit of its values; empty where values stay scaled.
    pub unit: String,
    /// Scaled values are those in the unit times this, after an offset; not 0.
    pub scale: f32,
}

/// The channels whose values `task` asks for: those of its outputs, one for all of them where they
/// are more than [`FIT_CHANNELS_MAX`], none for classes.
pub fn fit_channels(task: &TaskSpec) -> Vec<FitChannel> {
    let channels = task.output_channels();
    if channels.len() > FIT_CHANNELS_MAX {
        return vec![FitChannel { name: "all channels".into(), unit: String::new(), scale: 1.0 }];
    }
    let named = |channel: &&crate::task::Channel| match channel.scale {
        0.0 => FitChannel { name: channel.name.clone(), unit: String::new(), scale: 1.0 },
        scale => FitChannel { name: channel.name.clone(), unit: channel.unit.clone(), scale },
    };
    channels.iter().map(named).collect()
}

/// Values that each set of sums has of one window.
fn values_of_window(task: &TaskSpec) -> u64 {
    let groups = fit_channels(task).len().max(1);
    u64::try_from(task.output_values() / groups).unwrap_or(u64::MAX)
}

/// How near a model came for one channel, in the unit of its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitFigures {
    /// Name of the channel, or `all channels`.
    pub name: String,
    /// Unit of its values; empty where they stay scaled.
    pub unit: String,
    /// Values that were compared.
    pub values: u64,
    /// Mean squared error in the unit's square.
    pub mse: f64,
    /// The same in scaled units, as the loss is.
    pub mse_scaled: f64,
    /// Mean absolute error in the unit.
    pub mae: f64,
    /// Share of the variance of what was measured that the model explains: 1 is perfect, 0 as good
    /// as naming the mean, below worse. `None` where nothing varies.
    pub r2: Option<f64>,
    /// Mean squared error of a forecast that repeats the last value, in the unit's square. `None`
    /// for other targets.
    pub repeated_mse: Option<f64>,
}

impl FitFigures {
    /// The figures of `sums` over `windows` windows of `task`, a channel after another; none where
    /// there is no window.
    #[allow(clippy::cast_precision_loss)] // sums of more than 53 bits are rounded once
    pub fn of(task: &TaskSpec, windows: u64, sums: &[i128]) -> Vec<Self> {
        let values = windows.saturating_mul(values_of_window(task));
        if values == 0 {
            return Vec::new();
        }
        let forecast = matches!(task.target, Target::Forecast | Target::ForecastSteps { .. });
        let figures = |(channel, sums): (FitChannel, &[i128; FIT_SUMS])| {
            let [squared, absolute, repeated, value, squares] = sums.map(|sum| sum as f64 / ONE);
            let (count, scale) = (values as f64, f64::from(channel.scale));
            let spread = squares - value * value / count;
            Self {
                name: channel.name,
                unit: channel.unit,
                values,
                mse: squared / count / (scale * scale),
                mse_scaled: squared / count,
                mae: absolute / count / libm::fabs(scale),
                r2: (spread > squares * 1e-12).then(|| 1.0 - squared / spread),
                repeated_mse: forecast.then(|| repeated / count / (scale * scale)),
            }
        };
        fit_channels(task).into_iter().zip(sums.as_chunks().0).map(figures).collect()
    }

    /// Share of the squared error of repeating the last value that the model avoids: 1 is perfect, 0
    /// no better, below worse. `None` where there is no such baseline, or it makes no error.
    pub fn skill(&self) -> Option<f64> {
        self.repeated_mse.filter(|mse| *mse > 0.0).map(|mse| 1.0 - self.mse / mse)
    }
}

impl fmt::Display for FitFigures {
    /// Such as `glucose: MSE 85.2 (mg/dL)^2, MAE 6.10 mg/dL, R2 0.912, repeating the last value has
    /// MSE 129: 34 % less`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = |value: f64| Significant(value);
        write!(f, "{}: MSE {}", self.name, digits(self.mse))?;
        match self.unit.as_str() {
            "" => write!(f, ", MAE {}", digits(self.mae))?,
            unit => write!(f, " ({unit})^2, MAE {} {unit}", digits(self.mae))?,
        }
        if let Some(r2) = self.r2 {
            write!(f, ", R2 {r2:.3}")?;
        }
        let Some(repeated) = self.repeated_mse else { return Ok(()) };
        write!(f, ", repeating the last value has MSE {}", digits(repeated))?;
        match self.skill() {
            Some(skill) if skill >= 0.0 => write!(f, ": {:.1} % less", skill * 100.0),
            Some(skill) => write!(f, ": {:.1} % more", skill * -100.0),
            None => Ok(()),
        }
    }
}

/// A number with three significant digits, such as `0.00555`, `0.500`, `85.2` and `1234`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Significant(pub f64);

impl fmt::Display for Significant {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 9
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = libm::fabs(self.0);
        if !size.is_finite() {
            return write!(f, "{}", self.0);
        }
        if size == 0.0 {
            return f.write_str("0");
        }
        let exponent = libm::floor(libm::log10(size));
        if !(-7.0..15.0).contains(&exponent) {
            return write!(f, "{:.2e}", self.0);
        }
        let decimals = (2.0 - exponent).max(0.0) as usize;
        write!(f, "{:.decimals$}", self.0)
    }
}

#[cfg(test)]
mod tests;
