//! `cargo demo`: a broker, an aggregator and real agents on this machine, learning together.

mod broker;
mod progress;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dunlin_aggregator::settings::{ANCHOR_EVERY, Downlink, Settings};
use dunlin_fleet::experiment::{self, Experiment};
use dunlin_fleet::judge::{self, Alone, AloneSettings, Judge};
use dunlin_fleet::live::{self, LiveOutcome, LiveSettings};
use dunlin_fleet::report::{DeviceReport, Outcome, Report, RoundReport, summary_table};
use dunlin_link::BrokerUrl;
use dunlin_models::Backend;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::work::Training;
use dunlin_service::output::say;
use progress::Progress;

/// Exit code for arguments that cannot be used (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// Federated learning on this machine in about a minute.
///
/// Starts an MQTT broker on loopback, an aggregator and one real agent a person, trains a small
/// network together, and compares it with every device training alone. Without --data the persons
/// are invented; with --data they are those of the UCI HAR data set in its original folders.
#[derive(Parser)]
#[command(
    name = "cargo demo --",
    after_help = "Examples:\n  cargo demo\n  cargo demo -- --devices 12 --rounds 30 --codec f32\n  cargo demo -- --data \"UCI HAR Dataset\" --task har-mlp"
)]
struct Arguments {
    /// Folder of the UCI HAR data set (with train/ and test/ in it).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Task for --data: har-cnn, har-mlp or acc-cnn.
    #[arg(long, default_value = "har-cnn")]
    task: String,
    /// Devices, one a person [default: 8, with --data all training persons].
    #[arg(long)]
    devices: Option<u32>,
    /// Rounds [default: 20, with --data 60].
    #[arg(long)]
    rounds: Option<u32>,
    /// Seed of data, weights and shuffles.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Broker to use, such as mqtt://localhost:1883 [default: one of its own on loopback].
    #[arg(long, value_name = "URL")]
    broker: Option<BrokerUrl>,
    /// Folder for report.html and report.json.
    #[arg(long, default_value = "dunlin-demo", value_name = "DIR")]
    report: PathBuf,
    /// Burn backend: flex or ndarray.
    #[arg(long, default_value = "flex")]
    backend: Backend,
    /// How updates are written: f32, int8, ecdq=STEP, eden=BITS, uniform=BITS or sparse=STEP.
    #[arg(long, default_value = "int8", value_name = "CODEC")]
    codec: Codec,
    /// Instead of a codec: at most so many bytes an update message, framing included.
    #[arg(long, value_name = "BYTES", conflicts_with = "codec")]
    budget: Option<u32>,
    /// How versions go down: f32 for whole models, or deltas by int8, ecdq=STEP, eden=BITS or
    /// sparse=STEP.
    #[arg(long, default_value = "f32", value_name = "CODEC")]
    downlink: Codec,
    /// Persons that judge instead of the unseen ones and no longer learn, for choosing settings:
    /// device names separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    judges: Vec<String>,
    /// Print report.json on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(problem)) => {
            eprintln!("error: {problem}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Run(problem)) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Usage(String),
    Run(String),
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Run(error.to_string())
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}

fn load(arguments: &Arguments) -> Result<Experiment, Failure> {
    let mut experiment = match &arguments.data {
        None => experiment::wrist(arguments.devices.unwrap_or(8), arguments.seed),
        Some(dir) => {
            let known = dunlin_models::tasks::NAMES.join(", ");
            let task = dunlin_models::tasks::task(&arguments.task).ok_or_else(|| {
                usage(format!("--task {}: unknown; there are {known}", arguments.task))
            })?;
            experiment::har(dir, task, arguments.devices).map_err(usage)?
        }
    };
    if !arguments.judges.is_empty() {
        let judges: Vec<&str> = arguments.judges.iter().map(String::as_str).collect();
        experiment = experiment.judged_by(&judges);
    }
    if experiment.devices.is_empty() || experiment.unseen.is_empty() {
        return Err(usage("no devices or nobody to judge; check --devices and --judges"));
    }
    experiment.recipe.rounds = arguments.rounds.unwrap_or(experiment.recipe.rounds);
    if experiment.recipe.rounds == 0 {
        return Err(usage("--rounds 0: use 1 or more"));
    }
    Ok(experiment)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let experiment = load(arguments)?;
    let own_broker = match &arguments.broker {
        Some(_) => None,
        None => Some(broker::Loopback::start().map_err(failed)?),
    };
    let url = match (&arguments.broker, &own_broker) {
        (Some(url), _) => url.clone(),
        (None, Some(broker)) => broker.url().parse().map_err(failed)?,
        (None, None) => return Err(failed("no broker")),
    };
    let mut federation = live::demonstration(&experiment).map_err(failed)?;
    federation.codec = match arguments.budget {
        None => arguments.codec,
        Some(bytes) => Codec::within_message(bytes)
            .ok_or_else(|| usage(format!("--budget {bytes}: 65 or more")))?,
    };
    federation.downlink = Downlink::new(arguments.downlink, ANCHOR_EVERY).map_err(usage)?;
    let settings = LiveSettings {
        broker: url,
        federation,
        seed: arguments.seed,
        backend: arguments.backend,
        holdout: 0.1,
    };
    let progress = Progress::new(&experiment, !arguments.json);
    let folder = tempfile::tempdir().map_err(failed)?;
    let started = progress::now();
    let outcome = live::run(&experiment, &settings, folder.path(), |round| progress.round(round))
        .map_err(failed)?;
    let seconds = started.elapsed().as_secs_f64();
    let alone = train_alone(&experiment, &settings, &progress)?;
    let report = report(arguments, &experiment, &settings, &outcome, &alone, seconds)?;
    progress.finish();
    let files = report
        .write(&arguments.report)
        .map_err(|error| usage(format!("--report {}: {error}", arguments.report.display())))?;
    if arguments.json {
        say(&report.json().map_err(failed)?).map_err(failed)?;
    } else {
        say(&summary_table(&report)).map_err(failed)?;
        say(&format!("Report: {}", files.html.display())).map_err(failed)?;
    }
    Ok(())
}

fn train_alone(
    experiment: &Experiment,
    settings: &LiveSettings,
    progress: &Progress,
) -> Result<Vec<Alone>, Failure> {
    let alone = AloneSettings {
        rounds: (0..settings.federation.rounds)
            .map(|round| at(&settings.federation, round))
            .collect(),
        backend: settings.backend,
        holdout: settings.holdout,
        seed: settings.seed,
    };
    judge::train_alone(experiment, &alone, &|done| progress.alone(done)).map_err(failed)
}

/// Local training of the round that follows `published` others.
fn at(federation: &Settings, published: u32) -> Training {
    Training { learning_rate: federation.learning_rate(published), ..federation.training.clone() }
}

fn report(
    arguments: &Arguments,
    experiment: &Experiment,
    settings: &LiveSettings,
    outcome: &LiveOutcome,
    alone: &[Alone],
    seconds: f64,
) -> Result<Report, Failure> {
    let layout = experiment.task.layout().map_err(failed)?;
    let mut params = layout.initial_params(arguments.seed);
    layout.load_model(&mut params, &outcome.params);
    let mut judge = Judge::new(&experiment.task, settings.backend).map_err(failed)?;
    let mut devices = Vec::new();
    for (device, alone) in experiment.devices.iter().zip(alone) {
        let (train, held) = device.windows.clone().split(settings.holdout);
        devices.push(DeviceReport {
            device: device.name.clone(),
            windows: train.len(),
            held_back: held.len(),
            global_accuracy: judge.score(&params, &held).map_err(failed)?.accuracy(),
            alone_accuracy: alone.holdout,
            alone_accuracy_unseen: alone.unseen,
        });
    }
    let rounds: Vec<RoundReport> = outcome.rounds.iter().map(round_report).collect();
    let n_devices = experiment.devices.len();
    let device_rounds: usize = rounds.iter().map(|round| round.devices).sum();
    let bytes_up: u64 = rounds.iter().map(|round| round.bytes_up).sum();
    #[allow(clippy::cast_precision_loss)]
    let outcome = Outcome {
        accuracy: rounds.last().map_or(f64::NAN, |round| round.accuracy),
        accuracy_last_five: last_five(&rounds),
        alone_accuracy_mean: alone.iter().map(|a| a.unseen).sum::<f64>() / n_devices as f64,
        bytes_up_per_device_round: bytes_up as f64 / device_rounds.max(1) as f64,
        seconds,
    };
    Ok(Report {
        dataset: experiment.dataset.clone(),
        n_params: layout.n_params(),
        n_devices,
        backend: settings.backend.to_string(),
        codec: settings.federation.codec.to_string(),
        seed: arguments.seed,
        rounds,
        outcome,
        devices,
    })
}

/// Mean accuracy of the last five rounds, or of as many as there are.
#[allow(clippy::cast_precision_loss)]
fn last_five(rounds: &[RoundReport]) -> f64 {
    let last = &rounds[rounds.len().saturating_sub(5)..];
    last.iter().map(|round| round.accuracy).sum::<f64>() / last.len() as f64
}

fn round_report(round: &live::LiveRound) -> RoundReport {
    RoundReport {
        round: round.round,
        accuracy: round.accuracy,
        loss: round.loss,
        devices: round.devices as usize,
        refused: round.refused as usize,
        bytes_up: round.bytes_up,
        bytes_down: round.bytes_down,
        seconds: round.seconds,
    }
}
