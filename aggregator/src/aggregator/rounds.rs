//! The life of rounds: opening, inviting more, closing, and the next version.

use dunlin_protocol::id::{ModelVersion, RoundId};
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::{TrainWork, Training, WorkKind};

use super::Aggregator;
use crate::collect::Collector;
use crate::combine::{Accumulator, CombineError, Figures, Scale};
use crate::io::RoundEvent;
use crate::library::{self, Edition, Volume};
use crate::query::QueryResult;
use crate::round::{Bounds, Collection, Ending, Job, Opening, Phase, Round, RoundKey, doubled};
use crate::settings::Settings;
use crate::snapshot::{ClosedRound, ModelRecord, Record};
use crate::step::ServerStep;
use crate::summary::{Failure, RoundOutcome, RoundSummary};

/// Devices of an evaluation that wants all of them.
const EVERYBODY: u32 = 100_000;
/// Objects that are remembered so that their removal from the broker can be repeated.
const RETIRED_MAX: usize = 32;

impl Aggregator {
    /// The open round that stops taking updates now.
    pub(super) fn next_ending(&self, now: Instant) -> Option<(RoundKey, Ending)> {
        let waits = |round: &&Round| !self.settings.paused || round.key.kind == WorkKind::Sums;
        let mut rounds = self.rounds.values().filter(waits);
        rounds.find_map(|round| Some((round.key, round.ending(now)?)))
    }

    /// The newest training round that was ever opened.
    pub(super) fn last_round(&self) -> RoundId {
        RoundId(self.head.next_round.0.saturating_sub(1))
    }

    /// Open rounds in the order in which devices should work, short work first; only queries where
    /// the program is to do nothing else.
    pub(super) fn plan_order(&self) -> impl Iterator<Item = &Round> {
        let of = |kind: WorkKind| self.rounds.values().filter(move |round| round.key.kind == kind);
        let paused = self.settings.paused;
        let all = of(WorkKind::Evaluate).chain(of(WorkKind::Sums)).chain(of(WorkKind::Train));
        all.filter(move |round| !paused || round.key.kind == WorkKind::Sums)
    }

    /// Opens a training round when one is wanted and enough devices are online.
    pub(super) fn open_training(&mut self, now: Instant) {
        let available = self.roster.available();
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
        let job = training_job(settings, self.head.published, self.task.layout().n_update());
        let (target, invited) = (settings.target, settings.invited(settings.target));
        let bounds = Bounds { target, invited, quorum: settings.quorum };
        let weight_max = settings.weighting.weight_max();
        let Ok(scale) = Scale::new(settings.max_abs, weight_max, target) else { return };
        let sums = Collector::Mean(Accumulator::new(scale, self.task.layout().n_update()));
        let key = RoundKey { round: self.head.next_round, kind: WorkKind::Train };
        self.head.next_round = self.head.next_round.next();
        let mut records = vec![Record::Head(self.head.clone())];
        let fraction = Fraction::of(invited, available);
        let deadline_ms = self.settings.deadline_ms;
        records.extend(self.open(now, key, job, bounds, fraction, sums, deadline_ms));
        self.save(records);
        self.announce_opening(key);
    }

