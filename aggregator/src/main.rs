//! `dunlin-aggregator`: the program around the library.

mod ask;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};
use dunlin_aggregator::aggregator::{
    Aggregator, Initial, Start, StartError, check_task, check_word,
};
use dunlin_aggregator::config::Config;
use dunlin_aggregator::control;
use dunlin_aggregator::io::{Input, Output, RoundEvent};
use dunlin_aggregator::run::RunError;
use dunlin_aggregator::status::{Status, StatusError};
use dunlin_aggregator::store::{Store, StoreError};
use dunlin_aggregator::{model_file, run};
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_service::config::ConfigError;
use dunlin_service::output::say;
use dunlin_service::{ServiceNotifier, logging, signals};

/// Exit code of a configuration that cannot be used (`EX_CONFIG` of sysexits.h): a service manager
/// should not start the program again before a person has looked.
const EXIT_CONFIG: u8 = 78;

/// Opens rounds, combines the devices' updates and publishes the model.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, or stopped in order, 1 failed, 2 wrong usage, 78 wrong configuration, or a store that cannot be used."
)]
struct Arguments {
    /// Configuration file, in TOML; aggregator.example.toml explains every key.
    #[arg(long, short, global = true, default_value = "aggregator.toml")]
    config: PathBuf,
    /// Go on with the store's model though the task file gives its numbers another meaning: other
    /// labels, channels, units or scales. DIGEST names that task; the refusal prints it.
    #[arg(long, global = true, value_name = "DIGEST")]
    adopt_task: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run until told to stop; what happens without a subcommand.
    Run,
    /// Look at the configuration without running.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Write the current model to a safetensors file; the aggregator must not be running.
    Export {
        /// The file to write.
        file: PathBuf,
    },
    /// Make the model of a safetensors file the next version; the aggregator must not be running.
    Import {
        /// The file to read.
        file: PathBuf,
    },
    /// Ask the devices for exact sums of their data: labels, and of channels how many samples, sum,
    /// sum of squares and a histogram.
    ///
    /// A running aggregator puts the query to the devices; where none runs, this program does, and
    /// trains nothing. Fewer devices than the quorum give no answer, and nothing of theirs is shown.
    #[command(
        after_help = "Example of FILE:\n  labels = true\n  quorum = 3\n  deadline_s = 600\n\n  [[channels]]\n  name = \"acc_x\"\n  fraction_bits = 12      # steps of 2^-12 of the unit\n  max_abs = 16            # values beyond count as 16\n  edges = [-1, 0, 1]      # histogram"
    )]
    Query {
        /// File with the query, in TOML.
        file: PathBuf,
        /// Print the answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show versions and rounds.
    Status {
        /// Print the status as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read the configuration, compare it with the model that is kept, and say what is wrong.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start("info");
    match perform(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            // A store of another task or program and a missing certificate are its fault as well.
            let start = error.downcast_ref().is_some_and(RunError::is_config);
            let store = error.downcast_ref().is_some_and(StoreError::is_config)
                || error.downcast_ref().is_some_and(StatusError::is_config);
            let query = error.downcast_ref::<ask::Unusable>().is_some();
            let config = error.downcast_ref::<ConfigError>().is_some() || start || store || query;
            if config { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

fn perform(arguments: &Arguments) -> Outcome {
    let mut config = Config::load(&arguments.config)?;
    config.adopt_task.clone_from(&arguments.adopt_task);
    match &arguments.command {
        None | Some(Command::Run) => run_until_signal(&config),
        Some(Command::Config { command: ConfigCommand::Check }) => {
            config.broker.check_files().map_err(RunError::Link)?;
            check_store(&config)?;
            Ok(say(&format!("{} is valid", arguments.config.display()))?)
        }
        Some(Command::Export { file }) => export(&config, file),
        Some(Command::Import { file }) => import(&config, file),
        Some(Command::Query { file, json }) => ask::run(config, file, *json),
        Some(Command::Status { json }) => status(&config, *json),
    }
}

/// Compares the task of the model in the store with the configured one, as a start does.
fn check_store(config: &Config) -> Outcome {
    let task = Task::new(config.settings.task.clone())?;
    let adopted = adopts(config, &task).map_err(RunError::Start)?;
    match Store::peek(&config.store) {
        Ok(Some((layout, known))) if !adopted => {
            Ok(check_task(layout, known.as_ref(), &task).map_err(RunError::Start)?)
        }
        Ok(_) => Ok(()),
        Err(error) if error.is_config() => Err(error.into()),
        Err(error) => {
            log::warn!("the model that is kept was not compared with the task: {error}");
            Ok(())
        }
    }
}

fn run_until_signal(config: &Config) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    signals::on_stop(move || flag.store(true, Ordering::Relaxed))?;
    Ok(run::run(config, &stop, ServiceNotifier::from_environment(), |_, _| {})?)
}

/// Whether the operator gave word for `task`.
fn adopts(config: &Config, task: &Task) -> Result<bool, StartError> {
    let word = config.adopt_task.as_deref();
    word.map(|word| check_word(task, word)).transpose().map(|word| word.is_some())
}

fn export(config: &Config, file: &Path) -> Outcome {
    let store = Store::open(&config.store)?;
    let snapshot = store.load()?.ok_or("the store is empty: nothing has been learned yet")?;
    let head = &snapshot.head;
    let model = snapshot.models.get(&head.version).ok_or("the store has no current model")?;
    let task = Task::new(config.settings.task.clone())?;
    if !adopts(config, &task).map_err(RunError::Start)? {
        snapshot.check_task(&task).map_err(RunError::Start)?;
    }
    model_file::export(file, &task, head.lineage, head.version, &model.master_params)?;
    Ok(say(&format!("version {} written to {}", head.version, file.display()))?)
}

fn import(config: &Config, file: &Path) -> Outcome {
    let task = Task::new(config.settings.task.clone())?;
    let adopted = adopts(config, &task).map_err(RunError::Start)?;
    let params = model_file::import(file, &task, adopted)?;
    let store = Store::open(&config.store)?;
    let now = Instant(0);
    let (start, fresh) = match run::start_from(&store, config)? {
        Start::Fresh { lineage, .. } => {
            let initial = Initial::Params(params.clone());
            (Start::Fresh { lineage, initial }, true)
        }
        restored @ Start::Restored(_) => (restored, false),
    };
    let mut core = Aggregator::new(config.settings.clone(), start, now, run::unix_s())?;
    if !fresh {
        core.handle(now, Input::Command(control::Command::Import(&params)));
    }
    while let Some(output) = core.poll_output() {
        match output {
            Output::Save(save) => store.save(&save)?,
            Output::Event(event @ RoundEvent::ImportRefused { .. }) => {
                return Err(dunlin_aggregator::report::line(&event, task.needs_labels()).1.into());
            }
            Output::Event(_) | Output::Publish { .. } | Output::Subscribe(_) => {}
        }
    }
    Ok(say(&format!("{} is version {} now", file.display(), core.head().version))?)
}

fn status(config: &Config, json: bool) -> Outcome {
    let status = Status::read(&config.store)?;
    let text = match (status, json) {
        (Some(status), true) => serde_json::to_string_pretty(&status)?,
        (Some(status), false) => status.to_string(),
        (None, true) => "null".to_owned(),
        (None, false) => "nothing has happened yet".to_owned(),
    };
    Ok(say(&text)?)
}
