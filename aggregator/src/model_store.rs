//! The global model: the versions that devices can fetch, the exact parameters behind the newest,
//! and what the server's optimizer keeps.
//!
//! With deltas, every version that devices have lies on the `f16` grid; what the delta's codec and
//! the grid lost stays between the exact parameters and the published ones, and goes out with the
//! next delta: error feedback at the aggregator.

mod version;

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use dunlin_protocol::id::{LayoutHash, ModelVersion};
use dunlin_protocol::object::ObjectRef;
use dunlin_protocol::plan::ModelEntry;
use dunlin_protocol::task::Task;
use dunlin_protocol::wire::{SCHEMA, WireError};
pub(crate) use version::{Object, PublishedVersion, VersionDraft};

use crate::aggregator::StartError;
use crate::combine::CombineError;
use crate::server_optimizer::{OptimizerState, ServerOptimizer};
use crate::settings::{Downlink, Settings};
use crate::snapshot::{Head, ModelRecord, Record, Written};

/// Objects that are remembered so that their removal from the broker can be repeated.
const RETIRED_MAX: usize = 32;

/// The versions on offer.
type Versions = BTreeMap<ModelVersion, PublishedVersion>;

/// A version that is about to become the newest: as it is stored, and as it is published.
pub(crate) type Draft = (ModelRecord, PublishedVersion);

#[derive(Clone, Debug)]
pub(crate) struct ModelStore {
    layout: LayoutHash,
    n_model: usize,
    update_ranges: Vec<Range<usize>>,
    downlink: Downlink,
    chunk_bytes: u32,
    optimizer: ServerOptimizer,
    versions: Versions,
    newest: ModelVersion,
    /// The newest version before it was written for devices, `[n_model]`.
    master_params: Vec<f32>,
    state: OptimizerState,
    /// Objects whose retained chunks are being removed from the broker, newest last.
    retired: Vec<ObjectRef>,
    /// Those of them whose removal was not asked for yet.
    unremoved: Vec<ObjectRef>,
}

impl ModelStore {
    /// The store as it was saved, and the records that are to be written: of a history that begins
    /// all of them, else those whose objects were brought up to this wire schema.
    ///
    /// # Errors
    /// [`StartError`] when the records do not fit the task or each other.
    pub(crate) fn restore(
        settings: &Settings,
        task: &Task,
        head: &Head,
        records: BTreeMap<ModelVersion, ModelRecord>,
    ) -> Result<(Self, Vec<Record>), StartError> {
        let mut this = Self {
            layout: task.layout().hash(),
            n_model: task.layout().n_model(),
            update_ranges: task.layout().update_ranges(),
            downlink: settings.downlink,
            chunk_bytes: settings.chunk_bytes,
            optimizer: ServerOptimizer {
                learning_rate: settings.server_learning_rate,
                momentum: settings.server_momentum,
            },
            versions: Versions::new(),
            newest: head.version,
            master_params: Vec::new(),
            state: OptimizerState::default(),
            retired: head.retired.clone(),
            unremoved: Vec::new(),
        };
        let mut rewritten = Vec::new();
        for (version, mut record) in records {
            check_params(&record.master_params, this.n_model)?;
            if version == this.newest {
                if !record.optimizer.fits(task.layout().n_update()) {
                    return Err(StartError::Inconsistent(
                        "the optimizer's state has another length",
                    ));
                }
                this.master_params = record.master_params.clone();
                this.state = record.optimizer.clone();
            }
            let old = bring_up(&mut record.written, this.chunk_bytes)?;
            if !old.is_empty() || head.boot == 0 {
                rewritten.push(Record::Model(record.clone()));
            }
            if !old.is_empty() {
                let task = old_task(task, this.chunk_bytes);
                this.retired.extend(old.into_iter().chain(task.ok()));
            }
            let params = record.published_params().to_vec();
            let published = PublishedVersion::new(params, record.written, this.chunk_bytes);
            let published =
                published.map_err(|_| StartError::Inconsistent("a model is too large"))?;
            this.versions.insert(version, published);
        }
        if !this.versions.contains_key(&this.newest) {
            return Err(StartError::Inconsistent("the current model is missing"));
        }
        Ok((this, rewritten))
    }

