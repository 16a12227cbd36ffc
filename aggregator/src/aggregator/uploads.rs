//! Uploads: chunks become objects, objects become updates, updates are admitted or refused.

use dunlin_protocol::codec::Seeds;
use dunlin_protocol::id::{DeviceId, ShortDigest};
use dunlin_protocol::message::{Outcome, Refusal, Verdict, WorkRef};
use dunlin_protocol::object::Chunk;
use dunlin_protocol::report::{Report, ReportHeader};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire::{self, WireError};
use dunlin_protocol::work::WorkKind;

use super::Aggregator;
use crate::admit::{self, Terms};
use crate::io::RoundEvent;
use crate::round::{Known, Progress, Round, RoundKey, Unwritten};
use crate::upload_assembly::Taken;

impl Aggregator {
    /// Takes one chunk of an update.
    ///
    /// # Errors
    /// [`WireError`] when the chunk cannot be read; then nobody can be answered.
    pub(super) fn chunk(
        &mut self,
        now: Instant,
        device: &DeviceId,
        payload: &[u8],
    ) -> Result<(), WireError> {
        let chunk = Chunk::decode(payload)?;
        self.counters.chunks += 1;
        let object = chunk.object;
        if !self.settings.enrolled.admits(device) {
            let work = self.likely_work(device);
            self.refuse(device, work, object, Refusal::NotEnrolled);
            return Ok(());
        }
        match self.rounds.known(device, object) {
            Some(Known::Written(key)) => {
                self.counters.chunks_repeated += 1;
                self.accept_verdict(device, key, object);
                return Ok(());
            }
            Some(Known::Unwritten) => {
                self.counters.chunks_repeated += 1;
                return Ok(());
            }
            None => {}
        }
        if self.rounds.is_empty() {
            let work = self.likely_work(device);
            self.refuse(device, work, object, Refusal::RoundClosed);
            return Ok(());
        }
        let object_bytes_max = self.object_bytes_max();
        match self.uploads.take(now, device, &chunk, object_bytes_max) {
            Taken::Partial { ack, repeated } => {
                self.counters.chunks_repeated += u64::from(repeated);
                if let Ok(bytes) = wire::encode(&ack) {
                    self.publish(Topic::Down(device.clone(), Down::Ack), bytes, false);
                }
            }
            Taken::Whole(bytes) => self.whole(now, device, object, &bytes),
            Taken::Refused(reason) => {
                let work = self.likely_work(device);
                self.refuse(device, work, object, reason);
            }
        }
        Ok(())
    }

    /// Takes a complete update object.
    fn whole(&mut self, now: Instant, device: &DeviceId, object: ShortDigest, bytes: &[u8]) {
        let update = match Report::decode(bytes) {
            Ok(update) => update,
            Err(error) => {
                let work = self.likely_work(device);
                return self.refuse(device, work, object, admit::refusal_of(&error));
            }
        };
        // A refusal names this history also where the update named another: the object tells.
        let ReportHeader { round, kind, .. } = update.header;
        let work = WorkRef { lineage: self.lineage, round, kind };
        if let Some(round) = RoundKey::of(work).and_then(|key| self.rounds.get_mut(key)) {
            let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let tally = round.tally_mut();
            tally.update_bytes = tally.update_bytes.saturating_add(bytes);
        }
        match self.admit(now, device, object, &update) {
            Ok((key, accepted)) => {
                self.counters.accepted += 1;
                let device = device.clone();
                self.rounds.await_write(now, Unwritten { key, device, object, accepted });
            }
            Err(reason) => {
                if reason == Refusal::Duplicate {
                    self.commit_for(now, device);
                }
                self.refuse(device, work, object, reason);
            }
        }
    }

    /// Adds `update` to its round's sum; the round and how many updates it has now.
    fn admit(
        &mut self,
        now: Instant,
        device: &DeviceId,
        object: ShortDigest,
        update: &Report<'_>,
    ) -> Result<(RoundKey, u32), Refusal> {
        let ReportHeader { lineage, round, kind, .. } = update.header;
        if lineage != self.lineage.tag() {
            return Err(Refusal::WrongLineage);
        }
        let work = WorkRef { lineage: self.lineage, round, kind };
        let key = RoundKey::of(work).ok_or(Refusal::RoundClosed)?;
        let round = self.rounds.get_mut(key).filter(|round| now < round.deadline());
        let round = round.ok_or(Refusal::RoundClosed)?;
        if matches!(round.progress(device), Some(Progress::Accepted(_))) {
            return Err(Refusal::Duplicate);
        }
        let terms = Terms {
            base: round.base(),
            task: &self.task,
            seeds: Seeds::of_update(device, work.lineage, work.round, work.kind),
            job: round.job(),
            examples_max: self.settings.examples_max,
            collector: round.sums(),
        };
        let share = admit::admit(update, &terms)?;
        // The scale leaves room for every admitted value; an overflow would be a value too large.
        round.accept(device, object, &share).map_err(|_| Refusal::ValueTooLarge)?;
        Ok((key, round.accepted()))
    }

    /// The work that an object without a readable header most likely belongs to: the first that
    /// the device was told to do, else any open work, else the last round.
    fn likely_work(&self, device: &DeviceId) -> WorkRef {
        let granted = |round: &&Round| round.progress(device) == Some(Progress::Granted);
        let mut open = self.rounds.plan_order(self.settings.paused);
        let first = open.next();
        let round = first.filter(granted).or_else(|| open.find(granted)).or(first);
        let last = RoundKey { round: self.rounds.last(), kind: WorkKind::Train };
        round.map_or(last, Round::key).work_ref(self.lineage)
    }

    /// Tells a device that its update is counted.
    pub(super) fn accept_verdict(&mut self, device: &DeviceId, key: RoundKey, object: ShortDigest) {
        let work = key.work_ref(self.lineage);
        self.verdict(device, Verdict { work, object, outcome: Outcome::Accepted });
    }

    /// Tells a device that its update is not counted, and why.
    fn refuse(&mut self, device: &DeviceId, work: WorkRef, object: ShortDigest, reason: Refusal) {
        *self.counters.refused.entry(reason).or_insert(0) += 1;
        let enrolled = self.settings.enrolled.admits(device);
        let round = RoundKey::of(work).and_then(|key| self.rounds.get_mut(key));
        if let Some(round) = round.filter(|_| enrolled && work.lineage == self.lineage) {
            round.tally_mut().refuse(reason);
            // After these the device may send the same work again.
            if !matches!(reason, Refusal::Busy | Refusal::Digest) {
                round.note(device, Progress::Refused(reason));
            }
        }
        self.verdict(device, Verdict { work, object, outcome: Outcome::Refused(reason) });
        self.event(RoundEvent::UpdateRefused { device: device.clone(), reason });
    }

    fn verdict(&mut self, device: &DeviceId, verdict: Verdict) {
        if let Ok(bytes) = wire::encode(&verdict) {
            self.publish(Topic::Down(device.clone(), Down::Verdict), bytes, false);
        }
    }
}
