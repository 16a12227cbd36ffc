//! One round: what its devices do, how far they are, and when it ends.

mod collection;
mod job;
mod policy;
mod table;

pub(crate) use collection::accepted;
pub use collection::{Collection, Progress};
pub use job::{Job, RoundKey};
pub use policy::{Bounds, Ending, RoundPolicy, Standing};
pub(crate) use table::{Known, RoundTable, Unwritten};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::id::{DeviceId, ModelVersion, ShortDigest};
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::time::Instant;

use crate::collect::{Collector, Share};
use crate::combine::CombineError;
use crate::snapshot::{Record, RoundRecord};
use crate::summary::Tally;

/// Updates below the quorum wait for others to come for this part of the time of their round.
const ALONE_PART: u64 = 4;

/// What is decided when a round opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// Number and kind of the round.
    pub key: RoundKey,
    /// The version that it starts from.
    pub base: ModelVersion,
    /// What its devices do.
    pub job: Job,
    /// How many devices it wants, lets in and needs.
    pub bounds: Bounds,
    /// Share of devices invited.
    pub fraction: Fraction,
    /// When it ends at the latest.
    pub deadline: Instant,
    /// Until when claims are waited for.
    pub claims_until: Instant,
}

/// One open round: its terms, its devices and their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    key: RoundKey,
    base: ModelVersion,
    job: Job,
    bounds: Bounds,
    fraction: Fraction,
    /// When it opened, or was resumed by this process.
    opened: Instant,
    /// How long it was open in earlier processes.
    earlier_ms: u64,
    deadline: Instant,
    claims_until: Instant,
    tally: Tally,
    /// Whether somebody was there to invite when that was tried last.
    reachable: bool,
    /// Whether something besides the progress of devices changed since it was saved.
    unsaved: bool,
    /// Devices that gave up and are still there.
    gave_up: BTreeSet<DeviceId>,
    /// Since when all devices that could take part have ended.
    nobody_left: Option<Instant>,
    collection: Collection,
}

impl Round {
    /// A round that opens now, with the empty `sums`.
    pub fn open(opening: Opening, sums: Collector, now: Instant) -> Self {
        let Opening { key, base, job, bounds, fraction, deadline, claims_until } = opening;
        let collection = Collection::restore(BTreeMap::new(), sums);
        let (opened, tally) = (now, Tally::default());
        log::debug!("{key}: opened on version {base}");
        #[rustfmt::skip]
        let round = Self {
            key, base, job, bounds, fraction, opened, deadline, claims_until, tally, collection,
            earlier_ms: 0, reachable: true, unsaved: false, gave_up: BTreeSet::new(),
            nobody_left: None,
        };
        round
    }

    /// The round that `record`, `devices` and `sums` were saved from; claims are waited for anew.
    pub fn restore(
        record: RoundRecord,
        devices: BTreeMap<DeviceId, Progress>,
        sums: Collector,
        now: Instant,
        claim_wait_ms: u64,
    ) -> Self {
        let RoundRecord { key, base, job, bounds, fraction, tally, .. } = record;
        let collection = Collection::restore(devices, sums);
        let (opened, earlier_ms) = (now, record.elapsed_ms);
        let deadline = now.after(record.remaining_ms);
        let claims_until = now.after(claim_wait_ms);
        log::debug!("{key}: resumed with {} accepted", collection.accepted());
        #[rustfmt::skip]
        let round = Self {
            key, base, job, bounds, fraction, opened, deadline, claims_until, tally, collection,
            earlier_ms, reachable: true, unsaved: false, gave_up: BTreeSet::new(),
            nobody_left: None,
        };
        round
    }

    /// What is saved of it, beside its devices and its sum.
    pub fn record(&self, now: Instant) -> RoundRecord {
        RoundRecord {
            key: self.key,
            base: self.base,
            job: self.job.clone(),
            bounds: self.bounds,
            fraction: self.fraction,
            remaining_ms: self.deadline.since(now),
            elapsed_ms: self.elapsed_ms(now),
            tally: self.tally.clone(),
        }
    }

    /// Its number and kind.
    pub fn key(&self) -> RoundKey {
        self.key
    }

    /// The version that it starts from.
    pub fn base(&self) -> ModelVersion {
        self.base
    }

    /// What its devices do.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// How many devices it deals with.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Share of devices invited so far.
    pub fn fraction(&self) -> Fraction {
        self.fraction
    }

    /// When it ends at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Until when claims of the devices invited so far are waited for.
    pub fn claims_until(&self) -> Instant {
        self.claims_until
    }

    /// Waits for claims until then at the earliest.
    pub(crate) fn wait_for_claims(&mut self, until: Instant) {
        self.claims_until = self.claims_until.max(until);
    }

    /// Time since its opening, without the time between two processes.
    pub fn elapsed_ms(&self, now: Instant) -> u64 {
        self.earlier_ms.saturating_add(now.since(self.opened))
    }

    /// What it has counted besides its sum.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Its counts, to add to.
    pub(crate) fn tally_mut(&mut self) -> &mut Tally {
        self.unsaved = true;
        &mut self.tally
    }

    /// Its devices and sum.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// The sum so far.
    pub fn sums(&self) -> &Collector {
        &self.collection.sums
    }

    /// Adds the share of `device`, which sent `object`.
    ///
    /// # Errors
    /// [`CombineError`] when the sum cannot take it; then nothing changed.
    pub(crate) fn accept(
        &mut self,
        device: &DeviceId,
        object: ShortDigest,
        share: &Share,
    ) -> Result<(), CombineError> {
        self.collection.sums.add(share)?;
        self.take_part(device, Progress::Accepted(object));
        Ok(())
    }

