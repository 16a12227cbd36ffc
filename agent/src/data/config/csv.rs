//! `kind = "csv"`

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use dunlin_service::config::Problems;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::{Live, TimeField, Where};

/// Columns of one row at the most.
pub const COLUMNS_MAX: usize = 1024;

/// A growing CSV file, a FIFO or standard input.
pub type CsvConfig = Live<Column, CsvInput>;

/// Where rows come from and what is in them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvInput {
    /// File or FIFO; `-` is standard input; a folder is its `files`, one after the other by name.
    /// It need not exist yet.
    pub path: PathBuf,
    /// How rows are written.
    #[serde(skip)]
    pub text: TextFormat,
    /// Column of the time, or columns that make one together, and how it is written; without it,
    /// samples follow each other at the rate.
    pub time: Option<TimeField<Columns>>,
    /// Column of the label; an empty field is no label.
    pub label: Option<Column>,
    /// What else labels come from.
    pub label_from: Option<LabelFrom>,
    /// Columns that each row has; by default as many as the header, or enough for the columns used.
    pub columns: Option<usize>,
    /// Values of fields that are words, such as `Low = 39`.
    #[serde(default, rename = "text")]
    pub words: BTreeMap<String, f32>,
    /// What rows must hold to be samples; others are left out.
    #[serde(default, rename = "where")]
    pub filter: Where<Column>,
    /// Row, from 1, whose first field is the time of the first sample; only without `time`.
    pub start_line: Option<u32>,
    /// Row, from 1, whose first field is the rate in Hz, which must be that of the configuration.
    pub rate_line: Option<u32>,
    /// Names of the files of a folder, with `*` for any characters.
    #[serde(default = "default_files")]
    pub files: String,
    /// Names of files of a folder that are none of its recordings, with `*` for any characters.
    #[serde(default)]
    pub skip: Vec<String>,
}

/// What labels come from, if neither from a column nor from a file of ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelFrom {
    /// The name of the input's file without its ending.
    Filename,
}

/// How rows of text are written, in recordings and in label files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextFormat {
    /// Whether the first row names the columns.
    pub header: Header,
    /// What stands between two columns: one ASCII character. With a blank, several count as one.
    pub delimiter: char,
    /// What ends a row besides the end of a line: one ASCII character.
    pub row_end: Option<char>,
    /// What stands before the decimals: `.` or `,`.
    pub decimal: char,
    /// What lines begin with that are no rows.
    pub comment: Comments,
    /// Lines at the start that are no rows.
    pub skip_lines: u32,
    /// Lines behind the header that are no rows, such as one of units.
    pub skip_after_header: u32,
}

/// Beginnings of lines that are no rows: in the file one text or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments(pub Vec<String>);

/// Where the names of columns are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// In the first row.
    #[default]
    First,
    /// Nowhere; columns go by their places.
    None,
    /// In the first of at most 200 lines that has all names in use; lines before it are skipped.
    Auto,
}

impl Default for TextFormat {
    fn default() -> Self {
        Self {
            header: Header::First,
            delimiter: ',',
            row_end: None,
            decimal: '.',
            comment: Comments::default(),
            skip_lines: 0,
            skip_after_header: 0,
        }
    }
}

impl CsvInput {
    /// Whether the input is a file or folder, which has its rows still when they are wanted again.
    pub(in crate::data) fn can_be_read_again(&self) -> bool {
        let kind = std::fs::metadata(&self.path).map(|data| data.file_type());
        kind.is_ok_and(|kind| kind.is_file() || kind.is_dir())
    }
}

impl TextFormat {
    /// Its keys, which stand beside those of [`CsvInput`] and of [`LabelFile`].
    pub(super) const KEYS: [&str; 7] =
        ["header", "delimiter", "row_end", "decimal", "comment", "skip_lines", "skip_after_header"];

    /// Adds what is wrong.
    pub(super) fn check(&self, problems: &mut Problems, under: &str) {
        let plain = |c: char| c.is_ascii() && !matches!(c, '"' | '\n' | '\0');
        let single = plain(self.delimiter) && self.delimiter != '\r';
        let text = "must be one ASCII character, such as \",\" or \"\\t\"";
        problems.add_if(!single, &format!("{under}delimiter"), text);
        let text = "must be one ASCII character other than the delimiter, such as \";\"";
        let bad_end = self.row_end.is_some_and(|end| !plain(end) || end == self.delimiter);
        problems.add_if(bad_end, &format!("{under}row_end"), text);
        let bad_decimal = !matches!(self.decimal, '.' | ',') || self.decimal == self.delimiter;
        let text = "must be \".\" or \",\", and not the delimiter; set both";
        problems.add_if(bad_decimal, &format!("{under}decimal"), text);
        let empty = self.comment.0.iter().any(String::is_empty);
        problems.add_if(empty, &format!("{under}comment"), "is empty; write a text such as \"#\"");
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl Visitor<'_> for HeaderVisitor {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a header: true, false or \"auto\"")
            }
            fn visit_bool<E: Error>(self, first: bool) -> Result<Header, E> {
                Ok(if first { Header::First } else { Header::None })
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Header, E> {
                match text {
                    "auto" => Ok(Header::Auto),
                    _ => Err(E::custom(format!("{text:?} is no header: true, false or \"auto\""))),
                }
            }
        }
        deserializer.deserialize_any(HeaderVisitor)
    }
}

