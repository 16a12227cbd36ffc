//! What is learned, by whom, from which data.

use std::path::{Path, PathBuf};

use dunlin_agent::data::config::{CsvConfig, SourceConfig};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

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
    /// A folder of text files, each device with the recording of one of them, or of one person.
    Csv(CsvData),
}

/// A folder of text files. Beside these keys stand those of an agent's `csv` source, but for its
/// path, the size of its ring and `labels_path`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CsvData {
    /// The folder; a relative path starts at the scenario's folder.
    pub dir: PathBuf,
    /// The last so many parts judge and are on no device.
    #[serde(default)]
    pub held_out: usize,
    /// What one device has.
    #[serde(default)]
    pub by: By,
    /// Whether several devices may have the same part, where there are fewer than devices.
    #[serde(default)]
    pub repeat: bool,
    /// Names of the files, with `*` for any characters.
    #[serde(default = "csv_files")]
    pub files: String,
    /// Names of files that are no recordings, such as an index.
    #[serde(default)]
    pub skip: Vec<String>,
    /// Each file has a label file of the same name, but with this instead of its ending.
    pub labels_suffix: Option<String>,
    /// The keys of the source. In texts, `{1}` stands for what the first `*` of `files` is in the
    /// name of the file.
    #[serde(flatten)]
    pub source: Table,
}

fn csv_files() -> String {
    "*.csv".into()
}

/// What one device has of a folder of text files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum By {
    /// `"file"`: a file. `"folder"`: the files of a folder in the folder. Text such as `"{2}"`: the
    /// files in whose names the second `*` is the same.
    Text(String),
    /// The rows with one text in a column.
    Column {
        /// Name or place of the column.
        column: ColumnKey,
    },
}

impl Default for By {
    fn default() -> Self {
        Self::Text("file".into())
    }
}

/// A column by its name or its place from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ColumnKey {
    /// Its place.
    Index(usize),
    /// Its name in the header.
    Name(String),
}

/// Keys of a source that have no meaning for recorded shards.
const NO_USE: [&str; 5] = ["path", "labels_path", "capacity_mb", "capacity_samples", "windows_mb"];

impl CsvData {
    /// The source that reads `path`, in the name of which the `*`s of `files` are `captures`.
    ///
    /// # Errors
    /// Everything that is wrong with the keys.
    #[allow(clippy::wildcard_enum_match_arm)] // sources may come
    pub fn source(&self, path: &Path, captures: &[&str]) -> Result<CsvConfig, String> {
        if let Some(key) = NO_USE.iter().find(|key| self.source.contains_key(**key)) {
            let instead = match *key {
                "labels_path" => {
                    "name one label file of all recordings by label_file = { path = \"...\", file = \
                     \"column of their names\" }, one beside each by labels_suffix"
                }
                _ => "has no use in a simulation; remove it",
            };
            return Err(format!("learning.data.{key}: {instead}"));
        }
        let mut keys = Value::Table(self.source.clone());
        fill_in(&mut keys, captures);
        let Value::Table(mut keys) = keys else { return Err("learning.data: no table".into()) };
        keys.insert("kind".into(), "csv".into());
        keys.insert("path".into(), path.to_string_lossy().into_owned().into());
        if let Some(suffix) = &self.labels_suffix {
            let labels = labels_of(path, suffix).to_string_lossy().into_owned();
            keys.insert("labels_path".into(), labels.into());
        }
        let source = SourceConfig::deserialize(Value::Table(keys));
        let source = source.map_err(|error| format!("learning.data: {error}"))?;
        let problems = source.check();
        if !problems.is_empty() {
            return Err(format!("learning.data:{problems:#}"));
        }
        match source {
            SourceConfig::Csv(config) => Ok(config),
            _ => Err("learning.data: no csv source".into()),
        }
    }
}

/// The label file of the recording at `path`.
pub(in crate::sim) fn labels_of(path: &Path, suffix: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(stem + suffix)
}

/// Puts `captures` in the place of `{1}`, `{2}` and so on in all texts of `value`. A text that is a
/// whole number then becomes that number, as `01` and `1` are the same in an index.
#[allow(clippy::wildcard_enum_match_arm)] // tables and lists have parts
fn fill_in(value: &mut Value, captures: &[&str]) {
    match value {
        Value::String(text) if text.contains('{') => {
            let mut filled = text.clone();
            for (at, capture) in captures.iter().enumerate() {
                filled = filled.replace(&format!("{{{}}}", at + 1), capture);
            }
            if filled != *text {
                *value = filled.parse::<i64>().map_or(Value::String(filled), Value::Integer);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| fill_in(value, captures)),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| fill_in(value, captures)),
        _ => {}
    }
}

impl Data {
    pub(super) fn dir_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Har { dir } => dir,
            Self::Csv(data) => &mut data.dir,
        }
    }

    /// Starts relative paths in it at `folder`.
    pub(super) fn start_at(&mut self, folder: &Path) {
        let dir = self.dir_mut();
        *dir = folder.join(&*dir);
        if let Self::Csv(data) = self
            && let Some(Value::Table(labels)) = data.source.get_mut("label_file")
            && let Some(Value::String(path)) = labels.get_mut("path")
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
}
