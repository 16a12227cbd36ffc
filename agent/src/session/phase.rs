//! What a device is doing. Each phase owns the data that only it has.

use alloc::collections::VecDeque;
use dunlin_protocol::id::{Lineage, ModelVersion};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::object::ObjectRef;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::{TrainWork, Work, WorkKind};

use super::transfer::{Download, Retry, Upload};

/// A work item that this device takes part in.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) work: WorkRef,
    pub(super) base_version: ModelVersion,
    /// What it asks for, of a kind that this program knows.
    pub(super) asked: Work,
}

impl Item {
    /// Whether the base version is needed.
    pub(super) fn needs_model(&self) -> bool {
        self.asked.kind().is_none_or(WorkKind::needs_model)
    }

    /// The training that it asks for.
    pub(super) fn train(&self) -> Option<&TrainWork> {
        match &self.asked {
            Work::Train(work) => Some(work),
            Work::Evaluate | Work::Sums(_) | Work::Unknown(_) => None,
        }
    }
}

/// What is still to be fetched for a version.
#[derive(Debug)]
pub(super) struct FetchPath {
    /// The history that the version belongs to.
    pub(super) lineage: Lineage,
    /// The version at the end of the path.
    pub(super) version: ModelVersion,
    /// The objects after the one that is on its way.
    pub(super) remaining: VecDeque<ObjectRef>,
    /// Whether it began at an anchor; then there is no other way to try.
    pub(super) from_anchor: bool,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing to do until a plan asks for something.
    Waiting,
    /// The plan names a task that this device does not have.
    FetchingTask(Download),
    /// Asked to take part, no answer yet.
    Claiming { item: Item, retry: Retry },
    /// Takes part, the base version is on its way; or, without an item, a version to classify with.
    FetchingModel { item: Option<Item>, deadline: Instant, download: Download, path: FetchPath },
    /// The trainer works on the item, until the deadline at the longest.
    Training { item: Item, deadline: Instant },
    /// The update is on its way; ends with the verdict.
    Sending { work: WorkRef, deadline: Instant, upload: Upload },
}

impl Phase {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::FetchingTask(_) => "fetching task",
            Self::Claiming { .. } => "claiming",
            Self::FetchingModel { .. } => "fetching model",
            Self::Training { .. } => "training",
            Self::Sending { .. } => "sending",
        }
    }

    /// The work that the phase is for.
    pub(super) fn work(&self) -> Option<WorkRef> {
        match self {
            Self::Waiting | Self::FetchingTask(_) => None,
            Self::FetchingModel { item, .. } => item.as_ref().map(|item| item.work),
            Self::Claiming { item, .. } | Self::Training { item, .. } => Some(item.work),
            Self::Sending { work, .. } => Some(*work),
        }
    }

    /// Whether work can begin: nothing is done, or nothing that cannot wait.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Waiting | Self::FetchingModel { item: None, .. })
    }

    /// When the work must be done, on this device's clock.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting | Self::FetchingTask(_) | Self::Claiming { .. } => None,
            Self::FetchingModel { deadline, .. }
            | Self::Training { deadline, .. }
            | Self::Sending { deadline, .. } => Some(*deadline),
        }
    }

    /// When something is to be said again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self {
            Self::Waiting | Self::Training { .. } => None,
            Self::FetchingTask(download) | Self::FetchingModel { download, .. } => {
                Some(download.retry.at)
            }
            Self::Claiming { retry, .. } => Some(retry.at),
            Self::Sending { upload, .. } => Some(upload.retry.at),
        }
    }
}
