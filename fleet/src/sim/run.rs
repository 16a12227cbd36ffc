//! A whole run and its figures.

use std::collections::BTreeMap;

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::summary::RoundSummary;
use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::plan::WorkKind;
use serde::Serialize;

use super::scenario::Scenario;
use super::{Step, Tally, Violation, World, setup};

/// One training round, over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundFigures {
    /// Its number.
    pub round: u32,
    /// The version that it made; none when it failed.
    pub version: Option<u32>,
    /// Virtual time of its end in seconds.
    pub ended_s: f64,
    /// How long it took in seconds.
    pub took_s: f64,
    /// Updates in the version.
    pub accepted: u32,
    /// Devices that were let in.
    pub granted: u32,
    /// Claims and updates refused, by reason.
    pub refused: BTreeMap<String, u32>,
    /// Bytes of the updates.
    pub update_bytes: u64,
    /// Accuracy of the version on devices that do not learn, where it was judged.
    pub accuracy: Option<f64>,
}

/// What came out. Equal for equal scenarios and seeds, whatever the number of threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Each training round.
    pub rounds: Vec<RoundFigures>,
    /// Updates accepted over all rounds.
    pub accepted: u64,
    /// Virtual time of the end in seconds.
    pub ended_s: f64,
    /// Whether all rounds were done in time.
    pub finished: bool,
    /// First eight bytes of the SHA-256 of the last version, as text.
    pub model_digest: String,
    /// Counts.
    pub tally: Tally,
    /// The rule that was broken, if one was.
    #[serde(skip)]
    pub violation: Option<Violation>,
}

/// Accuracy of a version, where the task has one.
pub type Judge<'a> = &'a mut dyn FnMut(&[f32]) -> Option<f64>;

/// Runs a scenario to its end; `on_round` hears of each training round.
///
/// # Errors
/// When the scenario cannot be begun.
pub fn run(
    scenario: &Scenario,
    threads: usize,
    judge: Judge<'_>,
    mut on_round: impl FnMut(&RoundFigures),
) -> Result<Outcome, String> {
    let settings = setup::settings(scenario)?;
    setup::learner(scenario)?;
    let learner = || match setup::learner(scenario) {
        Ok(learner) => learner,
        Err(_) => unreachable!("it was built a moment ago"),
    };
    let mut world =
        World::new(scenario, settings, threads, learner).map_err(|error| error.to_string())?;
    let mut rounds: Vec<RoundFigures> = Vec::new();
    let (mut finished, mut violation) = (false, None);
    loop {
        match world.step() {
            Step::Event(at, event) => {
                finished |= matches!(event, RoundEvent::Finished { .. });
                let version = match &event {
                    RoundEvent::RoundPublished { version, .. } => Some(*version),
                    _ => None,
                };
                let Some(summary) = event.ended().filter(|s| s.key.kind == WorkKind::Train) else {
                    continue;
                };
                let mut figures = figures(summary, version, at.0);
                if let RoundEvent::RoundPublished { params, version, .. } = &event {
                    let last = version.0 == scenario.rounds.count;
                    let every = scenario.rounds.judge_every;
                    if last || every > 0 && version.0.is_multiple_of(every) {
                        figures.accuracy = judge(params);
                    }
                }
                on_round(&figures);
                rounds.push(figures);
            }
            Step::Broken(broken) => {
                violation = Some(broken);
                break;
            }
            Step::End => break,
        }
    }
    let params = world.server().map_or(&[][..], |server| server.params());
    let bytes: Vec<u8> = params.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(Outcome {
        accepted: rounds.iter().map(|round| u64::from(round.accepted)).sum(),
        rounds,
        ended_s: world.now().0 as f64 / 1000.0,
        finished,
        model_digest: dunlin_protocol::id::Digest::of(&bytes).short().to_string(),
        tally: world.tally.clone(),
        violation,
    })
}

fn figures(summary: &RoundSummary, version: Option<ModelVersion>, at_ms: u64) -> RoundFigures {
    let refused = summary.tally.refused.iter();
    RoundFigures {
        round: summary.key.round.0,
        version: version.map(|version| version.0),
        ended_s: at_ms as f64 / 1000.0,
        took_s: summary.took_ms as f64 / 1000.0,
        accepted: summary.accepted,
        granted: summary.tally.granted,
        refused: refused.map(|(reason, count)| (reason.name().to_owned(), *count)).collect(),
        update_bytes: summary.tally.update_bytes,
        accuracy: None,
    }
}
