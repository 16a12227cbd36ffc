//! Everything between a sensor and training windows on the device.
//!
//! A [`WindowSource`] gives the windows that a task asks for. [`har`] reads a published data set.
//! The others are [`live`]: [`csv`] follows a growing file, a FIFO or standard input, [`iio`] reads
//! a sensor that Linux has a driver for, [`mqtt`] listens to a topic of a broker. A thread brings
//! their samples into shape ([`intake`]) and keeps them in a bounded [`ring`] on disk, which survives restarts and power cuts. [`cut`]
//! makes windows from the ring; [`labels`] names them, also after the fact. Nothing here leaves
//! the device. For a sensor of another kind see [`live::SampleReader`].

mod checked_text;
pub mod config;
pub mod csv;
pub mod cut;
mod error;
mod files;
pub mod har;
pub mod iio;
pub mod intake;
pub mod labels;
mod left_out;
pub mod live;
mod log_limit;
pub mod looks;
pub mod losses;
pub mod mqtt;
pub mod peek;
pub mod ring;
mod spans;
pub mod store;
pub mod time;
pub mod trouble;
pub mod units;
mod window_set;

pub use config::SourceConfig;
pub use error::DataError;
pub use files::reset;
pub use left_out::LeftOut;
pub use losses::{Loss, Losses};
pub use window_set::{LiveWindow, WindowCounts, WindowSet};

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dunlin_protocol::task::TaskSpec;

/// Something that has training windows: a data set, a live sensor, or a simulated device.
///
/// A live source makes progress by itself, in a thread that it owns and ends when it is dropped;
/// its user has nothing to pump. Several threads may ask one source at the same time, by way of an
/// [`Arc`]: who classifies does not wait until a training has all its windows.
pub trait WindowSource: Send + Sync {
    /// All windows that fit `task` now, scaled, oldest first. May be empty.
    ///
    /// # Errors
    /// [`DataError`] when the source can never serve this task (other channels, rate or window
    /// length), or cannot be read.
    fn windows(&self, task: &TaskSpec) -> Result<WindowSet, DataError>;

    /// As [`WindowSource::windows`], but gives up soon after `stop` says so, where looking for windows
    /// may take long.
    ///
    /// # Errors
    /// As [`WindowSource::windows`], and [`DataError::Stopped`].
    fn windows_unless(
        &self,
        task: &TaskSpec,
        stop: &dyn Fn() -> bool,
    ) -> Result<WindowSet, DataError> {
        if stop() { Err(DataError::Stopped) } else { self.windows(task) }
    }

    /// How many windows fit `task` now; `stop` as in [`WindowSource::windows_unless`]. Costs little
    /// where it is asked again and again: a live source looks only at what is new.
    ///
    /// # Errors
    /// As [`WindowSource::windows_unless`].
    fn count(&self, task: &TaskSpec, stop: &dyn Fn() -> bool) -> Result<WindowCounts, DataError> {
        self.windows_unless(task, stop).map(|set| WindowCounts::of(&set))
    }

    /// The newest whole window that fits `task`, scaled, with or without a label; `None` when the
    /// newest samples make none: too few, a gap among them, or a source that has no newest window.
    /// The same window is given again until there is a newer one.
    ///
    /// # Errors
    /// As [`WindowSource::windows`].
    fn newest_window(&self, _task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
        Ok(None)
    }

    /// How the source is doing, for logs and operators.
    fn status(&self) -> SourceStatus {
        SourceStatus::default()
    }
}

impl<T: WindowSource + ?Sized> WindowSource for Arc<T> {
    fn windows(&self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        (**self).windows(task)
    }

    fn windows_unless(
        &self,
        task: &TaskSpec,
        stop: &dyn Fn() -> bool,
    ) -> Result<WindowSet, DataError> {
        (**self).windows_unless(task, stop)
    }

    fn count(&self, task: &TaskSpec, stop: &dyn Fn() -> bool) -> Result<WindowCounts, DataError> {
        (**self).count(task, stop)
    }

    fn newest_window(&self, task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
        (**self).newest_window(task)
    }

    fn status(&self) -> SourceStatus {
        (**self).status()
    }
}

/// How a source is doing. Counts are since the program started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// Samples that the source holds now.
    pub samples: u64,
    /// Rows or other samples taken in.
    pub accepted: u64,
    /// Single missing samples that were filled in; they are among the accepted ones.
    pub filled: u64,
    /// Missing values that were held or interpolated.
    pub held: u64,
    /// What could not be used, by kind, each with the last detail.
    pub losses: Losses,
    /// What deserves a look though nothing was lost, by its kind.
    pub hints: BTreeMap<&'static str, String>,
    /// Whether no more samples will come: standard input has ended.
    pub ended: bool,
    /// What stops the source from taking in samples at the moment.
    pub problem: Option<String>,
}

impl fmt::Display for SourceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples held, {} taken in; {}", self.samples, self.accepted, self.losses)?;
        if self.filled > 0 {
            write!(f, "; {} filled in where one was missing", self.filled)?;
        }
        if self.held > 0 {
            write!(f, "; {} missing values held or interpolated", self.held)?;
        }
        if self.ended {
            f.write_str("; the input has ended")?;
        }
        for hint in self.hints.values() {
            write!(f, "; {hint}")?;
        }
        match &self.problem {
            Some(problem) => write!(f, "; {problem}"),
            None => Ok(()),
        }
    }
}

/// Opens the source that `config` describes; a live source keeps its files in `state_dir`.
///
/// # Errors
/// [`DataError`] when the configuration has problems (all of them are listed), when a data set is
/// not where it should be, or when the files in `state_dir` belong to other channels.
pub fn open(config: &SourceConfig, state_dir: &Path) -> Result<Box<dyn WindowSource>, DataError> {
    let problems = config.check();
    if !problems.is_empty() {
        return Err(DataError::Config(problems));
    }
    Ok(match config {
        SourceConfig::Har(config) => Box::new(har::HarSource::open(config)?),
        SourceConfig::Csv(config) => Box::new(csv::open(config, state_dir)?),
        SourceConfig::Iio(config) => Box::new(iio::open(config, state_dir)?),
        SourceConfig::Mqtt(config) => Box::new(mqtt::open(config, state_dir)?),
    })
}
