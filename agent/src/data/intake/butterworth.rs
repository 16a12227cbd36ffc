//! A third-order Butterworth low-pass filter, as the authors of the UCI HAR data set use it (their
//! `features_info.txt`: "another low pass Butterworth filter with a corner frequency of 0.3 Hz" parts
//! body and gravity acceleration).
//!
//! The analogue prototype `1 / ((s + 1) (s^2 + s + 1))` by the bilinear transform with the corner kept:
//! `s = (1 - z^-1) / (K (1 + z^-1))`, `K = tan(pi corner / rate)` (Oppenheim and Schafer,
//! "Discrete-time signal processing", 7.1.2). It is causal: what comes out is late by about 1 / (pi
//! corner), 1.06 s at 0.3 Hz. How the data set was filtered is not documented; a program that has the
//! whole recording may filter it to and fro, without delay.

use std::f64::consts::PI;

/// One section of second order or below, in transposed direct form II:
/// `y = b0 x + b1 x' + b2 x'' - a1 y' - a2 y''`.
#[derive(Clone, Copy, Debug)]
struct Section {
    b: [f64; 3],
    a: [f64; 2],
    z: [f64; 2],
}

impl Section {
    /// Begins as if `x` had come for ever. The gain at rest is 1, so that `x` comes out.
    fn rest_at(&mut self, x: f64) {
        self.z[1] = (self.b[2] - self.a[1]) * x;
        self.z[0] = (self.b[1] - self.a[0]) * x + self.z[1];
    }

    fn next(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.z[0];
        self.z[0] = self.b[1] * x - self.a[0] * y + self.z[1];
        self.z[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

/// A third-order Butterworth low-pass filter.
#[derive(Clone, Debug)]
pub(super) struct LowPass {
    sections: [Section; 2],
    begun: bool,
}

impl LowPass {
    /// A filter for `rate_hz` samples a second; `corner_hz` is below half of that.
    pub(super) fn new(corner_hz: f64, rate_hz: f64) -> Self {
        let k = (PI * corner_hz / rate_hz).tan();
        let (one, two) = (1.0 / (1.0 + k), 1.0 / (1.0 + k + k * k));
        let first = Section { b: [k * one, k * one, 0.0], a: [(k - 1.0) * one, 0.0], z: [0.0; 2] };
        let gain = k * k * two;
        let second = Section {
            b: [gain, 2.0 * gain, gain],
            a: [2.0 * (k * k - 1.0) * two, (1.0 - k + k * k) * two],
            z: [0.0; 2],
        };
        Self { sections: [first, second], begun: false }
    }

    /// Forgets everything: the next value comes out as it is.
    pub(super) fn restart(&mut self) {
        self.begun = false;
    }

    /// The filtered value of the next sample.
    pub(super) fn next(&mut self, x: f64) -> f64 {
        if !std::mem::replace(&mut self.begun, true) {
            self.sections.iter_mut().for_each(|section| section.rest_at(x));
        }
        self.sections.iter_mut().fold(x, |x, section| section.next(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_that_of_scipy() {
        // b, a = scipy.signal.butter(3, 0.3, fs=fs); n = arange(200)
        // x = 0.98 + 0.3 * sin(2 * pi * 2 * n / fs) + 0.1 * cos(2 * pi * 0.2 * n / fs)
        // lfilter(b, a, x, zi=lfilter_zi(b, a) * x[0])[0][[0, 1, 10, 50, 100, 199]], scipy 1.17.1
        for (rate, expected) in [
            (
                50.0,
                [
                    1.08,
                    1.08000048114914,
                    1.08116406042668,
                    1.09478538084345,
                    1.02784912355907,
                    0.893014839292356,
                ],
            ),
            (
                12.5,
                [
                    1.08,
                    1.08009370633997,
                    1.09290664304363,
                    0.89384445660681,
                    0.916316432054953,
                    1.07202584477976,
                ],
            ),
        ] {
            let mut filter = LowPass::new(0.3, rate);
            let wave = |n: i32| 2.0 * PI * f64::from(n) / rate;
            let sample = |n| 0.98 + 0.3 * (2.0 * wave(n)).sin() + 0.1 * (0.2 * wave(n)).cos();
            let out: Vec<f64> = (0..200).map(|n| filter.next(sample(n))).collect();
            for (at, expected) in [0, 1, 10, 50, 100, 199].into_iter().zip(expected) {
                assert!((out[at] - expected).abs() < 1e-9, "{rate} Hz, {at}: {}", out[at]);
            }
        }
    }

    #[test]
    fn what_stands_still_comes_out_unchanged_from_the_first_sample_on_and_after_a_gap() {
        let mut filter = LowPass::new(0.3, 50.0);
        (0..500).for_each(|_| assert!((filter.next(0.98) - 0.98).abs() < 1e-12));
        filter.restart();
        (0..500).for_each(|_| assert!((filter.next(-3.0) + 3.0).abs() < 1e-12));
    }
}
