use super::*;

/// Sines of different rhythm on every channel, `[samples, 9]`.
#[allow(clippy::cast_possible_truncation)]
fn sines(samples: usize) -> Vec<f32> {
    let value = |at: usize, channel: usize| {
        let (t, k) = (at as f64, channel as f64 + 1.0);
        let shared = if channel.is_multiple_of(2) { 0.15 } else { -0.15 };
        let pose = [0.8, -0.3, 0.4];
        let sum = 0.1 * k * libm::sin(0.05 * k * t + k)
            + 0.05 * libm::sin(0.9 * t * (1.0 + 0.1 * k))
            + 0.02 * libm::cos(0.31 * k * t)
            + shared * libm::sin(0.2 * t);
        (sum + if channel < 6 { 0.0 } else { pose[channel - 6] }) as f32
    };
    (0..samples).flat_map(|at| (0..CHANNELS).map(move |channel| value(at, channel))).collect()
}

fn features(window: &[f32]) -> [f32; MOTION_FEATURES] {
    let mut out = [f32::NAN; MOTION_FEATURES];
    MotionFeatures::new(window.len() / CHANNELS).extract(window, &mut out);
    out
}

#[test]
fn features_are_those_of_the_double_precision_definition() {
    for (at, (has, expected)) in features(&sines(128)).iter().zip(SINES_EXPECTED).enumerate() {
        assert!((has - expected).abs() < 1e-4, "feature {at}: {has} instead of {expected}");
    }
}

#[test]
fn windows_without_motion_have_finite_features() {
    let zero = features(&[0.0; 128 * CHANNELS]);
    let still = [0.0, 0.0, 0.0, 0.1, -0.2, 0.3, 0.6, 0.0, -0.8].repeat(128);
    for out in [zero, features(&still)] {
        assert!(out.iter().all(|value| value.is_finite() && value.abs() < 2.0), "{out:?}");
    }
}

#[test]
fn every_length_from_the_shortest_has_all_features() {
    for samples in [32, 33, 100, 127, 200, 256] {
        let out = features(&sines(samples));
        assert!(out.iter().all(|value| value.is_finite() && value.abs() < 5.0), "{samples}");
    }
}

#[test]
fn one_stage_gives_equal_bits_for_equal_windows() {
    let mut stage = MotionFeatures::new(128);
    let (mut first, mut again) = ([0.0; MOTION_FEATURES], [0.0; MOTION_FEATURES]);
    stage.extract(&sines(128), &mut first);
    stage.extract(&[f32::NAN; 128 * CHANNELS], &mut again);
    stage.extract(&sines(128), &mut again);
    assert_eq!(first.map(f32::to_bits), again.map(f32::to_bits));
}

#[test]
fn samples_that_are_not_finite_do_not_panic() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut window = sines(128);
        window[500] = wrong;
        let out = features(&window);
        assert!(out.iter().any(|value| !value.is_finite()), "{wrong}");
    }
}

/// Features of [`sines`] of 128 samples by the formulas in 64-bit NumPy.
#[rustfmt::skip]
const SINES_EXPECTED: [f32; MOTION_FEATURES] = [
    0.01319, -0.35904, 0.50324, 0.49699, 0.6507, 0.78687, 0.99643, 1.00755,
    1.08618, 1.08482, 0.65201, 0.40311, 0.47085, 0.56926, 0.80332, 0.86713,
    1.015, 1.2012, 0.86995, 0.75648, -0.18672, -0.49307, -0.04462, 0.02206,
    -0.49129, 0.55259, 0.4599, -0.20304, 1.02346, 1.16455, 0.37133, 0.31098,
    -0.19795, 0.56745, 0.49154, 0.89765, 0.8964, 0.94904, 1.39055, 1.39858,
    0.87928, 1.01179, 0.05757, 0.17281, -0.13183, -0.65713, 0.24682, 0.54903,
    1.45458, 1.3466, 0.71847, -0.54465, 0.11997, -0.60525, 0.0489, 0.15129,
    0.3598, 1.16397, 1.05321, 0.4606, -0.08817, 0.15381, 0.00923, -0.00146,
    0.12418, 0.99258, 0.27472, -0.15191, 0.49157, 0.47289, 0.57706, 0.50615,
    0.47528, 0.65173, 0.52855, -0.35304, -0.3048, -0.47785, -0.20336, -0.1023,
    0.21588, 0.32987, 0.13422, -0.44347, 0.35279, -0.25311, -0.2092, 0.19316,
    -0.06603, -0.63158, -0.64957, -0.87937, -0.96844, -1.04149, -1.13398, -1.27296,
    -0.94697, 0.62251, 0.76278, 0.84919, 0.97997, 1.04527, 1.13076, 1.33405,
    0.90152, 0.68944, 0.77957, 0.79876, 0.69276, 0.54802, 0.40337, 0.03722,
    -0.30244, 0.251, 0.39987, 0.27516, -0.03801, -0.38088, -0.69395, -0.67587,
    -0.3747, -0.47313, -0.34899, -0.83357, -0.9792, -0.65287, -0.0337, 0.61366,
    -0.11909, 0.35954, -0.40032, -0.65881, 0.29065, 0.89142, 0.44527, -0.57433,
    -0.05221, -0.017, -0.02142, -0.00331, 0.71469, 0.32317, 1.07676,
];
