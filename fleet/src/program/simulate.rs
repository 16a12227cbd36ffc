//! `dunlin-fleet simulate`: a scenario on virtual time, and its report.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use dunlin_fleet::sim::report::{Cost, Report, table};
use dunlin_fleet::sim::run::{Options, run as simulate};
use dunlin_fleet::sim::scenario::Scenario;
use dunlin_fleet::sim::setup::{self, Prepared, preset};
use dunlin_service::output::{print, say};

use super::{Failure, bar, failed, threads, usage};

/// Which scenario, and what of it is different.
#[derive(Args, Clone)]
pub(crate) struct Which {
    /// A scenario file, or a preset: flute-lr, wearables, pi-gateways, hospitals, hostile, million.
    pub(crate) scenario: String,
    /// Seed of everything that is drawn [default: the scenario's].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Devices, instead of the scenario's.
    #[arg(long)]
    pub(crate) devices: Option<u32>,
    /// Rounds, instead of the scenario's.
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// Updates that a round wants, instead of the scenario's.
    #[arg(long)]
    pub(crate) target: Option<u32>,
}

impl Which {
    /// The scenario, with all that it names.
    pub(crate) fn prepare(&self) -> Result<Prepared, Failure> {
        let path = Path::new(&self.scenario);
        let mut scenario = if path.exists() {
            Scenario::load(path).map_err(usage)?
        } else {
            preset(&self.scenario).map_err(usage)?
        };
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.population.devices = self.devices.unwrap_or(scenario.population.devices);
        scenario.rounds.count = self.rounds.unwrap_or(scenario.rounds.count);
        scenario.rounds.target = self.target.unwrap_or(scenario.rounds.target);
        let scenario = scenario.problems().or(scenario).map_err(usage)?;
        setup::prepare(&scenario).map_err(usage)
    }

    /// The line that repeats a run with this seed.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let mut line = format!("dunlin-fleet simulate {} --seed {seed}", self.scenario);
        let more = [("devices", self.devices), ("rounds", self.rounds), ("target", self.target)];
        for (name, value) in more {
            if let Some(value) = value {
                line.push_str(&format!(" --{name} {value}"));
            }
        }
        line
    }
}

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Threads that train; one thread and two give the same result.
    #[arg(long, default_value_t = 2, value_parser = threads())]
    threads: usize,
    /// Say where the time goes.
    #[arg(long)]
    profile: bool,
    /// Folder for report.json and report.html.
    #[arg(long, default_value = "dunlin-fleet", value_name = "DIR")]
    report: PathBuf,
    /// Print report.json on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let prepared = arguments.which.prepare()?;
    let options = Options { profile: arguments.profile, ..Options::threads(arguments.threads) };
    let report = measure(&prepared, options, !arguments.json)?;
    let named = |error| usage(format!("--report {}: {error}", arguments.report.display()));
    let page = report.write(&arguments.report).map_err(named)?;
    if arguments.json {
        print(&report.json().map_err(failed)?).map_err(failed)?;
    } else {
        print(&table(&report)).map_err(failed)?;
        say(&format!("\n{}", page.display())).map_err(failed)?;
    }
    let Some(violation) = &report.outcome.violation else { return Ok(()) };
    Err(failed(format!(
        "broken after {:.1} s: {}: {}\nreplay: {}",
        violation.at_ms as f64 / 1000.0,
        violation.rule,
        violation.what,
        arguments.which.replay(prepared.scenario.seed)
    )))
}

/// Runs with a progress bar and takes the time.
pub(crate) fn measure(
    prepared: &Prepared,
    options: Options,
    visible: bool,
) -> Result<Report, Failure> {
    let bar = bar(u64::from(prepared.scenario.rounds.count), visible);
    let started = clock();
    let mut accepted = 0_u64;
    let (outcome, spent) = simulate(prepared, options, |news| {
        accepted += u64::from(news.round.accepted);
        let rate = accepted as f64 / started.elapsed().as_secs_f64();
        let hours = news.now_s / 3600.0;
        bar.set_message(format!("rounds, {rate:.0} client-rounds a second, {hours:.1} h"));
        bar.inc(u64::from(news.round.version.is_some()));
    })
    .map_err(usage)?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let spent = options.profile.then_some(spent);
    let cost = Cost::new(seconds, options.threads, outcome.accepted, spent);
    Ok(Report { scenario: prepared.scenario.clone(), outcome, cost })
}

#[allow(clippy::disallowed_methods)] // tells people how fast it was
pub(crate) fn clock() -> Instant {
    Instant::now()
}
