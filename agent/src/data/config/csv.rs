//! `kind = "csv"`

use std::fmt;
use std::path::PathBuf;

use dunlin_service::config::Problems;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::Live;

/// Columns of one row at the most.
pub const COLUMNS_MAX: usize = 1024;

/// A growing CSV file, a FIFO or standard input.
pub type CsvConfig = Live<Column, CsvInput>;

/// Where rows come from and what is in them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvInput {
    /// File or FIFO; `-` is standard input. It need not exist yet.
    pub path: PathBuf,
    /// Column of the time; without it, samples follow each other at `rate_hz`.
    pub time: Option<Column>,
    /// Column of the label; an empty field is no label.
    pub label: Option<Column>,
    /// Whether the first row names the columns.
    #[serde(default = "default_header")]
    pub header: bool,
    /// Columns that each row has; by default as many as the header, or enough for the columns used.
    pub columns: Option<usize>,
    /// What stands between two columns, also in the label file: one ASCII character.
    #[serde(default = "default_delimiter")]
    pub delimiter: char,
}

fn default_header() -> bool {
    true
}

fn default_delimiter() -> char {
    ','
}

/// A column of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its place, from 0.
    Index(usize),
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ColumnVisitor;
        impl Visitor<'_> for ColumnVisitor {
            type Value = Column;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column: its name in the header as text, or its place from 0")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Column, E> {
                Ok(Column::Name(name.to_owned()))
            }
            fn visit_i64<E: Error>(self, index: i64) -> Result<Column, E> {
                let wrong =
                    |_| E::custom(format!("column {index} is below 0; columns count from 0"));
                usize::try_from(index).map(Column::Index).map_err(wrong)
            }
            fn visit_u64<E: Error>(self, index: u64) -> Result<Column, E> {
                usize::try_from(index).map(Column::Index).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(ColumnVisitor)
    }
}

impl CsvInput {
    /// The file, FIFO or `-` at `path`, with a header and commas, without times and labels.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            time: None,
            label: None,
            header: default_header(),
            columns: None,
            delimiter: default_delimiter(),
        }
    }
}

impl CsvConfig {
    /// All columns in use, with the keys that name them.
    fn columns_used(&self) -> impl Iterator<Item = (String, &Column)> {
        let channels =
            self.sampling.channels.iter().map(|(name, c)| (format!("channels.{name}"), c));
        let time = self.input.time.iter().map(|c| ("time".to_owned(), c));
        channels.chain(time).chain(self.input.label.iter().map(|c| ("label".to_owned(), c)))
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let input = &self.input;
        let no_path = input.path.as_os_str().is_empty();
        problems.add_if(
            no_path,
            "path",
            "is empty; name a file or FIFO, or `-` for standard input",
        );
        let single =
            input.delimiter.is_ascii() && !matches!(input.delimiter, '"' | '\n' | '\r' | '\0');
        problems.add_if(
            !single,
            "delimiter",
            "must be one ASCII character, such as \",\" or \"\\t\"",
        );
        self.sampling.check(problems, "ax");
        let columns = input.columns.unwrap_or(COLUMNS_MAX);
        let bad_columns = columns == 0 || columns > COLUMNS_MAX;
        problems.add_if(
            bad_columns,
            "columns",
            format!("is {columns}; a row has 1 to {COLUMNS_MAX} columns"),
        );
        for (key, column) in self.columns_used() {
            match column {
                Column::Name(name) => {
                    let problem = "names a column, but header = false; give its place from 0";
                    problems.add_if(!input.header, &key, format!("{name:?} {problem}"));
                }
                Column::Index(index) => {
                    let problem =
                        format!("is {index}, but columns are 0 to {}", columns.max(1) - 1);
                    problems.add_if(*index >= columns, &key, problem);
                }
            }
        }
    }
}
