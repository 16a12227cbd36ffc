//! Energies of eight signals in frequency bands.

use alloc::vec;
use alloc::vec::Vec;

use super::{Signals, each, float, square};

/// Edges of the bands in bins of a 128-sample window at 50 Hz (0.39 Hz a bin): 0.4 to 25 Hz, finer
/// where people move.
const EDGES: [usize; 9] = [1, 2, 4, 6, 9, 14, 22, 36, 64];
const EDGES_WINDOW: usize = 128;

/// Four complex numbers, each of two real signals of one unit: two real transforms for one.
#[derive(Clone, Copy, Default)]
struct Complex4 {
    re: [f32; 4],
    im: [f32; 4],
}

impl Complex4 {
    fn pack(s: &Signals) -> Self {
        Self { re: [s[0], s[2], s[3], s[5]], im: [s[1], s[6], s[4], s[7]] }
    }

    /// Times `exp(i angle)`, given as cosine and sine.
    fn turned(&self, (cos, sin): (f32, f32)) -> Self {
        Self {
            re: each(|k| self.re[k] * cos - self.im[k] * sin),
            im: each(|k| self.re[k] * sin + self.im[k] * cos),
        }
    }

    fn plus(&self, other: &Self) -> Self {
        Self { re: each(|k| self.re[k] + other.re[k]), im: each(|k| self.im[k] + other.im[k]) }
    }

    fn minus(&self, other: &Self) -> Self {
        Self { re: each(|k| self.re[k] - other.re[k]), im: each(|k| self.im[k] - other.im[k]) }
    }
}

/// Discrete Fourier transform of eight real signals of one length.
///
/// The length is `odd * 2^k`: direct transforms of `odd` samples, then `k` radix-2 steps. A power
/// of two is fastest.
pub(super) struct Spectrum {
    /// `exp(-2 pi i j / length)` as cosine and sine, `[length]`.
    turns: Vec<(f32, f32)>,
    /// The last transform: `[length]` bins of eight signals, packed in pairs.
    bins: Vec<Complex4>,
}

impl Spectrum {
    pub(super) fn new(length: usize) -> Self {
        Self { turns: turns(length), bins: vec![Complex4::default(); length] }
    }

    /// Transforms `rows: [length]` into `self.bins`.
    pub(super) fn transform(&mut self, rows: &[Signals]) {
        let steps = self.bins.len().trailing_zeros();
        let parts = 1 << steps;
        let odd = self.bins.len() >> steps;
        for (part, bins) in self.bins.chunks_exact_mut(odd).enumerate() {
            // Which samples a part has follows from its number's bits, read backwards.
            let first = part.reverse_bits() >> 1 >> (usize::BITS - 1 - steps);
            let rows = rows.get(first..).unwrap_or_default();
            for (bin, value) in bins.iter_mut().enumerate() {
                *value = direct(&self.turns, rows, parts, bin);
            }
        }
        let mut half = odd;
        while half < self.bins.len() {
            let stride = self.turns.len() / (2 * half);
            for block in self.bins.chunks_exact_mut(2 * half) {
                let (even, odd) = block.split_at_mut(half);
                let turns = self.turns.iter().step_by(stride);
                for ((even, odd), &turn) in even.iter_mut().zip(odd).zip(turns) {
                    let turned = odd.turned(turn);
                    (*even, *odd) = (even.plus(&turned), even.minus(&turned));
                }
            }
            half *= 2;
        }
    }

    /// Energy of each signal in each band: sum of `2 |X|^2 / length^2` (its unit squared).
    ///
    /// The edges scale with the length, so that a band means the same frequencies; in a short
    /// window a band still has one bin.
    pub(super) fn bands(&self) -> impl Iterator<Item = Signals> {
        let length = self.bins.len();
        let scaled = move |edge: usize| (edge * length / EDGES_WINDOW).max(1);
        EDGES.windows(2).map(move |edges| {
            let first = scaled(edges[0]);
            let bins = first..scaled(edges[1]).max(first + 1);
            let sum = super::total(bins.map(|bin| self.powers(bin)));
            sum.map(|sum| sum * 2.0 / square(float(length)))
        })
    }

