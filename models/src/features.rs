//! Fixed features of a human-motion window, for a small dense network in place of the samples.
//!
//! Nothing here is learned. The choice follows what is known to tell activities apart with one worn
//! sensor: pose, spread, jerk, extremes and correlation of axes (Bao and Intille, Pervasive 2004;
//! Anguita et al., ESANN 2013), log-spectral band energies as in the filter banks of speech
//! recognition (Davis and Mermelstein 1980) without their last transform, autocorrelation for the
//! rhythm of steps, and motion along and across gravity, which does not depend on how the board is
//! turned (Mizell, ISWC 2003).
//!
//! Eight signals `s` run through most blocks: body acceleration x, y, z (g), rotation rate x, y, z
//! (rad/s), length of the total acceleration less 1 (g), length of the rotation rate (rad/s). `c`
//! is a signal less its mean, `sd` the square root of the mean of `c * c`. In a block the statistic
//! comes first, then the signal. A sum has a fixed order, so equal windows give equal bits on one
//! machine.

mod spectrum;

use alloc::vec;
use alloc::vec::Vec;

use dunlin_protocol::task::MOTION_FEATURES;
use spectrum::Spectrum;

/// Channels of a window: body acceleration, rotation rate and total acceleration, three axes each.
const CHANNELS: usize = 9;
/// Pairs of signals whose correlation counts: axes of the same sensor.
const PAIRS: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)];
/// Lags of the autocorrelation in samples; 80 to 500 ms at 50 Hz.
const LAGS: [usize; 4] = [4, 8, 16, 25];
/// Least length of the mean acceleration (g) that has a direction.
const GRAVITY_MIN: f32 = 1e-6;

/// One value for each of the eight signals.
type Signals = [f32; 8];
type Vector = [f32; 3];

/// Maps an amount to `gain * (ln(amount + floor) + shift)`: about -1 to 1 for human motion, and
/// sensor noise below `floor`, in units of the amount, stays flat.
struct LogScale {
    floor: f32,
    shift: f32,
    gain: f32,
}

const SPREAD: LogScale = LogScale { floor: 0.002, shift: 3.0, gain: 0.5 };
const JERK: LogScale = LogScale { floor: 0.001, shift: 4.0, gain: 0.5 };
const BAND: LogScale = LogScale { floor: 0.001, shift: 4.5, gain: 0.4 };
const EXTREME: LogScale = LogScale { floor: 0.005, shift: 2.5, gain: 0.5 };

impl LogScale {
    fn of(&self, amount: f32) -> f32 {
        self.gain * (libm::logf(amount + self.floor) + self.shift)
    }
}

/// The feature stage for windows of one length, with its tables and the memory it works in.
pub(crate) struct MotionFeatures {
    /// The signals sample by sample, less their means, `[window]`.
    rows: Vec<Signals>,
    spectrum: Spectrum,
}

impl MotionFeatures {
    /// A stage for windows of `window` samples at 50 Hz, 32 or more: with fewer than 26 the
    /// features of the longest lag are not numbers.
    ///
    /// All memory is taken here: 72 bytes a sample.
    pub(crate) fn new(window: usize) -> Self {
        Self { rows: vec![[0.0; 8]; window.max(1)], spectrum: Spectrum::new(window.max(1)) }
    }

    /// Describes one window.
    ///
    /// `window`: `[samples, 9]` of the stage's length, sample by sample, unscaled: body
    /// acceleration x, y, z in g, rotation rate in rad/s, total acceleration in g. `out`: `[143]`.
    /// A sample that is not finite makes features that are not finite, never a panic.
    pub(crate) fn extract(&mut self, window: &[f32], out: &mut [f32]) {
        debug_assert_eq!(window.len(), self.rows.len() * CHANNELS);
        debug_assert_eq!(out.len(), MOTION_FEATURES);
        let mut out = Output(out.iter_mut());
        let samples = window.as_chunks::<CHANNELS>().0;
        let count = float(self.rows.len());
        let (means, gravity) = self.load(samples);
        let rows = self.rows.as_slice();
        let sd = total(rows.iter().map(|c| signals(|k| c[k] * c[k])));
        let sd = sd.map(|sum| libm::sqrtf(sum / count));

        // 0..3, pose: mean total acceleration (g) * 1.25, less what an upright x axis shows.
        out.extend([gravity[0] * 1.25 - 1.0, gravity[1] * 1.25, gravity[2] * 1.25]);
        // 3..11, spread: sd (g, rad/s).
        out.extend(sd.map(|sd| SPREAD.of(sd)));
        // 11..19, jerk: root mean square of the change from sample to sample (g, rad/s).
        let jerk = rows.windows(2).map(|pair| signals(|k| square(pair[1][k] - pair[0][k])));
        out.extend(total(jerk).map(|sum| JERK.of(libm::sqrtf(sum / (count - 1.0)))));
        // 19..83, bands: root of the energy in each band (g, rad/s), band by band.
        self.spectrum.transform(rows);
        for energies in self.spectrum.bands() {
            out.extend(energies.map(|energy| BAND.of(libm::sqrtf(energy))));
        }
        // 83..89, correlation: mean(c_i c_j) / (sd_i sd_j + 1e-4), -1 to 1.
        let products = total(rows.iter().map(|c| PAIRS.map(|(i, j)| c[i] * c[j])));
        for (sum, (i, j)) in products.into_iter().zip(PAIRS) {
            out.push(sum / count / (sd[i] * sd[j] + 1e-4));
        }
        // 89..105, extremes: minus the scaled -min(c), then the scaled max(c) (g, rad/s).
        let lowest = rows.iter().fold([0.0; 8], |low: Signals, c| signals(|k| low[k].min(c[k])));
        let highest = rows.iter().fold([0.0; 8], |high: Signals, c| signals(|k| high[k].max(c[k])));
        out.extend(lowest.map(|low| -EXTREME.of(-low)));
        out.extend(highest.map(|high| EXTREME.of(high)));
        // 105..137, rhythm: mean(c[t] c[t - lag]) / (sd^2 + 1e-5), lag by lag.
        for lag in LAGS {
            let products =
                rows.iter().skip(lag).zip(rows).map(|(c, past)| signals(|k| c[k] * past[k]));
            let pairs = float(rows.len().saturating_sub(lag));
            let sums = total(products);
            out.extend(signals(|k| sums[k] / pairs / (sd[k] * sd[k] + 1e-5)));
        }
        // 137..140, turning: mean rotation rate (rad/s) * 3.
        out.extend([means[3] * 3.0, means[4] * 3.0, means[5] * 3.0]);
        // 140..143, sd of the motion along and across gravity (g) and about it (rad/s).
        out.extend(about_gravity(samples, gravity).map(|sd| SPREAD.of(sd)));
    }

