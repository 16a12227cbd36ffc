//! `dunlin-agent`: trains on this device's data and sends updates to its federation.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dunlin_agent::bench::{self, BenchSettings};
use dunlin_agent::config::AgentConfig;
use dunlin_agent::data::{SharedSource, WindowSource};
use dunlin_agent::driver::{self, Parts, Remote, RunError};
use dunlin_agent::eligibility::Eligibility;
use dunlin_agent::inference::{Inference, InferenceConfig, NetworkClassifier};
use dunlin_agent::nice::Nice;
use dunlin_agent::ports::Conditions;
use dunlin_agent::store::FileStore;
use dunlin_agent::trainer::{BurnTrainer, TrainerSettings};
use dunlin_models::Backend;
use dunlin_service::Manager;
use log::{error, info};

/// Exit code for a wrong configuration (`EX_CONFIG` of sysexits.h): a restart does not help.
const EXIT_CONFIG: u8 = 78;

/// Trains a model on this device's own data and sends only updates over MQTT.
///
/// The data never leaves the device. Start it beside a sensor, point it at a broker; it takes part
/// in rounds when its federation's aggregator asks. Logging: RUST_LOG=info (default), debug.
#[derive(Parser)]
#[command(
    name = "dunlin-agent",
    version,
    after_help = "Example:\n  dunlin-agent --config agent.toml config check\n  dunlin-agent --config agent.toml\n\nExit codes: 0 stopped in order, 1 failed, 2 wrong usage, 78 wrong configuration."
)]
struct Arguments {
    /// Configuration file; agent/agent.example.toml explains every key.
    #[arg(long, short, default_value = "/etc/dunlin/agent.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the configuration without running.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Measure what a task costs on this board: seconds, memory and bytes of one round.
    ///
    /// Trains on made-up windows; needs neither broker nor configuration.
    Bench {
        /// The task file, such as models/tasks/har-cnn.toml.
        task: PathBuf,
        /// Training windows.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        windows: u32,
        /// Passes over them.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
        epochs: u16,
        /// Windows in a batch.
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
        batch: u16,
        /// Seed of windows, model and shuffles.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Also write the update to this file: 32-bit floats, little-endian.
        #[arg(long)]
        update: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum ConfigAction {
    /// Print every problem of the file, or that there is none.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    if let Some(Command::Bench { task, windows, epochs, batch, seed, json, update }) =
        &arguments.command
    {
        let backend = Backend::default();
        let settings = BenchSettings {
            windows: *windows,
            epochs: *epochs,
            batch: *batch,
            seed: *seed,
            backend,
        };
        return measure(task, &settings, *json, update.as_deref());
    }
    let config = match AgentConfig::load(&arguments.config) {
        Ok(config) => config,
        Err(problems) => {
            error!("the configuration cannot be used:\n{problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if let Some(Command::Config { action: ConfigAction::Check }) = arguments.command {
        println_ok(&arguments.config);
        return ExitCode::SUCCESS;
    }
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::from(if failure.is_config { EXIT_CONFIG } else { 1 })
        }
    }
}

#[allow(clippy::print_stdout)] // what was asked for
fn measure(task: &Path, settings: &BenchSettings, json: bool, update: Option<&Path>) -> ExitCode {
    let measured = bench::read_task(task)
        .and_then(|task| bench::run(task, settings).map_err(|failure| failure.0));
    let kept = measured.and_then(|report| {
        let Some(path) = update else { return Ok(report) };
        let bytes: Vec<u8> = report.delta.iter().flat_map(|value| value.to_le_bytes()).collect();
        let kept = std::fs::write(path, bytes);
        kept.map(|()| report).map_err(|error| format!("{}: {error}", path.display()))
    });
    match kept {
        Ok(report) if json => println!("{}", report.to_json()),
        Ok(report) => println!("{report}"),
        Err(problem) => {
            error!("{problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[allow(clippy::print_stdout)] // the answer of `config check`
fn println_ok(path: &std::path::Path) {
    println!("{}: no problem found", path.display());
}

struct Failure {
    text: String,
    is_config: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn config_failure(error: impl std::fmt::Display) -> Failure {
    Failure { text: error.to_string(), is_config: true }
}

fn run(config: &AgentConfig) -> Result<(), Failure> {
    let settings = config.settings().map_err(config_failure)?;
    let link = config.link().ok_or_else(|| config_failure("broker.url is wrong"))?;
    let backend = config.backend().map_err(config_failure)?;
    let store = FileStore::open(&config.state_dir).map_err(config_failure)?;
    let source =
        dunlin_agent::data::open(&config.source, &config.state_dir).map_err(config_failure)?;
    let trainer = TrainerSettings { backend, held_back: config.training.held_back };
    let source = SharedSource::new(source);
    let trainer = BurnTrainer::new(Box::new(source.clone()), trainer);
    let trainer = Nice::new(trainer, config.training.nice);
    let inference = config.inference.clone().map(|section| inference(section, config, source));
    let inference = inference.transpose()?;
    let conditions = Eligibility::new(&config.eligibility);
    let conditions = conditions.map(|rules| Box::new(rules) as Box<dyn Conditions + Send>);
    let remote = Remote::default();
    let stopper = remote.clone();
    ctrlc::set_handler(move || stopper.stop())
        .map_err(|error| Failure { text: error.to_string(), is_config: false })?;
    info!("device {} of federation {}", settings.device, settings.federation);
    let parts = Parts::new(settings, link, store, trainer);
    let parts = Parts { conditions, inference, manager: Manager::from_environment(), ..parts };
    driver::run(parts, &remote).map_err(|error| Failure {
        text: error.to_string(),
        is_config: matches!(error, RunError::Link(_)),
    })
}

/// What `[inference]` asks for.
fn inference(
    section: InferenceConfig,
    config: &AgentConfig,
    source: impl WindowSource + Send + 'static,
) -> Result<Inference, Failure> {
    let cap = config.settings().map_err(config_failure)?.link.cap_per_day;
    Ok(Inference {
        policy: section.policy(cap).map_err(config_failure)?,
        config: section,
        source: Box::new(source),
        classifier: Box::new(NetworkClassifier::new(config.backend().map_err(config_failure)?)),
        models: Box::new(FileStore::named(&config.state_dir, "model").map_err(config_failure)?),
    })
}
