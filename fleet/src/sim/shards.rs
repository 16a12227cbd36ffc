//! Recorded data: the windows of persons or files, which devices share out among themselves.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dunlin_agent::data::har::{HarDataset, Split};
use dunlin_agent::data::{DataError, Loss, SourceStatus, WindowSet, csv};
use dunlin_protocol::task::TaskSpec;

use self::files::{File, Part};
use super::scenario::{CsvData, Data};

/// Memory in MB that the windows of one file may take.
const WINDOWS_MB: u32 = 1024;
/// Labels that are named at the most where they do not fit.
const LABELS_SHOWN: usize = 12;

/// Windows by person or file.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    /// At least one, each with a window.
    pub(super) parts: Vec<WindowSet>,
    /// Windows of those that no device has, to judge by.
    pub(super) unseen: WindowSet,
    /// What reading could not use, by kind; windows that cutting left out as `windows_` and why.
    pub(super) left_out: BTreeMap<String, u64>,
}

impl Shards {
    /// Reads them as `task` wants them, for so many `devices`.
    ///
    /// # Errors
    /// What cannot be read or does not suit the task, and that there are fewer parts than devices
    /// where the scenario does not say that parts repeat.
    pub(super) fn load(data: &Data, task: &TaskSpec, devices: u32) -> Result<Self, String> {
        let mut seen = Seen::default();
        let (learn, judge) = match data {
            Data::Har { dir } => har(dir, task)?,
            Data::Csv(data) => {
                let mut parts = files::parts(data)?;
                if data.held_out >= parts.len() {
                    let n = parts.len();
                    return Err(format!("learning.data.held_out: below the {n} parts there are"));
                }
                if let Some(left_over) = files::left_over(data)? {
                    log::warn!("{left_over}");
                }
                let judges = parts.split_off(parts.len() - data.held_out);
                if let Some(unused) = parts.get(devices as usize) {
                    let (of, name) = (parts.len(), &unused.name);
                    log::warn!(
                        "learning.data: of {of} parts {devices} devices have the first {devices}; {name} \
                         and those behind it teach nobody: set population.devices = {of}"
                    );
                }
                if parts.len() < devices as usize && !data.repeat {
                    return Err(format!(
                        "learning.data: {} parts for {devices} devices; set population.devices = \
                         {0}, or repeat = true so that several devices have the same data",
                        parts.len()
                    ));
                }
                let read =
                    (read(data, &parts, task, &mut seen)?, read(data, &judges, task, &mut seen)?);
                if let Some(gaps) = label_gaps(task.labels(), &seen.labels) {
                    log::warn!("{gaps}");
                }
                read
            }
        };
        let mut unseen = WindowSet::empty(task.window_values());
        judge.iter().for_each(|windows| append(&mut unseen, windows));
        let parts: Vec<_> = learn.into_iter().filter(|windows| !windows.is_empty()).collect();
        if parts.is_empty() {
            return Err("learning.data: no window of the task in any person or file".into());
        }
        if parts.len() < devices as usize {
            let n = parts.len();
            log::warn!("{devices} devices share the data of {n}: several have the same windows");
        }
        Ok(Self { parts, unseen, left_out: seen.left_out })
    }

    /// The part that `device` has.
    pub(super) fn of(&self, device: u32) -> &WindowSet {
        &self.parts[device as usize % self.parts.len()]
    }
}

type Parts = (Vec<WindowSet>, Vec<WindowSet>);

fn append(all: &mut WindowSet, more: &WindowSet) {
    all.values.extend_from_slice(&more.values);
    all.labels.extend_from_slice(&more.labels);
}

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

/// Which labels of the recordings are none of the `task`, and which of these no recording has; `None`
/// where they are the same, or the task has none.
fn label_gaps(task: &[String], found: &BTreeSet<String>) -> Option<String> {
    if task.is_empty() {
        return None;
    }
    let named = |what: &str, names: Vec<&String>| {
        let shown: Vec<String> =
            names.iter().take(LABELS_SHOWN).map(|name| format!("{name:?}")).collect();
        let more = names.len().saturating_sub(LABELS_SHOWN);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        (!names.is_empty()).then(|| format!("{what} {}{more}", shown.join(", ")))
    };
    let unknown: Vec<&String> = found.iter().filter(|label| !task.contains(label)).collect();
    let absent: Vec<&String> = task.iter().filter(|label| !found.contains(*label)).collect();
    let gaps = [
        named("no file has the task's", absent),
        named("the task does not have the files'", unknown),
    ];
    let gaps: Vec<String> = gaps.into_iter().flatten().collect();
    (!gaps.is_empty()).then(|| {
        format!(
            "learning.data: labels: {}; compare the spelling, or name them as the task does by labels \
             = {{ \"text in the file\" = \"label of the task\" }}",
            gaps.join("; ")
        )
    })
}

