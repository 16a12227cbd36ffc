//! Claims: a selected device asks to take part.

use dunlin_protocol::extension::Extensions;
use dunlin_protocol::give_up::{GaveUp, GiveUp};
use dunlin_protocol::id::DeviceId;
use dunlin_protocol::message::{Answer, Claim, Go, Refusal};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire::{self, Kind, WireError};

use super::Aggregator;
use crate::io::RoundEvent;
use crate::round::{Job, Progress, RoundKey};

impl Aggregator {
    /// Takes a message of a device: a claim or a chunk.
    pub(super) fn up(&mut self, now: Instant, device: DeviceId, payload: &[u8]) {
        const CLAIM: u8 = Kind::Claim as u8;
        const CHUNK: u8 = Kind::Chunk as u8;
        const GAVE_UP: u8 = Kind::GaveUp as u8;
        let read = match wire::peek_kind(payload) {
            Ok(CLAIM) => wire::decode(payload).map(|claim| self.claim(now, &device, &claim)),
            Ok(CHUNK) => {
                self.is_there(&device, None);
                self.chunk(now, &device, payload)
            }
            Ok(GAVE_UP) => wire::decode(payload).map(|said| self.gave_up(now, &device, said)),
            Ok(found) => Err(WireError::Kind { found, expected: Kind::Chunk }),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            self.counters.unreadable += 1;
            self.event(RoundEvent::Unreadable { device, error });
        }
    }

    fn claim(&mut self, now: Instant, device: &DeviceId, claim: &Claim) {
        self.counters.claims += 1;
        self.is_there(device, Some(claim.boot));
        let key = RoundKey::of(claim.work);
        let decided = self.decide(now, device, claim, key);
        if decided == Err(Refusal::Duplicate) {
            // A device takes that for the verdict of an update that it has lost sight of.
            self.commit_for(now, device);
        }
        let round = key.and_then(|key| self.rounds.get_mut(key));
        let deadline = round.as_ref().map_or(now, |round| round.deadline());
        let answer = match decided {
            Ok(()) => Answer::Go,
            Err(reason) => Answer::NoGo(reason),
        };
        match (decided, round) {
            (Ok(()), Some(round)) => round.grant(device),
            (Err(reason), Some(round)) if self.settings.enrolled.admits(device) => {
                round.tally_mut().refuse(reason);
            }
            (Ok(()) | Err(_), _) => {}
        }
        match decided {
            Ok(()) => self.rounds.write_soon(now),
            Err(reason) => *self.counters.claims_refused.entry(reason).or_insert(0) += 1,
        }
        let extensions = Extensions::NONE;
        let go = Go { work: claim.work, answer, now, deadline, extensions };
        if let Ok(bytes) = wire::encode(&go) {
            self.publish(Topic::Down(device.clone(), Down::Go), bytes, false);
        }
        let (round, device) = (claim.work.round, device.clone());
        self.event(RoundEvent::ClaimAnswered { round, device, answer });
    }

    /// A device that sends something is there, whatever the broker keeps of it.
    fn is_there(&mut self, device: &DeviceId, boot: Option<u32>) {
        if self.settings.enrolled.admits(device) {
            self.registry.heard(device, boot);
        }
    }

    /// A device sends nothing for work that it was told to do: nobody waits for it any more.
    fn gave_up(&mut self, now: Instant, device: &DeviceId, said: GaveUp) {
        self.is_there(device, None);
        let ours = said.work.lineage == self.lineage;
        let key = RoundKey::of(said.work).filter(|_| ours);
        let Some(round) = key.and_then(|key| self.rounds.get_mut(key)) else { return };
        // Said twice, or by a device that takes no part.
        if !round.give_up(device, said.reason) {
            return;
        }
        self.rounds.write_soon(now);
        *self.counters.gave_up.entry(said.reason).or_insert(0) += 1;
        if said.reason == GiveUp::Base {
            self.objects_are_missed(now);
        }
        if let Some(key) = key {
            let (device, reason, text) = (device.clone(), said.reason, said.text);
            self.event(RoundEvent::GaveUp { key, device, reason, text });
        }
    }

    fn decide(
        &self,
        now: Instant,
        device: &DeviceId,
        claim: &Claim,
        key: Option<RoundKey>,
    ) -> Result<(), Refusal> {
        // First of all: a device that works for another aggregator passes over this answer.
        if claim.work.lineage != self.lineage {
            return Err(Refusal::WrongLineage);
        }
        if !self.settings.enrolled.admits(device) {
            return Err(Refusal::NotEnrolled);
        }
        let round = key.and_then(|key| self.rounds.get(key));
        let Some(round) = round.filter(|round| now < round.deadline()) else {
            return Err(Refusal::RoundClosed);
        };
        if let Job::Train { work, .. } = round.job() {
            if 1_u32.checked_shl(work.codec.id.into()).unwrap_or(0) & claim.codecs == 0 {
                return Err(Refusal::Codec);
            }
            if claim.windows == 0 {
                return Err(Refusal::NoData);
            }
        }
        match round.progress(device) {
            Some(Progress::Accepted(_)) => Err(Refusal::Duplicate),
            Some(Progress::Granted) => Ok(()),
            Some(Progress::Refused(_) | Progress::Gone) | None => {
                let taken = round.working().saturating_add(round.accepted());
                if taken < round.bounds().invited { Ok(()) } else { Err(Refusal::Full) }
            }
        }
    }
}
