//! Where a round is, and how far its devices are.

use std::collections::BTreeMap;

use dunlin_protocol::id::{DeviceId, ModelVersion, ShortDigest};
use dunlin_protocol::message::Refusal;
use serde::{Deserialize, Serialize};

use crate::collect::Collector;
use crate::combine::Figures;
use crate::summary::Failure;

/// How far one device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// It was told to go.
    Granted,
    /// Its update is in the sum.
    Accepted(ShortDigest),
    /// Its update was refused for good.
    Refused(Refusal),
    /// It left before it sent an update.
    Gone,
}

/// Devices and sum of a round that at least one device takes part in.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    pub(super) devices: BTreeMap<DeviceId, Progress>,
    pub(super) accepted: u32,
    pub(super) working: u32,
    /// The sum so far.
    pub sums: Collector,
}

impl Collection {
    pub(super) fn new(devices: BTreeMap<DeviceId, Progress>, sums: Collector) -> Self {
        let mut this = Self { devices: BTreeMap::new(), accepted: 0, working: 0, sums };
        devices.into_iter().for_each(|(device, progress)| {
            this.set(device, progress);
        });
        this
    }

    /// Notes how far `device` is; whether it is new to the round.
    pub fn set(&mut self, device: DeviceId, progress: Progress) -> bool {
        let mut count = |progress: Progress, by: i32| match progress {
            Progress::Accepted(_) => self.accepted = self.accepted.saturating_add_signed(by),
            Progress::Granted => self.working = self.working.saturating_add_signed(by),
            Progress::Refused(_) | Progress::Gone => {}
        };
        count(progress, 1);
        let before = self.devices.insert(device, progress);
        before.into_iter().for_each(|before| count(before, -1));
        before.is_none()
    }

    /// The objects accepted.
    pub fn accepted(&self) -> BTreeMap<DeviceId, ShortDigest> {
        let object = |progress: &Progress| match progress {
            Progress::Accepted(object) => Some(*object),
            Progress::Granted | Progress::Refused(_) | Progress::Gone => None,
        };
        let pairs = self.devices.iter();
        pairs.filter_map(|(id, progress)| Some((id.clone(), object(progress)?))).collect()
    }
}

/// Where a round is.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// In the plan; nobody has come forward. Holds the empty sum.
    Open(Collector),
    /// Devices work.
    Collecting(Collection),
    /// No more updates are taken.
    Closing(Collection),
    /// Ended with a result.
    Published {
        /// The version made, or evaluated.
        version: ModelVersion,
        /// What the devices reported.
        figures: Figures,
    },
    /// Ended without one.
    Failed(Failure),
}

impl Phase {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Collecting(_) => "collecting",
            Self::Closing(_) => "closing",
            Self::Published { .. } => "published",
            Self::Failed(_) => "failed",
        }
    }
}
