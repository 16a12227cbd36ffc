//! Payloads of rotated updates by the text of the wire format: blocks, codes of few bits, and the
//! way back.

use dunlin_protocol::rng::Rng;

/// Coordinates that are rotated together at the most.
const BLOCK_MAX: usize = 16_384;
/// Positive centroids by the bits of a code.
const CENTROIDS_1: [f32; 1] = [0.797_884_6];
const CENTROIDS_2: [f32; 2] = [0.452_780_04, 1.510_417_6];
const CENTROIDS_4: [f32; 8] = [
    0.128_395_02,
    0.388_048_23,
    0.656_758_96,
    0.942_340_27,
    1.256_231,
    1.618_046,
    2.069_016_7,
    2.732_588_8,
];

/// Codes of all blocks in one row, in two's complement: steps of a rotated value.
pub(super) fn uniform(
    payload: &[u8],
    n: usize,
    bits: usize,
    step: f32,
    seed: u64,
) -> Option<Vec<f32>> {
    let blocks = blocks(n);
    let half = 1_usize << bits.checked_sub(1)?;
    let value = |code: usize| {
        let (size, sign) = if code < half { (code, 1.0) } else { (2 * half - code, -1.0) };
        // The code that has no counterpart above 0 is written by nobody.
        let size = u16::try_from(size).ok().filter(|_| size < half)?;
        Some(sign * f32::from(size) * step)
    };
    let codes = codes(payload, blocks.iter().sum(), bits)?;
    let values: Option<Vec<f32>> = codes.into_iter().map(value).collect();
    Some(turned_back(values?, &blocks, n, seed))
}

/// For each block a scale, then codes: the highest bit is the sign, the others name a centroid.
pub(super) fn eden(payload: &[u8], n: usize, bits: usize, seed: u64) -> Option<Vec<f32>> {
    let centroids: &[f32] = match bits {
        1 => &CENTROIDS_1,
        2 => &CENTROIDS_2,
        4 => &CENTROIDS_4,
        _ => return None,
    };
    let blocks = blocks(n);
    let (mut rest, mut values) = (payload, Vec::new());
    for block in &blocks {
        let (scale, behind) = rest.split_first_chunk::<4>()?;
        let (bytes, behind) = behind.split_at_checked((block * bits).div_ceil(8))?;
        let scale = f32::from_le_bytes(*scale);
        for code in codes(bytes, *block, bits)? {
            let centroid = scale * centroids[code % centroids.len()];
            values.push(if code < centroids.len() { centroid } else { -centroid });
        }
        rest = behind;
    }
    rest.is_empty().then(|| turned_back(values, &blocks, n, seed))
}

/// Lengths of the blocks of `n` values with their padding, which only the last one has.
fn blocks(n: usize) -> Vec<usize> {
    let (mut rest, mut blocks) = (n, Vec::new());
    while rest > 0 {
        let above = rest.next_power_of_two();
        let below = if above == rest { rest } else { above / 2 };
        let padded = above <= BLOCK_MAX && (rest < 64 || above - rest <= rest / 32);
        let block = if padded { above } else { below.min(BLOCK_MAX) };
        rest = rest.saturating_sub(block);
        blocks.push(block);
    }
    blocks
}

/// `count` codes of `bits` bits that fill `bytes`, the lowest bit first; what is left of the last
/// byte is 0.
fn codes(bytes: &[u8], count: usize, bits: usize) -> Option<Vec<usize>> {
    let used = count * bits;
    let bit = |place: usize| usize::from(bytes[place / 8] >> (place % 8) & 1);
    if bytes.len() != used.div_ceil(8) || (used..bytes.len() * 8).any(|place| bit(place) == 1) {
        return None;
    }
    let code = |place: usize| (0..bits).map(|k| bit(place * bits + k) << k).sum::<usize>();
    Some((0..count).map(code).collect())
}

/// The first `n` of the values of `blocks` before they were rotated by `seed`.
fn turned_back(mut values: Vec<f32>, blocks: &[usize], n: usize, seed: u64) -> Vec<f32> {
    let mut start = 0;
    for (place, length) in (0_u64..).zip(blocks) {
        turn_back(&mut values[start..start + length], 2 * place, seed);
        start += length;
    }
    values.truncate(n);
    values
}

/// Turns one block back: butterflies and flips of the second pass, then of the first.
fn turn_back(block: &mut [f32], first_stream: u64, seed: u64) {
    for pass in [1, 0] {
        let mut distance = 1;
        while distance < block.len() {
            for pair in block.chunks_exact_mut(2 * distance) {
                let (left, right) = pair.split_at_mut(distance);
                for (a, c) in left.iter_mut().zip(right) {
                    (*a, *c) = (*a + *c, *a - *c);
                }
            }
            distance *= 2;
        }
        let mut draws = Rng::for_stream(seed, first_stream + pass);
        for values in block.chunks_mut(64) {
            let draw = draws.next_u64();
            for (place, value) in values.iter_mut().enumerate() {
                *value = if draw >> place & 1 == 1 { -*value } else { *value };
            }
        }
    }
    #[allow(clippy::cast_precision_loss)] // a power of two up to 2^14
    let share = 1.0 / block.len() as f32;
    block.iter_mut().for_each(|value| *value *= share);
}
