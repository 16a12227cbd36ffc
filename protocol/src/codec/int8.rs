//! `int8`: for each block a little-endian `f32` step, then one signed byte a coordinate.
//!
//! `step = largest magnitude / 127`; a coordinate `x` becomes `floor(x / step + u)` with `u`
//! uniform in `[0, 1)`, so that its expected decoded value is `x`.

use alloc::vec::Vec;

use crate::rng::Rng;

const CODE_MAX: f32 = 127.0;

pub(super) fn payload_bytes(n: usize, block: usize) -> usize {
    n + 4 * n.div_ceil(block)
}

pub(super) fn encode(values: &[f32], block: usize, rng: &mut Rng) -> Vec<u8> {
    let mut payload = Vec::with_capacity(payload_bytes(values.len(), block));
    for block in values.chunks(block) {
        let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let step = largest / CODE_MAX;
        payload.extend_from_slice(&step.to_le_bytes());
        // A step this small has lost its own digits: all values are as good as zero.
        let steps_per_unit = if step >= f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
        for value in block {
            let code = libm::floorf(value * steps_per_unit + rng.unit_f32());
            #[allow(clippy::cast_possible_truncation)] // clamped to the codes of an i8
            payload.push((code.clamp(-CODE_MAX, CODE_MAX) as i8).cast_unsigned());
        }
    }
    payload
}

pub(super) fn decode(payload: &[u8], n: usize, block: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(n);
    for block in payload.chunks(block + 4) {
        let Some((step, codes)) = block.split_first_chunk::<4>() else { break };
        let step = f32::from_le_bytes(*step);
        values.extend(codes.iter().map(|code| f32::from(code.cast_signed()) * step));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::super::Codec;
    use crate::rng::Rng;
    use std::vec::Vec;

    fn gaussian(n: usize) -> Vec<f32> {
        let mut rng = Rng::new(3);
        (0..n).map(|_| rng.normal()).collect()
    }

    /// Over many seeds the mean error of each coordinate must vanish as chance would have it. The
    /// variance is the theoretical one, `f (1 - f) step^2` for a fraction `f` of a step.
    #[test]
    fn rounding_is_unbiased() {
        let values = gaussian(250);
        let trials = 400;
        let step = values.iter().fold(0.0_f32, |m, x| m.max(x.abs())) / 127.0;
        let mut sums = std::vec![0.0_f64; values.len()];
        for seed in 0..trials {
            let payload = Codec::INT8.encode(&values, seed).unwrap();
            let decoded = Codec::INT8.decode(&payload, values.len()).unwrap();
            for ((sum, out), value) in sums.iter_mut().zip(&decoded).zip(&values) {
                *sum += f64::from(out - value);
            }
        }
        let z_scores = sums.iter().zip(&values).map(|(sum, value)| {
            let steps = f64::from(value / step);
            let part = steps - steps.floor();
            let floor = 1e-4; // below this, the rounding of f32 itself shows
            sum / f64::from(step) / (f64::from(400) * part * (1.0 - part)).sqrt().max(floor)
        });
        let z_scores: Vec<f64> = z_scores.collect();
        let mean_square = z_scores.iter().map(|z| z * z).sum::<f64>() / 250.0;
        assert!((0.75..1.25).contains(&mean_square), "{mean_square}");
        assert!(z_scores.iter().all(|z| z.abs() < 5.5));
    }

    #[test]
    fn decoding_stays_within_the_stated_norm_inflation() {
        let values = gaussian(5000);
        let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
        let decoded = Codec::INT8.decode(&Codec::INT8.encode(&values, 1).unwrap(), 5000).unwrap();
        assert!(norm(&decoded) <= norm(&values) * Codec::INT8.norm_inflation());
    }

    #[test]
    fn zeros_tiny_values_and_a_short_last_block_survive() {
        for values in [std::vec![0.0; 7], std::vec![1e-42; 5], std::vec![f32::MAX / 2.0, -1.0, 0.0]]
        {
            for codec in [Codec::F32, Codec::INT8, Codec::Int8 { block: 2 }] {
                let payload = codec.encode(&values, 9).unwrap();
                assert_eq!(codec.decode(&payload, values.len()).unwrap().len(), values.len());
                assert!(codec.decode(&payload[1..], values.len()).is_err());
                assert!(codec.decode(&payload, values.len() + 1).is_err());
            }
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused_both_ways() {
        assert!(Codec::F32.encode(&[f32::NAN], 0).is_err());
        assert!(Codec::F32.decode(&f32::NAN.to_le_bytes(), 1).is_err());
        let mut payload = Codec::INT8.encode(&[1.0], 0).unwrap();
        payload[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        assert!(Codec::INT8.decode(&payload, 1).is_err());
    }
}