/// What was seen in recordings beside their windows.
#[derive(Debug, Default)]
struct Seen {
    /// Texts of labels.
    labels: BTreeSet<String>,
    /// As [`Shards::left_out`].
    left_out: BTreeMap<String, u64>,
}

/// The windows of `parts`; each has some. What else is seen is added to `seen`.
fn read(
    data: &CsvData,
    parts: &[Part],
    task: &TaskSpec,
    seen: &mut Seen,
) -> Result<Vec<WindowSet>, String> {
    let mut sets = Vec::with_capacity(parts.len());
    for part in parts {
        let mut windows = WindowSet::empty(task.window_values());
        let mut last = String::new();
        for file in &part.files {
            let (more, status) = read_file(data, part, file, task, &mut seen.labels)?;
            last = format!("{}: {}; {}", file.path.display(), tell(&status), more.left_out);
            append(&mut windows, &more);
            let lost = status.losses.iter().filter(|(loss, ..)| loss.is_fault());
            let lost = lost.map(|(loss, n, _)| (loss.word().to_owned(), n));
            let cut = more.left_out.counts().map(|(why, n)| (format!("windows_{why}"), n));
            lost.chain(cut).for_each(|(why, n)| *seen.left_out.entry(why).or_insert(0) += n);
        }
        if windows.is_empty() {
            let name = &part.name;
            return Err(format!("learning.data: {name} has no window of the task; {last}"));
        }
        sets.push(windows);
    }
    Ok(sets)
}

fn read_file(
    data: &CsvData,
    part: &Part,
    file: &File,
    task: &TaskSpec,
    labels: &mut BTreeSet<String>,
) -> Result<(WindowSet, SourceStatus), String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.path.display());
    let mut config = file.config(data)?;
    part.narrow(&mut config);
    let bytes = std::fs::metadata(&file.path).map_err(|error| named(&error))?.len();
    if bytes == 0 {
        return Err(named(&"is empty; fill it, remove it, or leave it out by learning.data.skip"));
    }
    // No row is shorter than two bytes for each channel; resampling may make more of them.
    config.sampling.capacity_samples = Some(bytes.max(100_000));
    config.sampling.windows_mb = WINDOWS_MB;
    let scratch = tempfile::tempdir().map_err(|error| named(&error))?;
    let mut store = csv::read_samples(&config, scratch.path()).map_err(|error| {
        let text = error.to_string();
        if text.starts_with(&*file.path.to_string_lossy()) { text } else { named(&text) }
    })?;
    let most = usize::try_from(WINDOWS_MB).unwrap_or(1) * 1_000_000 / size_of::<f32>();
    let windows = match store.windows(task, most) {
        // Recordings of other activities may stand beside those that the task is about.
        Err(DataError::Labels { .. }) if part.files.len() > 1 => {
            WindowSet::empty(task.window_values())
        }
        windows => windows.map_err(|error| named(&error))?,
    };
    labels.extend(store.label_texts().iter().cloned());
    let status = store.status();
    for (loss, count, last) in status.losses.iter().filter(|(loss, ..)| loss.is_fault()) {
        log::warn!("{}: {count} {} ({last})", file.path.display(), loss.describe());
    }
    Ok((windows, status))
}

/// How reading went, where it gave nothing.
#[allow(clippy::wildcard_enum_match_arm)] // losses may come
fn tell(status: &SourceStatus) -> String {
    let losses: Vec<String> = status
        .losses
        .iter()
        .map(|(loss, count, last)| match loss {
            Loss::Filtered => format!("{count} {}", loss.describe()),
            _ => format!("{count} {} ({last})", loss.describe()),
        })
        .collect();
    [vec![format!("{} samples", status.samples)], losses].concat().join("; ")
}

#[cfg(test)]
mod tests;
