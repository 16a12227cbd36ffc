//! What the device holds to work with: the task in use and one version of the model.

use alloc::sync::Arc;
use alloc::vec::Vec;

use dunlin_protocol::delta::Delta;
use dunlin_protocol::id::{Lineage, ModelVersion};
use dunlin_protocol::model::Model;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::seeded::Seeded;
use dunlin_protocol::task::Task;
use dunlin_protocol::wire::{self, Kind, WireError};

/// A version of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedVersion {
    /// The history that it belongs to.
    pub lineage: Lineage,
    /// Its number in that history.
    pub version: ModelVersion,
    /// Its parameters as devices have them, `[n_model]`.
    pub params: Arc<Vec<f32>>,
}

/// The task in use, with the version that is held for it.
#[derive(Debug, Default)]
pub(super) struct Holding {
    task: Option<Arc<Task>>,
    /// The remembered task is not in use: it does not fit this device's memory.
    too_large: bool,
    /// The plan's task is not even fetched: it does not fit this device's memory.
    too_long: bool,
    model: Option<CachedVersion>,
}

impl Holding {
    pub(super) fn new(task: Arc<Task>, model: Option<CachedVersion>) -> Self {
        Self { task: Some(task), model, ..Self::default() }
    }

    /// The task in use.
    pub(super) fn task(&self) -> Option<&Arc<Task>> {
        self.task.as_ref()
    }

    /// Whether something is known of the remembered task: it is in use, or too large for that.
    pub(super) fn knows_task(&self) -> bool {
        self.task.is_some() || self.too_large
    }

    /// Whether `plan` says of the task in use what it is; a plan that does not would have devices train
    /// in vain.
    pub(super) fn fits(&self, plan: &Plan) -> bool {
        self.task.as_ref().is_some_and(|task| task.layout().hash() == plan.layout)
    }

    /// Uses `task` from now on; no version of its model is held.
    pub(super) fn use_task(&mut self, task: Arc<Task>) {
        *self = Self::new(task, None);
    }

    /// Uses no task: the one remembered is too large for the memory.
    pub(super) fn refuse_task(&mut self) {
        *self = Self { too_large: true, ..Self::default() };
    }

    /// Uses no task: that of the plan is too long for the memory, and what it could do for another is
    /// of no use.
    pub(super) fn drop_task(&mut self) {
        (self.task, self.too_long) = (None, true);
    }

    /// Whether the plan's task does not fit this device's memory.
    pub(super) fn lacks_memory(&self) -> bool {
        self.too_large || self.too_long
    }

    /// The version that is held.
    pub(super) fn model(&self) -> Option<&CachedVersion> {
        self.model.as_ref()
    }

    /// The version held of the plan's history.
    pub(super) fn version_of(&self, plan: &Plan) -> Option<ModelVersion> {
        let model = self.model.as_ref().filter(|model| model.lineage == plan.lineage)?;
        Some(model.version)
    }

    /// Holds this version from now on.
    pub(super) fn hold(&mut self, model: CachedVersion) {
        self.model = Some(model);
    }

    /// Holds no version any more; the one that was held.
    pub(super) fn take_model(&mut self) -> Option<CachedVersion> {
        self.model.take()
    }

    /// Makes the version in `object` the one held: an anchor, or a delta on the one held so far.
    ///
    /// # Errors
    /// [`WireError`] when the object cannot be read, or fits neither task nor version.
    pub(super) fn take_object(
        &mut self,
        lineage: Lineage,
        object: &[u8],
    ) -> Result<ModelVersion, WireError> {
        const MISFIT: WireError = WireError::Invalid("the object fits neither task nor version");
        let task = self.task.clone().ok_or(MISFIT)?;
        let layout = task.layout();
        let kind = wire::peek_kind(object)?;
        let (found, version, params) = if kind == Kind::Delta as u8 {
            // A delta that cannot be added leaves nothing that a later one could be added to.
            let held = self.model.take().filter(|held| held.lineage == lineage).ok_or(MISFIT)?;
            let delta = Delta::decode(object)?;
            if delta.base() != held.version {
                return Err(MISFIT);
            }
            (delta.layout(), delta.version(), delta.apply(&held.params)?)
        } else if kind == Kind::Seeded as u8 {
            let seeded: Seeded = wire::decode(object)?;
            (seeded.layout, seeded.version, seeded.params(layout)?)
        } else {
            let model = Model::decode(object)?;
            (model.layout, model.version, model.params)
        };
        if found != layout.hash() || params.len() != layout.n_model() {
            return Err(MISFIT);
        }
        self.model = Some(CachedVersion { lineage, version, params: Arc::new(params) });
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{Bench, plan};
    use dunlin_protocol::model::Precision;

    fn anchor(task: &Task, version: u32) -> Vec<u8> {
        let params = alloc::vec![0.5; task.layout().n_model()];
        let (version, layout) = (ModelVersion(version), task.layout().hash());
        Model { version, layout, precision: Precision::F32, params }.encode().unwrap()
    }

    #[test]
    fn a_version_is_held_of_its_own_history_only_and_goes_with_its_task() {
        let (task, plan) = (Arc::new(Bench::joined().task()), plan());
        let mut holding = Holding::default();
        assert!(!holding.knows_task());
        assert!(holding.take_object(plan.lineage, &anchor(&task, 3)).is_err(), "no task");
        holding.use_task(task.clone());
        assert_eq!(holding.take_object(plan.lineage, &anchor(&task, 3)), Ok(ModelVersion(3)));
        assert_eq!(holding.version_of(&plan), Some(ModelVersion(3)));
        let other = Plan { lineage: Lineage([8; 16]), ..plan.clone() };
        assert_eq!(holding.version_of(&other), None);
        assert!(holding.take_object(plan.lineage, &[1, 2, 3]).is_err());
        assert!(holding.model().is_some(), "what cannot be read costs nothing");
        holding.refuse_task();
        assert!(holding.knows_task() && holding.task().is_none() && holding.model().is_none());
    }
}
