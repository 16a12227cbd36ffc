//! `dunlin-agent`: trains on this device's data and sends updates to its federation.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dunlin_agent::config::AgentConfig;
use dunlin_agent::doctor;
use dunlin_agent::driver::{self, Remote, RunError};
use dunlin_agent::instance::InstanceLock;
use dunlin_agent::store::FileStore;
use dunlin_agent::trainer::{BurnTrainer, TrainerSettings};
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
    after_help = "Example:\n  dunlin-agent --config agent.toml config check\n  dunlin-agent --config agent.toml doctor\n  dunlin-agent --config agent.toml\n\nExit codes: 0 stopped in order, 1 failed, 2 wrong usage, 78 wrong configuration."
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
    /// Try out the whole set-up, from the configuration to the sensor, and say what to do.
    Doctor(doctor::cli::Arguments),
}

#[derive(Subcommand)]
enum ConfigAction {
    /// Print every problem of the file, or that there is none.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Doctor(doctor)) = &arguments.command {
        return ExitCode::from(doctor.run(&arguments.config));
    }
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
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
    let _lock =
        InstanceLock::take(&config.state_dir).map_err(|text| Failure { text, is_config: false })?;
    let source =
        dunlin_agent::data::open(&config.source, &config.state_dir).map_err(config_failure)?;
    let trainer = TrainerSettings { backend, held_back: config.training.held_back };
    let trainer = BurnTrainer::new(source, trainer);
    let remote = Remote::default();
    let stopper = remote.clone();
    ctrlc::set_handler(move || stopper.stop())
        .map_err(|error| Failure { text: error.to_string(), is_config: false })?;
    info!("device {} of federation {}", settings.device, settings.federation);
    driver::run(settings, link, Box::new(store), Box::new(trainer), &remote).map_err(|error| {
        Failure { text: error.to_string(), is_config: matches!(error, RunError::Link(_)) }
    })
}
