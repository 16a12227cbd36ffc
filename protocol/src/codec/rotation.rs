//! A seeded random rotation that makes every coordinate of a vector nearly normal.
//!
//! A vector is cut into blocks whose lengths are powers of two. Each block is flipped at random and
//! put through an unnormalised Walsh-Hadamard transform, twice, and divided by its length, which is
//! exact. One pass would leave vectors with few large coordinates far from normal; after two, each
//! coordinate is normal up to `O(1/sqrt(length))` for every input.

use core::ops::Range;

use crate::rng::Rng;

/// Longest block in coordinates; a power of two, like every block.
const BLOCK_MAX: usize = 1 << 14;
/// Rests below this are padded rather than cut further.
const BLOCK_MIN: usize = 64;
/// A rest is padded when that adds at most this share of it: a scale costs about as much.
const PADDING_SHARE: usize = 32;
const PASSES: u64 = 2;

/// One block of a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its place, from 0.
    pub(super) index: u64,
    /// The coordinates in it.
    pub(super) range: Range<usize>,
    /// Its length with padding, a power of two.
    pub(super) len: usize,
}

/// The blocks of a vector of `n` coordinates: the longest first, only the last is padded.
pub(super) fn blocks(n: usize) -> impl Iterator<Item = Block> {
    let (mut start, mut index) = (0, 0);
    core::iter::from_fn(move || {
        let rest = n - start;
        if rest == 0 {
            return None;
        }
        let above = rest.next_power_of_two();
        let pad = above <= BLOCK_MAX && (rest < BLOCK_MIN || above - rest <= rest / PADDING_SHARE);
        let len = if pad { above } else { (1 << rest.ilog2()).min(BLOCK_MAX) };
        let block = Block { index, range: start..start + len.min(rest), len };
        (start, index) = (block.range.end, index + 1);
        Some(block)
    })
}

/// Length of all blocks together.
pub(super) fn padded(n: usize) -> usize {
    blocks(n).map(|block| block.len).sum()
}

/// Rotates a block in place; its length is a power of two.
pub(super) fn rotate(values: &mut [f32], seed: u64, index: u64) {
    for pass in 0..PASSES {
        flip(values, seed, index * PASSES + pass);
        hadamard(values);
    }
    scale(values);
}

/// Undoes [`rotate`] of the same seed and block number, but for rounding.
pub(super) fn rotate_back(values: &mut [f32], seed: u64, index: u64) {
    for pass in (0..PASSES).rev() {
        hadamard(values);
        flip(values, seed, index * PASSES + pass);
    }
    scale(values);
}

/// Changes the sign of each coordinate whose bit is set: bit `i % 64` of draw `i / 64`.
fn flip(values: &mut [f32], seed: u64, stream: u64) {
    let mut rng = Rng::for_stream(seed, stream);
    for values in values.chunks_mut(64) {
        let bits = rng.next_u64();
        for (at, value) in values.iter_mut().enumerate() {
            let sign = u32::from(bits >> at & 1 == 1) << 31;
            *value = f32::from_bits(value.to_bits() ^ sign);
        }
    }
}

/// Butterflies from neighbours to halves, each sum and difference rounded once.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (upper, lower) = pair.split_at_mut(half);
            for (a, b) in upper.iter_mut().zip(lower) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// Divides by the length; a power of two, so nothing is rounded.
#[allow(clippy::cast_precision_loss)]
fn scale(values: &mut [f32]) {
    let factor = 1.0 / values.len() as f32;
    values.iter_mut().for_each(|value| *value *= factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn blocks_cover_every_coordinate_and_pad_little() {
        for n in [1, 7, 63, 64, 65, 100, 1000, 5734, 8902, 36_358, 65_536, 1 << 20] {
            let all: Vec<Block> = blocks(n).collect();
            let mut next = 0;
            for block in &all {
                assert_eq!(block.range.start, next);
                assert!(block.len.is_power_of_two() && block.len >= block.range.len());
                next = block.range.end;
            }
            assert_eq!(next, n);
            assert!(padded(n) - n <= (n / 16).max(60), "{n} -> {}", padded(n));
        }
        let lens: Vec<usize> = blocks(5734).map(|block| block.len).collect();
        assert_eq!(lens, [4096, 1024, 512, 64, 64]);
    }

    #[test]
    fn a_rotation_keeps_the_norm_and_can_be_undone() {
        let mut rng = Rng::new(2);
        for len in [1, 2, 64, 1024] {
            let values: Vec<f32> = (0..len).map(|_| rng.normal()).collect();
            let norm = |v: &[f32]| v.iter().map(|x| f64::from(x * x)).sum::<f64>();
            let mut rotated = values.clone();
            rotate(&mut rotated, 5, 3);
            assert!((norm(&rotated) / norm(&values) - 1.0).abs() < 1e-5);
            rotate_back(&mut rotated, 5, 3);
            let error = rotated.iter().zip(&values).map(|(a, b)| (a - b).abs());
            assert!(error.fold(0.0, f32::max) < 1e-5);
        }
    }

    #[test]
    fn even_a_single_large_coordinate_is_spread_like_a_normal_vector() {
        let mut values = std::vec![0.0_f32; 4096];
        values[17] = 64.0;
        rotate(&mut values, 1, 0);
        let fourth = values.iter().map(|x| f64::from(x * x * x * x)).sum::<f64>() / 4096.0;
        assert!((2.5..3.5).contains(&fourth), "kurtosis {fourth}");
    }
}
