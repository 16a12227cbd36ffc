//! One version of the model: its objects, and how they are made.

use alloc::sync::Arc;
use alloc::vec::Vec;

use dunlin_protocol::codec::Codec;
use dunlin_protocol::delta::Delta;
use dunlin_protocol::id::{LayoutHash, ModelVersion};
use dunlin_protocol::model::{Model, Precision, half_grid};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::seeded::Seeded;
use dunlin_protocol::task::ParamLayout;
use dunlin_protocol::wire::{self, WireError};

use super::Versions;
use crate::settings::Downlink;
use crate::snapshot::Written;

/// An object and its address.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    /// Its digest and sizes.
    pub(crate) reference: ObjectRef,
    pub(super) bytes: Vec<u8>,
}

impl Object {
    /// `bytes`, cut into chunks of `chunk_bytes`.
    pub(crate) fn new(bytes: Vec<u8>, chunk_bytes: u32) -> Result<Self, WireError> {
        let reference = ObjectRef::of(&bytes, chunk_bytes)?;
        Ok(Self { reference, bytes })
    }

    /// Cuts it into chunks of `chunk_bytes`, 4 to 120 KiB.
    pub(crate) fn cut_into(&mut self, chunk_bytes: u32) {
        self.reference.chunk_bytes = chunk_bytes;
    }

    /// The message that carries its chunk of this index.
    pub(crate) fn chunk(&self, index: u16) -> Option<Vec<u8>> {
        Some(Chunk::cut(&self.reference, &self.bytes, index)?.encode())
    }

    /// The messages that carry it, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (u16, Vec<u8>)> + '_ {
        (0..self.reference.chunks()).filter_map(|i| Some((i, self.chunk(i)?)))
    }
}

/// A version that devices can fetch: as an anchor, as a delta from the version before, or both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PublishedVersion {
    /// The parameters that devices get, `[n_model]`.
    pub(crate) params: Arc<[f32]>,
    pub(super) anchor: Option<Object>,
    pub(super) delta: Option<Object>,
}

impl PublishedVersion {
    /// The version with these parameters, `[n_model]`, whose objects were written before.
    pub(crate) fn new(
        params: Vec<f32>,
        written: Written,
        chunk_bytes: u32,
    ) -> Result<Self, WireError> {
        let object =
            |bytes: Option<Vec<u8>>| bytes.map(|bytes| Object::new(bytes, chunk_bytes)).transpose();
        let (anchor, delta) = (object(written.anchor)?, object(written.delta)?);
        Ok(Self { params: params.into(), anchor, delta })
    }

    /// Cuts its objects into chunks of `chunk_bytes`, 4 to 120 KiB.
    pub(super) fn cut_into(&mut self, chunk_bytes: u32) {
        let objects = [&mut self.anchor, &mut self.delta].into_iter().flatten();
        objects.for_each(|object| object.cut_into(chunk_bytes));
    }

    /// Its objects, the anchor first.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.anchor.iter().chain(&self.delta)
    }
}

/// A version as it is about to be published.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VersionDraft {
    /// The parameters that devices get, `[n_model]`.
    pub(crate) params: Vec<f32>,
    /// Its objects as bytes: what devices fetch.
    pub(crate) written: Written,
}

impl VersionDraft {
    /// The first version of a history, drawn from a seed: with deltas, the seed is all that travels.
    pub(crate) fn of_seed(downlink: Downlink, layout: &ParamLayout, seed: u64) -> Self {
        let version = ModelVersion(0);
        match downlink {
            Downlink::Plain => {
                let params = layout.model_of(&layout.initial_params(seed));
                Self::anchor(downlink, version, layout.hash(), params).unwrap_or_else(|_| {
                    unreachable!("initial weights are finite and no more than a task may have")
                })
            }
            Downlink::Deltas { .. } => {
                let (seeded, params) = Seeded::make(version, layout, seed);
                let anchor = wire::encode(&seeded).ok();
                Self { params, written: Written { anchor, delta: None } }
            }
        }
    }

    /// A version that devices get whole.
    pub(crate) fn anchor(
        downlink: Downlink,
        version: ModelVersion,
        layout: LayoutHash,
        master: Vec<f32>,
    ) -> Result<Self, WireError> {
        let (precision, params) = match downlink {
            Downlink::Plain => (Precision::F32, master),
            Downlink::Deltas { .. } => {
                (Precision::F16, master.into_iter().map(half_grid).collect())
            }
        };
        let model = Model { version, layout, precision, params };
        let anchor = Some(model.encode()?);
        Ok(Self { params: model.params, written: Written { anchor, delta: None } })
    }

    /// The version after the newest of `versions`, as near to `master: [n_model]` as the downlink
    /// allows.
    pub(super) fn next(
        downlink: Downlink,
        layout: LayoutHash,
        versions: &Versions,
        master: Vec<f32>,
    ) -> Result<Self, WireError> {
        let (Downlink::Deltas { codec, anchor_every }, Some((base, newest))) =
            (downlink, versions.last_key_value())
        else {
            let version = versions.last_key_value().map_or(ModelVersion(0), |(v, _)| v.next());
            return Self::anchor(downlink, version, layout, master);
        };
        let version = base.next();
        match delta(codec, layout, *base, &newest.params, &master)? {
            Some(mut draft) => {
                let last = super::newest_anchor(versions).unwrap_or(*base);
                if version.0.saturating_sub(last.0) >= anchor_every {
                    let params = draft.params.clone();
                    let whole = Self::anchor(downlink, version, layout, params)?;
                    draft.written.anchor = whole.written.anchor;
                }
                Ok(draft)
            }
            None => Self::anchor(downlink, version, layout, master),
        }
    }
}

/// The delta to the version after `base`; `None` when an anchor serves devices better.
fn delta(
    codec: Codec,
    layout: LayoutHash,
    base: ModelVersion,
    published: &[f32],
    master: &[f32],
) -> Result<Option<VersionDraft>, WireError> {
    // Versions of an earlier run with other settings may lie off the grid.
    if published.len() != master.len() || published.iter().any(|&value| half_grid(value) != value) {
        return Ok(None);
    }
    let made = Delta::make(codec, layout, base, published, master)?;
    if made.object.len() >= master.len() * Precision::F16.bytes() {
        return Ok(None);
    }
    let written = Written { anchor: None, delta: Some(made.object) };
    Ok(Some(VersionDraft { params: made.params, written }))
}
