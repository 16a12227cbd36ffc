//! Recorded data: the windows of persons or files, which devices share out among themselves.

use std::path::{Path, PathBuf};

use dunlin_agent::data::config::{Column, CsvConfig, CsvInput, Sampling};
use dunlin_agent::data::har::{HarDataset, Split};
use dunlin_agent::data::{WindowSet, csv};
use dunlin_protocol::task::TaskSpec;

use super::scenario::Data;

/// Most CSV files of a folder.
const FILES_MAX: usize = 100_000;
/// Memory in MB that the windows of one file may take.
const WINDOWS_MB: u32 = 1024;

/// Windows by person or file.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    /// At least one, each with a window.
    pub(super) parts: Vec<WindowSet>,
    /// Windows of those that no device has, to judge by.
    pub(super) unseen: WindowSet,
}

impl Shards {
    /// Reads them as `task` wants them.
    ///
    /// # Errors
    /// What cannot be read or does not suit the task.
    pub(super) fn load(data: &Data, task: &TaskSpec) -> Result<Self, String> {
        let (learn, judge) = match data {
            Data::Har { dir } => har(dir, task)?,
            Data::Csv { dir, held_out, .. } => {
                let mut files = csv_files(dir)?;
                if *held_out >= files.len() {
                    let n = files.len();
                    return Err(format!("learning.data.held_out: below the {n} files there are"));
                }
                let judges = files.split_off(files.len() - held_out);
                (read(data, &files, task)?, read(data, &judges, task)?)
            }
        };
        let mut unseen = WindowSet::empty(task.window_values());
        for windows in &judge {
            unseen.values.extend_from_slice(&windows.values);
            unseen.labels.extend_from_slice(&windows.labels);
        }
        let parts: Vec<_> = learn.into_iter().filter(|windows| !windows.is_empty()).collect();
        if parts.is_empty() {
            return Err("learning.data: no window of the task in any person or file".into());
        }
        Ok(Self { parts, unseen })
    }

    /// The part that `device` has.
    pub(super) fn of(&self, device: u32) -> &WindowSet {
        &self.parts[device as usize % self.parts.len()]
    }
}

type Parts = (Vec<WindowSet>, Vec<WindowSet>);

fn har(dir: &Path, task: &TaskSpec) -> Result<Parts, String> {
    let persons = HarDataset::load(dir).map_err(|error| error.to_string())?;
    let (mut learn, mut judge) = (Vec::new(), Vec::new());
    for person in &persons {
        let windows = person.for_task(task).map_err(|error| error.to_string())?;
        match person.person.split {
            Split::Train => learn.push(windows),
            Split::Test => judge.push(windows),
        }
    }
    Ok((learn, judge))
}

/// The CSV files of a folder, by name.
fn csv_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let named = |error: std::io::Error| format!("learning.data.dir {}: {error}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(named)? {
        let path = entry.map_err(named)?.path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(format!("learning.data.dir {}: over {FILES_MAX} files", dir.display()));
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("learning.data.dir {}: no file ends in .csv", dir.display()));
    }
    Ok(files)
}

fn read(data: &Data, files: &[PathBuf], task: &TaskSpec) -> Result<Vec<WindowSet>, String> {
    let Data::Csv { rate_hz, channels, time, label, .. } = data else { return Ok(Vec::new()) };
    let column = |name: &String| Column::Name(name.clone());
    let columns = channels.iter().map(|(channel, name)| (channel.clone(), column(name)));
    let mut config = CsvConfig {
        sampling: Sampling::new(*rate_hz, columns.collect()),
        input: CsvInput::new(PathBuf::new()),
    };
    config.sampling.windows_mb = WINDOWS_MB;
    config.input.time = time.as_ref().map(column);
    config.input.label = label.as_ref().map(column);
    let mut parts = Vec::with_capacity(files.len());
    for file in files {
        config.input.path.clone_from(file);
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let windows = csv::read_file(&config, scratch.path(), task);
        parts.push(windows.map_err(|error| format!("{}: {error}", file.display()))?);
    }
    Ok(parts)
}
