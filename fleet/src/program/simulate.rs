//! `dunlin-fleet simulate`: a scenario on virtual time, and its report.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use dunlin_fleet::sim::run::{Outcome, RoundFigures, run as simulate};
use dunlin_fleet::sim::scenario::Scenario;
use dunlin_fleet::sim::setup::{self, preset};
use plotters::prelude::SeriesLabelPosition::LowerRight;
use serde::Serialize;

use super::plot::{self, Axes, Series};
use super::{Failure, bar, failed, usage};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A scenario file, or a preset: flute-lr, wearables, pi-gateways, hospitals, hostile, million.
    scenario: String,
    /// Seed of everything that is drawn [default: the scenario's].
    #[arg(long)]
    seed: Option<u64>,
    /// Threads that train; one thread and two give the same result.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Devices, instead of the scenario's.
    #[arg(long)]
    devices: Option<u32>,
    /// Rounds, instead of the scenario's.
    #[arg(long)]
    rounds: Option<u32>,
    /// Run so many seeds, from --seed on, and only say which broke a rule.
    #[arg(long, value_name = "SEEDS")]
    soak: Option<u64>,
    /// Folder for report.json and report.html.
    #[arg(long, default_value = "dunlin-fleet", value_name = "DIR")]
    report: PathBuf,
    /// Print report.json on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    scenario: &'a Scenario,
    outcome: &'a Outcome,
    /// The only part that differs from run to run.
    #[serde(rename = "final")]
    machine: Machine,
}

/// What the run cost this machine.
#[derive(Serialize)]
struct Machine {
    seconds: f64,
    threads: usize,
    client_rounds_per_second: f64,
    peak_memory_bytes: u64,
}

fn load(arguments: &Arguments) -> Result<Scenario, Failure> {
    let path = Path::new(&arguments.scenario);
    let mut scenario = if path.exists() {
        let named = |error: std::io::Error| usage(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(named)?;
        Scenario::parse(&text).map_err(|error| usage(format!("{}: {error}", path.display())))?
    } else {
        preset(&arguments.scenario).map_err(usage)?
    };
    scenario.seed = arguments.seed.unwrap_or(scenario.seed);
    scenario.population.devices = arguments.devices.unwrap_or(scenario.population.devices);
    scenario.rounds.count = arguments.rounds.unwrap_or(scenario.rounds.count);
    let problems = scenario.problems();
    if problems.is_empty() { Ok(scenario) } else { Err(usage(problems.join("\n"))) }
}

#[allow(clippy::print_stdout)] // a program's answer
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = load(arguments)?;
    if let Some(seeds) = arguments.soak {
        return soak(arguments, &scenario, seeds);
    }
    let bar = bar(u64::from(scenario.rounds.count), !arguments.json);
    let mut judge = setup::judge(&scenario).map_err(failed)?;
    let started = clock();
    let mut accepted = 0_u64;
    let outcome = simulate(&scenario, arguments.threads, &mut judge, |round| {
        accepted += u64::from(round.accepted);
        let rate = accepted as f64 / started.elapsed().as_secs_f64();
        bar.set_message(format!("rounds, {rate:.0} device-rounds a second"));
        bar.inc(u64::from(round.version.is_some()));
    })
    .map_err(usage)?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let machine = Machine {
        seconds,
        threads: arguments.threads,
        client_rounds_per_second: outcome.accepted as f64 / seconds,
        peak_memory_bytes: peak_memory(),
    };
    let report = Report { scenario: &scenario, outcome: &outcome, machine };
    let json = serde_json::to_string_pretty(&report).map_err(failed)?;
    let named = |error| usage(format!("--report {}: {error}", arguments.report.display()));
    std::fs::create_dir_all(&arguments.report).map_err(named)?;
    std::fs::write(arguments.report.join("report.json"), &json).map_err(named)?;
    let page = page(&report);
    std::fs::write(arguments.report.join("report.html"), page).map_err(named)?;
    if arguments.json {
        println!("{json}");
    } else {
        print!("{}", table(&report));
        println!("\n{}", arguments.report.join("report.html").display());
    }
    match &outcome.violation {
        None => Ok(()),
        Some(violation) => Err(failed(format!(
            "broken after {:.0} s: {}: {}\nreplay: {}",
            violation.at_ms as f64 / 1000.0,
            violation.rule,
            violation.what,
            replay(arguments, scenario.seed)
        ))),
    }
}