    /// Number of the newest version.
    pub(crate) fn newest(&self) -> ModelVersion {
        self.newest
    }

    /// Values of a whole model.
    pub(crate) fn n_model(&self) -> usize {
        self.n_model
    }

    /// The newest version as devices have it, `[n_model]`.
    pub(crate) fn params(&self) -> &[f32] {
        self.versions.get(&self.newest).map_or(&[], |published| &published.params)
    }

    /// Whether devices can have this version.
    pub(crate) fn contains(&self, version: ModelVersion) -> bool {
        self.versions.contains_key(&version)
    }

    /// All versions on offer.
    pub(crate) fn versions(&self) -> impl Iterator<Item = ModelVersion> + '_ {
        self.versions.keys().copied()
    }

    /// The objects of a version, the anchor first.
    pub(crate) fn objects(&self, version: ModelVersion) -> impl Iterator<Item = &Object> {
        self.versions.get(&version).into_iter().flat_map(PublishedVersion::objects)
    }

    /// Cuts all objects, and those to come, into chunks of `chunk_bytes`, 4 to 120 KiB.
    pub(crate) fn cut_into(&mut self, chunk_bytes: u32) {
        self.chunk_bytes = chunk_bytes;
        self.versions.values_mut().for_each(|version| version.cut_into(chunk_bytes));
    }

    /// Objects that were on the broker, newest last.
    pub(crate) fn retired(&self) -> &[ObjectRef] {
        &self.retired
    }

    /// The objects to remove from the broker, each once.
    pub(crate) fn take_unremoved(&mut self) -> Vec<ObjectRef> {
        core::mem::take(&mut self.unremoved)
    }

    /// Has all retired objects removed again: an earlier removal may have been lost.
    pub(crate) fn remove_again(&mut self) {
        self.unremoved.clone_from(&self.retired);
    }

    /// The version that the mean update of a round, `[n_update]`, makes of the newest.
    ///
    /// # Errors
    /// [`CombineError::Overflow`] when a parameter leaves the range of its numbers.
    pub(crate) fn next(&self, mean: &[f32]) -> Result<Draft, CombineError> {
        let (mut params, mut state) = (self.master_params.clone(), self.state.clone());
        self.optimizer.step(mean, &mut state, &mut params, &self.update_ranges);
        let draft = VersionDraft::next(self.downlink, self.layout, &self.versions, params.clone());
        let draft = draft.map_err(|_| CombineError::Overflow)?;
        self.draft(params, state, draft).ok_or(CombineError::Overflow)
    }

    /// The version that an operator's parameters make; `None` unless they are `[n_model]` and finite.
    pub(crate) fn imported(&self, params: &[f32]) -> Option<Draft> {
        check_params(params, self.n_model).ok()?;
        let (version, params) = (self.newest.next(), params.to_vec());
        let draft = VersionDraft::anchor(self.downlink, version, self.layout, params.clone());
        self.draft(params, OptimizerState::default(), draft.ok()?)
    }

    fn draft(
        &self,
        master_params: Vec<f32>,
        optimizer: OptimizerState,
        draft: VersionDraft,
    ) -> Option<Draft> {
        let version = self.newest.next();
        let VersionDraft { params, written } = draft;
        let published = PublishedVersion::new(params.clone(), written.clone(), self.chunk_bytes);
        let published_params = if params == master_params { Vec::new() } else { params };
        let record = ModelRecord { version, master_params, published_params, optimizer, written };
        Some((record, published.ok()?))
    }

    /// Makes `draft` the newest version and drops those that no device needs, `bases` being what
    /// open rounds start from; what is to be saved beside the head.
    pub(crate) fn publish(&mut self, draft: Draft, bases: &[ModelVersion]) -> Vec<Record> {
        let (record, published) = draft;
        self.newest = record.version;
        self.master_params.clone_from(&record.master_params);
        self.state = record.optimizer.clone();
        self.versions.insert(record.version, published);
        let mut records = vec![Record::Model(record)];
        let oldest = oldest_needed(&self.versions);
        let needed = |version: &ModelVersion| *version >= oldest || bases.contains(version);
        let old: Vec<_> = self.versions.keys().copied().filter(|v| !needed(v)).collect();
        for version in old {
            if let Some(published) = self.versions.remove(&version) {
                self.retired.extend(published.objects().map(|object| object.reference));
                self.unremoved.extend(published.objects().map(|object| object.reference));
            }
            records.push(Record::ForgetModel(version));
        }
        let surplus = self.retired.len().saturating_sub(RETIRED_MAX);
        self.retired.drain(..surplus);
        records
    }

    /// What a plan lists, `bases` being what open rounds start from.
    pub(crate) fn entries(&self, bases: &[ModelVersion]) -> Vec<ModelEntry> {
        entries(&self.versions, bases)
    }
}

