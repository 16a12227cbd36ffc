//! What a broken aggregator works by: other settings than the operator's, another state than was
//! written. The checks know neither.

use dunlin_aggregator::round::{Job, Progress};
use dunlin_aggregator::settings::{Settings, Weighting};
use dunlin_aggregator::snapshot::{Record, Save, Snapshot};
use dunlin_protocol::work::TrainWork;

use super::ServerHost;
use crate::sim::breakage::Breakage;

/// A cap of weights that no simulated device reaches, but that leaves sums two more fraction bits
/// than the cap of [`crate::sim::setup`].
const OTHER_CAP: u32 = 1_000;
/// A norm that updates of the toy learner with 2,402 parameters, which have about 0.283, are clipped
/// to. Devices that hear only of the one that is in the operator's settings send longer ones.
const SHORT_CLIP: f32 = 0.2;
/// A magnitude that many values of such an update exceed once they are decoded from `uniform`.
const OTHER_LARGEST: f32 = 0.005;

impl ServerHost {
    /// What the aggregator is told by its operator; a broken one has read something else.
    pub(super) fn told_settings(&self) -> Settings {
        let mut settings = self.settings.clone();
        match self.breakage {
            Some(Breakage::OtherScale) => {
                settings.weighting = Weighting::Examples { cap: OTHER_CAP };
            }
            Some(Breakage::OtherClip) => settings.clip_norm = SHORT_CLIP,
            Some(_) | None => {}
        }
        settings
    }

    /// What an aggregator reads back; a broken store has forgotten something, or puts something
    /// else in its place.
    pub(super) fn stored(&self, mut snapshot: Snapshot) -> Snapshot {
        match self.breakage {
            Some(Breakage::ForgottenAccepted) => {
                let rounds = snapshot.devices.values_mut();
                for progress in rounds.flat_map(|devices| devices.values_mut()) {
                    *progress = Progress::Gone;
                }
            }
            Some(Breakage::LostSums) => snapshot.sums.clear(),
            Some(Breakage::OtherWeight) => {
                trainings(&mut snapshot).for_each(|(_, weight_max)| *weight_max = 1);
            }
            Some(Breakage::OtherClip) => {
                let clip_norm = self.settings.clip_norm;
                trainings(&mut snapshot).for_each(|(work, _)| work.clip_norm = clip_norm);
            }
            Some(Breakage::OtherLargest) => {
                trainings(&mut snapshot).for_each(|(work, _)| work.max_abs = OTHER_LARGEST);
            }
            Some(Breakage::OtherStep) => {
                trainings(&mut snapshot).for_each(|(work, _)| work.codec.scale *= 2.0);
            }
            Some(_) | None => {}
        }
        snapshot
    }

    /// What is written; a broken store keeps the sums that it has.
    pub(super) fn stale(&self, mut save: Save) -> Save {
        if self.breakage == Some(Breakage::StaleSums) {
            let stale = self.snapshot.as_ref().map(|snapshot| &snapshot.sums);
            for record in &mut save.records {
                if let (Record::Sums(key, sums), Some(stale)) = (record, stale)
                    && let Some(old) = stale.get(key)
                {
                    *sums = old.clone();
                }
            }
        }
        save
    }
}

/// What devices do in each open round of training, and the largest weight of their updates.
fn trainings(snapshot: &mut Snapshot) -> impl Iterator<Item = (&mut TrainWork, &mut u32)> {
    snapshot.rounds.values_mut().filter_map(|round| match &mut round.job {
        Job::Train { work, weight_max } => Some((work, weight_max)),
        Job::Evaluate | Job::Sums { .. } => None,
    })
}
