//! Codecs: how the difference between two vectors of parameters is written.
//!
//! The plan names the codec by number, so that a device that is too old for it can say so. All
//! but [`Codec::Sparse`] are unbiased: over their randomness, the expected decoded value is the
//! value encoded. Decoders use no library functions and a fixed order: equal bytes give equal
//! values on every machine.

mod bits;
mod ecdq;
mod eden;
mod int8;
mod range;
mod rotation;
mod seeds;
mod sparse;
mod spec;
mod symbols;
#[cfg(test)]
mod tests;
mod uniform;

use alloc::vec::Vec;

use crate::rng::Rng;
use crate::wire::WireError;
pub use seeds::Seeds;
pub use spec::{CodecSpec, UnknownCodec};

/// The codecs that this program reads and writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Codec {
    /// Little-endian `f32`, 32 bits a coordinate, exact.
    F32,
    /// Eight-bit codes with one `f32` step for each block of coordinates, stochastic rounding
    /// (QSGD with the block's largest magnitude for norm: Alistarh et al. 2017, arXiv:1610.02132).
    Int8 {
        /// Coordinates that share a step, 1 to 65,536.
        block: u32,
    },
    /// Subtractive dither and an adaptive range coder: the fewest bytes for an unbiased update.
    /// Mean squared error is `step^2 / 12` of the squared norm.
    Ecdq {
        /// Step in root mean squares of the coordinates, 1/256 to 16.
        step: f32,
    },
    /// As [`Codec::Ecdq`], with the finest step that fits.
    EcdqWithin {
        /// Longest payload in bytes.
        bytes: u32,
    },
    /// A random rotation, then the nearest centroids of the normal distribution: few bits, and a
    /// size known in advance. Mean squared error 0.571, 0.133 and 0.0096 of the squared norm.
    Eden {
        /// Bits of a coordinate: 1, 2 or 4.
        bits: u8,
    },
    /// Integers of a fixed width that add up over devices: one rotation and one step for all.
    Uniform {
        /// Bits of a coordinate, 2 to 16.
        bits: u8,
        /// Step of a rotated coordinate; in settings, 0 stands for the step of
        /// [`Codec::with_step_for`].
        step: f32,
    },
    /// Small coordinates become 0, and the sender adds what was lost to its next update. For
    /// devices that take part in most rounds and have memory for a vector.
    Sparse {
        /// Step in root mean squares of the coordinates, 1/256 to 64.
        step: f32,
        /// Versions after which what was lost is forgotten, 1 or more.
        age: u32,
    },
}

/// Deviations from its mean that a norm may show before an honest update is refused.
const NORM_DEVIATIONS: f64 = 8.0;

/// Sum of the squares of `values`, added in four lanes so that a processor can work on them at once;
/// the order is fixed, and so are the bits.
pub fn squared_norm(values: &[f32]) -> f64 {
    let square = |value: &f32| f64::from(*value) * f64::from(*value);
    let (fours, rest) = values.as_chunks::<4>();
    let mut lanes = [0.0; 4];
    for four in fours {
        lanes.iter_mut().zip(four).for_each(|(lane, value)| *lane += square(value));
    }
    let [a, b, c, d] = lanes;
    (a + b) + (c + d) + rest.iter().map(square).sum::<f64>()
}

impl Codec {
    /// `int8` with the block length that our figures are measured with.
    pub const INT8: Self = Self::Int8 { block: 256 };

    /// Bits of [`crate::message::Claim::codecs`] for all codecs of this program.
    pub const KNOWN: u32 = 0b11_1111;

    /// The codec with its step filled in, where the step is to follow from the clip norm.
    #[must_use]
    pub fn with_step_for(self, n: usize, clip_norm: f32) -> Self {
        if let Self::Uniform { bits, step: 0.0 } = self {
            return Self::Uniform { bits, step: uniform::step(bits, n, clip_norm) };
        }
        self
    }

