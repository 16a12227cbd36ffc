//! What codecs promise, on vectors of fixed seeds: no bias, the errors of the formulas, the bounds.

use std::format;
use std::string::ToString;
use std::vec::Vec;

use super::{Codec, CodecSpec, Seeds, rotation};
use crate::rng::Rng;
use crate::wire::WireError;

const UNBIASED: [&str; 9] =
    ["f32", "int8", "ecdq=0.5", "ecdq=3", "eden=1", "eden=2", "eden=4", "uniform=4", "uniform=8"];

fn seeds(seed: u64) -> Seeds {
    let mut rng = Rng::new(seed);
    Seeds { round: rng.next_u64(), device: rng.next_u64() }
}

fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| rng.normal()).collect()
}

/// Student's t with three degrees of freedom: a few coordinates dwarf the others.
fn heavy(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut one = || {
        let spread: f32 = (0..3).map(|_| rng.normal()).map(|x| x * x).sum();
        rng.normal() / (spread / 3.0).sqrt()
    };
    (0..n).map(|_| one()).collect()
}

fn lone(n: usize) -> Vec<f32> {
    let mut values = std::vec![0.0; n];
    values[n / 3] = 5.0;
    values
}

fn square(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

fn codec(text: &str, values: &[f32]) -> Codec {
    #[allow(clippy::cast_possible_truncation)]
    let norm = square(values).sqrt() as f32;
    text.parse::<Codec>().unwrap().with_step_for(values.len(), norm)
}

fn write(codec: Codec, values: &[f32], seed: u64) -> Vec<u8> {
    codec.encode(&mut values.to_vec(), seeds(seed), seed).unwrap()
}

fn there_and_back(codec: Codec, values: &[f32], seed: u64) -> Vec<f32> {
    codec.decode(&write(codec, values, seed), values.len(), seeds(seed)).unwrap()
}

/// Squared error in shares of the squared norm.
fn error(codec: Codec, values: &[f32], seed: u64) -> f64 {
    let decoded = there_and_back(codec, values, seed);
    let lost: Vec<f32> = decoded.iter().zip(values).map(|(a, b)| a - b).collect();
    square(&lost) / square(values)
}

/// Over many seeds the mean error of each coordinate must vanish as chance would have it: the mean
/// of squared z-scores is near 1, and no coordinate is far out.
fn assert_unbiased(text: &str, values: &[f32]) {
    let (codec, trials) = (codec(text, values), 600_u32);
    let n = values.len();
    let (mut sums, mut squares) = (std::vec![0.0; n], std::vec![0.0; n]);
    for seed in 0..u64::from(trials) {
        for (at, decoded) in there_and_back(codec, values, seed).iter().enumerate() {
            let error = f64::from(decoded - values[at]);
            sums[at] += error;
            squares[at] += error * error;
        }
    }
    let z_scores: Vec<f64> = sums
        .iter()
        .zip(&squares)
        .map(|(sum, square)| (sum, (square - sum * sum / f64::from(trials)).max(0.0).sqrt()))
        // Below this the rounding of f32 itself shows: a block's largest value is nearly exact.
        .filter(|(_, spread)| *spread > 1e-4)
        .map(|(sum, spread)| sum / spread)
        .collect();
    if codec == Codec::F32 {
        return assert!(z_scores.is_empty());
    }
    #[allow(clippy::cast_precision_loss)]
    let mean_square = z_scores.iter().map(|z| z * z).sum::<f64>() / z_scores.len() as f64;
    assert!((0.75..1.25).contains(&mean_square), "{text}: mean of z^2 {mean_square}");
    let worst = z_scores.iter().fold(0.0_f64, |worst, z| worst.max(z.abs()));
    assert!(worst < 5.5, "{text}: a coordinate is {worst} standard errors off");
}

#[test]
fn codecs_are_unbiased_on_normal_vectors() {
    UNBIASED.iter().for_each(|text| assert_unbiased(text, &normal(300, 3)));
}

#[test]
fn codecs_are_unbiased_on_heavy_tails() {
    UNBIASED.iter().for_each(|text| assert_unbiased(text, &heavy(300, 4)));
}

#[test]
fn dithered_codes_have_the_error_of_the_formula_on_every_distribution() {
    for (name, values) in
        [("normal", normal(65_536, 5)), ("heavy", heavy(65_536, 6)), ("lone", lone(65_536))]
    {
        for step in [0.25_f64, 0.5, 1.0, 1.5, 2.0, 2.6, 3.0, 4.0] {
            let expected = step * step / 12.0;
            let found = error(codec(&format!("ecdq={step}"), &values), &values, 1);
            let off = (found / expected - 1.0).abs();
            assert!(off < 0.03, "{name}, step {step}: {found} for {expected}");
        }
    }
}

#[test]
fn rotated_codes_have_the_error_of_the_normal_quantiser_on_every_distribution() {
    // After two passes a lone coordinate is nearly, not quite, spread like a normal vector.
    for (name, values, tolerance) in [
        ("normal", normal(65_536, 5), 0.03),
        ("heavy", heavy(65_536, 6), 0.03),
        ("lone", lone(65_536), 0.05),
    ] {
        for (bits, expected) in [(1, 0.570_796), (2, 0.133_121), (4, 0.009_592)] {
            let found = error(codec(&format!("eden={bits}"), &values), &values, 1);
            let off = (found / expected - 1.0).abs();
            assert!(off < tolerance, "{name}, {bits} bits: {found} for {expected}");
        }
    }
}

#[test]
fn stochastic_rounding_has_a_sixth_of_the_squared_step_for_error() {
    let values = normal(65_536, 5);
    let codec = codec("uniform=4", &values);
    let Codec::Uniform { step, .. } = codec else { panic!("{codec}") };
    let expected = 65_536.0 * f64::from(step) * f64::from(step) / 6.0 / square(&values);
    let found = error(codec, &values, 1);
    assert!((found / expected - 1.0).abs() < 0.03, "uniform: {found} for {expected}");
    let largest = |block: &[f32]| block.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let steps = values.chunks(256).map(|block| f64::from(largest(block) / 127.0));
    let expected = steps.map(|step| 256.0 * step * step / 6.0).sum::<f64>() / square(&values);
    let found = error(Codec::INT8, &values, 1);
    assert!((found / expected - 1.0).abs() < 0.03, "int8: {found} for {expected}");
}

/// Bits a coordinate of an adaptive coder without the dither for context, on 10,000 normal values
/// (a NumPy trial): ours must be below.
#[test]
fn dithered_codes_are_shorter_than_those_of_a_coder_that_does_not_look_at_the_dither() {
    let values = normal(10_000, 8);
    for (step, bits) in [(0.5, 3.12), (1.0, 2.20), (1.5, 1.73), (2.0, 1.44)] {
        let payload = write(codec(&format!("ecdq={step}"), &values), &values, 1);
        #[allow(clippy::cast_precision_loss)]
        let found = payload.len() as f64 * 8.0 / 10_000.0;
        assert!(found < bits, "step {step}: {found} bits, others {bits}");
    }
}

#[test]
fn errors_of_devices_with_seeds_of_their_own_average_out() {
    let values = normal(4096, 9);
    for (text, one) in [("eden=1", 0.570_796), ("ecdq=2", 1.0 / 3.0)] {
        let codec = codec(text, &values);
        let mut mean = std::vec![0.0_f32; values.len()];
        for device in 0..20 {
            let decoded = there_and_back(codec, &values, device);
            mean.iter_mut().zip(&decoded).for_each(|(mean, one)| *mean += one / 20.0);
        }
        let lost: Vec<f32> = mean.iter().zip(&values).map(|(a, b)| a - b).collect();
        let found = square(&lost) / square(&values);
        assert!((found * 20.0 / one - 1.0).abs() < 0.1, "{text}: {found} for {}", one / 20.0);
    }
}

#[test]
fn no_decoded_vector_is_longer_than_its_codec_allows() {
    let texts = UNBIASED.iter().chain(&["ecdq=16", "ecdq=300B", "sparse=1", "sparse=4"]);
    for text in texts {
        for n in [1, 10, 100, 1000] {
            for (kind, values) in [normal(n, 1), heavy(n, 2), lone(n)].iter().enumerate() {
                let norm = square(values).sqrt();
                #[allow(clippy::cast_possible_truncation)]
                let limit = codec(text, values).norm_max(n, norm as f32) * 1.000_01;
                for seed in 0..20 {
                    let found = square(&there_and_back(codec(text, values), values, seed)).sqrt();
                    assert!(found <= limit, "{text}, n {n}, {kind}: {found} above {limit}");
                }
            }
        }
    }
}

#[test]
fn every_payload_reads_back_whatever_its_length_and_step() {
    let mut rng = Rng::new(77);
    for seed in 0..3000 {
        let n = 1 + rng.below(400);
        let mut values = if seed % 2 == 0 { normal(n, seed) } else { heavy(n, seed) };
        // Long runs of zeros make codes that end in zero bytes.
        let from = rng.below(n);
        values[from..].fill(0.0);
        let step = 2.0_f32.powf(rng.uniform(-4.0, 4.0));
        for codec in [Codec::Ecdq { step }, Codec::Sparse { step, age: 1 }] {
            let payload = write(codec, &values, seed);
            assert!(payload.len() <= codec.payload_bytes_max(n));
            let decoded = codec.decode(&payload, n, seeds(seed));
            assert!(decoded.is_ok(), "{codec}, seed {seed}, n {n}: {decoded:?}");
        }
    }
}

#[test]
fn zeros_tiny_and_huge_values_survive() {
    let texts = UNBIASED.iter().chain(&["ecdq=16", "ecdq=100B", "sparse=3"]);
    for text in texts {
        for values in
            [std::vec![0.0; 7], std::vec![1e-42; 5], std::vec![-0.0; 1], std::vec![1e18, -1.0, 0.0]]
        {
            let mut codec: Codec = text.parse().unwrap();
            codec = codec.with_step_for(values.len(), 1.0);
            assert_eq!(there_and_back(codec, &values, 9).len(), values.len(), "{text}");
        }
    }
    let zeros = there_and_back(Codec::Ecdq { step: 3.0 }, &[0.0; 100], 1);
    assert!(zeros.iter().all(|value| *value == 0.0));
}

#[test]
fn a_byte_budget_is_kept_and_used() {
    let values = heavy(5734, 12);
    for bytes in [300_u32, 500, 900, 2000, 6000] {
        let payload = write(Codec::EcdqWithin { bytes }, &values, 4);
        let found = payload.len();
        assert!(found <= bytes as usize && found * 10 >= bytes as usize * 9, "{found} of {bytes}");
    }
    let small = Codec::EcdqWithin { bytes: 40 }.encode(&mut values.clone(), seeds(1), 1);
    assert!(matches!(small, Err(WireError::Invalid(_))));
}

#[test]
fn the_sum_of_updates_can_be_read_from_the_sum_of_their_uniform_codes() {
    let all: Vec<Vec<f32>> = (0..30).map(|device| normal(1000, device)).collect();
    let codec = codec("uniform=8", &all[0]);
    let mut codes = std::vec![0_i32; rotation::padded(1000)];
    let mut sum = std::vec![0.0_f32; 1000];
    for (noise, values) in (1..).zip(&all) {
        let payload = codec.encode(&mut values.clone(), seeds(5), noise).unwrap();
        let one = codec.codes(&payload, 1000).unwrap();
        codes.iter_mut().zip(&one).for_each(|(sum, code)| *sum += code);
        let decoded = codec.decode(&payload, 1000, seeds(5)).unwrap();
        sum.iter_mut().zip(&decoded).for_each(|(sum, one)| *sum += one);
    }
    let from_codes = codec.from_code_sum(&codes, 1000, seeds(5)).unwrap();
    let gap = from_codes.iter().zip(&sum).fold(0.0_f32, |gap, (a, b)| gap.max((a - b).abs()));
    assert!(gap < 1e-4, "{gap}");
    assert!(Codec::INT8.codes(&[], 0).is_err());
    assert!(codec.from_code_sum(&codes[1..], 1000, seeds(5)).is_err());
}

#[test]
fn sparse_codes_drop_small_coordinates_and_keep_large_ones() {
    let mut values = std::vec![0.01; 1000];
    (values[3], values[500]) = (4.0, -2.0);
    let decoded = there_and_back(Codec::Sparse { step: 8.0, age: 1 }, &values, 1);
    assert_eq!(decoded.iter().filter(|value| **value != 0.0).count(), 2);
    assert!(decoded[3] > 3.0 && decoded[500] < -1.0);
}

#[test]
fn wrong_lengths_and_values_that_are_not_finite_are_refused_both_ways() {
    let values = normal(100, 1);
    for text in ["f32", "int8", "eden=2", "uniform=8"] {
        let codec = codec(text, &values);
        let payload = write(codec, &values, 1);
        let read = |payload: &[u8]| codec.decode(payload, 100, seeds(1)).map_err(|e| e.name());
        assert_eq!(read(&payload[1..]), Err("truncated"), "{text}");
        assert_eq!(read(&[&payload[..], &[0]].concat()), Err("trailing"), "{text}");
        assert!(codec.decode(&payload, 1000, seeds(1)).is_err());
    }
    for text in UNBIASED.iter().chain(&["sparse=2"]) {
        let codec = codec(text, &values);
        assert!(codec.encode(&mut [1.0, f32::NAN], seeds(1), 1).is_err());
        let mut payload = write(codec, &values, 1);
        payload[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        let decoded = codec.decode(&payload, 100, seeds(1));
        assert!(decoded.is_err() || text.starts_with("uniform"), "{text}");
    }
}

#[test]
fn a_codecs_text_and_numbers_read_back_and_nonsense_is_refused() {
    for text in [
        "f32",
        "int8",
        "int8=64",
        "ecdq=0.5",
        "ecdq=900B",
        "eden=1",
        "uniform=8:0.001",
        "sparse=3",
        "sparse=3:4",
    ] {
        let codec: Codec = text.parse().unwrap();
        assert_eq!(codec.to_string(), text);
        assert_eq!(Codec::from_spec(codec.spec()), Some(codec));
        assert!(Codec::KNOWN & 1 << codec.spec().id != 0);
    }
    assert_eq!("uniform=8".parse(), Ok(Codec::Uniform { bits: 8, step: 0.0 }));
    for text in [
        "",
        "f64",
        "int8=0",
        "ecdq",
        "ecdq=0",
        "ecdq=99",
        "ecdq=NaN",
        "ecdq=0B",
        "eden=3",
        "eden=1.5",
        "uniform=1",
        "uniform=17",
        "uniform=8:-1",
        "sparse=3:0",
        "f32=1",
    ] {
        assert!(text.parse::<Codec>().is_err(), "{text}");
    }
    for (id, param, scale) in [(2, 1, 1.0), (4, 8, 0.0), (4, 8, f32::NAN), (9, 0, 0.0)] {
        assert_eq!(Codec::from_spec(CodecSpec { id, param, scale }), None);
    }
}
