//! `dunlin-agent`: trains on this device's data and sends updates to its federation.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use dunlin_agent::bench;
use dunlin_agent::config::AgentConfig;
use dunlin_agent::data::WindowSource;
use dunlin_agent::doctor;
use dunlin_agent::driver::{self, Parts, Remote};
use dunlin_agent::eligibility::Eligibility;
use dunlin_agent::inference::{Inference, InferenceConfig, NetworkClassifier};
use dunlin_agent::instance::InstanceLock;
use dunlin_agent::nice::Nice;
use dunlin_agent::origin::Origin;
use dunlin_agent::ports::Conditions;
use dunlin_agent::show;
use dunlin_agent::store::FileStore;
use dunlin_agent::trainer::{BurnTrainer, TrainerSettings};
use dunlin_service::file::is_open_to_all;
use dunlin_service::output::say;
use dunlin_service::{ServiceNotifier, logging, signals};
use log::{error, info, warn};

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
    after_help = "Example:\n  dunlin-agent --config agent.toml config check\n  dunlin-agent --config agent.toml data show\n  dunlin-agent --config agent.toml doctor\n  dunlin-agent --config agent.toml\n\nExit codes: 0 stopped in order, 1 failed, 2 wrong usage, 78 wrong configuration, or a state that\nis damaged or of another version."
)]
struct Arguments {
    /// Configuration file; agent/agent.example.toml explains every key.
    #[arg(long, short, global = true, default_value = "/etc/dunlin/agent.toml")]
    config: PathBuf,
    /// Start as a new device where the state is damaged or of a newer version.
    ///
    /// Lost are the update that waits to be sent, this device's own layers, what its data cap has
    /// counted and the secret of its draw. The old files stay as state.a.unused and state.b.unused.
    /// A state that can be used is kept.
    #[arg(long)]
    reset_state: bool,
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
    Bench(bench::cli::Arguments),
    /// Look at the samples before training, or delete them.
    Data {
        #[command(subcommand)]
        action: show::cli::Action,
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
    // What `data` finds it prints itself.
    let data = matches!(arguments.command, Some(Command::Data { .. }));
    logging::start(if data { "error" } else { "info" });
    if let Some(Command::Bench(bench)) = &arguments.command {
        return bench.run();
    }
    let config = match AgentConfig::load(&arguments.config) {
        Ok(config) => config,
        Err(problems) => {
            error!("the configuration cannot be used:\n{problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if let Some(Command::Config { action: ConfigAction::Check }) = arguments.command {
        return check(&config, &arguments.config);
    }
    if let Some(Command::Data { action }) = &arguments.command {
        return match action.run(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                error!("{problem}");
                ExitCode::from(if problem.is_config() { EXIT_CONFIG } else { 1 })
            }
        };
    }
    match run(&config, arguments.reset_state) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::from(if failure.is_config { EXIT_CONFIG } else { 1 })
        }
    }
}

/// Looks at what the file at `path` names: keys, certificates, and the samples that are kept.
fn check(config: &AgentConfig, path: &Path) -> ExitCode {
    let link = config.link().map_err(|problems| problems.to_string());
    let checked = link.and_then(|link| link.check_files().map_err(|error| error.to_string()));
    if let Err(problem) = checked {
        error!("the configuration cannot be used:\n{problem}");
        return ExitCode::from(EXIT_CONFIG);
    }
    match config.source.check_ring(&config.state_dir) {
        Ok(()) => {}
        Err(problem) if problem.is_config() => {
            error!("the configuration does not go with the samples there:\n{problem}");
            return ExitCode::from(EXIT_CONFIG);
        }
        // Not every user may look there.
        Err(problem) => warn!("the samples there were not compared: {problem}"),
    }
    Origin::of(config).changes().iter().for_each(|change| warn!("{change}"));
    answer(say(&format!("{}: no problem found", path.display())))
}

/// How a command ends that has printed what it was asked for.
fn answer(printed: std::io::Result<()>) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!("standard output: {problem}");
            ExitCode::FAILURE
        }
    }
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

/// A failure that may be over at the next start.
fn failure(error: impl std::fmt::Display) -> Failure {
    Failure { text: error.to_string(), is_config: false }
}

fn config_failure(error: impl std::fmt::Display) -> Failure {
    Failure { text: error.to_string(), is_config: true }
}

fn run(config: &AgentConfig, reset_state: bool) -> Result<(), Failure> {
    let settings = config.settings().map_err(config_failure)?;
    let link = config.link().map_err(config_failure)?;
    let backend = config.backend().map_err(config_failure)?;
    let mut store = FileStore::open(&config.state_dir).map_err(failure)?;
    let _lock = InstanceLock::take(&config.state_dir).map_err(failure)?;
    if is_open_to_all(&config.state_dir) {
        let dir = config.state_dir.display();
        warn!("{dir}: everybody on this machine may read the samples there: chmod 700 {dir}");
    }
    if reset_state {
        reset(&mut store)?;
    }
    let origin = Origin::of(config);
    origin.changes().iter().for_each(|change| warn!("{change}"));
    let source = dunlin_agent::data::open(&config.source, &config.state_dir)
        .map_err(|error| Failure { is_config: error.is_config(), ..failure(error) })?;
    origin.note();
    let trainer = TrainerSettings { backend, holdout: config.training.held_back };
    let source: Arc<dyn WindowSource> = source.into();
    let trainer = BurnTrainer::new(Box::new(Arc::clone(&source)), trainer);
    let trainer = Nice::new(trainer, config.training.nice);
    let inference = config.inference.clone().map(|section| inference(section, config, source));
    let inference = inference.transpose()?;
    let conditions = Eligibility::new(&config.eligibility);
    let conditions = conditions.map(|rules| Box::new(rules) as Box<dyn Conditions + Send>);
    let remote = Remote::default();
    let stopper = remote.clone();
    signals::on_stop(move || stopper.stop()).map_err(failure)?;
    info!("device {} of federation {}", settings.device, settings.federation);
    let parts = Parts::new(settings, link, store, trainer);
    let parts =
        Parts { conditions, inference, manager: ServiceNotifier::from_environment(), ..parts };
    driver::run(parts, &remote)
        .map_err(|error| Failure { is_config: error.is_config(), ..failure(error) })
}

/// Sets a state aside that cannot be used.
fn reset(store: &mut FileStore) -> Result<(), Failure> {
    match driver::load_state(store) {
        Ok(_) => info!("the state can be used: --reset-state changes nothing"),
        Err(error) if error.is_config() => {
            store.set_aside().map_err(failure)?;
            warn!("starts as a new device, the old state is set aside: {error}");
        }
        Err(error) => return Err(failure(error)),
    }
    Ok(())
}

/// What `[inference]` asks for.
fn inference(
    section: InferenceConfig,
    config: &AgentConfig,
    source: Arc<dyn WindowSource>,
) -> Result<Inference, Failure> {
    let cap = config.settings().map_err(config_failure)?.link.cap_per_day;
    Ok(Inference {
        policy: section.policy(cap).map_err(config_failure)?,
        config: section,
        source: Box::new(source),
        classifier: Box::new(NetworkClassifier::new(config.backend().map_err(config_failure)?)),
        models: Box::new(FileStore::named(&config.state_dir, "model").map_err(failure)?),
    })
}
