//! The subcommands and what they share: data, failures, files, progress.

pub(crate) mod bench;
pub(crate) mod codecs;
pub(crate) mod curve;
pub(crate) mod invent;
mod plot;
pub(crate) mod scale;
pub(crate) mod simulate;
pub(crate) mod soak;

use std::fmt::Display;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::RangedU64ValueParser;
use dunlin_aggregator::settings::{Enrolment, Settings};
use dunlin_fleet::experiment::{self, Experiment};
use dunlin_fleet::live;
use dunlin_protocol::codec::Codec;
use dunlin_service::output::{print, say};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Why a subcommand gave nothing.
pub(crate) enum Failure {
    /// The arguments cannot be used.
    Usage(String),
    /// Something went wrong on the way.
    Run(String),
}

pub(crate) fn failed(error: impl Display) -> Failure {
    Failure::Run(error.to_string())
}

pub(crate) fn usage(error: impl Display) -> Failure {
    Failure::Usage(error.to_string())
}

/// Whose data, and where results go.
#[derive(Args)]
pub(crate) struct Common {
    /// Folder of the UCI HAR data set (with train/ and test/ in it) [default: 8 invented persons].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Task for --data: har-cnn, har-mlp or acc-cnn.
    #[arg(long, default_value = "har-cnn")]
    task: String,
    /// Folder for the plot and the figures.
    #[arg(long, default_value = "dunlin-fleet", value_name = "DIR")]
    report: PathBuf,
    /// Print the figures as JSON on standard output, and nothing else there.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Common {
    /// The experiment, its learning rate falling over `rounds`.
    pub(crate) fn experiment(&self, rounds: u32, seed: u64) -> Result<Experiment, Failure> {
        let mut experiment = match &self.data {
            None => experiment::wrist(8, seed),
            Some(dir) => {
                let known = dunlin_models::tasks::NAMES.join(", ");
                let task = dunlin_models::tasks::task(&self.task).ok_or_else(|| {
                    usage(format!("--task {}: unknown; there are {known}", self.task))
                })?;
                experiment::har(dir, task, None).map_err(usage)?
            }
        };
        if rounds == 0 {
            return Err(usage("--rounds 0: use 1 or more"));
        }
        experiment.recipe.rounds = rounds;
        Ok(experiment)
    }

    /// Settings in which everybody takes part and nobody waits.
    pub(crate) fn settings(experiment: &Experiment, codec: Codec) -> Result<Settings, Failure> {
        let mut settings = live::demonstration(experiment).map_err(failed)?;
        (settings.codec, settings.enrolled) = (codec, Enrolment::Any);
        match settings.problems().0.first() {
            Some(problem) => Err(usage(format!("{codec}: {problem}"))),
            None => Ok(settings),
        }
    }

    /// Writes a plot and the figures, and says where they are.
    pub(crate) fn write(
        &self,
        name: &str,
        plot: Option<String>,
        figures: &impl serde::Serialize,
        table: &str,
    ) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(figures).map_err(failed)?;
        let named = |error| usage(format!("--report {}: {error}", self.report.display()));
        std::fs::create_dir_all(&self.report).map_err(named)?;
        let path = |ending: &str| self.report.join(format!("{name}.{ending}"));
        std::fs::write(path("json"), &json).map_err(named)?;
        if let Some(svg) = plot {
            std::fs::write(path("svg"), svg).map_err(named)?;
        }
        if self.json {
            say(&json).map_err(failed)?;
        } else {
            print(table).map_err(failed)?;
            say(&format!("\n{} and {}", shown(&path("svg")), shown(&path("json"))))
                .map_err(failed)?;
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Numbers of threads that make sense.
pub(crate) fn threads() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=256)
}

/// A bar on standard error when that is a terminal.
pub(crate) fn bar(steps: u64, visible: bool) -> ProgressBar {
    let terminal = visible && std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(steps), target);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed}, {eta} to go)")
    {
        bar.set_style(style);
    }
    bar
}