    /// Longest payload for `n` coordinates in bytes; what a reader takes at the most.
    pub fn payload_bytes_max(self, n: usize) -> usize {
        match self {
            Self::F32 => n * 4,
            Self::Int8 { block } => int8::payload_bytes(n, block as usize),
            // No step that may be asked for needs more than plain numbers do.
            Self::Ecdq { .. } | Self::Sparse { .. } => 64 + n * 4,
            Self::EcdqWithin { bytes } => bytes as usize,
            Self::Eden { bits } => eden::payload_bytes(n, bits),
            Self::Uniform { bits, .. } => uniform::payload_bytes(n, bits),
        }
    }

    /// About the payload's length for `n` coordinates in bytes, for plans of what a link can carry:
    /// exact where it is fixed, else what updates of UCI HAR need, rounded up.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn payload_bytes_likely(self, n: usize) -> usize {
        let from_bits = |bits: f32| 16 + (n as f32 * bits / 8.0) as usize;
        match self {
            Self::Ecdq { step } => from_bits(ecdq::likely_bits(step)),
            // Zeros are most of what there is.
            Self::Sparse { step, .. } => from_bits(ecdq::likely_bits(step)),
            Self::F32
            | Self::Int8 { .. }
            | Self::EcdqWithin { .. }
            | Self::Eden { .. }
            | Self::Uniform { .. } => self.payload_bytes_max(n),
        }
    }

    /// Memory beside the values and the payload that encoding `n` coordinates takes, in bytes.
    ///
    /// Values are rotated in place; only a last block that is padded is copied. Range codes grow in
    /// a buffer that may be twice the payload for a moment, and their model is of a fixed size. A
    /// search for a budget keeps its best payload while it tries another.
    pub fn scratch_bytes(self, n: usize) -> usize {
        let model = size_of::<symbols::Symbols>();
        let tail = rotation::blocks(n).last().filter(|block| block.range.len() < block.len);
        let tail = tail.map_or(0, |block| 4 * block.len);
        match self {
            Self::F32 | Self::Int8 { .. } => 0,
            Self::Ecdq { .. } | Self::Sparse { .. } => model,
            Self::EcdqWithin { bytes } => model + bytes as usize,
            Self::Eden { .. } | Self::Uniform { .. } => tail,
        }
    }

    /// Whether decoding gives a vector whose coordinates are never larger than those encoded. For
    /// others, a bound on coordinates is kept by cutting off, not by refusing.
    pub fn keeps_largest(self) -> bool {
        matches!(self, Self::F32 | Self::Int8 { .. })
    }

    /// Largest norm, beyond rounding of `f32`, that a vector of `n` coordinates and of norm up to
    /// `clip_norm` decodes to.
    ///
    /// An unbiased codec lengthens a vector: the squared norm of its error is added. Where the
    /// error is random without a useful bound, the limit lies eight deviations above its mean.
    #[allow(clippy::cast_precision_loss)]
    pub fn norm_max(self, n: usize, clip_norm: f32) -> f64 {
        let (clip, n) = (f64::from(clip_norm), n.max(1) as f64);
        let dithered = |step: f32| {
            let step = f64::from(step);
            let mean = step * step / 12.0;
            // Of 2 <x, e> / |x|^2 and of |e|^2 / |x|^2 for e uniform within half a step.
            let deviation = step / libm::sqrt(3.0 * n) + step * step / libm::sqrt(180.0 * n);
            let likely = libm::sqrt(1.0 + mean + NORM_DEVIATIONS * deviation);
            clip * likely.min(1.0 + step / 2.0)
        };
        match self {
            Self::F32 => clip,
            // Each coordinate moves by less than one step, the block's largest / 127.
            Self::Int8 { block } => clip * (1.0 + libm::sqrt(f64::from(block)) / 127.0),
            Self::Ecdq { step } => dithered(step),
            Self::EcdqWithin { .. } => dithered(ecdq::STEP_MAX),
            Self::Eden { bits } => {
                let mean = 1.0 / libm::sqrt(1.0 - eden::distortion(bits));
                clip * mean * (1.0 + NORM_DEVIATIONS / libm::sqrt(n))
            }
            // Each rotated coordinate moves by less than one step.
            Self::Uniform { step, .. } => clip + f64::from(step) * libm::sqrt(2.0 * n),
            Self::Sparse { .. } => clip * sparse::STRETCH,
        }
    }

    /// Writes `values`, all finite; they are scratch afterwards. `seeds` are public; `noise` drives
    /// rounding that no reader has to repeat.
    ///
    /// # Errors
    /// [`WireError::Invalid`] when a value is not finite, or a byte budget cannot be met.
    pub fn encode(
        self,
        values: &mut [f32],
        seeds: Seeds,
        noise: u64,
    ) -> Result<Vec<u8>, WireError> {
        check_finite(values)?;
        Ok(match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Int8 { block } => int8::encode(values, block as usize, &mut Rng::new(noise)),
            Self::Ecdq { step } => ecdq::encode(values, step, seeds.device),
            Self::EcdqWithin { bytes } => {
                ecdq::encode_within(values, bytes as usize, seeds.device)?
            }
            Self::Eden { bits } => eden::encode(values, bits, seeds.device),
            Self::Uniform { bits, step } => uniform::encode(values, bits, step, seeds.round, noise),
            Self::Sparse { step, .. } => sparse::encode(values, step),
        })
    }

    /// Reads the `n` values of `payload`.
    ///
    /// # Errors
    /// [`WireError`] when the payload does not end where its values end, or gives a value that is
    /// not finite. Allocates `4 n` bytes and, for a padded last block, its copy, whatever the
    /// payload says.
    pub fn decode(self, payload: &[u8], n: usize, seeds: Seeds) -> Result<Vec<f32>, WireError> {
        self.check_length(payload, n)?;
        let mut values = alloc::vec![0.0; n];
        match self {
            Self::F32 => {
                for (value, bytes) in values.iter_mut().zip(payload.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Self::Int8 { block } => int8::decode(payload, &mut values, block as usize),
            Self::Ecdq { .. } | Self::EcdqWithin { .. } => {
                ecdq::decode(payload, &mut values, seeds.device)?;
            }
            Self::Eden { bits } => eden::decode(payload, &mut values, bits, seeds.device)?,
            Self::Uniform { bits, step } => {
                uniform::decode(payload, &mut values, bits, step, seeds.round)?;
            }
            Self::Sparse { .. } => sparse::decode(payload, &mut values)?,
        }
        check_finite(&values).map(|()| values)
    }

    /// The codes of a `uniform` payload for `n` coordinates: what updates add up in.
    ///
    /// # Errors
    /// [`WireError`] when the payload is not what a device writes, or the codec has no such codes.
    pub fn codes(self, payload: &[u8], n: usize) -> Result<Vec<i32>, WireError> {
        self.check_length(payload, n)?;
        let Self::Uniform { bits, .. } = self else {
            return Err(WireError::Invalid("only uniform codes add up"));
        };
        uniform::codes(payload, n, bits)
    }

    /// The sum of updates, `[n]`, from the sum of their [`Codec::codes`].
    ///
    /// # Errors
    /// [`WireError::Invalid`] when the codec has no such codes or their number is not that of `n`.
    pub fn from_code_sum(
        self,
        codes: &[i32],
        n: usize,
        seeds: Seeds,
    ) -> Result<Vec<f32>, WireError> {
        let Self::Uniform { step, .. } = self else {
            return Err(WireError::Invalid("only uniform codes add up"));
        };
        if codes.len() != rotation::padded(n) {
            return Err(WireError::Invalid("there is one code for each padded coordinate"));
        }
        let mut values = alloc::vec![0.0; n];
        uniform::from_codes(codes, &mut values, step, seeds.round);
        check_finite(&values).map(|()| values)
    }

    /// Whether a payload can have this length.
    fn check_length(self, payload: &[u8], n: usize) -> Result<(), WireError> {
        let most = self.payload_bytes_max(n);
        let varies =
            matches!(self, Self::Ecdq { .. } | Self::EcdqWithin { .. } | Self::Sparse { .. });
        if payload.len() < most && !varies {
            return Err(WireError::Truncated);
        }
        match payload.len().saturating_sub(most) {
            0 => Ok(()),
            bytes => Err(WireError::Trailing { bytes }),
        }
    }
}

fn check_finite(values: &[f32]) -> Result<(), WireError> {
    if values.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(WireError::Invalid("values of an update are finite"))
    }
}
