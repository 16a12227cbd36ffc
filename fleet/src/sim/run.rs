//! A whole run and its figures.

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::query::AnswerTable;
use dunlin_aggregator::round::RoundKey;
use dunlin_aggregator::summary::RoundSummary;
use dunlin_protocol::id::Digest;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::{FitFigures, WorkKind};

use super::figures::{Fairness, Outcome, RoundFigures};
use super::profile::Seconds;
use super::setup::Prepared;
pub use super::simulation::Options;
use super::simulation::{Simulation, Step};
use super::workers::Learner;

/// Devices whose own windows judge the last version.
const FAIRNESS_DEVICES: u32 = 200;

/// What a run tells its caller on the way.
pub struct News<'a> {
    /// The round that has just ended.
    pub round: &'a RoundFigures,
    /// Virtual time in seconds.
    pub now_s: f64,
}

/// A run in progress.
struct Run<'a> {
    prepared: &'a Prepared,
    simulation: Simulation,
    judge: Box<dyn Learner>,
    rounds: Vec<RoundFigures>,
    answers: Vec<AnswerTable>,
    /// When the open round began, and when it had its quorum.
    opened: Option<(RoundKey, Instant)>,
    quorum_at: Option<Instant>,
    /// Bytes up and down at the end of the last round.
    bytes: (u64, u64),
}

/// Runs a scenario to its end; `on_round` hears of each training round. Also gives where the time
/// went, zeros unless `options` ask for it.
///
/// # Errors
/// When the scenario cannot be begun.
pub fn run(
    prepared: &Prepared,
    options: Options,
    mut on_round: impl FnMut(&News<'_>),
) -> Result<(Outcome, Seconds), String> {
    let simulation = Simulation::new(prepared, options).map_err(|error| error.to_string())?;
    let mut run = Run {
        prepared,
        simulation,
        judge: prepared.learner(),
        rounds: Vec::new(),
        answers: Vec::new(),
        opened: None,
        quorum_at: None,
        bytes: (0, 0),
    };
    let (mut finished, mut violation) = (false, None);
    loop {
        match run.simulation.step() {
            Step::Event(at, event) => {
                finished |= matches!(event, RoundEvent::Finished { .. });
                if run.heard(at, &event)
                    && let Some(round) = run.rounds.last()
                {
                    on_round(&News { round, now_s: at.0 as f64 / 1000.0 });
                }
            }
            Step::Broken(broken) => {
                violation = Some(broken);
                break;
            }
            Step::End => break,
        }
    }
    let seconds = run.simulation.seconds();
    let outcome = run.outcome();
    Ok((Outcome { finished, violation, ..outcome }, seconds))
}

impl Run<'_> {
    /// Takes what the aggregator reports; whether a training round ended with it.
    fn heard(&mut self, at: Instant, event: &RoundEvent) -> bool {
        if let RoundEvent::RoundOpened { key, .. } = event
            && key.kind == WorkKind::Train
        {
            (self.opened, self.quorum_at) = (Some((*key, at)), None);
        }
        if let RoundEvent::UpdateAccepted { key, accepted, .. } = event
            && key.kind == WorkKind::Train
            && *accepted >= self.prepared.settings.quorum
        {
            self.quorum_at.get_or_insert(at);
        }
        if let RoundEvent::Answered { answer, .. } = event {
            self.answers.push(AnswerTable::new(answer, &self.prepared.task));
        }
        let Some(summary) = event.ended().filter(|s| s.key.kind == WorkKind::Train) else {
            return false;
        };
        let mut figures = self.figures(summary, at);
        if let RoundEvent::RoundPublished { params, version, .. } = event {
            figures.version = Some(version.0);
            let rounds = &self.prepared.scenario.rounds;
            let last = version.0 == rounds.count;
            if last || rounds.judge_every > 0 && version.0.is_multiple_of(rounds.judge_every) {
                let judged = self.judge.judge_unseen(params).unwrap_or_default();
                (figures.accuracy, figures.fit) = (judged.accuracy, judged.fit);
            }
        }
        self.rounds.push(figures);
        true
    }

    fn figures(&mut self, summary: &RoundSummary, at: Instant) -> RoundFigures {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let refused = summary.tally.refused.iter();
        let bytes = (self.simulation.tally.bytes_up, self.simulation.tally.bytes_down);
        let before = std::mem::replace(&mut self.bytes, bytes);
        let opened = self.opened.filter(|(key, _)| *key == summary.key).map(|(_, at)| at);
        let quorum = self.quorum_at.zip(opened);
        let took_s = seconds(summary.took_ms);
        RoundFigures {
            round: summary.key.round.0,
            version: None,
            ended_s: seconds(at.0),
            took_s,
            quorum_s: quorum.map(|(quorum, opened)| seconds(quorum.since(opened))),
            // A round takes no time while its aggregator is away.
            waited_s: quorum.map(|(quorum, _)| seconds(at.since(quorum)).min(took_s)),
            online: self.simulation.connected(),
            granted: summary.tally.granted,
            accepted: summary.accepted,
            refused: refused.map(|(reason, count)| (reason.name().to_owned(), *count)).collect(),
            update_bytes: summary.tally.update_bytes,
            bytes_up: bytes.0 - before.0,
            bytes_down: bytes.1 - before.1,
            accuracy: None,
            fit: Vec::new(),
        }
    }

    fn outcome(mut self) -> Outcome {
        let params = self.simulation.params().to_vec();
        let bytes: Vec<u8> = params.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut refused = std::collections::BTreeMap::new();
        for (reason, count) in self.rounds.iter().flat_map(|round| &round.refused) {
            *refused.entry(reason.clone()).or_insert(0) += u64::from(*count);
        }
        Outcome {
            accepted: self.rounds.iter().map(|round| u64::from(round.accepted)).sum(),
            refused,
            ended_s: self.simulation.ended().0 as f64 / 1000.0,
            finished: false,
            model_digest: Digest::of(&bytes).short().to_string(),
            accuracy: self.rounds.iter().rev().find_map(|round| round.accuracy),
            fit: self.fit_at_the_end(),
            fairness: self.fairness(&params),
            classes: self.simulation.classes(),
            tally: self.simulation.tally.clone(),
            rounds: self.rounds,
            left_out: self.prepared.shards.as_ref().map(|s| s.left_out.clone()).unwrap_or_default(),
            answers: self.answers,
            violation: None,
        }
    }

    /// Asks devices spread evenly over the fleet how well the version does on their windows.
    fn fairness(&mut self, params: &[f32]) -> Option<Fairness> {
        let devices = self.prepared.scenario.population.devices;
        let asked = devices.min(FAIRNESS_DEVICES);
        let every = usize::try_from(devices / asked.max(1)).unwrap_or(1);
        let judged = (0..devices).step_by(every.max(1)).take(asked as usize);
        let judged: Vec<_> = judged.filter_map(|n| self.judge.judge_on(params, n)).collect();
        Fairness::of(&judged)
    }

    /// The errors of the last version that was judged.
    fn fit_at_the_end(&self) -> Vec<FitFigures> {
        let judged = self.rounds.iter().rev().find(|round| !round.fit.is_empty());
        judged.map(|round| round.fit.clone()).unwrap_or_default()
    }
}
