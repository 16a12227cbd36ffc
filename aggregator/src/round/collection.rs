//! Devices and sum of a round, and how far each device is.

use alloc::collections::{BTreeMap, BTreeSet};

use dunlin_protocol::id::{DeviceId, ShortDigest};
use dunlin_protocol::message::Refusal;
use serde::{Deserialize, Serialize};

use crate::collect::Collector;

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

/// The devices that take part in a round, and their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    devices: BTreeMap<DeviceId, Progress>,
    /// Devices whose progress was not saved yet.
    unsaved: BTreeSet<DeviceId>,
    accepted: u32,
    working: u32,
    gone: u32,
    /// The sum so far.
    pub sums: Collector,
}

impl Collection {
    /// Devices as they were saved, with their sum.
    pub(super) fn restore(devices: BTreeMap<DeviceId, Progress>, sums: Collector) -> Self {
        let (unsaved, accepted, working, gone) = (BTreeSet::new(), 0, 0, 0);
        let mut this = Self { devices: BTreeMap::new(), unsaved, accepted, working, gone, sums };
        devices.into_iter().for_each(|(device, progress)| {
            this.set(device, progress);
        });
        this.unsaved.clear();
        this
    }

    /// Notes how far `device` is; whether it is new to the round.
    pub fn set(&mut self, device: DeviceId, progress: Progress) -> bool {
        let mut count = |progress: Progress, by: i32| match progress {
            Progress::Accepted(_) => self.accepted = self.accepted.saturating_add_signed(by),
            Progress::Granted => self.working = self.working.saturating_add_signed(by),
            Progress::Gone => self.gone = self.gone.saturating_add_signed(by),
            Progress::Refused(_) => {}
        };
        count(progress, 1);
        let before = self.devices.insert(device.clone(), progress);
        before.into_iter().for_each(|before| count(before, -1));
        if before != Some(progress) {
            self.unsaved.insert(device);
        }
        before.is_none()
    }

    /// How far `device` is; `None` when it takes no part.
    pub fn progress(&self, device: &DeviceId) -> Option<Progress> {
        self.devices.get(device).copied()
    }

    /// Updates in the sum.
    pub fn accepted(&self) -> u32 {
        self.accepted
    }

    /// Devices that are at work.
    pub fn working(&self) -> u32 {
        self.working
    }

    /// Devices that left before they sent an update, or gave up.
    pub fn gone(&self) -> u32 {
        self.gone
    }

    /// What changed since this was called last, one entry a device.
    pub(super) fn take_unsaved(&mut self) -> impl Iterator<Item = (DeviceId, Progress)> + '_ {
        let unsaved = core::mem::take(&mut self.unsaved);
        unsaved.into_iter().filter_map(|device| {
            let progress = self.devices.get(&device).copied()?;
            Some((device, progress))
        })
    }

    /// The objects that are in the sum, by device.
    pub fn accepted_objects(&self) -> BTreeMap<DeviceId, ShortDigest> {
        accepted(self.devices.clone())
    }
}

/// The objects accepted of devices that got so far.
pub(crate) fn accepted(devices: BTreeMap<DeviceId, Progress>) -> BTreeMap<DeviceId, ShortDigest> {
    let object = |progress| match progress {
        Progress::Accepted(object) => Some(object),
        Progress::Granted | Progress::Refused(_) | Progress::Gone => None,
    };
    devices.into_iter().filter_map(|(id, progress)| Some((id, object(progress)?))).collect()
}
