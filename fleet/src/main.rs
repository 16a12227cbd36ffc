//! `dunlin-fleet`: federations on one machine, to design one before a device is touched.

mod program;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use program::{bench, codecs, curve, invent, scale, simulate, soak};

/// Exit code for arguments that cannot be used (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// Federations on one machine, on virtual time: what codecs cost, what they cost in accuracy, and
/// whole fleets with bad links and faults.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  dunlin-fleet codecs --data \"UCI HAR Dataset\"\n  dunlin-fleet curve --data \"UCI HAR Dataset\" --codec f32 --codec ecdq=3 --downlink f32 --downlink ecdq=1\n  dunlin-fleet simulate wearables --seed 7\n  dunlin-fleet soak hostile --seeds 100"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare codecs on real updates: bits, error, time, memory.
    Codecs(codecs::Arguments),
    /// Train with each codec and compare accuracy and bytes.
    Curve(curve::Arguments),
    /// Run a scenario: any number of devices, links, faults, checks.
    Simulate(simulate::Arguments),
    /// Run a scenario with many seeds and say which broke a rule.
    Soak(soak::Arguments),
    /// Measure how fast the simulator is, and where its time goes.
    Bench(bench::Arguments),
    /// Measure what fleets of growing size cost.
    Scale(scale::Arguments),
    /// Write recordings of invented persons, for a first federation by hand.
    Invent(invent::Arguments),
}

/// What is told where RUST_LOG says nothing: of thousands of devices errors alone, but all that the
/// simulator itself finds odd.
const LOG: &str = "error,dunlin_fleet=warn";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    let outcome = match arguments.command {
        Command::Codecs(arguments) => codecs::run(&arguments),
        Command::Curve(arguments) => curve::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Scale(arguments) => scale::run(&arguments),
        Command::Invent(arguments) => invent::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(program::Failure::Usage(problem)) => {
            eprintln!("error: {problem}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(program::Failure::Run(problem)) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
