//! The table for a terminal.

use std::fmt::Write as _;

use super::{Cost, Report};
use crate::report::text::{bytes, duration, number, percent};
use crate::sim::figures::{Fairness, RoundFigures};
use dunlin_protocol::work::Significant;

/// Rounds that the table shows: the last ones.
const ROUNDS_SHOWN: usize = 20;

/// The simulation as lines of text.
pub fn table(report: &Report) -> String {
    let scenario = &report.scenario;
    let mut text = format!(
        "{}: {} devices, seed {}\n\nround  version  devices  let in  refused  accuracy    took s  \
         waited s  up/device  down/device\n",
        scenario.name, scenario.population.devices, scenario.seed
    );
    if !report.outcome.fit.is_empty() {
        text = text.replace("accuracy", "     MAE");
    }
    let rounds = &report.outcome.rounds;
    for round in &rounds[rounds.len().saturating_sub(ROUNDS_SHOWN)..] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", row(round));
    }
    text.push_str(&ending(report));
    text
}

fn row(round: &RoundFigures) -> String {
    let missing = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let refused: u32 = round.refused.values().sum();
    let version = round.version.map_or("failed".into(), |version| version.to_string());
    let each = |bytes: u64| bytes as f64 / f64::from(round.accepted.max(1));
    format!(
        "{:5}  {version:>7}  {:7}  {:6}  {refused:7}  {:>8}  {:8}  {:>8}  {:>9}  {:>11}",
        round.round,
        round.accepted,
        round.granted,
        judged(round),
        number(round.took_s, 1),
        number(missing(round.waited_s), 1),
        bytes(each(round.bytes_up)),
        bytes(each(round.bytes_down)),
    )
}

/// Accuracy of the round's version, or the mean absolute error of its first channel.
fn judged(round: &RoundFigures) -> String {
    match round.fit.first() {
        Some(fit) => Significant(fit.mae).to_string(),
        None => percent(round.accuracy.unwrap_or(f64::NAN)),
    }
}

fn ending(report: &Report) -> String {
    let (outcome, cost) = (&report.outcome, &report.cost);
    let tally = &outcome.tally;
    let mut text = format!(
        "\n{} updates in {}: {:.0} client-rounds a second, peak memory {:.0} MB\n",
        outcome.accepted,
        duration(cost.seconds),
        cost.client_rounds_per_second,
        cost.peak_memory_bytes as f64 / 1e6,
    );
    if !outcome.left_out.is_empty() {
        let counts = outcome.left_out.iter().map(|(why, count)| format!("{why} {count}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "left out of the recorded data: {counts}");
    }
    for answer in &outcome.answers {
        let _ = writeln!(text, "{answer}");
    }
    if !outcome.finished {
        let made = outcome.rounds.iter().filter(|round| round.version.is_some()).count();
        let wanted = report.scenario.rounds.count;
        let _ = writeln!(text, "not finished: {made} of {wanted} versions");
    }
    if let Some(violation) = &outcome.violation {
        let _ = writeln!(text, "broken: {}: {}", violation.rule, violation.what);
    }
    for fit in &outcome.fit {
        let _ = writeln!(text, "on windows that no device learns from: {fit}");
    }
    if let Some(fairness) = &outcome.fairness {
        let Fairness { of, mean, deviation, lowest_tenth, highest_tenth, .. } = fairness;
        let _ = if fairness.is_accuracy() {
            writeln!(
                text,
                "{of} on single devices: mean {}, deviation {}, a tenth below {}",
                percent(*mean),
                percent(*deviation),
                percent(*lowest_tenth)
            )
        } else {
            writeln!(
                text,
                "{of} on single devices: mean {}, deviation {}, a tenth above {}",
                Significant(*mean),
                Significant(*deviation),
                Significant(*highest_tenth)
            )
        };
    }
    let _ = writeln!(
        text,
        "{} of virtual time, {} events: {} power cuts, {} torn and {} failed writes, {} broken \
         connections, {} partitions, {} broker restarts, {} aggregator kills, {} jobs dropped\n\
         model {}",
        duration(outcome.ended_s),
        tally.events,
        tally.power_cuts,
        tally.torn_writes,
        tally.failed_writes,
        tally.cuts,
        tally.partitions,
        tally.broker_restarts,
        tally.server_kills,
        tally.dropped_jobs,
        outcome.model_digest
    );
    text.push_str(&cost.where_it_went());
    text
}

impl Cost {
    /// Where the time went, as lines; nothing where it was not asked for.
    pub fn where_it_went(&self) -> String {
        let Some(spent) = self.spent else { return String::new() };
        let parts = [
            ("data and training", spent.training),
            ("devices", spent.devices),
            ("aggregator", spent.aggregator),
            ("checks", spent.checks),
            ("events, links, broker", spent.world),
        ];
        let mut text = String::from("\nwhere the time of the deciding thread goes\n");
        for (name, seconds) in parts {
            let share = percent(seconds / self.seconds.max(1e-9));
            let _ = writeln!(text, "{name:<22} {seconds:8.2} s  {share:>7}");
        }
        text
    }
}