    /// Fills the rows; gives the means of the signals and the mean total acceleration (g).
    fn load(&mut self, samples: &[[f32; CHANNELS]]) -> (Signals, Vector) {
        let count = float(self.rows.len());
        let mut gravity = [0.0; 3];
        for (row, &[ax, ay, az, gx, gy, gz, tx, ty, tz]) in self.rows.iter_mut().zip(samples) {
            let total_length = libm::sqrtf(tx * tx + ty * ty + tz * tz);
            let rate = libm::sqrtf(gx * gx + gy * gy + gz * gz);
            *row = [ax, ay, az, gx, gy, gz, total_length - 1.0, rate];
            gravity = [gravity[0] + tx, gravity[1] + ty, gravity[2] + tz];
        }
        let means = total(self.rows.iter().copied()).map(|sum| sum / count);
        for row in &mut self.rows {
            *row = signals(|k| row[k] - means[k]);
        }
        (means, gravity.map(|sum| sum / count))
    }
}

/// Spread of body acceleration along gravity, of its length across gravity, and of the rotation
/// about gravity. Without a direction of gravity all acceleration counts as across.
fn about_gravity(samples: &[[f32; CHANNELS]], gravity: Vector) -> Vector {
    let length = libm::sqrtf(dot(gravity, gravity)).max(GRAVITY_MIN);
    let down = gravity.map(|axis| axis / length);
    let parts = samples.iter().map(|&[ax, ay, az, gx, gy, gz, ..]| {
        let along = dot(down, [ax, ay, az]);
        let across = [ax - along * down[0], ay - along * down[1], az - along * down[2]];
        [along, libm::sqrtf(dot(across, across)), dot(down, [gx, gy, gz])]
    });
    let count = float(samples.len());
    let mean: Vector = total(parts.clone()).map(|sum| sum / count);
    let squares: Vector = total(parts.map(|part| each(|k| square(part[k] - mean[k]))));
    squares.map(|sum| libm::sqrtf(sum / count))
}

/// The features in their order; values past the end are dropped.
struct Output<'a>(core::slice::IterMut<'a, f32>);

impl Output<'_> {
    fn push(&mut self, value: f32) {
        if let Some(slot) = self.0.next() {
            *slot = value;
        }
    }

    fn extend<const N: usize>(&mut self, values: [f32; N]) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

fn signals(value: impl FnMut(usize) -> f32) -> Signals {
    core::array::from_fn(value)
}

fn each<const N: usize>(value: impl FnMut(usize) -> f32) -> [f32; N] {
    core::array::from_fn(value)
}

/// Sums even and odd values apart, because one chain of additions would wait for each.
fn total<const N: usize>(mut values: impl Iterator<Item = [f32; N]>) -> [f32; N] {
    let (mut even, mut odd) = ([0.0; N], [0.0; N]);
    while let Some(value) = values.next() {
        even = each(|k| even[k] + value[k]);
        let Some(value) = values.next() else { break };
        odd = each(|k| odd[k] + value[k]);
    }
    each(|k| even[k] + odd[k])
}

fn dot(a: Vector, b: Vector) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn square(value: f32) -> f32 {
    value * value
}

/// Counts of samples are far below 2^24, so the conversion is exact.
#[allow(clippy::cast_precision_loss)]
fn float(count: usize) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests;
