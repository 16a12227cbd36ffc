//! The files of a folder, one after the other by name.

use std::path::{Path, PathBuf};

use crate::data::config::CsvInput;
use crate::data::labels::matches_pattern;

/// Most files of a folder.
const FILES_MAX: usize = 100_000;

/// A folder of recordings, and which of them is read.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    files: String,
    skip: Vec<String>,
}

impl Folder {
    /// The folder of `input`; `None` where its path is none.
    pub(super) fn of(input: &CsvInput) -> Option<Self> {
        let (dir, files, skip) = (input.path.clone(), input.files.clone(), input.skip.clone());
        dir.is_dir().then_some(Self { dir, files, skip })
    }

    /// Name of the file after the one named `name`, or of the first one.
    pub(super) fn after(&self, name: &str) -> Option<String> {
        self.names().into_iter().find(|other| other.as_str() > name)
    }

    /// Path of the file named `name`; of no file, what is waited for.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(if name.is_empty() { self.files.as_str() } else { name })
    }

    fn names(&self) -> Vec<String> {
        let names = recordings(&self.dir, &self.files, &self.skip).unwrap_or_default();
        names.iter().filter_map(|path| file_name(path)).collect()
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
