//! Events in plain words, for the log.

use std::fmt::Write as _;

use dunlin_protocol::id::Lineage;
use dunlin_protocol::message::Answer;
use dunlin_protocol::work::WorkKind;
use log::Level;

use crate::aggregator::Aggregator;
use crate::combine::Pooled;
use crate::io::RoundEvent;
use crate::summary::{Failure, RoundOutcome, RoundSummary, Tally};

/// How the aggregator is, in one line for `systemctl status`.
pub fn in_a_line(core: &Aggregator) -> String {
    let mut line = format!("version {}, {} devices online", core.head().version, core.online());
    for round in core.rounds() {
        let (accepted, target) = (round.accepted(), round.bounds().target);
        let _ = write!(line, "; {}: {accepted} of {target} updates", round.key());
    }
    if core.is_finished() {
        line.push_str("; all rounds done");
    }
    line
}

/// The log line of an event and how much it matters.
pub fn line(event: &RoundEvent) -> (Level, String) {
    match event {
        RoundEvent::Started { lineage, boot, version, resumed } => {
            let lineage = hex(*lineage);
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
            (Level::Info, ended(summary))
        }
        RoundEvent::RoundFailed { summary } => (Level::Warn, ended(summary)),
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

/// A lineage as 32 hexadecimal digits.
pub fn hex(lineage: Lineage) -> String {
    lineage.0.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One round that ended, in one line.
pub fn ended(summary: &RoundSummary) -> String {
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
    if figures.before.windows > 0 {
        let (before, loss) = (score(&figures.before), figures.before.loss());
        let _ = write!(text, ", held-back windows: {before} right (loss {loss:.3})");
    }
    if figures.after.windows > 0 {
        let (after, loss) = (score(&figures.after), figures.after.loss());
        let _ = write!(text, " before, {after} (loss {loss:.3}) after local training");
    }
    if key.kind == WorkKind::Sums {
        let _ = write!(text, ", {} windows", figures.examples);
    } else if figures.examples > 0 {
        let _ = write!(text, ", training loss {:.3}", figures.train_loss);
    }
    let (kib, tenths) = (summary.tally.update_bytes.div_ceil(1024), summary.took_ms / 100);
    let _ = write!(text, ", {kib} KiB of updates, {}.{} s", tenths / 10, tenths % 10);
    text
}

fn score(pooled: &Pooled) -> String {
    format!("{:.1} %", pooled.accuracy() * 100.0)
}

fn refused(tally: &Tally) -> String {
    if tally.refused.is_empty() {
        return String::new();
    }
    let reasons: Vec<String> =
        tally.refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!(" (refused: {})", reasons.join(", "))
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
            },
            took_ms: 12_345,
        };
        assert_eq!(
            ended(&summary),
            "round 7 made version 5: 8 device(s) (refused: stale_base 1), held-back windows: \
             50.0 % right (loss 0.500) before, 75.0 % (loss 0.250) after local training, training \
             loss 0.250, 79 KiB of updates, 12.3 s"
        );
        summary.outcome = RoundOutcome::Failed(Failure::TooFew);
        (summary.accepted, summary.figures) = (1, Figures::default());
        assert_eq!(
            ended(&summary),
            "round 7 failed: 1 update(s), 4 needed; 9 device(s) took part (refused: stale_base 1), \
             79 KiB of updates, 12.3 s"
        );
    }
}
