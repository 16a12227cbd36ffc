//! The page: one file that needs nothing else.

use dunlin_protocol::work::{FitFigures, Significant};

use super::Report;
use crate::report::chart::{Line, Over, lines};
use dunlin_service::html::escape;

use crate::report::page::{card, figures, grouped, page, table};
use crate::report::text::{bytes, duration, number, percent};
use crate::sim::figures::{Outcome, RoundFigures};

const ROUND: Over = Over { name: "round", whole: true };
const MINUTES: Over = Over { name: "virtual minutes", whole: false };
const HOURS: Over = Over { name: "virtual hours", whole: false };
const PER_CENT: &dyn Fn(&f64) -> String = &|value| format!("{value:.0} %");
const COUNT: &dyn Fn(&f64) -> String = &|value| format!("{value:.0}");

/// The simulation as one self-contained page. All text is escaped.
pub fn html(report: &Report) -> String {
    let scenario = &report.scenario;
    let mut body = format!(
        "<p class=\"about\">{} devices, {} rounds, task {}, codec {}, downlink {}, seed {}.</p>\n",
        grouped(scenario.population.devices),
        report.outcome.rounds.len(),
        escape(scenario.learning.task_name()),
        escape(&scenario.rounds.codec),
        escape(&scenario.rounds.downlink),
        scenario.seed,
    );
    if let Some(violation) = &report.outcome.violation {
        let (rule, what) = (escape(violation.rule), escape(&violation.what));
        body.push_str(&format!("<p class=\"about\">Broken: {rule}: {what}</p>\n"));
    }
    body.push_str(&on_top(report));
    body.push_str("<div class=\"charts three\">\n");
    body.push_str(&charts(&report.outcome));
    body.push_str("</div>\n<div class=\"charts\">\n");
    body.push_str(&refusals(&report.outcome));
    body.push_str(&left_out(&report.outcome));
    body.push_str(&classes(&report.outcome));
    body.push_str("</div>\n");
    body.push_str(&faults(&report.outcome));
    body.push_str(&rounds_table(&report.outcome.rounds));
    page(&format!("Simulation: {}", scenario.name), &body)
}

fn on_top(report: &Report) -> String {
    let (outcome, cost) = (&report.outcome, &report.cost);
    let made = outcome.rounds.iter().filter(|round| round.version.is_some()).count();
    let waited: f64 = outcome.rounds.iter().filter_map(|round| round.waited_s).sum();
    let took: f64 = outcome.rounds.iter().map(|round| round.took_s).sum();
    let tally = &outcome.tally;
    let wasted = 1.0 - tally.counted_ms as f64 / tally.device_ms.max(1) as f64;
    let devices: u32 = outcome.classes.iter().map(|class| class.devices).sum();
    let took_part: u32 = outcome.classes.iter().map(|class| class.took_part).sum();
    figures(&[
        judged(outcome),
        (
            "Versions",
            grouped(made),
            format!(
                "of {} wanted, in {} rounds and {} of virtual time",
                report.scenario.rounds.count,
                outcome.rounds.len(),
                duration(outcome.ended_s)
            ),
        ),
        (
            "Took part",
            percent(f64::from(took_part) / f64::from(devices.max(1))),
            format!("of the devices, with {} updates", grouped(outcome.accepted)),
        ),
        (
            "Lost to stragglers",
            percent(waited / took.max(1e-9)),
            format!("of the time of rounds; {} of the devices' training", percent(wasted)),
        ),
        (
            "Simulated in",
            duration(cost.seconds),
            format!(
                "{} client-rounds a second, {} of memory",
                number(cost.client_rounds_per_second, 0),
                bytes(cost.peak_memory_bytes as f64)
            ),
        ),
    ])
}

/// The figure that the target has: the accuracy, or the error of the first channel.
fn judged(outcome: &Outcome) -> (&'static str, String, String) {
    match outcome.fit.first() {
        None => (
            "Accuracy",
            percent(outcome.accuracy.unwrap_or(f64::NAN)),
            "on windows that no device learns from".into(),
        ),
        Some(fit) => (
            "Mean absolute error",
            format!("{} {}", Significant(fit.mae), escape(&fit.unit)),
            format!("on windows that no device learns from; {}", escape(&fit.to_string())),
        ),
    }
}

