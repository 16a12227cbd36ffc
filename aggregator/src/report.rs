//! Events in plain words, for the log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dunlin_protocol::message::Answer;
use dunlin_protocol::work::{FitFigures, LOSS_SUM_MAX, Significant, WorkKind};
use log::Level;

use crate::aggregator::Aggregator;
use crate::combine::{Figures, Pooled};
use crate::io::RoundEvent;
use crate::summary::{Failure, RoundOutcome, RoundSummary, Tally};
use crate::trouble;
use crate::waiting::Waiting;

/// How the aggregator is, in one line for `systemctl status`.
pub fn in_a_line(core: &Aggregator) -> String {
    let mut line = format!("version {}, {} devices online", core.head().version, core.online());
    for round in core.rounds() {
        let (accepted, target) = (round.accepted(), round.bounds().target);
        let _ = write!(line, "; {}: {accepted} of {target} updates", round.key());
    }
    match core.waiting() {
        // A line that changes each second says no more than one that does not.
        None | Some(Waiting::Settling { .. } | Waiting::Pause { .. }) => {}
        Some(waiting) => {
            let _ = write!(line, "; {waiting}");
        }
    }
    if let Some(trouble) = trouble::in_words(&data(core)) {
        let _ = write!(line, "; data: {trouble}");
    }
    line
}

/// Devices whose own data lack something, by their word for it.
pub fn data(core: &Aggregator) -> BTreeMap<String, u32> {
    core.data_trouble().iter().map(|(word, count)| (word.to_string(), *count)).collect()
}

/// Why no training round is open, in words; `None` while one is.
pub fn waiting(core: &Aggregator) -> Option<String> {
    core.waiting().map(|waiting| waiting.to_string())
}

/// The log line of an event and how much it matters. `classes`: whether the task has such, so that
/// windows are right or wrong.
pub fn line(event: &RoundEvent, classes: bool) -> (Level, String) {
    match event {
        RoundEvent::Started { lineage, boot, version, resumed } => {
            let text = format!(
                "start {boot}: lineage {lineage}, version {version}, {resumed} open round(s) resumed"
            );
            (Level::Info, text)
        }
        RoundEvent::RoundOpened { key, base, fraction, available } => {
            let percent = fraction.as_f64() * 100.0;
            let text = format!(
                "{key} opened on version {base}: {percent:.1} % of {available} available devices invited"
            );
            (Level::Info, text)
        }
        RoundEvent::FractionRaised { key, fraction } => {
            let percent = fraction.as_f64() * 100.0;
            (Level::Info, format!("{key}: too few claims, {percent:.1} % invited now"))
        }
        RoundEvent::ClaimAnswered { round, device, answer } => {
            let answer = match answer {
                Answer::Go => "go".into(),
                Answer::NoGo(reason) => format!("no go, {reason}"),
            };
            (Level::Debug, format!("claim of {device} for round {round}: {answer}"))
        }
        RoundEvent::UpdateAccepted { key, device, accepted } => {
            (Level::Debug, format!("{key}: update {accepted} accepted, from {device}"))
        }
        RoundEvent::UpdateRefused { device, reason } => {
            (Level::Debug, format!("update of {device} refused: {reason}"))
        }
        RoundEvent::GaveUp { key, device, reason, text } => {
            (Level::Info, format!("{key}: {device} gives up, {reason}: {text}"))
        }
        RoundEvent::Waits { waiting } => (Level::Info, waiting.to_string()),
        RoundEvent::Unreadable { device, error } => {
            (Level::Debug, format!("message of {device} ignored: {error}"))
        }
        RoundEvent::RoundPublished { summary, .. } | RoundEvent::Evaluated { summary } => {
            (Level::Info, ended(summary, classes))
        }
        RoundEvent::RoundFailed { summary } => (Level::Warn, ended(summary, classes)),
        RoundEvent::Answered { answer, .. } | RoundEvent::AnsweredBefore { answer } => {
            let text = match answer.outcome {
                RoundOutcome::Done(_) => format!("{} device(s) answered", answer.devices),
                RoundOutcome::Failed(Failure::Withdrawn) => "withdrawn".into(),
                RoundOutcome::Failed(_) => "no answer: fewer devices than its quorum".into(),
            };
            (Level::Info, format!("query {}: {text}", answer.query))
        }
        RoundEvent::Imported { version } => {
            (Level::Info, format!("version {version} imported by the operator"))
        }
        RoundEvent::ImportRefused { expected, found } => {
            let text = format!("import refused: {found} values, {expected} finite ones are needed");
            (Level::Error, text)
        }
        RoundEvent::Finished { version } => {
            (Level::Info, format!("all rounds are done; version {version} stays published"))
        }
    }
}

