//! Where the files of the data set lie, and the small ones among them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dunlin_protocol::limits::{CHANNELS_MAX, CLASSES_MAX};

use super::lines::Lines;
use super::{DataError, Split};

/// Windows in one split at the most.
const ROWS_MAX: usize = 1_000_000;

pub(super) fn find_root(dir: &Path) -> Result<PathBuf, DataError> {
    let inner = dir.join("UCI HAR Dataset");
    let places = [dir.to_owned(), inner];
    let root = places.iter().find(|place| place.join("activity_labels.txt").is_file());
    root.cloned().ok_or_else(|| DataError::Layout {
        path: dir.to_owned(),
        problem: "has no activity_labels.txt, neither has `UCI HAR Dataset` in it; unpack the \
                  data set of https://doi.org/10.24432/C54S4K there"
            .to_owned(),
    })
}

pub(super) fn split_file(root: &Path, split: Split, what: &str) -> PathBuf {
    let split = split.name();
    root.join(split).join(format!("{what}_{split}.txt"))
}

fn signal_folder(root: &Path, split: Split) -> PathBuf {
    root.join(split.name()).join("Inertial Signals")
}

pub(super) fn signal_file(root: &Path, split: Split, channel: &str) -> PathBuf {
    signal_folder(root, split).join(format!("{channel}_{}.txt", split.name()))
}

pub(super) fn list_channels(root: &Path, split: Split) -> Result<Vec<String>, DataError> {
    let folder = signal_folder(root, split);
    let end = format!("_{}.txt", split.name());
    let mut channels = Vec::new();
    for entry in fs::read_dir(&folder).map_err(DataError::io(&folder, "list"))? {
        let name = entry.map_err(DataError::io(&folder, "list"))?.file_name();
        channels.extend(name.to_str().and_then(|n| n.strip_suffix(&end)).map(str::to_owned));
    }
    channels.sort();
    if channels.is_empty() || channels.len() > CHANNELS_MAX {
        let problem = format!("has {} files CHANNEL{end}, not 1 to {CHANNELS_MAX}", channels.len());
        return Err(DataError::Layout { path: folder, problem });
    }
    Ok(channels)
}

/// Reads lines of `number name`.
pub(super) fn read_labels(path: &Path) -> Result<(Vec<String>, BTreeMap<u16, u16>), DataError> {
    let mut lines = Lines::open(path)?;
    let (mut labels, mut codes) = (Vec::new(), BTreeMap::new());
    while lines.next_line()?.is_some() {
        let Some((code, name)) = lines.text()?.split_once(' ') else {
            if lines.text()?.is_empty() {
                continue;
            }
            return Err(lines.error("is not a number and a name".to_owned()));
        };
        let wrong = || lines.error(format!("{code:?} is not a number up to 65535"));
        let code = code.parse::<u16>().map_err(|_| wrong())?;
        let index = u16::try_from(labels.len()).unwrap_or(u16::MAX);
        if labels.len() >= CLASSES_MAX || codes.insert(code, index).is_some() {
            let problem =
                format!("number {code} is there twice, or more than {CLASSES_MAX} labels");
            return Err(lines.error(problem));
        }
        labels.push(name.trim().to_owned());
    }
    Ok((labels, codes))
}

/// Reads a file with one whole number a line.
pub(super) fn read_column(path: &Path) -> Result<Vec<u16>, DataError> {
    let mut lines = Lines::open(path)?;
    let mut numbers = Vec::new();
    while let Some(line) = lines.next_line()? {
        if line.is_empty() {
            continue;
        }
        if numbers.len() >= ROWS_MAX {
            return Err(lines.error(format!("is more than {ROWS_MAX} lines")));
        }
        numbers.push(lines.number()?);
    }
    Ok(numbers)
}

pub(super) fn wrong_count(path: &Path, has: usize, needs: usize) -> DataError {
    let problem = format!("has {has} lines, but there are {needs} subjects; unpack the file again");
    DataError::Layout { path: path.to_owned(), problem }
}
