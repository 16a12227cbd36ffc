//! The seeded model object: the first version of a history in a few dozen bytes.
//!
//! Initial weights are drawn from a seed by the rules of the task, with software mathematics that
//! gives the same bits on every machine. So the first version needs no parameters on the wire: each
//! device draws them, and the digest shows that it drew the same.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::id::{LayoutHash, ModelVersion, ShortDigest};
use crate::limits::CONTROL_BYTES_MAX;
use crate::model::{half_digest, half_grid};
use crate::task::ParamLayout;
use crate::wire::{Kind, Message, WireError};

/// A version that follows from a seed: initial weights, on [`half_grid`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeded {
    /// Number of the version that the seed gives; an aggregator seeds version 0 only.
    pub version: ModelVersion,
    /// What its coordinates mean.
    pub layout: LayoutHash,
    /// The seed of [`ParamLayout::initial_params`].
    pub seed: u64,
    /// First eight bytes of the SHA-256 of the parameters as little-endian `f16`.
    pub result: ShortDigest,
}

fn draw(layout: &ParamLayout, seed: u64) -> Vec<f32> {
    let params = layout.model_of(&layout.initial_params(seed));
    params.into_iter().map(half_grid).collect()
}

impl Seeded {
    /// The initial weights of `seed` as `version`, and the parameters, `[n_model]`.
    pub fn make(version: ModelVersion, layout: &ParamLayout, seed: u64) -> (Self, Vec<f32>) {
        let params = draw(layout, seed);
        let result = half_digest(&params);
        (Self { version, layout: layout.hash(), seed, result }, params)
    }

    /// The parameters, `[n_model]`, on [`half_grid`].
    ///
    /// # Errors
    /// [`WireError::Invalid`] for another layout; [`WireError::Checksum`] when this machine draws
    /// other weights than the aggregator.
    pub fn params(&self, layout: &ParamLayout) -> Result<Vec<f32>, WireError> {
        if layout.hash() != self.layout {
            return Err(WireError::Invalid("the version belongs to another layout"));
        }
        let params = draw(layout, self.seed);
        if half_digest(&params) == self.result { Ok(params) } else { Err(WireError::Checksum) }
    }
}

impl Message for Seeded {
    const KIND: Kind = Kind::Seeded;
    const BYTES_MAX: usize = CONTROL_BYTES_MAX;

    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}