/// One round that ended, in one line; `classes` as for [`line()`].
#[allow(clippy::cast_precision_loss)] // for people
pub fn ended(summary: &RoundSummary, classes: bool) -> String {
    let RoundSummary { key, base, outcome, accepted, figures, .. } = summary;
    let what = match outcome {
        RoundOutcome::Done(version) if version == base => {
            format!("{key} of version {base}: {accepted} device(s)")
        }
        RoundOutcome::Done(version) => {
            format!("{key} made version {version}: {accepted} device(s)")
        }
        RoundOutcome::Failed(failure) => {
            let why = match failure {
                Failure::TooFew => {
                    format!("{accepted} update(s), {} needed", summary.quorum)
                }
                Failure::Superseded => "something newer took its place".into(),
                Failure::Withdrawn => "nobody waits for its answer any more".into(),
                Failure::Range => "the result left the range of its numbers".into(),
            };
            format!("{key} failed: {why}; {} device(s) took part", summary.tally.granted)
        }
    };
    let mut text = what + &refused(&summary.tally);
    text.push_str(&held_back(key.kind, figures, classes));
    let _ = match key.kind {
        WorkKind::Sums => write!(text, ", {} windows", figures.examples),
        WorkKind::Evaluate if *accepted == 0 => write!(text, ", no reports"),
        WorkKind::Train if figures.examples > 0 => {
            let (updates, windows) = (figures.updates, figures.examples);
            let sum = figures.train_loss * windows as f64;
            write!(text, ", training loss {}", loss(figures.train_loss, sum, updates))
        }
        WorkKind::Evaluate | WorkKind::Train => Ok(()),
    };
    let (kib, tenths) = (summary.tally.update_bytes.div_ceil(1024), summary.took_ms / 100);
    let _ = write!(text, ", {kib} KiB of updates, {}.{} s", tenths / 10, tenths % 10);
    text
}

/// How models did on held-back windows, in the figures that their target has: the share of windows
/// that are right for classes, errors for values.
fn held_back(kind: WorkKind, figures: &Figures, classes: bool) -> String {
    let Figures { updates, before, after, fit_before, fit_after, .. } = figures;
    let how = |pooled: &Pooled, fit: &[FitFigures]| how(pooled, fit, *updates, classes);
    let mut text = String::new();
    if before.windows > 0 {
        let _ = write!(text, ", held-back windows: {}", how(before, fit_before));
    }
    if after.windows > 0 && kind == WorkKind::Train {
        let _ = write!(text, " before, {} after local training", how(after, fit_after));
    }
    text
}

/// One measurement of so many devices: errors by channel, the share of windows that are right, or the
/// loss alone where there are no classes and older devices tell no errors.
fn how(pooled: &Pooled, fit: &[FitFigures], updates: u64, classes: bool) -> String {
    let loss = loss(pooled.loss(), pooled.loss_sum, updates);
    match fit {
        [] if !classes && pooled.correct == 0 => format!("loss {loss}"),
        [] => format!("{:.1} % right (loss {loss})", pooled.accuracy() * 100.0),
        fit => {
            let channels: Vec<String> = fit.iter().map(ToString::to_string).collect();
            format!("{} (loss {loss})", channels.join("; "))
        }
    }
}

/// A loss of `sum` over all windows, of so many devices. Older programs told and added up losses at
/// their bound as if they were measured.
#[allow(clippy::cast_precision_loss)]
fn loss(mean: f64, sum: f64, updates: u64) -> String {
    let bound = LOSS_SUM_MAX as f64 * updates as f64;
    let beyond = if updates > 0 && sum >= bound * (1.0 - 1e-9) { "> " } else { "" };
    format!("{beyond}{}", Significant(mean))
}

fn refused(tally: &Tally) -> String {
    counts("refused", &tally.refused) + &counts("gave up", &tally.gave_up)
}

