//! The end of rounds: verdicts first, then the result.

use alloc::vec;
use alloc::vec::Vec;
use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::WorkKind;

use super::Aggregator;
use crate::io::RoundEvent;
use crate::model_store::Draft;
use crate::query::QueryResult;
use crate::round::{Ending, Round, RoundKey};
use crate::snapshot::Record;
use crate::summary::{Failure, RoundOutcome, RoundSummary};

/// The pause after a first round that all devices gave up is twice this at the least, in milliseconds.
const GIVEN_UP_MS: u64 = 2_500;

impl Aggregator {
    /// Ends a round: its verdicts first, then its result.
    pub(super) fn close(&mut self, now: Instant, key: RoundKey, ending: Ending) {
        log::debug!("{key}: ends because of {ending:?}");
        let Some(round) = self.take_out(now, key) else { return };
        self.learn_who_answered(now, &round);
        if round.accepted() < round.bounds().quorum {
            return self.fail(now, &round, Failure::TooFew);
        }
        match key.kind {
            WorkKind::Evaluate | WorkKind::Sums => self.end_with_figures(now, &round),
            WorkKind::Train => {
                let next = round.sums().mean().and_then(|mean| self.models.next(&mean));
                match next {
                    Ok(draft) => self.publish_version(now, &round, draft),
                    Err(_) => self.fail(now, &round, Failure::Range),
                }
            }
        }
    }

    /// Writes what is accepted, tells the devices, and takes the round out of the table.
    fn take_out(&mut self, now: Instant, key: RoundKey) -> Option<Round> {
        self.commit(now);
        self.plans.outdated();
        self.rounds.close(key)
    }

    fn publish_version(&mut self, now: Instant, round: &Round, draft: Draft) {
        let (version, params) = (draft.0.version, draft.1.params.clone());
        self.published = self.published.saturating_add(1);
        self.counters.rounds_published += 1;
        self.given_up = 0;
        self.next_open = now.after(self.settings.pause_ms);
        let summary = summary(now, &self.task, round, RoundOutcome::Done(version));
        let mut records = vec![Record::Close(summary.clone())];
        // The figures of an evaluation that is still open are taken before a new one begins.
        let evaluate = self.evaluates(version);
        let older = self
            .rounds
            .iter()
            .map(Round::key)
            .find(|key| evaluate && key.kind == WorkKind::Evaluate);
        records.extend(self.replace_model(draft));
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

    /// Makes `draft` the newest version; what is to be saved.
    fn replace_model(&mut self, draft: Draft) -> Vec<Record> {
        let mut records = self.models.publish(draft, &self.rounds.bases());
        records.insert(0, Record::Head(self.head()));
        records
    }

    fn evaluates(&self, version: ModelVersion) -> bool {
        let settings = &self.settings;
        let last = settings.rounds > 0 && self.published >= settings.rounds;
        last || settings.evaluate_every > 0 && version.0.is_multiple_of(settings.evaluate_every)
    }

    /// Ends a round whose result is what its devices reported.
    fn end_with_figures(&mut self, now: Instant, round: &Round) {
        let summary = summary(now, &self.task, round, RoundOutcome::Done(round.base()));
        match self.save_closed(round, &summary) {
            Some(answer) => self.event(RoundEvent::Answered { summary, answer: answer.into() }),
            None => {
                self.counters.evaluations += 1;
                self.event(RoundEvent::Evaluated { summary });
            }
        }
    }

    fn fail(&mut self, now: Instant, round: &Round, failure: Failure) {
        self.counters.rounds_failed += 1;
        if round.key().kind == WorkKind::Train {
            self.next_open = now.after(self.pause_after(round));
        }
        let summary = summary(now, &self.task, round, RoundOutcome::Failed(failure));
        match self.save_closed(round, &summary) {
            Some(answer) => self.event(RoundEvent::Answered { summary, answer: answer.into() }),
            None => self.event(RoundEvent::RoundFailed { summary }),
        }
    }

    /// How long to wait after a round that failed, in milliseconds: ever longer where all devices gave
    /// up or could not do it, since most likely they would again.
    fn pause_after(&mut self, round: &Round) -> u64 {
        let pause_ms = self.settings.pause_ms;
        let in_vain = !round.tally().gave_up.is_empty() || round.ends_alone().is_some();
        if !in_vain || round.accepted() > 0 {
            self.given_up = 0;
            return pause_ms;
        }
        self.given_up = self.given_up.saturating_add(1);
        let longer = pause_ms.max(GIVEN_UP_MS) << self.given_up.min(16);
        longer.min(self.settings.deadline_ms).max(pause_ms)
    }

    /// Whoever was invited and said nothing may not be there at all.
    fn learn_who_answered(&mut self, now: Instant, round: &Round) {
        let trains = round.key().kind == WorkKind::Train;
        if !trains || !round.has_asked_all(now) || !self.is_settled(now) {
            return;
        }
        let silent = self.registry.invited(|device| round.progress(device).is_some());
        if silent > 0 {
            log::warn!(
                "{silent} device(s) count as online and answered no invitation of the last rounds: they are not counted until they speak"
            );
        }
        if round.tally().granted == 0 {
            self.nobody_answered(now);
        }
    }

    /// Notes in which rounds devices gave up, or cannot take part, and nobody else is left to wait for.
    pub(super) fn end_where_nobody_is_left(&mut self, now: Instant) {
        let (settled, registry) = (self.is_settled(now), &self.registry);
        for round in self.rounds.iter_mut() {
            let kind = round.key().kind;
            let all_known = registry.expected(now, kind) <= registry.available(kind);
            let unable = registry.unable().keys().any(|(unable, _)| *unable == kind);
            let alone = settled && all_known && round.may_be_left_alone(unable);
            let alone = alone && registry.present(kind).all(|device| round.has_ended(device));
            round.set_nobody_left(now, alone);
        }
    }

    /// Saves the end of a round, and the answer where it was a query's.
    fn save_closed(&mut self, round: &Round, summary: &RoundSummary) -> Option<QueryResult> {
        let answer = self.answer(round, summary);
        let mut records = vec![Record::Close(summary.clone())];
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
        let open = self.rounds.iter().filter(|round| which(round)).map(Round::key);
        for key in open.collect::<Vec<RoundKey>>() {
            if let Some(round) = self.take_out(now, key) {
                self.fail(now, &round, failure);
            }
        }
    }

    /// Replaces the global model by an operator's; open rounds end without a result.
    pub(super) fn import(&mut self, now: Instant, params: &[f32]) {
        let Some(draft) = self.models.imported(params) else {
            let (expected, found) = (self.models.n_model(), params.len());
            return self.event(RoundEvent::ImportRefused { expected, found });
        };
        // What a query adds up does not depend on the model.
        let which = |round: &Round| round.key().kind != WorkKind::Sums;
        self.end_without_result(now, Failure::Superseded, which);
        let version = draft.0.version;
        let records = self.replace_model(draft);
        self.save(records);
        self.event(RoundEvent::Imported { version });
        self.announce_version(now, version);
    }
}

fn summary(now: Instant, task: &Task, round: &Round, outcome: RoundOutcome) -> RoundSummary {
    let figures = round.sums().figures_of(task);
    RoundSummary {
        key: round.key(),
        base: round.base(),
        outcome,
        accepted: u32::try_from(figures.updates).unwrap_or(u32::MAX),
        quorum: round.bounds().quorum,
        tally: round.tally().clone(),
        figures,
        took_ms: round.elapsed_ms(now),
    }
}
