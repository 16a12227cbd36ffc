//! A low-pass filter for samples at uneven times: a windowed sinc.
//!
//! The value at a moment is the mean of the samples around it, each weighed by the kernel at its
//! distance and by the time that it stands for (half of the step before and half of the one after).
//! The kernel is symmetric, so nothing is delayed; weights add up to 1, so what is constant stays.
//! `h(t) = sinc(2 c t) * (1 + cos(pi t / r)) / 2` for `|t| < r`, with a corner `c` of 0.4 of the new
//! rate and a reach `r` of 8 of its periods: half of the amplitude is left at 0.4 of the new rate and
//! less than 1 % from 0.5 on, where frequencies would come back as others. (The Hann window's
//! transition is 3.1 / (2 r) wide and its stop band 44 dB down; Harris, "On the use of windows",
//! Proc. IEEE 66, 1978; Oppenheim and Schafer, "Discrete-time signal processing", 7.5.)

use std::f64::consts::PI;

/// Corner of the filter as a share of the new rate.
const CORNER: f64 = 0.4;
/// How far the kernel reaches to each side, in periods of the new rate.
pub(super) const REACH_PERIODS: u64 = 8;

/// The weight of a sample that is `distance` periods of the new rate away.
pub(super) fn weight(distance: f64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let reach = REACH_PERIODS as f64;
    if distance.abs() >= reach {
        return 0.0;
    }
    let angle = 2.0 * PI * CORNER * distance;
    let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
    sinc * f64::midpoint(1.0, (PI * distance / reach).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of a wave of `frequency` (of the new rate) that is left, from samples so far apart.
    fn gain(frequency: f64, step: f64) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for n in -1000..=1000 {
            let at = f64::from(n) * step;
            sum += weight(at) * (2.0 * PI * frequency * at).cos();
            total += weight(at);
        }
        sum / total
    }

    #[test]
    fn slow_waves_pass_and_those_that_would_come_back_as_others_do_not() {
        for step in [0.5, 0.31, 0.1] {
            assert!((gain(0.0, step) - 1.0).abs() < 1e-12);
            assert!((gain(0.25, step) - 1.0).abs() < 0.01, "{}", gain(0.25, step));
            assert!((gain(0.4, step) - 0.5).abs() < 0.01, "{}", gain(0.4, step));
            for frequency in [0.5, 0.6, 0.8] {
                assert!(gain(frequency, step).abs() < 0.01, "{}", gain(frequency, step));
            }
        }
    }
}