    /// Puts an evaluation of the current version into the table; what is to be saved with it.
    fn open_evaluation(&mut self, now: Instant) -> (RoundKey, Vec<Record>) {
        let settings = &self.settings;
        let wanted = settings.evaluate_devices;
        let target = if wanted == 0 { EVERYBODY } else { wanted.min(EVERYBODY) };
        let bounds = Bounds { target, invited: settings.invited(target), quorum: 1 };
        let fraction = match wanted {
            0 => Fraction::ALL,
            _ => Fraction::of(bounds.invited, self.roster.available()),
        };
        let Ok(scale) = Scale::new(1.0, 1, EVERYBODY) else {
            unreachable!("constant bounds that leave 45 fraction bits")
        };
        let sums = Collector::Mean(Accumulator::new(scale, 0));
        let key = RoundKey { round: self.head.next_round, kind: WorkKind::Evaluate };
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
            base: self.head.version,
            job,
            bounds,
            fraction,
            deadline: now.after(deadline_ms),
            claims_until: now.after(self.settings.claim_wait_ms),
        };
        let mut round = Round::open(opening, sums.clone(), now);
        round.unsaved = false;
        let record = round.record(now);
        self.rounds.insert(key, round);
        self.plan_stale = true;
        vec![Record::Round(record), Record::Sums(key, sums)]
    }

    pub(super) fn announce_opening(&mut self, key: RoundKey) {
        let Some(round) = self.rounds.get(&key) else { return };
        let (base, fraction) = (round.base, round.fraction);
        let available = self.roster.available();
        self.event(RoundEvent::RoundOpened { key, base, fraction, available });
    }

    /// Invites more devices where too few came forward in time.
    pub(super) fn raise_fractions(&mut self, now: Instant) {
        if !self.is_settled(now) {
            return;
        }
        let available = self.roster.available();
        let mut raised = Vec::new();
        for round in self.rounds.values_mut().filter(|round| round.wants_more(now)) {
            let from_available = Fraction::of(round.bounds.invited, available);
            round.fraction = doubled(round.fraction).max(from_available);
            round.claims_until = now.after(self.settings.claim_wait_ms);
            round.unsaved = true;
            raised.push(RoundEvent::FractionRaised { key: round.key, fraction: round.fraction });
        }
        if !raised.is_empty() {
            self.plan_stale = true;
            self.write_soon(now);
        }
        raised.into_iter().for_each(|event| self.event(event));
    }

    /// Ends a round: its verdicts first, then its result.
    pub(super) fn close(&mut self, now: Instant, key: RoundKey, ending: Ending) {
        let Some(round) = self.rounds.get_mut(&key) else { return };
        log::debug!("{key}: ends because of {ending:?}");
        round.close();
        self.commit(now);
        let Some(mut round) = self.rounds.remove(&key) else { return };
        self.plan_stale = true;
        let Phase::Closing(collection) = round.phase().clone() else { return };
        let result = if round.accepted() < round.bounds.quorum {
            Err(Failure::TooFew)
        } else {
            match key.kind {
                WorkKind::Evaluate | WorkKind::Sums => Ok(None),
                WorkKind::Train => {
                    self.next_model(&collection).map(Some).map_err(|_| Failure::Range)
                }
            }
        };
        let figures = collection.sums.figures();
        match result {
            Ok(None) => {
                let version = round.base;
                round.enter(Phase::Published { version, figures });
                self.end_with_figures(now, &round, &collection, figures);
            }
            Ok(Some(model)) => {
                let version = model.0.version;
                round.enter(Phase::Published { version, figures });
                self.publish_version(now, &round, &collection, figures, model);
            }
            Err(failure) => {
                round.enter(Phase::Failed(failure));
                self.fail(now, &round, &collection, failure);
            }
        }
    }

    /// The version that the sum makes of the current one.
    fn next_model(&self, collection: &Collection) -> Result<(ModelRecord, Volume), CombineError> {
        let mean = collection.sums.mean()?;
        let mut params = self.exact.clone();
        let mut momentum = self.momentum.clone();
        let step = ServerStep {
            learning_rate: self.settings.server_learning_rate,
            momentum: self.settings.server_momentum,
        };
        step.apply(&mean, &mut momentum, &mut params, &self.update_ranges);
        let (downlink, exact) = (self.settings.downlink, params.clone());
        let edition = Edition::next(downlink, self.task.layout().hash(), &self.library, exact);
        let edition = edition.map_err(|_| CombineError::Overflow)?;
        self.volume(params, momentum, edition).ok_or(CombineError::Overflow)
    }

    /// The next version with these exact parameters, as it is stored and as it is published.
    fn volume(
        &self,
        params: Vec<f32>,
        momentum: Vec<f32>,
        edition: Edition,
    ) -> Option<(ModelRecord, Volume)> {
        let (version, chunk_bytes) = (self.head.version.next(), self.settings.chunk_bytes);
        let Edition { given, written } = edition;
        let volume = Volume::restore(given.clone(), written.clone(), chunk_bytes).ok()?;
        let given = if given == params { Vec::new() } else { given };
        Some((ModelRecord { version, params, given, momentum, written }, volume))
    }

    fn publish_version(
        &mut self,
        now: Instant,
        round: &Round,
        collection: &Collection,
        figures: Figures,
        model: (ModelRecord, Volume),
    ) {
        let version = model.0.version;
        let params = model.1.given.clone();
        self.head.published = self.head.published.saturating_add(1);
        self.counters.rounds_published += 1;
        self.next_open = now.after(self.settings.pause_ms);
        let summary = summary(now, round, figures, RoundOutcome::Done(version));
        let closed = ClosedRound { key: round.key, accepted: collection.accepted() };
        self.closed.insert(round.key.kind, closed.clone());
        let mut records = vec![Record::Close(closed, summary.clone())];
        // The figures of an evaluation that is still open are taken before a new one begins.
        let evaluate = self.evaluates(version);
        let older = self.rounds.keys().copied().find(|key| key.kind == WorkKind::Evaluate);
        let older = older.filter(|_| evaluate);
        records.extend(self.replace_model(model));
        let opened = evaluate.then(|| self.open_evaluation(now));
        let opened_key = opened.as_ref().map(|(key, _)| *key);
        records.extend(opened.into_iter().flat_map(|(_, records)| records));
        self.save(records);
        self.event(RoundEvent::RoundPublished { summary, version, params });
        self.announce_version(now, version);
        if let Some(key) = opened_key {
            self.announce_opening(key);
        }
        if let Some(key) = older {
            self.close(now, key, Ending::Deadline);
        }
    }

    /// Makes `model` the current one and drops versions that nothing needs; what is to be saved.
    fn replace_model(&mut self, (record, volume): (ModelRecord, Volume)) -> Vec<Record> {
        self.head.version = record.version;
        self.exact = record.params.clone();
        self.momentum = record.momentum.clone();
        self.library.insert(record.version, volume);
        let mut records = vec![Record::Model(record)];
        let oldest = library::oldest_needed(&self.library);
        let needed = |version: &ModelVersion| {
            *version >= oldest || self.rounds.values().any(|round| round.base == *version)
        };
        let old: Vec<_> = self.library.keys().copied().filter(|v| !needed(v)).collect();
        for version in old {
            if let Some(volume) = self.library.remove(&version) {
                self.head.retired.extend(volume.objects().map(|object| object.reference));
                self.unremoved.extend(volume.objects().map(|object| object.reference));
            }
            records.push(Record::ForgetModel(version));
        }
        let surplus = self.head.retired.len().saturating_sub(RETIRED_MAX);
        self.head.retired.drain(..surplus);
        records.insert(0, Record::Head(self.head.clone()));
        records
    }

    fn evaluates(&self, version: ModelVersion) -> bool {
        let settings = &self.settings;
        let last = settings.rounds > 0 && self.head.published >= settings.rounds;
        last || settings.evaluate_every > 0 && version.0.is_multiple_of(settings.evaluate_every)
    }

    /// Ends a round whose result is what its devices reported.
    fn end_with_figures(
        &mut self,
        now: Instant,
        round: &Round,
        collection: &Collection,
        figures: Figures,
    ) {
        let summary = summary(now, round, figures, RoundOutcome::Done(round.base));
        match self.save_closed(round, collection, &summary) {
            Some(answer) => self.event(RoundEvent::Answered { summary, answer: answer.into() }),
            None => {
                self.counters.evaluations += 1;
                self.event(RoundEvent::Evaluated { summary });
            }
        }
    }

    fn fail(&mut self, now: Instant, round: &Round, collection: &Collection, failure: Failure) {
        self.counters.rounds_failed += 1;
        if round.key.kind == WorkKind::Train {
            self.next_open = now.after(self.settings.pause_ms);
        }
        let figures = collection.sums.figures();
        let summary = summary(now, round, figures, RoundOutcome::Failed(failure));
        match self.save_closed(round, collection, &summary) {
            Some(answer) => self.event(RoundEvent::Answered { summary, answer: answer.into() }),
            None => self.event(RoundEvent::RoundFailed { summary }),
        }
    }

    /// Saves the end of a round, and the answer where it was a query's.
    fn save_closed(
        &mut self,
        round: &Round,
        collection: &Collection,
        summary: &RoundSummary,
    ) -> Option<QueryResult> {
        let closed = ClosedRound { key: round.key, accepted: collection.accepted() };
        self.closed.insert(round.key.kind, closed.clone());
        let answer = self.answer(round, &collection.sums, summary);
        let mut records = vec![Record::Close(closed, summary.clone())];
        records.extend(answer.clone().map(Record::Answer));
        self.save(records);
        answer
    }

    /// Ends open rounds without a result.
    pub(super) fn end_without_result(
        &mut self,
        now: Instant,
        failure: Failure,
        which: impl Fn(&Round) -> bool,
    ) {
        let open = self.rounds.values().filter(|round| which(round)).map(|round| round.key);
        for key in open.collect::<Vec<RoundKey>>() {
            if let Some(round) = self.rounds.get_mut(&key) {
                round.close();
            }
            self.commit(now);
            let Some(mut round) = self.rounds.remove(&key) else { continue };
            self.plan_stale = true;
            let Phase::Closing(collection) = round.phase().clone() else { continue };
            round.enter(Phase::Failed(failure));
            self.fail(now, &round, &collection, failure);
        }
    }

    /// Replaces the global model by an operator's; open rounds end without a result.
    pub(super) fn import(&mut self, now: Instant, params: &[f32]) {
        let version = self.head.version.next();
        let momentum = Vec::new();
        let right = params.len() == self.task.layout().n_model()
            && params.iter().all(|value| value.is_finite());
        let edition = Edition::anchor(
            self.settings.downlink,
            version,
            self.task.layout().hash(),
            params.to_vec(),
        );
        let model = edition.ok().filter(|_| right);
        let model = model.and_then(|edition| self.volume(params.to_vec(), momentum, edition));
        let Some(model) = model else {
            let (expected, found) = (self.task.layout().n_model(), params.len());
            return self.event(RoundEvent::ImportRefused { expected, found });
        };
        // What a query adds up does not depend on the model.
        let which = |round: &Round| round.key.kind != WorkKind::Sums;
        self.end_without_result(now, Failure::Superseded, which);
        let records = self.replace_model(model);
        self.save(records);
        self.event(RoundEvent::Imported { version });
        self.announce_version(now, version);
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

fn summary(now: Instant, round: &Round, figures: Figures, outcome: RoundOutcome) -> RoundSummary {
    RoundSummary {
        key: round.key,
        base: round.base,
        outcome,
        accepted: u32::try_from(figures.updates).unwrap_or(u32::MAX),
        quorum: round.bounds.quorum,
        tally: round.tally.clone(),
        figures,
        took_ms: round.elapsed_ms(now),
    }
}