impl<'de> Deserialize<'de> for Comments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OneOrMore::deserialize(deserializer).map(|texts| Self(texts.into_vec()))
    }
}

/// One thing, or an array of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

fn default_files() -> String {
    "*.csv".to_owned()
}

/// Columns whose texts make one, with a blank between: in the file one column or an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(pub Vec<Column>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let columns = OneOrMore::deserialize(deserializer).map_err(|_| {
            D::Error::custom(
                "no column: its name in the header as text, its place from 0, or an array",
            )
        })?;
        Ok(Self(columns.into_vec()))
    }
}

impl From<Column> for Columns {
    fn from(column: Column) -> Self {
        Self(vec![column])
    }
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

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Index(index) => write!(f, "place {index}"),
        }
    }
}

impl CsvInput {
    /// The file, FIFO, folder or `-` at `path`, with a header and commas, without times and labels.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            text: TextFormat::default(),
            time: None,
            label: None,
            label_from: None,
            columns: None,
            words: BTreeMap::new(),
            filter: Where::default(),
            start_line: None,
            rate_line: None,
            files: default_files(),
            skip: Vec::new(),
        }
    }
}

impl CsvConfig {
    /// All columns in use but those of `where`, with the keys that name them.
    fn columns_used(&self) -> impl Iterator<Item = (String, &Column)> {
        let channels =
            self.sampling.channels.iter().map(|(name, c)| (format!("channels.{name}"), c));
        let time = self.input.time.iter().flat_map(|time| &time.place.0);
        let time = time.map(|c| ("time".to_owned(), c));
        channels.chain(time).chain(self.input.label.iter().map(|c| ("label".to_owned(), c)))
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let input = &self.input;
        let no_path = input.path.as_os_str().is_empty();
        problems.add_if(
            no_path,
            "path",
            "is empty; name a file, FIFO or folder, or `-` for standard input",
        );
        input.text.check(problems, "");
        self.sampling.check(problems, "ax");
        self.check_columns(problems);
        self.check_rows(problems);
    }

    fn check_columns(&self, problems: &mut Problems) {
        let columns = self.input.columns.unwrap_or(COLUMNS_MAX);
        let bad_columns = columns == 0 || columns > COLUMNS_MAX;
        problems.add_if(
            bad_columns,
            "columns",
            format!("is {columns}; a row has 1 to {COLUMNS_MAX} columns"),
        );
        let headless = self.input.text.header == Header::None;
        for (key, column) in self.columns_used() {
            match column {
                Column::Name(name) => {
                    let problem = "names a column, but header = false; give its place from 0";
                    problems.add_if(headless, &key, format!("{name:?} {problem}"));
                }
                Column::Index(index) => {
                    let problem =
                        format!("is {index}, but columns are 0 to {}", columns.max(1) - 1);
                    problems.add_if(*index >= columns, &key, problem);
                }
            }
        }
        let place =
            |key: &Column| matches!(key, Column::Name(name) if name.parse::<usize>().is_err());
        let named = headless && self.input.filter.keys().any(place);
        let text = "names a column, but header = false; give its place from 0 in quotes";
        problems.add_if(named, "where", text);
        let names = self.columns_used().any(|(_, column)| matches!(column, Column::Name(_)));
        let blind = self.input.text.header == Header::Auto && !names;
        let text = "is \"auto\", but no column goes by a name; set skip_lines and header = false";
        problems.add_if(blind, "header", text);
    }

    fn check_rows(&self, problems: &mut Problems) {
        let input = &self.input;
        input.filter.check(problems);
        if let Some(time) = &input.time {
            time.format.check(problems, "time");
            problems.add_if(time.place.0.is_empty(), "time", "has no column; name one");
        }
        for (word, value) in &input.words {
            let text = "must be a finite number";
            problems.add_if(!value.is_finite(), &format!("text.{word}"), text);
        }
        let blind = self.sampling.intake.resample && input.time.is_none();
        let text = "goes by the times of rows, and there are none: set source.time, or remove it";
        problems.add_if(blind, "resample", text);
        let two_starts = input.start_line.is_some() && input.time.is_some();
        problems.add_if(two_starts, "start_line", "has no use beside time; remove one of them");
        for (key, line) in [("start_line", input.start_line), ("rate_line", input.rate_line)] {
            let zero = line == Some(0);
            problems.add_if(zero, key, "is 0; lines count from 1");
        }
        let two_labels = input.label.is_some() && input.label_from.is_some();
        problems.add_if(two_labels, "label_from", "stands beside label; remove one of them");
    }
}