/// The line of a figure of each round that has it.
fn over_rounds(outcome: &Outcome, value: impl Fn(&RoundFigures) -> Option<f64>) -> Line {
    let point = |round: &RoundFigures| Some((f64::from(round.round), value(round)?));
    outcome.rounds.iter().filter_map(point).collect()
}

fn charts(outcome: &Outcome) -> String {
    let accuracy = |round: &RoundFigures| round.accuracy.map(|accuracy| accuracy * 100.0);
    let (time, unit) = if outcome.ended_s < 7200.0 { (MINUTES, 60.0) } else { (HOURS, 3600.0) };
    let by_time = outcome.rounds.iter();
    let by_time: Line =
        by_time.filter_map(|round| Some((round.ended_s / unit, accuracy(round)?))).collect();
    let each = |bytes: u64, round: &RoundFigures| {
        (round.accepted > 0).then(|| bytes as f64 / f64::from(round.accepted) / 1024.0)
    };
    let devices = [
        over_rounds(outcome, |round| Some(f64::from(round.accepted))),
        over_rounds(outcome, |round| Some(f64::from(round.granted))),
    ];
    let lasted = [
        over_rounds(outcome, |round| round.waited_s),
        over_rounds(outcome, |round| Some(round.took_s)),
    ];
    let traffic = [
        over_rounds(outcome, |round| each(round.bytes_up, round)),
        over_rounds(outcome, |round| each(round.bytes_down, round)),
    ];
    let kib: &dyn Fn(&f64) -> String = &|value| format!("{value:.1} KiB");
    let seconds: &dyn Fn(&f64) -> String = &|value| format!("{value:.0} s");
    let quality = if outcome.fit.is_empty() {
        [
            (
                "Accuracy over rounds",
                "Of each version that was judged, on windows that no device learns from.",
                &["accuracy"][..],
                lines(ROUND, &[over_rounds(outcome, accuracy)], Some(100.0), PER_CENT),
            ),
            (
                "Accuracy over time",
                "The same over virtual time: what an operator would wait for.",
                &["accuracy"],
                lines(time, &[by_time], Some(100.0), PER_CENT),
            ),
            (
                "Accuracy on single devices",
                "Each device that was asked, from the worst served to the best: the flatter the \
                 line, the fairer the model.",
                &["accuracy on its own windows"],
                fairness(outcome),
            ),
        ]
    } else {
        errors(outcome)
    };
    let cards: [Card; 3] = [
        (
            "Participation",
            "Devices that were let in, and those whose updates count: the gap dropped out, was late \
             or not needed.",
            &["in the version", "let in"],
            lines(ROUND, &devices, None, COUNT),
        ),
        (
            "Time of rounds",
            "How long a round took, and how much of that it waited for stragglers after it had its \
             quorum.",
            &["lost to stragglers", "whole round"],
            lines(ROUND, &lasted, None, seconds),
        ),
        (
            "Traffic for each update",
            "Payload bytes of the whole fleet, for each update that counts.",
            &["up", "down"],
            lines(ROUND, &traffic, None, kib),
        ),
    ];
    let cards = quality.into_iter().chain(cards);
    cards.map(|(heading, read, legend, svg)| card(heading, read, legend, svg)).collect()
}

/// Heading, how to read it, legend and chart.
type Card = (&'static str, &'static str, &'static [&'static str], Option<String>);

/// The charts of a target of values: errors of the first channel, and how much it explains.
fn errors(outcome: &Outcome) -> [Card; 3] {
    let digits: &dyn Fn(&f64) -> String = &|value| Significant(*value).to_string();
    let first = |value: fn(&FitFigures) -> Option<f64>| {
        over_rounds(outcome, |round| round.fit.first().and_then(value))
    };
    let root = [first(|fit| Some(fit.mse.sqrt())), first(|fit| fit.repeated_mse.map(f64::sqrt))];
    let root = if root[1].is_empty() { &root[..1] } else { &root[..] };
    let explained = [first(|fit| fit.r2.map(|r2| r2.max(0.0) * 100.0))];
    [
        (
            "Error over rounds",
            "Root of the mean squared error of each version that was judged, in the unit of its \
             first channel, on windows that no device learns from; a forecast beside one that \
             repeats the last value.",
            &["model", "last value repeated"],
            lines(ROUND, root, None, digits),
        ),
        (
            "R2 over rounds",
            "Share of the variance that the version explains: naming the mean has 0.",
            &["R2"],
            lines(ROUND, &explained, Some(100.0), PER_CENT),
        ),
        (
            "Error on single devices",
            "Mean absolute error on each device that was asked, from the best served to the worst: \
             the flatter the line, the fairer the model.",
            &["mean absolute error on its own windows"],
            fairness(outcome),
        ),
    ]
}

