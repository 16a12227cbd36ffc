//! Which files a device has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dunlin_agent::data::config::{Column, CsvConfig, Wanted};
use dunlin_agent::data::csv;
use dunlin_agent::data::labels::captures;

use crate::sim::scenario::{By, ColumnKey, CsvData, labels_of};

/// What one device has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// What it is, for people.
    pub(super) name: String,
    /// Its files, by name.
    pub(super) files: Vec<File>,
    /// The rows of these that it has, where it has not all of them.
    rows: Option<(Column, String)>,
}

/// A recording.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// What the `*`s of `files` are in its name.
    captures: Vec<String>,
}

impl File {
    /// The source that reads it.
    pub(super) fn config(&self, data: &CsvData) -> Result<CsvConfig, String> {
        let captures: Vec<&str> = self.captures.iter().map(String::as_str).collect();
        let named = |problem| format!("{}: {problem}", self.path.display());
        data.source(&self.path, &captures).map_err(named)
    }
}

impl Part {
    /// Leaves the rows of other parts out.
    pub(super) fn narrow(&self, config: &mut CsvConfig) {
        if let Some((column, text)) = &self.rows {
            config.input.filter.add(column.clone(), Wanted::Text(text.clone()));
        }
    }
}

/// What devices can have, by name.
///
/// # Errors
/// What cannot be read, or that there is none.
pub(super) fn parts(data: &CsvData) -> Result<Vec<Part>, String> {
    let whole = |file: File| {
        let name = name(&file.path);
        Part { name, files: vec![file], rows: None }
    };
    let parts = match &data.by {
        By::Text(text) if text == "folder" => folders(data)?,
        By::Text(text) if text.contains('{') => groups(data, text)?,
        By::Text(text) if text != "file" => {
            let forms = "\"file\", \"folder\", \"{1}\" or { column = \"id\" }";
            return Err(format!("learning.data.by: {text:?} is none of {forms}"));
        }
        By::Column { column } => by_column(data, column)?,
        By::Text(_) => files(data, &data.dir)?.into_iter().map(whole).collect(),
    };
    if parts.is_empty() {
        let (dir, files) = (data.dir.display(), &data.files);
        return Err(format!("learning.data.dir {dir}: no file is named as files = {files:?} says"));
    }
    Ok(parts)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The recordings in `dir`.
fn files(data: &CsvData, dir: &Path) -> Result<Vec<File>, String> {
    let named = |error: std::io::Error| format!("learning.data.dir {}: {error}", dir.display());
    let found = csv::recordings(dir, &data.files, &data.skip).map_err(named)?;
    let suffix = data.labels_suffix.as_deref();
    let mut files = Vec::new();
    for path in found {
        let name = name(&path);
        // The label files of others may be named as recordings are.
        if suffix.is_some_and(|suffix| name.ends_with(suffix)) {
            continue;
        }
        if let Some(labels) = suffix.map(|suffix| labels_of(&path, suffix)).filter(|l| !l.is_file())
        {
            let labels = labels.display();
            return Err(format!("{}: its label file {labels} is not there", path.display()));
        }
        let captures = captures(&data.files, &name).unwrap_or_default();
        let captures = captures.into_iter().map(str::to_owned).collect();
        files.push(File { path, captures });
    }
    Ok(files)
}

/// Each folder in the folder.
fn folders(data: &CsvData) -> Result<Vec<Part>, String> {
    let named =
        |error: std::io::Error| format!("learning.data.dir {}: {error}", data.dir.display());
    let mut dirs = Vec::new();
    for entry in std::fs::read_dir(&data.dir).map_err(named)? {
        dirs.push(entry.map_err(named)?.path());
    }
    dirs.retain(|dir| dir.is_dir());
    dirs.sort();
    let mut parts = Vec::new();
    for dir in dirs {
        let files = files(data, &dir)?;
        if files.is_empty() {
            let pattern = &data.files;
            return Err(format!("{}: no file is named as files = {pattern:?} says", dir.display()));
        }
        parts.push(Part { name: name(&dir), files, rows: None });
    }
    Ok(parts)
}

/// The files that have the same text where `by` names a `*`.
fn groups(data: &CsvData, by: &str) -> Result<Vec<Part>, String> {
    let mut groups: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in files(data, &data.dir)? {
        let mut key = by.to_owned();
        for (at, capture) in file.captures.iter().enumerate() {
            key = key.replace(&format!("{{{}}}", at + 1), capture);
        }
        if key.contains('{') {
            let files = &data.files;
            return Err(format!("learning.data.by: {by:?} names no `*` of files = {files:?}"));
        }
        groups.entry(key).or_default().push(file);
    }
    Ok(groups.into_iter().map(|(name, files)| Part { name, files, rows: None }).collect())
}

/// The rows that have the same text in a column.
fn by_column(data: &CsvData, key: &ColumnKey) -> Result<Vec<Part>, String> {
    let column = match key {
        ColumnKey::Index(index) => Column::Index(*index),
        ColumnKey::Name(name) => Column::Name(name.clone()),
    };
    let mut parts: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in files(data, &data.dir)? {
        let texts = csv::texts_of(&file.config(data)?, &column);
        let texts = texts.map_err(|error| error.to_string())?;
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            parts.entry(text).or_default().push(file.clone());
        }
    }
    let part = |(name, files): (String, Vec<File>)| {
        let rows = Some((column.clone(), name.clone()));
        Part { name: format!("{column} = {name:?}"), files, rows }
    };
    Ok(parts.into_iter().map(part).collect())
}
