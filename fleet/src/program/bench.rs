//! `dunlin-fleet bench`: how fast the simulator is, and where its time goes.

use clap::Args;
use dunlin_fleet::sim::report::Report;
use dunlin_fleet::sim::run::Options;
use dunlin_fleet::sim::scenario::Scenario;
use dunlin_fleet::sim::setup::{prepare, preset};
use dunlin_service::output::print;

use super::simulate::measure;
use super::{Failure, failed, threads, usage};

/// The workload: logistic regression 784 to 10, 1,000 clients, 10 a round.
const PRESET: &str = "flute-lr";
/// Rounds of the first try, which tells how many are needed.
const WARM_UP_ROUNDS: u32 = 200;
/// How much longer than needed the measured run is, since machines are noisy.
const MARGIN: f64 = 1.25;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Measure over at least so many seconds of rounds.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Threads that train, 1 to 256.
    #[arg(long, default_value_t = 2, value_parser = threads())]
    threads: usize,
    /// Print the report of the measured run as JSON on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !(0.1..=36_000.0).contains(&arguments.seconds) {
        return Err(usage("--seconds: 0.1 to 36000"));
    }
    let mut rounds = WARM_UP_ROUNDS;
    let report = loop {
        let report = rounds_of(rounds, arguments)?;
        if let Some(violation) = &report.outcome.violation {
            return Err(failed(format!("{}: {}", violation.rule, violation.what)));
        }
        if !report.outcome.finished {
            return Err(failed("the rounds did not end in virtual time: ask for fewer --seconds"));
        }
        if report.cost.seconds >= arguments.seconds {
            break report;
        }
        let needed = f64::from(rounds) * arguments.seconds / report.cost.seconds * MARGIN;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
        let needed = needed.ceil() as u32;
        rounds = needed.max(rounds.saturating_add(1));
    };
    if arguments.json {
        print(&report.json().map_err(failed)?).map_err(failed)?;
    } else {
        print(&text(&report)).map_err(failed)?;
    }
    Ok(())
}

fn rounds_of(rounds: u32, arguments: &Arguments) -> Result<Report, Failure> {
    let mut scenario: Scenario = preset(PRESET).map_err(failed)?;
    scenario.rounds.count = rounds;
    scenario.end_h = 1e5;
    let prepared = prepare(&scenario).map_err(failed)?;
    let options = Options { profile: true, ..Options::threads(arguments.threads) };
    measure(&prepared, options, !arguments.json)
}

fn text(report: &Report) -> String {
    let cost = &report.cost;
    format!(
        "{PRESET}: {} rounds of {} devices, {} threads, {:.1} s\n{:.0} client-rounds a second\n{}",
        report.outcome.rounds.len(),
        report.scenario.rounds.target,
        cost.threads,
        cost.seconds,
        cost.client_rounds_per_second,
        cost.where_it_went()
    )
}