/// Whether a model has its length and no value that is not finite.
pub(crate) fn check_params(params: &[f32], expected: usize) -> Result<(), StartError> {
    if params.len() == expected && params.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(StartError::Initial { expected, found: params.len() })
    }
}

/// Versions with an anchor, the newest first.
fn anchors(versions: &Versions) -> impl Iterator<Item = ModelVersion> + '_ {
    let whole = versions.iter().rev().filter(|(_, published)| published.anchor.is_some());
    whole.map(|(version, _)| *version)
}

fn newest_anchor(versions: &Versions) -> Option<ModelVersion> {
    anchors(versions).next()
}

/// The oldest version that devices may still need besides those of open rounds: the anchor before
/// the newest. It stays while devices are still fetching it, and those that have it or a later
/// version can follow by deltas.
fn oldest_needed(versions: &Versions) -> ModelVersion {
    let newest = newest_anchor(versions);
    anchors(versions).nth(1).or(newest).unwrap_or(ModelVersion(0))
}

/// What a plan lists: the newest anchor, the last anchor up to each version that open rounds start
/// from, and every delta.
fn entries(versions: &Versions, bases: &[ModelVersion]) -> Vec<ModelEntry> {
    let up_to = |base| anchors(versions).find(|version| *version <= base);
    let lead: Vec<_> = bases.iter().filter_map(|&base| up_to(base)).collect();
    let newest = newest_anchor(versions);
    let wanted = |version| newest == Some(version) || lead.contains(&version);
    let mut entries = Vec::new();
    for (&version, published) in versions {
        if let Some(anchor) = published.anchor.as_ref().filter(|_| wanted(version)) {
            entries.push(ModelEntry { version, base: None, object: anchor.reference });
        }
        let base = version.0.checked_sub(1).map(ModelVersion).filter(|b| versions.contains_key(b));
        if let (Some(delta), Some(_)) = (&published.delta, base) {
            entries.push(ModelEntry { version, base, object: delta.reference });
        }
    }
    entries
}

/// Brings a version's objects up to this wire schema, which writes them in the same bytes behind its
/// number; the objects as they lie on the broker.
fn bring_up(written: &mut Written, chunk_bytes: u32) -> Result<Vec<ObjectRef>, StartError> {
    let misfit = |_: WireError| StartError::Inconsistent("a model is too large");
    let mut old = Vec::new();
    for object in [&mut written.anchor, &mut written.delta].into_iter().flatten() {
        match object.first() {
            Some(&SCHEMA) => {}
            Some(1) => {
                old.push(ObjectRef::of(object, chunk_bytes).map_err(misfit)?);
                object[0] = SCHEMA;
            }
            Some(_) | None => {
                return Err(StartError::Inconsistent("a model has an unknown wire schema"));
            }
        }
    }
    Ok(old)
}

/// The object of `task` as wire schema 1 had it.
fn old_task(task: &Task, chunk_bytes: u32) -> Result<ObjectRef, WireError> {
    let mut object = task.encode()?;
    object.iter_mut().take(1).for_each(|schema| *schema = 1);
    ObjectRef::of(&object, chunk_bytes)
}

#[cfg(test)]
mod tests;
