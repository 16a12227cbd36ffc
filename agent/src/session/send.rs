//! Sending: from what the trainer gave to the verdict.

use alloc::vec::Vec;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::message::{Ack, WorkRef};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::update::{Update, UpdateHeader};
use dunlin_protocol::wire::WireError;
use log::{info, warn};

use super::Session;
use super::feedback::{Coded, Fate};
use super::phase::{Item, Phase};
use super::transfer::Upload;
use crate::job::{JobFailure, Trained};
use crate::state::{LocalLayers, Pending};

impl Session {
    /// A seed that only this device knows, different for each work and purpose, the same after a
    /// restart: repeating a training gives the same bits.
    pub(super) fn work_seed(&self, work: WorkRef, purpose: u64) -> u64 {
        let key = &self.state.lottery;
        let draw = key.draw(&self.settings.federation, work.lineage, work.round, work.kind);
        Rng::for_stream(draw, purpose).next_u64()
    }

    pub(super) fn on_trained(
        &mut self,
        now: Instant,
        work: WorkRef,
        outcome: Result<Trained, JobFailure>,
    ) {
        let Phase::Training { item, deadline } = &self.phase else { return };
        if item.work != work {
            return;
        }
        let (item, deadline) = (item.clone(), *deadline);
        let trained = match outcome {
            Ok(trained) => trained,
            Err(JobFailure(why)) => {
                warn!("{}: training failed: {why}", self.settings.device);
                return self.abandon("its training failed");
            }
        };
        self.log_trained(&item, &trained);
        match self.write_update(&item, trained) {
            Ok(pending) => {
                let object = pending.object.clone();
                self.state.pending = Some(pending);
                self.save();
                self.send(now, work, deadline, object);
            }
            Err(error) => {
                warn!("{}: the update cannot be written: {error}", self.settings.device);
                self.abandon("its update cannot be written");
            }
        }
    }

    fn log_trained(&self, item: &Item, trained: &Trained) {
        let (device, round) = (&self.settings.device, item.work.round);
        let (windows, before) = (trained.before.windows, trained.before.accuracy());
        match item.train {
            None => info!(
                "{device}: version {} evaluated on {windows} held-back windows, accuracy {before:.3}",
                item.base_version
            ),
            Some(_) => info!(
                "{device}: round {round} trained on {} windows, loss {:.3}, held-back accuracy {before:.3} -> {:.3}",
                trained.examples,
                trained.train_loss,
                trained.after.accuracy(),
            ),
        }
    }

    /// Clips, codes and wraps what the trainer gave.
    fn write_update(&mut self, item: &Item, trained: Trained) -> Result<Pending, WireError> {
        let task = self.task.clone().ok_or(WireError::Malformed)?;
        // An update of an earlier round that nobody answered.
        self.settle(Fate::Unknown);
        let coded = match &item.train {
            None => Coded { codec: Codec::F32, payload: Vec::new(), lost: None },
            Some(work) => self.code(item, work, task.layout(), trained.delta)?,
        };
        if !trained.local.is_empty() {
            self.state.local = Some(LocalLayers { task: task.digest(), params: trained.local });
            self.forget_told();
        }
        let header = UpdateHeader {
            examples: trained.examples,
            train_loss: trained.train_loss,
            before: trained.before,
            after: trained.after,
            ..UpdateHeader::new(item.work, item.base_version, task.digest(), coded.codec)
        };
        let object = Update { header, payload: &coded.payload }.encode()?;
        let (work, base_version) = (item.work, item.base_version);
        Ok(Pending { work, base_version, object, lost: coded.lost })
    }

    pub(super) fn send(&mut self, now: Instant, work: WorkRef, deadline: Instant, object: Vec<u8>) {
        let Some(chunk_bytes) = self.plan.as_ref().map(|plan| plan.chunk_bytes) else { return };
        match Upload::new(object, chunk_bytes, now, &mut self.rng) {
            Ok(upload) => {
                self.enter(Phase::Sending { work, deadline, upload });
                if self.can_talk() {
                    self.publish_chunks();
                }
            }
            Err(error) => {
                warn!("{}: the update cannot be sent: {error}", self.settings.device);
                self.abandon("its update cannot be sent");
            }
        }
    }

    pub(super) fn publish_chunks(&mut self) {
        if self.spares_link() {
            return;
        }
        while let Phase::Sending { upload, .. } = &mut self.phase {
            let Some(bytes) = upload.next_length() else { return };
            if !self.affords_chunk(bytes, 0) {
                return;
            }
            let Phase::Sending { upload, .. } = &mut self.phase else { return };
            if let Some(chunk) = upload.next_chunk() {
                self.publish_up(chunk);
            }
        }
    }

    pub(super) fn on_ack(&mut self, now: Instant, ack: Ack) {
        let Phase::Sending { upload, .. } = &mut self.phase else { return };
        if upload.digest() != ack.object {
            return;
        }
        upload.acknowledge(ack, now, &mut self.rng);
        if self.can_talk() {
            self.publish_chunks();
        }
    }
}