fn counts<R: std::fmt::Display>(what: &str, counts: &BTreeMap<R, u32>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let reasons: Vec<String> =
        counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!(" ({what}: {})", reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::combine::Figures;
    use crate::round::RoundKey;
    use dunlin_protocol::id::{ModelVersion, RoundId};
    use dunlin_protocol::message::Refusal;

    #[test]
    fn a_round_is_told_in_one_line() {
        let pooled = |correct, loss_sum| Pooled { windows: 80, correct, loss_sum };
        let mut tally = Tally { granted: 9, update_bytes: 80_000, ..Tally::default() };
        tally.refuse(Refusal::StaleBase);
        let mut summary = RoundSummary {
            key: RoundKey { round: RoundId(7), kind: WorkKind::Train },
            base: ModelVersion(4),
            outcome: RoundOutcome::Done(ModelVersion(5)),
            accepted: 8,
            quorum: 4,
            tally,
            figures: Figures {
                updates: 8,
                weight: 160,
                examples: 160,
                train_loss: 0.25,
                before: pooled(40, 40.0),
                after: pooled(60, 20.0),
                ..Figures::default()
            },
            took_ms: 12_345,
        };
        assert_eq!(
            ended(&summary, true),
            "round 7 made version 5: 8 device(s) (refused: stale_base 1), held-back windows: \
             50.0 % right (loss 0.500) before, 75.0 % right (loss 0.250) after local training, training \
             loss 0.250, 79 KiB of updates, 12.3 s"
        );
        summary.outcome = RoundOutcome::Failed(Failure::TooFew);
        (summary.accepted, summary.figures) = (1, Figures::default());
        assert_eq!(
            ended(&summary, true),
            "round 7 failed: 1 update(s), 4 needed; 9 device(s) took part (refused: stale_base 1), \
             79 KiB of updates, 12.3 s"
        );
    }

    #[test]
    fn a_target_of_values_is_told_in_errors_and_never_in_windows_that_are_right() {
        let fit = |mse| FitFigures {
            name: "glucose".into(),
            unit: "mg/dL".into(),
            values: 480,
            mse,
            mse_scaled: mse / 2500.0,
            mae: 6.54,
            r2: Some(0.9123),
            repeated_mse: Some(100.0),
        };
        let pooled = Pooled { windows: 80, correct: 0, loss_sum: 0.444 };
        let mut figures = Figures { before: pooled, ..Figures::default() };
        let held_back = |kind, figures: &Figures| held_back(kind, figures, false);
        assert_eq!(held_back(WorkKind::Evaluate, &figures), ", held-back windows: loss 0.00555");
        figures.fit_before = vec![fit(81.25)];
        assert_eq!(
            held_back(WorkKind::Evaluate, &figures),
            ", held-back windows: glucose: MSE 81.2 (mg/dL)^2, MAE 6.54 mg/dL, R2 0.912, repeating \
             the last value has MSE 100: 18.8 % less (loss 0.00555)"
        );
        (figures.after, figures.fit_after) = (pooled, vec![fit(120.0)]);
        let text = held_back(WorkKind::Train, &figures);
        assert!(text.contains("20.0 % more") && !text.contains("right"), "{text}");
    }
    fn evaluation(accepted: u32, before: Pooled) -> RoundSummary {
        let updates = u64::from(accepted);
        let examples = before.windows;
        RoundSummary {
            key: RoundKey { round: RoundId(7), kind: WorkKind::Evaluate },
            base: ModelVersion(4),
            outcome: RoundOutcome::Done(ModelVersion(4)),
            accepted,
            quorum: 1,
            tally: Tally::default(),
            figures: Figures { updates, examples, before, ..Figures::default() },
            took_ms: 1_000,
        }
    }

    #[test]
    fn an_evaluation_tells_what_was_measured_be_it_none_right_and_that_nobody_reported() {
        let told = |accepted, before| ended(&evaluation(accepted, before), true);
        let none_right = Pooled { windows: 80, correct: 0, loss_sum: 160.0 };
        assert_eq!(
            told(2, none_right),
            "evaluation 7 of version 4: 2 device(s), held-back windows: 0.0 % right (loss 2.00), 0 \
             KiB of updates, 1.0 s"
        );
        let mut nobody = evaluation(0, Pooled::default());
        nobody.outcome = RoundOutcome::Failed(Failure::TooFew);
        nobody.tally.gave_up.insert(dunlin_protocol::give_up::GiveUp::Diverged, 2);
        assert_eq!(
            ended(&nobody, true),
            "evaluation 7 failed: 0 update(s), 1 needed; 0 device(s) took part (gave up: diverged \
             2), no reports, 0 KiB of updates, 1.0 s"
        );
    }

    #[test]
    fn losses_at_their_bound_are_told_to_be_beyond_it() {
        #[allow(clippy::cast_precision_loss)]
        let bound = LOSS_SUM_MAX as f64;
        let beyond = |devices, loss_sum| {
            let before = Pooled { windows: 64, correct: 1, loss_sum };
            ended(&evaluation(devices, before), true).contains("(loss > ")
        };
        assert!(beyond(1, bound) && beyond(2, 2.0 * bound));
        assert!(!beyond(2, bound) && !beyond(1, 0.99 * bound));
    }
}
