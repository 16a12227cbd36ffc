//! The model object: one version of the global parameters.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::id::{LayoutHash, ModelVersion};
use crate::limits::{OBJECT_BYTES_MAX, PARAMS_MAX};
use crate::wire::{self, Kind, WireError};

/// One version of the global model: what devices fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its version.
    pub version: ModelVersion,
    /// What its coordinates mean.
    pub layout: LayoutHash,
    /// The parameters, `[n_model]`, finite.
    pub params: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: ModelVersion,
    layout: LayoutHash,
    n_model: u32,
}

impl Model {
    /// The object's bytes: envelope, header in postcard, parameters as little-endian `f32`.
    ///
    /// # Errors
    /// [`WireError`] when the model is too large or has a value that is not finite.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        self.check()?;
        let n_model = u32::try_from(self.params.len()).map_err(|_| WireError::Malformed)?;
        let header = Header { version: self.version, layout: self.layout, n_model };
        let mut bytes = wire::encode_parts(Kind::Model, &header)?;
        bytes.reserve_exact(self.params.len() * 4);
        self.params.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        Ok(bytes)
    }

    /// Reads a model object.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let body = wire::open(bytes, Kind::Model, OBJECT_BYTES_MAX as usize)?;
        let (header, rest) = wire::take::<Header>(body)?;
        let needed = header.n_model as usize * 4;
        if rest.len() < needed {
            return Err(WireError::Truncated);
        }
        if rest.len() > needed {
            return Err(WireError::Trailing { bytes: rest.len() - needed });
        }
        let (values, _) = rest.as_chunks::<4>();
        let params = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
        let model = Self { version: header.version, layout: header.layout, params };
        model.check().map(|()| model)
    }

    fn check(&self) -> Result<(), WireError> {
        if self.params.is_empty() || self.params.len() > PARAMS_MAX {
            return Err(WireError::Invalid("a model has 1 to 2097152 parameters"));
        }
        if self.params.iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(WireError::Invalid("parameters are finite"))
        }
    }
}
