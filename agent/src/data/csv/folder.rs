//! The files of a folder, one after the other by name.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::advice::few;
use crate::data::config::CsvConfig;
use crate::data::labels::matches_pattern;

/// Most files of a folder.
const FILES_MAX: usize = 100_000;

/// A folder of recordings, and which of them is read.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    files: String,
    skip: Vec<String>,
    /// Name of the label file, where it lies in the folder, too: it is no recording.
    labels: Option<String>,
}

impl Folder {
    /// The folder of `config`; `None` where its path is none.
    pub(super) fn of(config: &CsvConfig) -> Option<Self> {
        let input = &config.input;
        let (dir, files, skip) = (input.path.clone(), input.files.clone(), input.skip.clone());
        let real = dir.is_dir().then(|| dir.canonicalize().ok()).flatten();
        let labels = config.sampling.label_file(',').map(|(path, _)| path);
        let labels = labels.filter(|path| {
            let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
            parent.is_some() && parent == real
        });
        let labels = labels.as_deref().and_then(file_name);
        dir.is_dir().then_some(Self { dir, files, skip, labels })
    }

    /// Name of the file after the one named `name`, or of the first one.
    pub(super) fn after(&self, name: &str) -> Option<String> {
        self.names().into_iter().find(|other| other.as_str() > name)
    }

    /// Path of the file named `name`; of no file, what is waited for.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(if name.is_empty() { self.files.as_str() } else { name })
    }

    /// How many files come before the one named `name`, and which of them changed last.
    pub(super) fn before(&self, name: &str) -> (usize, Option<String>) {
        let names = self.names().into_iter().filter(|other| other.as_str() < name);
        let mut found = (0, None);
        let mut latest = (i64::MIN, 0);
        for name in names {
            found.0 += 1;
            let data = std::fs::metadata(self.path(&name));
            let changed = data.map_or(latest, |data| (data.ctime(), data.ctime_nsec()));
            if changed >= latest {
                (latest, found.1) = (changed, Some(name));
            }
        }
        found
    }

    /// What there is instead of recordings, and what to do.
    pub(super) fn lack(&self) -> String {
        let (dir, files) = (self.dir.display(), &self.files);
        let all = recordings(&self.dir, "*", &[]).unwrap_or_default();
        let names = all.iter().filter_map(|path| file_name(path));
        let names: Vec<String> = names.filter(|name| self.labels.as_ref() != Some(name)).collect();
        match names.is_empty() {
            true => format!("{dir}/{files}: not there yet; waiting for it"),
            false => format!(
                "{dir}/{files}: not there yet; the folder has {}: where these are the recordings, set \
                 source.files, such as \"*.txt\"",
                few(&names)
            ),
        }
    }

    fn names(&self) -> Vec<String> {
        let names = recordings(&self.dir, &self.files, &self.skip).unwrap_or_default();
        let names = names.iter().filter_map(|path| file_name(path));
        names.filter(|name| self.labels.as_ref() != Some(name)).collect()
    }
}

/// Name of the file at `path`.
pub(super) fn file_name(path: &Path) -> Option<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
}

/// The files in the folder `dir` whose names are as `files` says and not as one of `skip`, by name.
///
/// # Errors
/// What the operating system says, or that there are over 100,000 files.
pub fn recordings(dir: &Path, files: &str, skip: &[String]) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let fits = file_name(&path).is_some_and(|name| {
            matches_pattern(files, &name) && !skip.iter().any(|skip| matches_pattern(skip, &name))
        });
        if fits && path.is_file() {
            found.push(path);
        }
        if found.len() > FILES_MAX {
            return Err(std::io::Error::other(format!("has over {FILES_MAX} files")));
        }
    }
    found.sort();
    Ok(found)
}
