//! What is learned, by whom, from which data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Tasks whose data are invented.
pub(super) const INVENTED: [&str; 4] = ["toy", "wrist", "flute-lr", "har-like"];

/// What is learned, from which data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Learning {
    /// With invented data: `toy` (exact arithmetic, no network), `wrist` (a watch's motion, each
    /// device a person), `flute-lr` (784 values, ten classes) or `har-like` (`har-cnn` on windows
    /// of nine channels in which each class has a rhythm). With `data`: `har-cnn`, `har-mlp`, `acc-cnn`
    /// or the path of a task file; a relative path starts at the scenario's folder.
    pub task: PathBuf,
    /// Recorded data, where they are not invented.
    pub data: Option<Data>,
    /// Values in a window of `toy`, which has twice as many parameters and two more, 1 to 8,000.
    pub toy_values: u16,
    /// Windows of one device, up to 100,000. With `data`, so many are drawn from its person or
    /// file; 0 takes all of them.
    pub windows: u32,
    /// Spread of the windows over devices: each has between `windows / (1 + s)` and
    /// `windows * (1 + s)`.
    pub quantity_skew: f64,
    /// Concentration of the Dirichlet draw of each device's labels; 0 is even (with `data`: as
    /// recorded).
    pub dirichlet: f64,
    /// Passes over a device's windows in a round.
    pub epochs: u16,
    /// Windows in a batch.
    pub batch: u16,
    /// Step length in the first round.
    pub learning_rate: f32,
    /// Share of the last step that is kept.
    pub momentum: f32,
    /// How the step length goes to 0 over the rounds: `constant` (it does not), `linear`, `cosine`.
    pub schedule: String,
}

impl Default for Learning {
    fn default() -> Self {
        Self {
            task: "toy".into(),
            data: None,
            toy_values: 40,
            windows: 60,
            quantity_skew: 0.0,
            dirichlet: 0.0,
            epochs: 1,
            batch: 10,
            learning_rate: 0.05,
            momentum: 0.0,
            schedule: "constant".into(),
        }
    }
}

impl Learning {
    /// The task as text, such as `toy`.
    pub fn task_name(&self) -> &str {
        self.task.to_str().unwrap_or("")
    }

    /// The task, where it is a file.
    pub(super) fn task_file_mut(&mut self) -> Option<&mut PathBuf> {
        self.is_task_file().then_some(&mut self.task)
    }

    /// Whether the task is a file.
    pub fn is_task_file(&self) -> bool {
        self.task.extension().is_some_and(|ending| ending == "toml")
    }
}

/// Recorded data, each part on devices of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Data {
    /// The UCI HAR data set: devices are the 21 persons of its training split in turn, the 9
    /// persons of its test split judge.
    Har {
        /// The folder `UCI HAR Dataset`, or the folder that contains it.
        dir: PathBuf,
    },
    /// A folder of CSV files with a header row: devices have the files in turn, by name.
    Csv {
        /// The folder; a relative path starts at the scenario's folder.
        dir: PathBuf,
        /// The last so many files judge and are on no device.
        #[serde(default)]
        held_out: usize,
        /// Samples a second in the recording, above 0.
        rate_hz: f64,
        /// Channel of the task to column.
        channels: BTreeMap<String, String>,
        /// Column of the time in seconds; without it, samples follow each other at `rate_hz`.
        time: Option<String>,
        /// Column of the label.
        label: Option<String>,
    },
}

impl Data {
    pub(super) fn dir_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Har { dir } | Self::Csv { dir, .. } => dir,
        }
    }
}
