//! Update codecs: how the difference to the base version is written.
//!
//! The plan names the codec by number, so that a device that is too old for it can say so. Codecs
//! are unbiased: over the random rounding, the expected decoded value is the value encoded.

mod int8;

use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::wire::WireError;

/// A codec as plans and updates name it: a number, and one parameter whose meaning is the codec's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecSpec {
    /// The codec's number.
    pub id: u8,
    /// `int8`: coordinates of a block. `f32`: 0.
    pub param: u32,
}

/// The codecs that this program reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Little-endian `f32`, 32 bits a coordinate, exact.
    F32,
    /// Eight-bit codes with one `f32` step for each block of coordinates, stochastic rounding
    /// (QSGD with the block's largest magnitude for norm: Alistarh et al. 2017, arXiv:1610.02132).
    Int8 {
        /// Coordinates that share a step, 1 to 65,536.
        block: u32,
    },
}

impl Codec {
    /// `int8` with the block length that our figures are measured with.
    pub const INT8: Self = Self::Int8 { block: 256 };

    /// Bits of [`crate::message::Claim::codecs`] for all codecs of this program.
    pub const KNOWN: u32 = 1 << 0 | 1 << 1;

    /// Reads a codec's name and parameter; `None` when this program does not have it.
    pub fn from_spec(spec: CodecSpec) -> Option<Self> {
        match spec {
            CodecSpec { id: 0, param: 0 } => Some(Self::F32),
            CodecSpec { id: 1, param: block @ 1..=65_536 } => Some(Self::Int8 { block }),
            _ => None,
        }
    }

    /// The codec's number and parameter.
    pub fn spec(self) -> CodecSpec {
        match self {
            Self::F32 => CodecSpec { id: 0, param: 0 },
            Self::Int8 { block } => CodecSpec { id: 1, param: block },
        }
    }

    /// Longest payload for `n` coordinates in bytes.
    pub fn payload_bytes_max(self, n: usize) -> usize {
        match self {
            Self::F32 => n * 4,
            Self::Int8 { block } => int8::payload_bytes(n, block as usize),
        }
    }

    /// Largest factor by which decoding may lengthen a vector's norm beyond rounding of `f32`.
    ///
    /// `int8`: a coordinate moves by less than one step, `max / 127` of its block, so the norm
    /// grows by at most `sqrt(block) / 127` of the block's own norm.
    #[allow(clippy::cast_precision_loss)]
    pub fn norm_inflation(self) -> f32 {
        match self {
            Self::F32 => 1.0,
            Self::Int8 { block } => 1.0 + libm::sqrtf(block as f32) / 127.0,
        }
    }

    /// Writes `values`, all finite. `seed` drives the random rounding.
    ///
    /// # Errors
    /// [`WireError::Invalid`] when a value is not finite.
    pub fn encode(self, values: &[f32], seed: u64) -> Result<Vec<u8>, WireError> {
        if !values.iter().all(|value| value.is_finite()) {
            return Err(WireError::Invalid("values of an update are finite"));
        }
        Ok(match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Int8 { block } => int8::encode(values, block as usize, &mut Rng::new(seed)),
        })
    }

    /// Reads the `n` values of `payload`, without libm and in a fixed order: equal bytes give
    /// equal values on every machine.
    ///
    /// # Errors
    /// [`WireError`] when the payload does not have exactly the length that `n` values need, or
    /// has a value or step that is not finite.
    pub fn decode(self, payload: &[u8], n: usize) -> Result<Vec<f32>, WireError> {
        let needed = self.payload_bytes_max(n);
        if payload.len() < needed {
            return Err(WireError::Truncated);
        }
        if payload.len() > needed {
            return Err(WireError::Trailing { bytes: payload.len() - needed });
        }
        let values: Vec<f32> = match self {
            Self::F32 => {
                payload.as_chunks::<4>().0.iter().map(|&v| f32::from_le_bytes(v)).collect()
            }
            Self::Int8 { block } => int8::decode(payload, n, block as usize),
        };
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(WireError::Invalid("values of an update are finite"))
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("f32"),
            Self::Int8 { block } if Self::Int8 { block: *block } == Self::INT8 => {
                f.write_str("int8")
            }
            Self::Int8 { block } => write!(f, "int8={block}"),
        }
    }
}

/// A codec's text was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCodec;

impl fmt::Display for UnknownCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown codec: use f32, int8 or int8=BLOCK with BLOCK from 1 to 65536")
    }
}

impl core::error::Error for UnknownCodec {}

impl core::str::FromStr for Codec {
    type Err = UnknownCodec;
    fn from_str(text: &str) -> Result<Self, UnknownCodec> {
        match text.split_once('=') {
            None if text == "f32" => Ok(Self::F32),
            None if text == "int8" => Ok(Self::INT8),
            Some(("int8", block)) => {
                let param = block.parse().map_err(|_| UnknownCodec)?;
                Self::from_spec(CodecSpec { id: 1, param }).ok_or(UnknownCodec)
            }
            _ => Err(UnknownCodec),
        }
    }
}
