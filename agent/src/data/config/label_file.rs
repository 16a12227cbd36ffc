//! `[source.label_file]`: a file of labels for ranges of time or of samples.

use std::path::PathBuf;

use dunlin_service::config::Problems;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use toml::{Table, Value};

use super::csv::{Column, Header, TextFormat};
use super::time::plain;
use super::{TimeFormat, Wanted, Where};

/// How a label file is written. In the file the keys of [`TextFormat`] stand beside these.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelFile {
    /// The file or FIFO; `labels_path` of the source where there is none.
    pub path: Option<PathBuf>,
    /// Column of the start of a range.
    pub start: Column,
    /// Column of its end, which is the first moment after it.
    pub end: Option<Column>,
    /// Column of its duration instead, a number of the unit of times.
    pub duration: Option<Column>,
    /// Column of the label; an empty one takes labels away.
    pub label: Column,
    /// How start and end are written.
    pub time: TimeFormat,
    /// What start and end count.
    pub by: LabelBy,
    /// What rows must hold to be used; others are for other recordings. `{1}` stands for what the
    /// first `*` of the source's `files` is in the name of the recording.
    pub filter: Where<Column>,
    /// Column with the name of the recording, with its ending or without: an index of recordings.
    pub file: Option<Column>,
    /// Whether a label holds for all of its recording: rows have neither start nor end.
    pub whole: bool,
    /// How rows are written.
    pub text: TextFormat,
    /// Whether the first row may be a header all the same: nothing says that it is none.
    pub maybe_header: bool,
}

/// What the start and end of a label count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelBy {
    /// Time.
    #[default]
    Time,
    /// Samples of a recording without times, from 0; the end is not in the range.
    Samples,
    /// Samples of a recording without times, from 1; the end is in the range.
    Rows,
}

/// The keys but those of [`TextFormat`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    path: Option<PathBuf>,
    start: Option<Column>,
    end: Option<Column>,
    duration: Option<Column>,
    label: Option<Column>,
    #[serde(default)]
    time: TimeFormat,
    #[serde(default)]
    by: LabelBy,
    #[serde(default, rename = "where")]
    filter: Where<Column>,
    file: Option<Column>,
}

impl LabelFile {
    /// `start,end,label` with `delimiter` between, a header first or none.
    pub fn plain(delimiter: char) -> Self {
        let text = TextFormat { header: Header::None, delimiter, ..TextFormat::default() };
        Self {
            path: None,
            start: Column::Index(0),
            end: Some(Column::Index(1)),
            duration: None,
            label: Column::Index(2),
            time: TimeFormat::default(),
            by: LabelBy::default(),
            filter: Where::default(),
            file: None,
            whole: false,
            text,
            maybe_header: true,
        }
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        let columns = [&self.start, &self.label].into_iter().chain(&self.end);
        columns.chain(&self.duration).chain(&self.file)
    }

    /// Whether its rows are each for one recording, which they name.
    pub fn is_index(&self) -> bool {
        let named = |wanted: &Wanted| matches!(wanted, Wanted::Text(text) if text.contains('{'));
        self.file.is_some() || self.filter.wanted().any(named)
    }

    /// Adds what is wrong; `has_path`: `labels_path` names the file.
    pub(super) fn check(&self, problems: &mut Problems, has_path: bool) {
        let two = self.path.is_some() && has_path;
        problems.add_if(two, "label_file.path", "stands beside labels_path; remove one of them");
        let none = self.path.is_none() && !has_path;
        problems.add_if(none, "label_file.path", "is not set; name the file");
        let ends = self.end.is_some() && self.duration.is_some();
        problems.add_if(ends, "label_file.duration", "stands beside end; remove one of them");
        let counted = self.by != LabelBy::Time && self.time != TimeFormat::default();
        problems.add_if(counted, "label_file.time", "has no use where samples are counted");
        self.time.check(problems, "label_file.time");
        self.filter.check(problems);
        self.text.check(problems, "label_file.");
        let named = self.columns().any(|column| matches!(column, Column::Name(_)));
        let headless = named && self.text.header == Header::None;
        let text = "is false, but columns go by names; give their places from 0";
        problems.add_if(headless, "label_file.header", text);
    }
}

impl<'de> Deserialize<'de> for LabelFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Table::deserialize(deserializer)?;
        let has_header = table.contains_key("header");
        let text: Table =
            TextFormat::KEYS.iter().filter_map(|key| table.remove_entry(*key)).collect();
        let mut text: TextFormat = Value::Table(text).try_into().map_err(plain::<D::Error>)?;
        let keys: Keys = Value::Table(table).try_into().map_err(|error: toml::de::Error| {
            let more = TextFormat::KEYS.join(", ");
            D::Error::custom(format!(
                "{}\nbesides, label_file has the keys {more}",
                error.message()
            ))
        })?;
        let bounded = keys.start.is_some() || keys.end.is_some() || keys.duration.is_some();
        let whole = keys.file.is_some() && !bounded;
        let end = keys.end.or_else(|| keys.duration.is_none().then_some(Column::Index(1)));
        let label = keys.label.unwrap_or(Column::Index(2));
        let mut file = Self {
            path: keys.path,
            start: if whole { label.clone() } else { keys.start.unwrap_or(Column::Index(0)) },
            end: end.filter(|_| !whole),
            duration: keys.duration,
            label,
            file: keys.file,
            whole,
            time: keys.time,
            by: keys.by,
            filter: keys.filter,
            text: TextFormat::default(),
            maybe_header: false,
        };
        let named = file.columns().any(|column| matches!(column, Column::Name(_)));
        if !named && !has_header {
            (text.header, file.maybe_header) = (Header::None, true);
        }
        file.text = text;
        Ok(file)
    }
}
