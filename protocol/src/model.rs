//! The model object: one version of the global parameters.

use alloc::vec::Vec;
use half::f16;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, LayoutHash, ModelVersion, ShortDigest};
use crate::limits::{OBJECT_BYTES_MAX, PARAMS_MAX};
use crate::wire::{self, Kind, WireError};

/// How a model object writes its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// Four bytes a parameter.
    F32,
    /// Two bytes a parameter: only for parameters on [`half_grid`].
    F16,
}

impl Precision {
    /// Bytes of one parameter.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// One version of the global model: what devices fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Number of the version; 0 holds the initial weights.
    pub version: ModelVersion,
    /// What its coordinates mean.
    pub layout: LayoutHash,
    /// How the object writes the parameters.
    pub precision: Precision,
    /// The parameters, `[n_model]`, finite; on [`half_grid`] where the precision says so.
    pub params: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: ModelVersion,
    layout: LayoutHash,
    precision: Precision,
    n_model: u32,
}

/// The nearest number that `f16` (IEEE 754 binary16) can hold, ties to even; the largest one, 65504,
/// beyond. `value` is finite.
pub fn half_grid(value: f32) -> f32 {
    let largest = f32::from(f16::MAX);
    f32::from(f16::from_f32(value.clamp(-largest, largest)))
}

/// `params`, all on [`half_grid`], as little-endian `f16`.
fn write_half(params: &[f32], bytes: &mut Vec<u8>) {
    params.iter().for_each(|&value| bytes.extend_from_slice(&f16::from_f32(value).to_le_bytes()));
}

/// First eight bytes of the SHA-256 of `params`, on [`half_grid`], as little-endian `f16`.
pub fn half_digest(params: &[f32]) -> ShortDigest {
    let mut bytes = Vec::with_capacity(params.len() * 2);
    write_half(params, &mut bytes);
    Digest::of(&bytes).short()
}

impl Model {
    /// The object's bytes: envelope, header in postcard, parameters as little-endian numbers.
    ///
    /// # Errors
    /// [`WireError`] when the model is too large, or has a value that is not finite or not on the
    /// grid of its precision.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        self.check()?;
        let n_model = u32::try_from(self.params.len()).map_err(|_| WireError::Malformed)?;
        let (version, layout, precision) = (self.version, self.layout, self.precision);
        let header = Header { version, layout, precision, n_model };
        let mut bytes = wire::encode_parts(Kind::Model, &header)?;
        bytes.reserve_exact(self.params.len() * precision.bytes());
        match precision {
            Precision::F32 => {
                self.params.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            }
            Precision::F16 => write_half(&self.params, &mut bytes),
        }
        Ok(bytes)
    }

    /// Reads a model object.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let body = wire::open(bytes, Kind::Model, OBJECT_BYTES_MAX as usize)?;
        let (header, rest) = wire::take::<Header>(body)?;
        let needed = header.n_model as usize * header.precision.bytes();
        if rest.len() < needed {
            return Err(WireError::Truncated);
        }
        if rest.len() > needed {
            return Err(WireError::Trailing { bytes: rest.len() - needed });
        }
        let params = match header.precision {
            Precision::F32 => {
                rest.as_chunks::<4>().0.iter().map(|&v| f32::from_le_bytes(v)).collect()
            }
            Precision::F16 => {
                rest.as_chunks::<2>().0.iter().map(|&v| f16::from_le_bytes(v).to_f32()).collect()
            }
        };
        let Header { version, layout, precision, .. } = header;
        let model = Self { version, layout, precision, params };
        model.check().map(|()| model)
    }

    fn check(&self) -> Result<(), WireError> {
        if self.params.is_empty() || self.params.len() > PARAMS_MAX {
            return Err(WireError::Invalid("a model has 1 to 2097152 parameters"));
        }
        let fits = |value: &f32| match self.precision {
            Precision::F32 => value.is_finite(),
            Precision::F16 => value.is_finite() && half_grid(*value).to_bits() == value.to_bits(),
        };
        if self.params.iter().all(fits) {
            Ok(())
        } else {
            Err(WireError::Invalid("parameters are finite and on the grid of their precision"))
        }
    }
}
