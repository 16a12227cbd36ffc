//! What can go wrong between a sensor and a window.

use std::io;
use std::path::{Path, PathBuf};

use dunlin_service::config::Problems;

use super::LeftOut;
use super::ring::pace;

/// Why there are no windows. Each text names what, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused a file.
    #[error("{}: cannot {doing}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, such as `open`.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line of a text file is not what it should be.
    #[error("{}, line {line}: {problem}", .path.display())]
    Line {
        /// The text file, such as one of a data set.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder is not laid out as the data set should be.
    #[error("{}: {problem}", .path.display())]
    Layout {
        /// The file or folder that is missing or wrong.
        path: PathBuf,
        /// What is wrong and what should be there.
        problem: String,
    },
    /// The data set has nobody with this number.
    #[error("there is no person {person}; there are {has:?}")]
    NoPerson {
        /// The number asked for.
        person: u16,
        /// The numbers that there are.
        has: Vec<u16>,
    },
    /// The task wants channels that the source does not have.
    #[error(
        "the task wants channels that the source lacks: {}; it has {}; map them in the \
         configuration of the source or offer a task with these channels",
        .missing.join(", "),
        .has.join(", ")
    )]
    Channels {
        /// Wanted and not there.
        missing: Vec<String>,
        /// Names of the channels that the source has.
        has: Vec<String>,
    },
    /// The task wants another sampling rate.
    #[error(
        "the task wants {}, the source has {}; they may differ by 1 %: set the sensor to the rate of \
         the task or offer a task with this rate",
        pace(*.task_ns),
        pace(*.has_ns)
    )]
    Rate {
        /// Nanoseconds between samples that the task wants.
        task_ns: u64,
        /// Nanoseconds between samples of the source.
        has_ns: u64,
    },
    /// The times of the samples do not run at the sampling rate that the configuration names.
    #[error("{0}")]
    Clock(Box<LeftOut>),
    /// The source has windows of another length. Lengths in samples.
    #[error("the task wants windows of {task} samples, the source has windows of {has}")]
    Window {
        /// Length that the task wants.
        task: usize,
        /// Length that the source has.
        has: usize,
    },
    /// None of the task's labels occurs in the source.
    #[error(
        "none of the task's labels occurs in the data; the task has {}; the data have {}",
        .task.join(", "),
        .has.join(", ")
    )]
    Labels {
        /// Labels that the task has.
        task: Vec<String>,
        /// Labels that occur in the source.
        has: Vec<String>,
    },
    /// A state file belongs to another configuration, or to another process.
    #[error("{}: {problem}", .path.display())]
    State {
        /// The state file, such as `samples.ring`.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A ring holds other samples than the configuration says, or has a version that is not known.
    #[error("{}: {problem}", .path.display())]
    Ring {
        /// The ring, `samples.ring` in the state folder.
        path: PathBuf,
        /// What differs and what to do.
        problem: String,
    },
    /// A channel of the source has another unit than the task's, and the two cannot be converted.
    #[error(
        "channel {channel} is in {has:?} by the configuration of the source, the task wants {task:?}, \
         and how to convert these is not known; correct source.unit or source.units, with a factor and \
         an offset where needed"
    )]
    Unit {
        /// Name of the channel.
        channel: String,
        /// Unit that the source has.
        has: String,
        /// Unit that the task wants.
        task: String,
    },
    /// The input of a live source cannot be used as it is.
    #[error("{}: {problem}", .path.display())]
    Input {
        /// The file, FIFO, or `-` for standard input.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The caller asked to stop.
    #[error("the work was stopped")]
    Stopped,
    /// The configuration has problems.
    #[error("the configuration of the data source has problems:{0:#}")]
    Config(Problems),
}

impl DataError {
    /// Whether a person has to change something, so that another start would not help: not so where
    /// the operating system refused a file, or another process has it.
    pub fn is_config(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::State { .. } | Self::Stopped)
    }

    /// Wraps an error of the operating system: what was tried on which file.
    pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), doing, source }
    }

    /// An error about one line of a text file.
    pub(super) fn line(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self::Line { path: path.to_owned(), line, problem: problem.into() }
    }
}
