//! `dunlin-agent data` as a command.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use dunlin_protocol::task::{Task, TaskSpec};
use dunlin_service::file::{self, Durability};
use dunlin_service::output::{print, say};

use super::{html, look, text};
use crate::bench::read_task;
use crate::config::AgentConfig;
use crate::data::{self, DataError};
use crate::instance::InstanceLock;
use crate::ports::StateStore;
use crate::state::DeviceState;
use crate::store::FileStore;

/// What may be done with the data.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Action {
    /// Show what the source makes of a file, or what its ring has: before anything is learned.
    ///
    /// Prints the first samples with times, labels and values, in the source's unit, in the task's and
    /// scaled as the network sees them; what was left out and why, with lines; the rate and the gaps
    /// by the times; and a small plot. Sends nothing, changes nothing, and may run beside the agent.
    #[command(
        after_help = "Examples:\n  dunlin-agent --config agent.toml data show                 the file of [source], or the ring\n  dunlin-agent --config agent.toml data show today.csv --task tasks/gait.toml\n  dunlin-agent --config agent.toml data show --rows 50 --html look.html\n\nLook for: times that are the right day; labels; `scaled` within a few units of 0; no gaps at the\nconfigured rate; nothing left out but what `where` leaves out; windows of each label.\n\nExit codes: 0 shown, whatever was found, 1 failed, 78 wrong configuration."
    )]
    Show(Show),
    /// Delete the samples that the agent keeps, with their labels and the place in its file.
    ///
    /// For a corrected file at the same path, another meaning of the channels, or a mended clock. What
    /// was learned stays. The agent must not be running; it reads its file from the start afterwards.
    Reset {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// What to show, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    /// A file in the format of [source], which must be of kind csv. Without it: the file that [source]
    /// names, or the samples in the ring where that is none.
    file: Option<PathBuf>,
    /// Task file to compare with, such as models/tasks/har-cnn.toml; without it, the task that this
    /// device worked on last.
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// Print everything as one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Write a page with larger plots to OUT instead; it holds samples: only you may read it.
    #[arg(long, value_name = "OUT", conflicts_with = "json")]
    html: Option<PathBuf>,
    /// Samples to show, the oldest ones.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    rows: u16,
}

/// Why the data could not be shown or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataCommandError {
    /// The source has nothing to show, or does not go with its ring.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The task file cannot be used.
    #[error(transparent)]
    Task(#[from] crate::bench::TaskFileError),
    /// A file or standard output refused what was written: which, and why.
    #[error("{what}: {source}")]
    Io {
        /// The file or folder, or `standard output`.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was not done: why, and what to do.
    #[error("{0}")]
    NotDone(String),
}

impl DataCommandError {
    /// Whether a person has to change the configuration.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Data(error) => error.is_config(),
            Self::Task(_) => true,
            Self::Io { .. } | Self::NotDone(_) => false,
        }
    }
}

fn io_error(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> DataCommandError {
    let what = what.to_string();
    move |source| DataCommandError::Io { what, source }
}

impl Action {
    /// Does it with the source and the state directory of `config`.
    ///
    /// # Errors
    /// [`DataCommandError`], each with what to do.
    pub fn run(&self, config: &AgentConfig) -> Result<(), DataCommandError> {
        match self {
            Self::Show(show) => show.run(config),
            Self::Reset { yes } => reset(config, *yes),
        }
    }
}

impl Show {
    fn run(&self, config: &AgentConfig) -> Result<(), DataCommandError> {
        let task = match &self.task {
            Some(path) => Some(read_task(path)?.spec().clone()),
            None => cached_task(&config.state_dir),
        };
        let scratch = tempfile::tempdir().map_err(io_error("temporary folder"))?;
        let rows = usize::from(self.rows);
        let shown = look(config, self.file.as_deref(), task.as_ref(), rows, scratch.path())?;
        let said = if self.json {
            // Texts and numbers can always be written.
            say(&serde_json::to_string_pretty(&shown).unwrap_or_default())
        } else if let Some(out) = &self.html {
            let page = html::page(&shown);
            let written = file::replace(out, page.as_bytes(), Durability::Process);
            written.map_err(io_error(out.display()))?;
            say(&out.display().to_string())
        } else {
            print(&text::text(&shown))
        };
        said.map_err(io_error("standard output"))
    }
}

/// The task that the device in `state_dir` worked on last, if it can be read.
fn cached_task(state_dir: &Path) -> Option<TaskSpec> {
    if !state_dir.is_dir() {
        return None;
    }
    let bytes = FileStore::open(state_dir).ok()?.load().ok()??;
    let task = DeviceState::decode(&bytes).ok()?.task?;
    Task::decode(&task.object).ok().map(|task| task.spec().clone())
}

fn reset(config: &AgentConfig, yes: bool) -> Result<(), DataCommandError> {
    let dir = &config.state_dir;
    let not_done = |why: String| Err(DataCommandError::NotDone(why));
    if !dir.is_dir() {
        return say(&format!("{}: there are no samples", dir.display()))
            .map_err(io_error("standard output"));
    }
    let _lock = match InstanceLock::take(dir) {
        Ok(lock) => lock,
        Err(error) => return not_done(error.to_string()),
    };
    if !yes && !agreed(dir)? {
        return not_done("nothing was deleted; --yes deletes without a question".to_owned());
    }
    data::reset(dir)?;
    say(&format!("{}: the samples are deleted", dir.display())).map_err(io_error("standard output"))
}

/// Asks whoever sits at the terminal.
fn agreed(dir: &Path) -> Result<bool, DataCommandError> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let question = format!("Delete all samples and labels in {}? [y/N] ", dir.display());
    let mut answer = String::new();
    let mut stderr = io::stderr();
    stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(io_error("terminal"))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Program {
        #[command(subcommand)]
        action: Action,
    }

    #[test]
    fn the_command_line_teaches_and_has_limits() {
        let parse = |arguments: &[&str]| {
            let all = ["data"].into_iter().chain(arguments.iter().copied());
            Program::try_parse_from(all).map(|program| program.action)
        };
        let Ok(Action::Show(show)) = parse(&["show"]) else { panic!("not read") };
        assert!(show.file.is_none() && show.rows == 10 && !show.json);
        assert!(parse(&["show", "a.csv", "--task", "t.toml", "--html", "o.html"]).is_ok());
        assert!(parse(&["show", "--html", "o.html", "--json"]).is_err());
        assert!(parse(&["show", "--rows", "10001"]).is_err());
        assert!(matches!(parse(&["reset", "--yes"]), Ok(Action::Reset { yes: true })));
        let mut program = Program::command();
        program.clone().debug_assert();
        let help = program.find_subcommand_mut("show").unwrap().render_long_help().to_string();
        assert!(help.contains("Look for") && help.contains("--task tasks/gait.toml"), "{help}");
    }
}
