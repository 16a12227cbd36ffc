//! How codecs are named: by number and parameters on the wire, by a short text for people.

use core::fmt;
use serde::{Deserialize, Serialize};

use super::{Codec, ecdq, eden, sparse, uniform};
use crate::report::FRAMING_BYTES;

/// A codec as plans name it: a number, and two parameters whose meaning is the codec's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodecSpec {
    /// The codec's number on the wire, 0 to 5 for those that this program has.
    pub id: u8,
    /// A whole number: block length, bits or bytes.
    pub param: u32,
    /// A step; 0 where there is none.
    pub scale: f32,
}

/// Versions after which what a sparse update left over is dropped, unless the plan says otherwise.
const SPARSE_AGE: u32 = 10;

impl Codec {
    /// Reads a codec's number and parameters; `None` when this program does not have it.
    pub fn from_spec(spec: CodecSpec) -> Option<Self> {
        let CodecSpec { id, param, scale } = spec;
        let bits = u8::try_from(param).unwrap_or(0);
        match id {
            0 if param == 0 && scale == 0.0 => Some(Self::F32),
            1 if (1..=65_536).contains(&param) && scale == 0.0 => Some(Self::Int8 { block: param }),
            2 if param == 0 && (ecdq::STEP_MIN..=ecdq::STEP_MAX).contains(&scale) => {
                Some(Self::Ecdq { step: scale })
            }
            2 if param > 0 && scale == 0.0 => Some(Self::EcdqWithin { bytes: param }),
            3 if eden::has_width(bits) && scale == 0.0 => Some(Self::Eden { bits }),
            4 if (uniform::BITS_MIN..=uniform::BITS_MAX).contains(&bits)
                && scale.is_normal()
                && scale > 0.0 =>
            {
                Some(Self::Uniform { bits, step: scale })
            }
            5 if param > 0 && (sparse::STEP_MIN..=sparse::STEP_MAX).contains(&scale) => {
                Some(Self::Sparse { step: scale, age: param })
            }
            _ => None,
        }
    }

    /// The codec whose update messages, framing included, have at most `bytes` bytes; `None` when
    /// nothing is left for the update.
    pub fn within_message(bytes: u32) -> Option<Self> {
        let bytes = bytes.checked_sub(FRAMING_BYTES).filter(|rest| *rest > 0)?;
        Some(Self::EcdqWithin { bytes })
    }

    /// The codec's number and parameters.
    pub fn spec(self) -> CodecSpec {
        let (id, param, scale) = match self {
            Self::F32 => (0, 0, 0.0),
            Self::Int8 { block } => (1, block, 0.0),
            Self::Ecdq { step } => (2, 0, step),
            Self::EcdqWithin { bytes } => (2, bytes, 0.0),
            Self::Eden { bits } => (3, u32::from(bits), 0.0),
            Self::Uniform { bits, step } => (4, u32::from(bits), step),
            Self::Sparse { step, age } => (5, age, step),
        };
        CodecSpec { id, param, scale }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::F32 => f.write_str("f32"),
            Self::INT8 => f.write_str("int8"),
            Self::Int8 { block } => write!(f, "int8={block}"),
            Self::Ecdq { step } => write!(f, "ecdq={step}"),
            Self::EcdqWithin { bytes } => write!(f, "ecdq={bytes}B"),
            Self::Eden { bits } => write!(f, "eden={bits}"),
            Self::Uniform { bits, step: 0.0 } => write!(f, "uniform={bits}"),
            Self::Uniform { bits, step } => write!(f, "uniform={bits}:{step}"),
            Self::Sparse { step, age: SPARSE_AGE } => write!(f, "sparse={step}"),
            Self::Sparse { step, age } => write!(f, "sparse={step}:{age}"),
        }
    }
}

/// A codec's text was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown codec: use f32, int8, int8=BLOCK (1 to 65536), ecdq=STEP (0.004 to 16), \
     ecdq=BYTESB, eden=BITS (1, 2 or 4), uniform=BITS or uniform=BITS:STEP (2 to 16 bits), \
     sparse=STEP or sparse=STEP:VERSIONS (0.004 to 64)"
)]
pub struct UnknownCodec;

impl core::str::FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(text: &str) -> Result<Self, UnknownCodec> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let spec =
            |id, param, scale| Self::from_spec(CodecSpec { id, param, scale }).ok_or(UnknownCodec);
        match (name, value) {
            ("f32", None) => Ok(Self::F32),
            ("int8", None) => Ok(Self::INT8),
            ("int8", Some(block)) => spec(1, parse(block)?, 0.0),
            ("ecdq", Some(value)) => match value.strip_suffix('B') {
                Some(bytes) => spec(2, parse(bytes)?, 0.0),
                None => spec(2, 0, parse(value)?),
            },
            ("eden", Some(bits)) => spec(3, parse(bits)?, 0.0),
            ("uniform", Some(value)) => match value.split_once(':') {
                Some((bits, step)) => spec(4, parse(bits)?, parse(step)?),
                // Any valid step shows whether the width is; 0 stands for "from the clip norm".
                None => {
                    let bits = parse(value)?;
                    spec(4, u32::from(bits), 1.0).map(|_| Self::Uniform { bits, step: 0.0 })
                }
            },
            ("sparse", Some(value)) => match value.split_once(':') {
                Some((step, age)) => spec(5, parse(age)?, parse(step)?),
                None => spec(5, SPARSE_AGE, parse(value)?),
            },
            _ => Err(UnknownCodec),
        }
    }
}

fn parse<T: core::str::FromStr>(text: &str) -> Result<T, UnknownCodec> {
    text.parse().map_err(|_| UnknownCodec)
}
