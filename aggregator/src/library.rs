//! The versions that devices can fetch now, and how each is written.
//!
//! With deltas, every version that devices have lies on the `f16` grid; what the delta's codec and
//! the grid lost stays between the exact parameters and those given, and goes out with the next
//! delta: error feedback at the aggregator.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_protocol::codec::Codec;
use dunlin_protocol::delta::Delta;
use dunlin_protocol::id::{LayoutHash, ModelVersion};
use dunlin_protocol::model::{Model, Precision, half_grid};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::plan::ModelEntry;
use dunlin_protocol::seeded::Seeded;
use dunlin_protocol::task::ParamLayout;
use dunlin_protocol::wire::{self, WireError};

use crate::settings::Downlink;
use crate::snapshot::Written;

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

/// A version and its objects: an anchor, a delta from the version before, or both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Volume {
    /// The parameters that devices get, `[n_model]`.
    pub(crate) given: Arc<[f32]>,
    anchor: Option<Object>,
    delta: Option<Object>,
}

impl Volume {
    /// A volume as it was written before.
    pub(crate) fn restore(
        given: Vec<f32>,
        written: Written,
        chunk_bytes: u32,
    ) -> Result<Self, WireError> {
        let object =
            |bytes: Option<Vec<u8>>| bytes.map(|bytes| Object::new(bytes, chunk_bytes)).transpose();
        let (anchor, delta) = (object(written.anchor)?, object(written.delta)?);
        Ok(Self { given: given.into(), anchor, delta })
    }

    /// Its objects, the anchor first.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.anchor.iter().chain(&self.delta)
    }
}

/// A version as it is about to be written: what devices get, and in which objects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edition {
    /// The parameters that devices get, `[n_model]`.
    pub(crate) given: Vec<f32>,
    /// The objects' bytes.
    pub(crate) written: Written,
}

impl Edition {
    /// The first version of a history, drawn from a seed: with deltas, the seed is all that travels.
    pub(crate) fn of_seed(downlink: Downlink, layout: &ParamLayout, seed: u64) -> Self {
        let version = ModelVersion(0);
        match downlink {
            Downlink::Plain => {
                let given = layout.model_of(&layout.initial_params(seed));
                Self::anchor(downlink, version, layout.hash(), given).unwrap_or_else(|_| {
                    unreachable!("initial weights are finite and no more than a task may have")
                })
            }
            Downlink::Deltas { .. } => {
                let (seeded, given) = Seeded::make(version, layout, seed);
                let anchor = wire::encode(&seeded).ok();
                Self { given, written: Written { anchor, delta: None } }
            }
        }
    }

    /// A version that devices get whole.
    pub(crate) fn anchor(
        downlink: Downlink,
        version: ModelVersion,
        layout: LayoutHash,
        exact: Vec<f32>,
    ) -> Result<Self, WireError> {
        let (precision, params) = match downlink {
            Downlink::Plain => (Precision::F32, exact),
            Downlink::Deltas { .. } => (Precision::F16, exact.into_iter().map(half_grid).collect()),
        };
        let model = Model { version, layout, precision, params };
        let anchor = Some(model.encode()?);
        Ok(Self { given: model.params, written: Written { anchor, delta: None } })
    }

    /// The version after the newest of `library`, as near to `exact: [n_model]` as the downlink
    /// allows.
    pub(crate) fn next(
        downlink: Downlink,
        layout: LayoutHash,
        library: &Library,
        exact: Vec<f32>,
    ) -> Result<Self, WireError> {
        let (Downlink::Deltas { codec, anchor_every }, Some((base, volume))) =
            (downlink, library.last_key_value())
        else {
            let newest = library.last_key_value().map_or(ModelVersion(0), |(v, _)| v.next());
            return Self::anchor(downlink, newest, layout, exact);
        };
        let version = base.next();
        match delta(codec, layout, *base, &volume.given, &exact)? {
            Some(mut edition) => {
                let last = newest_anchor(library).unwrap_or(*base);
                if version.0.saturating_sub(last.0) >= anchor_every {
                    let given = edition.given.clone();
                    let whole = Self::anchor(downlink, version, layout, given)?;
                    edition.written.anchor = whole.written.anchor;
                }
                Ok(edition)
            }
            None => Self::anchor(downlink, version, layout, exact),
        }
    }
}

/// The delta to the version after `base`; `None` when an anchor serves devices better.
fn delta(
    codec: Codec,
    layout: LayoutHash,
    base: ModelVersion,
    given: &[f32],
    exact: &[f32],
) -> Result<Option<Edition>, WireError> {
    // Versions of an earlier run with other settings may lie off the grid.
    if given.len() != exact.len() || given.iter().any(|&value| half_grid(value) != value) {
        return Ok(None);
    }
    let made = Delta::make(codec, layout, base, given, exact)?;
    if made.object.len() >= exact.len() * Precision::F16.bytes() {
        return Ok(None);
    }
    let written = Written { anchor: None, delta: Some(made.object) };
    Ok(Some(Edition { given: made.params, written }))
}

/// The versions on offer.
pub(crate) type Library = BTreeMap<ModelVersion, Volume>;

/// Versions with an anchor, the newest first.
fn anchors(library: &Library) -> impl Iterator<Item = ModelVersion> + '_ {
    library.iter().rev().filter(|(_, volume)| volume.anchor.is_some()).map(|(version, _)| *version)
}

fn newest_anchor(library: &Library) -> Option<ModelVersion> {
    anchors(library).next()
}

/// The oldest version that devices may still need besides those of open rounds: the anchor before
/// the newest. It stays while devices are still fetching it, and those that have it or a later
/// version can follow by deltas.
pub(crate) fn oldest_needed(library: &Library) -> ModelVersion {
    let newest = newest_anchor(library);
    anchors(library).nth(1).or(newest).unwrap_or(ModelVersion(0))
}

/// What a plan lists: the newest anchor, the last anchor up to each version that open rounds start
/// from, and every delta.
pub(crate) fn entries(library: &Library, bases: &[ModelVersion]) -> Vec<ModelEntry> {
    let up_to = |base| anchors(library).find(|version| *version <= base);
    let lead: Vec<_> = bases.iter().filter_map(|&base| up_to(base)).collect();
    let newest = newest_anchor(library);
    let wanted = |version| newest == Some(version) || lead.contains(&version);
    let mut entries = Vec::new();
    for (&version, volume) in library {
        if let Some(anchor) = volume.anchor.as_ref().filter(|_| wanted(version)) {
            entries.push(ModelEntry { version, base: None, object: anchor.reference });
        }
        let base = version.0.checked_sub(1).map(ModelVersion).filter(|b| library.contains_key(b));
        if let (Some(delta), Some(_)) = (&volume.delta, base) {
            entries.push(ModelEntry { version, base, object: delta.reference });
        }
    }
    entries
}

#[cfg(test)]
mod tests;