fn replay(arguments: &Arguments, seed: u64) -> String {
    let mut line = format!("dunlin-fleet simulate {} --seed {seed}", arguments.scenario);
    if let Some(devices) = arguments.devices {
        let _ = write!(line, " --devices {devices}");
    }
    if let Some(rounds) = arguments.rounds {
        let _ = write!(line, " --rounds {rounds}");
    }
    line
}

/// Many seeds; the lines that repeat those that broke a rule.
#[allow(clippy::print_stdout)]
fn soak(arguments: &Arguments, scenario: &Scenario, seeds: u64) -> Result<(), Failure> {
    let bar = bar(seeds, !arguments.json);
    bar.set_message("seeds");
    let (first, mut broken, mut finished) = (scenario.seed, 0_u64, 0_u64);
    for seed in first..first.saturating_add(seeds) {
        let scenario = Scenario { seed, ..scenario.clone() };
        let outcome = simulate(&scenario, 1, &mut |_| None, |_| {}).map_err(usage)?;
        finished += u64::from(outcome.finished);
        if let Some(violation) = outcome.violation {
            broken += 1;
            bar.suspend(|| {
                println!("{}: {}: {}", replay(arguments, seed), violation.rule, violation.what);
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("seeds {first} to {}: {finished} finished, {broken} broke a rule", first + seeds - 1);
    if broken == 0 { Ok(()) } else { Err(failed(format!("{broken} seeds broke a rule"))) }
}

#[allow(clippy::disallowed_methods)] // tells people how fast it was
fn clock() -> Instant {
    Instant::now()
}

/// Most memory that this process ever had, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn table(report: &Report<'_>) -> String {
    let (scenario, outcome, machine) = (report.scenario, report.outcome, &report.machine);
    let mut text = format!(
        "{}: {} devices, seed {}\n\nround  version  devices  let in  refused  accuracy  took s  ended s\n",
        scenario.name, scenario.population.devices, scenario.seed
    );
    let shown = outcome.rounds.len().saturating_sub(20);
    for round in &outcome.rounds[shown..] {
        let refused: u32 = round.refused.values().sum();
        let accuracy = round.accuracy.map_or("-".into(), |a| format!("{:.1} %", 100.0 * a));
        let version = round.version.map_or("failed".into(), |version| version.to_string());
        let _ = writeln!(
            text,
            "{:5}  {version:>7}  {:7}  {:6}  {refused:7}  {accuracy:>8}  {:6.1}  {:7.0}",
            round.round, round.accepted, round.granted, round.took_s, round.ended_s
        );
    }
    let tally = &outcome.tally;
    let _ = writeln!(
        text,
        "\n{} updates in {:.1} s: {:.0} device-rounds a second, {} events, peak memory {:.0} MB\n\
         {:.1} virtual hours; {} power cuts, {} broken connections, {} broker restarts, {} kills, \
         {} dropped jobs\nmodel {}",
        outcome.accepted,
        machine.seconds,
        machine.client_rounds_per_second,
        tally.events,
        machine.peak_memory_bytes as f64 / 1e6,
        outcome.ended_s / 3600.0,
        tally.power_cuts,
        tally.cuts,
        tally.broker_restarts,
        tally.server_kills,
        tally.dropped_jobs,
        outcome.model_digest
    );
    text
}

/// A page that needs nothing else.
fn page(report: &Report<'_>) -> String {
    let rounds = &report.outcome.rounds;
    let line = |name: &str, value: fn(&RoundFigures) -> Option<f64>| Series {
        name: name.to_owned(),
        points: rounds
            .iter()
            .filter_map(|round| Some((round.ended_s.max(0.1), value(round)?)))
            .collect(),
        joined: true,
    };
    let chart = |y, series: Vec<Series>| {
        let axes = Axes { x: "virtual seconds", y, log_y: false, legend: LowerRight };
        plot::draw(&axes, &series).unwrap_or_default()
    };
    let accuracy = chart(
        "accuracy on unseen devices, %",
        vec![line("accuracy", |round| round.accuracy.map(|accuracy| accuracy * 100.0))],
    );
    let devices = chart(
        "devices",
        vec![
            line("in the version", |round| Some(f64::from(round.accepted))),
            line("let in", |round| Some(f64::from(round.granted))),
        ],
    );
    let escaped = |text: String| text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><meta charset=\"utf-8\"><title>{name}</title>\
         <style>body{{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}\
         svg{{max-width:100%;height:auto}}pre{{overflow:auto}}</style>\
         <h1>{name}</h1>{accuracy}{devices}<pre>{table}</pre>",
        name = escaped(report.scenario.name.clone()),
        table = escaped(table(report)),
    )
}
