//! Opening rounds, and inviting more devices to them.

use alloc::vec;
use alloc::vec::Vec;
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::{TrainWork, Training, WorkKind};

use super::Aggregator;
use crate::collect::Collector;
use crate::combine::{Accumulator, Scale};
use crate::io::RoundEvent;
use crate::round::{Bounds, Job, Opening, RoundKey};
use crate::settings::Settings;
use crate::snapshot::Record;

/// Devices of an evaluation that wants all of them.
const EVERYBODY: u32 = 100_000;

impl Aggregator {
    /// Opens a training round when one is wanted and enough devices are online.
    pub(super) fn open_training(&mut self, now: Instant) {
        let available = self.registry.available(WorkKind::Train);
        let devices = available >= self.settings.min_online;
        if self.stopped
            || !self.is_settled(now)
            || now < self.next_open
            || !devices
            || !self.may_train()
        {
            return;
        }
        let settings = &self.settings;
        let job = training_job(settings, self.published, self.task.layout().n_update());
        let (target, invited) = (settings.target, settings.invited(settings.target));
        let bounds = Bounds { target, invited, quorum: settings.quorum };
        let weight_max = settings.weighting.weight_max();
        let Ok(scale) = Scale::new(settings.max_abs, weight_max, target) else { return };
        let sums = Collector::Mean(Accumulator::new(scale, self.task.layout().n_update()));
        let key = RoundKey { round: self.rounds.take_number(), kind: WorkKind::Train };
        let mut records = vec![Record::Head(self.head())];
        let expected = self.registry.expected(now, WorkKind::Train);
        let fraction = Fraction::of(invited, expected);
        let deadline_ms = self.settings.deadline_ms;
        records.extend(self.open(now, key, job, bounds, fraction, sums, deadline_ms));
        self.save(records);
        self.announce_opening(key);
    }

    /// Puts an evaluation of the newest version into the table; what is to be saved with it.
    pub(super) fn open_evaluation(&mut self, now: Instant) -> (RoundKey, Vec<Record>) {
        let settings = &self.settings;
        let wanted = settings.evaluate_devices;
        let target = if wanted == 0 { EVERYBODY } else { wanted.min(EVERYBODY) };
        let bounds = Bounds { target, invited: settings.invited(target), quorum: 1 };
        let fraction = match wanted {
            0 => Fraction::ALL,
            _ => Fraction::of(bounds.invited, self.registry.expected(now, WorkKind::Evaluate)),
        };
        let Ok(scale) = Scale::new(1.0, 1, EVERYBODY) else {
            unreachable!("constant bounds that leave 45 fraction bits")
        };
        let sums = Collector::Mean(Accumulator::new(scale, 0));
        let key = RoundKey { round: self.rounds.next(), kind: WorkKind::Evaluate };
        let deadline_ms = self.settings.deadline_ms;
        (key, self.open(now, key, Job::Evaluate, bounds, fraction, sums, deadline_ms))
    }

    /// Puts a round into the table; what is to be saved with it.
    #[allow(clippy::too_many_arguments)] // what differs between kinds of rounds
    pub(super) fn open(
        &mut self,
        now: Instant,
        key: RoundKey,
        job: Job,
        bounds: Bounds,
        fraction: Fraction,
        sums: Collector,
        deadline_ms: u64,
    ) -> Vec<Record> {
        let opening = Opening {
            key,
            base: self.models.newest(),
            job,
            bounds,
            fraction,
            deadline: now.after(deadline_ms),
            claims_until: now.after(self.settings.claim_wait_ms),
        };
        self.plans.outdated();
        self.rounds.open(opening, sums, now)
    }

    pub(super) fn announce_opening(&mut self, key: RoundKey) {
        let Some(round) = self.rounds.get(key) else { return };
        let (base, fraction) = (round.base(), round.fraction());
        let available = self.registry.available(key.kind);
        self.event(RoundEvent::RoundOpened { key, base, fraction, available });
    }

    /// Invites more devices where too few came forward in time.
    pub(super) fn raise_fractions(&mut self, now: Instant) {
        if !self.is_settled(now) {
            return;
        }
        let wait_ms = self.settings.claim_wait_ms;
        let mut raised = Vec::new();
        for round in self.rounds.iter_mut() {
            let available = self.registry.available(round.key().kind);
            if round.invite_more(now, available, wait_ms) {
                let (key, fraction) = (round.key(), round.fraction());
                raised.push(RoundEvent::FractionRaised { key, fraction });
            }
        }
        if !raised.is_empty() {
            self.plans.outdated();
            self.rounds.write_soon(now);
        }
        raised.into_iter().for_each(|event| self.event(event));
    }
}

/// The training of the round that makes version number `published + 1`.
fn training_job(settings: &Settings, published: u32, n_update: usize) -> Job {
    let learning_rate = settings.learning_rate(published);
    let training = Training { learning_rate, ..settings.training.clone() };
    let clip_norm = settings.clip_norm;
    let codec = settings.codec.with_step_for(n_update, clip_norm).spec();
    let work = TrainWork { training, codec, clip_norm, max_abs: settings.max_abs };
    Job::Train { work, weight_max: settings.weighting.weight_max() }
}
