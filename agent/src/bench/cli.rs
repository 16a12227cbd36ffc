//! `dunlin-agent bench` as a command.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use dunlin_models::Backend;

use super::{BenchReport, BenchSettings, read_task, run};

/// What the command is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The task file, such as models/tasks/har-cnn.toml.
    task: PathBuf,
    /// Training windows to make up.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    windows: u32,
    /// Passes over the windows.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    epochs: u16,
    /// Windows in a batch.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Seed of windows, model and shuffles.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
    /// Also write the update to this file: 32-bit floats, little-endian.
    #[arg(long)]
    update: Option<PathBuf>,
}

impl Arguments {
    /// Measures and prints what was measured; fails where the task or the file cannot be used.
    pub fn run(&self) -> ExitCode {
        let text = match self.measure() {
            Ok(report) if self.json => report.to_json(),
            Ok(report) => report.to_string(),
            Err(problem) => {
                log::error!("{problem}");
                return ExitCode::FAILURE;
            }
        };
        match dunlin_service::output::say(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::error!("standard output: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn measure(&self) -> Result<BenchReport, Box<dyn Error>> {
        let Self { windows, epochs, batch, seed, .. } = *self;
        let settings = BenchSettings { windows, epochs, batch, seed, backend: Backend::default() };
        let report = run(read_task(&self.task)?, &settings)?;
        if let Some(path) = &self.update {
            let bytes: Vec<u8> =
                report.delta.iter().flat_map(|value| value.to_le_bytes()).collect();
            fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(report)
    }
}