    /// `|X|^2` of each signal, not of their packed pairs, in bin `bin`.
    fn powers(&self, bin: usize) -> Signals {
        let length = self.bins.len();
        let (z, mirror) = (&self.bins[bin % length], &self.bins[(length - bin % length) % length]);
        let first: [f32; 4] =
            each(|k| (square(z.re[k] + mirror.re[k]) + square(z.im[k] - mirror.im[k])) / 4.0);
        let second: [f32; 4] =
            each(|k| (square(z.re[k] - mirror.re[k]) + square(z.im[k] + mirror.im[k])) / 4.0);
        [first[0], second[0], first[1], first[2], second[2], first[3], second[1], second[3]]
    }
}

/// Bin `bin` of every `stride`th row; the turns go round once in `turns.len() / stride` rows.
fn direct(turns: &[(f32, f32)], rows: &[Signals], stride: usize, bin: usize) -> Complex4 {
    let (step, mut at) = (bin * stride, 0);
    rows.iter().step_by(stride).fold(Complex4::default(), |sum, row| {
        let term = Complex4::pack(row).turned(turns[at]);
        at += step;
        if at >= turns.len() {
            at -= turns.len();
        }
        sum.plus(&term)
    })
}

/// The table in double precision, so that the rounding of an angle does not grow with its index.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn turns(length: usize) -> Vec<(f32, f32)> {
    let step = -core::f64::consts::TAU / length as f64;
    let turn = |at: usize| {
        let angle = step * at as f64;
        (libm::cos(angle) as f32, libm::sin(angle) as f32)
    };
    (0..length).map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_of_any_length_hold_the_energy_that_a_direct_transform_finds() {
        for length in [32, 48, 100, 127, 128, 256] {
            let row =
                |at: usize| each(|k| (((at * at * (k + 3) + at * 7) % 101) as f32) / 50.0 - 1.0);
            let rows: Vec<Signals> = (0..length).map(row).collect();
            let mut spectrum = Spectrum::new(length);
            spectrum.transform(&rows);
            for bin in 1..length / 2 {
                let powers = spectrum.powers(bin);
                for (k, power) in powers.into_iter().enumerate() {
                    let (mut re, mut im) = (0.0, 0.0);
                    for (at, row) in rows.iter().enumerate() {
                        let angle =
                            core::f64::consts::TAU * (at * bin % length) as f64 / length as f64;
                        re += f64::from(row[k]) * libm::cos(angle);
                        im -= f64::from(row[k]) * libm::sin(angle);
                    }
                    let error = libm::fabs(f64::from(power) - (re * re + im * im));
                    assert!(error < 1e-5 * (length * length) as f64, "{length} {bin} {k}: {error}");
                }
            }
        }
    }

    #[test]
    #[allow(clippy::cast_possible_truncation)]
    fn a_sine_falls_into_its_band_whatever_the_length() {
        for length in [64, 128, 256] {
            // Bin 6 of 128 samples at 50 Hz is 2.3 Hz: the fourth band.
            let wave =
                |at: usize| libm::sin(core::f64::consts::TAU * 6.0 * at as f64 / 128.0) as f32;
            let rows: Vec<Signals> = (0..length).map(|at| [wave(at); 8]).collect();
            let mut spectrum = Spectrum::new(length);
            spectrum.transform(&rows);
            let energies: Vec<Signals> = spectrum.bands().collect();
            assert_eq!(energies.len(), 8);
            for (band, energy) in energies.iter().enumerate() {
                let expected = if band == 3 { 0.5 } else { 0.0 };
                assert!(energy.iter().all(|e| (e - expected).abs() < 1e-5), "{length} {band}");
            }
        }
    }
}