    /// Notes that `device` was told to go.
    pub(crate) fn grant(&mut self, device: &DeviceId) {
        self.take_part(device, Progress::Granted);
    }

    /// Notes that `device` sends nothing, though it was told to go; whether it was at work.
    pub(crate) fn give_up(&mut self, device: &DeviceId, reason: GiveUp) -> bool {
        let at_work = self.progress(device) == Some(Progress::Granted);
        if at_work {
            self.note(device, Progress::Gone);
            self.gave_up.insert(device.clone());
            let count = self.tally_mut().gave_up.entry(reason).or_insert(0);
            *count = count.saturating_add(1);
        }
        at_work
    }

    /// Whether it may be that nobody is left to wait for: nobody is at work, and somebody gave up or is
    /// `unable` to take part. A device that left its work may come back to it.
    pub(crate) fn may_be_left_alone(&self, unable: bool) -> bool {
        let waits = self.policy() == RoundPolicy::Synchronous && self.collection.gone() == 0;
        self.working() == 0 && (!self.gave_up.is_empty() || unable && waits)
    }

    /// Whether nothing more is to be expected of `device` in this round.
    pub(crate) fn has_ended(&self, device: &DeviceId) -> bool {
        match self.progress(device) {
            Some(Progress::Accepted(_) | Progress::Refused(_)) => true,
            Some(Progress::Gone) => self.gave_up.contains(device),
            Some(Progress::Granted) | None => false,
        }
    }

    /// Notes whether all devices that could take part have ended at `now`.
    pub(crate) fn set_nobody_left(&mut self, now: Instant, nobody_left: bool) {
        self.nobody_left = nobody_left.then(|| self.nobody_left.unwrap_or(now));
    }

    /// When it ends because nobody is left to wait for. Updates below the quorum wait for a part of the
    /// round's time: devices that come in the meantime may complete it.
    pub(crate) fn ends_alone(&self) -> Option<Instant> {
        let since = self.nobody_left?;
        let waits = (1..self.bounds.quorum).contains(&self.accepted());
        let patience_ms = self.deadline.since(self.opened) / ALONE_PART;
        Some(if waits { since.after(patience_ms) } else { since })
    }

    /// When it ends if nobody else comes: of those who came all have ended, or else its deadline.
    pub fn ends_by(&self) -> Instant {
        let ended = self.accepted() >= self.bounds.quorum && self.working() == 0;
        let all = ended && self.fraction == Fraction::ALL;
        let all = all && self.policy() == RoundPolicy::Synchronous;
        let early = [all.then_some(self.claims_until), self.ends_alone()];
        early.into_iter().flatten().fold(self.deadline, Instant::min)
    }

    /// Whether everybody was invited and had the time to answer.
    pub(crate) fn has_asked_all(&self, now: Instant) -> bool {
        self.fraction == Fraction::ALL && now >= self.claims_until
    }

    fn take_part(&mut self, device: &DeviceId, progress: Progress) {
        self.gave_up.remove(device);
        if self.collection.set(device.clone(), progress) {
            self.tally.granted = self.tally.granted.saturating_add(1);
        }
        self.unsaved = true;
    }

    /// How far `device` is; `None` when it takes no part.
    pub fn progress(&self, device: &DeviceId) -> Option<Progress> {
        self.collection.progress(device)
    }

    /// Notes how far `device` is, if it takes part and has not been accepted.
    pub fn note(&mut self, device: &DeviceId, progress: Progress) {
        let known = self.progress(device);
        if known.is_some_and(|known| !matches!(known, Progress::Accepted(_))) {
            self.collection.set(device.clone(), progress);
        }
    }

    /// Updates in the sum.
    pub fn accepted(&self) -> u32 {
        self.collection.accepted()
    }

    /// Devices that are at work.
    pub fn working(&self) -> u32 {
        self.collection.working()
    }

    fn policy(&self) -> RoundPolicy {
        RoundPolicy::of(self.key.kind)
    }

    fn standing(&self) -> Standing {
        Standing {
            accepted: self.accepted(),
            working: self.working(),
            fraction: self.fraction,
            claims_until: self.claims_until,
            deadline: self.deadline,
            reachable: self.reachable,
            nobody_left: self.ends_alone(),
        }
    }

    /// Invites more devices where the claims waited for did not come; whether it did. With nobody
    /// `available` it waits on.
    pub(crate) fn invite_more(&mut self, now: Instant, available: u32, wait_ms: u64) -> bool {
        if !self.policy().wants_more(self.bounds, self.standing(), now) {
            return false;
        }
        self.claims_until = now.after(wait_ms);
        self.reachable = available > 0;
        let raised = self.policy().raised(self.bounds, self.fraction, available);
        let more = raised > self.fraction;
        self.fraction = raised;
        self.unsaved |= more;
        more
    }

    /// Whether the round stops taking updates now, and why.
    pub fn ending(&self, now: Instant) -> Option<Ending> {
        self.policy().ending(self.bounds, self.standing(), now)
    }

    /// What changed since it was saved, but for its sum.
    fn take_unsaved(&mut self, now: Instant) -> Vec<Record> {
        let key = self.key;
        let changed = self.collection.take_unsaved();
        let mut records: Vec<Record> =
            changed.map(|(device, progress)| Record::Progress(key, device, progress)).collect();
        if core::mem::take(&mut self.unsaved) {
            records.push(Record::Round(self.record(now)));
        }
        records
    }
}
