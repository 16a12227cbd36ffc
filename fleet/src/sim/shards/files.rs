//! Which files a device has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dunlin_agent::data::config::{Column, CsvConfig, Wanted};
use dunlin_agent::data::csv;
use dunlin_agent::data::labels::{captures, matches_pattern};

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

/// What lies in the folder, is no part and is not left out on purpose, in words: files with other names,
/// and folders, or files beside the folders where these are the parts.
///
/// # Errors
/// What cannot be read.
pub(super) fn left_over(data: &CsvData) -> Result<Option<String>, String> {
    let dir = data.dir.display();
    let named = |error: std::io::Error| format!("learning.data.dir {dir}: {error}");
    let by_folder = matches!(&data.by, By::Text(text) if text == "folder");
    let suffix = data.labels_suffix.as_deref();
    let labels = data.source.get("label_file").and_then(|file| file.get("path")?.as_str());
    let is_labels = |path: &Path, name: &str| {
        suffix.is_some_and(|suffix| name.ends_with(suffix))
            || labels.is_some_and(|labels| path == Path::new(labels))
    };
    let mut left = Vec::new();
    for entry in std::fs::read_dir(&data.dir).map_err(named)? {
        let path = entry.map_err(named)?.path();
        let name = name(&path);
        let used = if path.is_dir() {
            by_folder
        } else {
            let fits = !by_folder && matches_pattern(&data.files, &name);
            fits || data.skip.iter().any(|skip| matches_pattern(skip, &name))
        };
        if !used && !is_labels(&path, &name) && !name.starts_with('.') {
            left.push(name);
        }
    }
    left.sort();
    let Some(first) = left.first() else { return Ok(None) };
    let (count, files) = (left.len(), &data.files);
    Ok(Some(format!(
        "learning.data.dir {dir}: {count} in it that no device has, such as {first}, by files = {files:?} \
         and `by`; `skip` names what is left out on purpose"
    )))
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
    if dirs.is_empty() {
        let dir = data.dir.display();
        return Err(format!(
            "learning.data.by: \"folder\" gives each device a folder in {dir}, and there is none; by = \
             \"file\" gives each a file of it"
        ));
    }
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