fn fairness(outcome: &Outcome) -> Option<String> {
    let fairness = outcome.fairness.as_ref()?;
    let n = fairness.values.len() as f64;
    let (times, top) = if fairness.is_accuracy() { (100.0, Some(100.0)) } else { (1.0, None) };
    let points = fairness.values.iter().zip(0..);
    let line: Line =
        points.map(|(value, at)| ((f64::from(at) + 0.5) / n * 100.0, value * times)).collect();
    let digits: &dyn Fn(&f64) -> String = &|value| Significant(*value).to_string();
    let text = if fairness.is_accuracy() { PER_CENT } else { digits };
    lines(Over { name: "% of the devices", whole: false }, &[line], top, text)
}

fn refusals(outcome: &Outcome) -> String {
    let rows = outcome.refused.iter();
    let rows: Vec<Vec<String>> =
        rows.map(|(reason, count)| vec![reason.replace('_', " "), count.to_string()]).collect();
    table("Claims and updates refused", &["reason", "times"], &rows)
}

fn left_out(outcome: &Outcome) -> String {
    if outcome.left_out.is_empty() {
        return String::new();
    }
    let rows = outcome.left_out.iter();
    let rows: Vec<Vec<String>> =
        rows.map(|(why, count)| vec![why.replace('_', " "), count.to_string()]).collect();
    table("Left out of the recorded data", &["kind", "times"], &rows)
}

fn classes(outcome: &Outcome) -> String {
    let all: u64 = outcome.classes.iter().map(|class| class.updates).sum();
    let devices: u32 = outcome.classes.iter().map(|class| class.devices).sum();
    let rows = outcome.classes.iter().map(|class| {
        vec![
            escape(&class.name),
            grouped(class.devices),
            percent(f64::from(class.devices) / f64::from(devices.max(1))),
            percent(f64::from(class.took_part) / f64::from(class.devices.max(1))),
            grouped(class.updates),
            percent(class.updates as f64 / all.max(1) as f64),
        ]
    });
    let head = ["kind", "devices", "share", "took part", "updates", "share of updates"];
    table("Kinds of devices", &head, &rows.collect::<Vec<_>>())
}

fn faults(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let rows = [
        ("power cuts of devices", tally.power_cuts),
        ("writes torn by a power cut", tally.torn_writes),
        ("writes that failed", tally.failed_writes),
        ("connections that broke", tally.cuts),
        ("partitions", tally.partitions),
        ("restarts of the broker", tally.broker_restarts),
        ("retained messages changed by others", tally.spoiled),
        ("broken connections of the aggregator", tally.server_cuts),
        ("kills of the aggregator", tally.server_kills),
        ("jobs that devices dropped", tally.dropped_jobs),
        ("jobs that failed", tally.failed_jobs),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| vec![name.to_owned(), count.to_string()])
        .collect();
    if rows.is_empty() { String::new() } else { table("What went wrong", &["", "times"], &rows) }
}

fn rounds_table(rounds: &[RoundFigures]) -> String {
    let fitted = rounds.iter().any(|round| !round.fit.is_empty());
    let head = [
        "round",
        "version",
        "devices",
        "let in",
        "refused",
        if fitted { "MAE" } else { "accuracy" },
        "took",
        "to quorum",
        "ended",
        "update bytes",
    ];
    let row = |round: &RoundFigures| {
        let missing = |value: Option<f64>| value.unwrap_or(f64::NAN);
        vec![
            round.round.to_string(),
            round.version.map_or("failed".into(), |version| version.to_string()),
            round.accepted.to_string(),
            round.granted.to_string(),
            round.refused.values().sum::<u32>().to_string(),
            match round.fit.first() {
                Some(fit) => Significant(fit.mae).to_string(),
                None => percent(missing(round.accuracy)),
            },
            duration(round.took_s),
            duration(missing(round.quorum_s)),
            duration(round.ended_s),
            bytes(round.update_bytes as f64),
        ]
    };
    table("Rounds", &head, &rounds.iter().map(row).collect::<Vec<_>>())
}
