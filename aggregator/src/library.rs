//! The objects that devices can fetch now.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_protocol::id::{LayoutHash, ModelVersion};
use dunlin_protocol::model::{Model, Precision};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::wire::WireError;

/// An object and its address.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    /// Its digest and sizes.
    pub(crate) reference: ObjectRef,
    bytes: Vec<u8>,
}

impl Object {
    /// `bytes`, cut into chunks of `chunk_bytes`.
    pub(crate) fn new(bytes: Vec<u8>, chunk_bytes: u32) -> Result<Self, WireError> {
        let reference = ObjectRef::of(&bytes, chunk_bytes)?;
        Ok(Self { reference, bytes })
    }

    /// The messages that carry it, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (u16, Vec<u8>)> + '_ {
        let cut = |index| Chunk::cut(&self.reference, &self.bytes, index);
        (0..self.reference.chunks()).filter_map(move |i| Some((i, cut(i)?.encode())))
    }
}

/// A version and its object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Volume {
    /// The parameters, `[n_model]`.
    pub(crate) params: Arc<[f32]>,
    /// What devices fetch.
    pub(crate) object: Object,
}

impl Volume {
    /// The object of `params: [n_model]`.
    pub(crate) fn new(
        version: ModelVersion,
        layout: LayoutHash,
        params: Vec<f32>,
        chunk_bytes: u32,
    ) -> Result<Self, WireError> {
        let model = Model { version, layout, precision: Precision::F32, params };
        let object = Object::new(model.encode()?, chunk_bytes)?;
        Ok(Self { params: model.params.into(), object })
    }
}

/// The versions on offer.
pub(crate) type Library = BTreeMap<ModelVersion, Volume>;
