use super::*;

/// Sines of different rhythm on every channel, `[samples, 9]`.
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
    for (at, (has, wanted)) in features(&sines(128)).iter().zip(SINES_WANTED).enumerate() {
        assert!((has - wanted).abs() < 1e-4, "feature {at}: {has} instead of {wanted}");
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
const SINES_WANTED: [f32; MOTION_FEATURES] = [
    0.013194, -0.359045, 0.503244, 0.496986, 0.650695, 0.786872, 0.996429, 1.007552,
    1.086177, 1.084817, 0.652014, 0.403107, 0.470850, 0.569256, 0.803321, 0.867134,
    1.015004, 1.201200, 0.869946, 0.756479, -0.186724, -0.493067, -0.044623, 0.022061,
    -0.491292, 0.552588, 0.459898, -0.203036, 1.023456, 1.164555, 0.371334, 0.310983,
    -0.197946, 0.567455, 0.491543, 0.897651, 0.896396, 0.949038, 1.390546, 1.398579,
    0.879282, 1.011787, 0.057573, 0.172810, -0.131832, -0.657131, 0.246822, 0.549026,
    1.454581, 1.346601, 0.718467, -0.544653, 0.119975, -0.605247, 0.048905, 0.151288,
    0.359802, 1.163967, 1.053205, 0.460602, -0.088173, 0.153806, 0.009229, -0.001461,
    0.124183, 0.992578, 0.274721, -0.151911, 0.491569, 0.472885, 0.577063, 0.506149,
    0.475285, 0.651731, 0.528548, -0.353036, -0.304800, -0.477848, -0.203363, -0.102297,
    0.215878, 0.329868, 0.134225, -0.443470, 0.352792, -0.253112, -0.209202, 0.193164,
    -0.066026, -0.631577, -0.649567, -0.879367, -0.968443, -1.041490, -1.133978, -1.272959,
    -0.946968, 0.622509, 0.762783, 0.849188, 0.979965, 1.045267, 1.130763, 1.334049,
    0.901525, 0.689439, 0.779568, 0.798757, 0.692761, 0.548019, 0.403367, 0.037223,
    -0.302440, 0.251004, 0.399869, 0.275164, -0.038007, -0.380879, -0.693948, -0.675871,
    -0.374701, -0.473134, -0.348995, -0.833566, -0.979198, -0.652868, -0.033697, 0.613661,
    -0.119086, 0.359540, -0.400318, -0.658813, 0.290654, 0.891424, 0.445272, -0.574325,
    -0.052215, -0.017000, -0.021423, -0.003308, 0.714691, 0.323175, 1.076759,
];
