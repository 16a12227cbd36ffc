//! Lines of text to rows of fields, once it is known in which places the wanted columns are.

use std::fmt;

use super::foreign::foreign;
use super::lines::LINE_BYTES_MAX;
use super::splitter::Splitter;
use crate::data::Loss;
use crate::data::config::{COLUMNS_MAX, Column, Header, TextFormat};
use crate::data::time::TimeProblem;

/// Lines among which a header is looked for.
const HEADER_LINES_MAX: u32 = 200;
/// Names of a header that an error lists.
const NAMES_SHOWN_MAX: usize = 64;
/// Characters of a field that an error shows.
const FIELD_CHARS_MAX: usize = 40;

/// Why a row is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The line is longer than 16 KiB.
    TooLong,
    /// The line broke off: its writer went away.
    Torn,
    /// A quote does not end in the line, or it has more than 1024 columns.
    Quote,
    /// There is no header that has the columns.
    NoHeader,
    /// Another number of columns than expected.
    Columns {
        /// Columns that this row has.
        has: usize,
        /// Columns that each row should have.
        needs: usize,
    },
    /// A wanted column, by its number among them, is not a finite number.
    Number(usize),
    /// The first of this many wanted columns of a time is no time, and why.
    Time(usize, TimeProblem),
    /// Older than what is held already, of a file that was written anew.
    Known,
}

impl Refusal {
    /// The kind of loss that this is.
    pub(super) fn loss(&self) -> Loss {
        match self {
            Self::Number(_) => Loss::Number,
            Self::Time(..) => Loss::Time,
            Self::Known => Loss::Order,
            Self::TooLong | Self::Torn | Self::Quote | Self::NoHeader | Self::Columns { .. } => {
                Loss::Columns
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "has more than {LINE_BYTES_MAX} bytes"),
            Self::Torn => f.write_str("broke off"),
            Self::Quote => {
                write!(f, "has a quote that does not end, or more than {COLUMNS_MAX} columns")
            }
            Self::NoHeader => f.write_str("comes without a header that has the columns"),
            Self::Columns { has, needs } => write!(f, "has {has} columns instead of {needs}"),
            Self::Number(_) => f.write_str("is not a finite number"),
            Self::Time(_, problem) => problem.fmt(f),
            Self::Known => {
                f.write_str("is older than samples that are held, of a file that was written anew")
            }
        }
    }
}

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// A line before the rows: skipped, a header, or a line of units.
    Head,
    /// A line of nothing but white space, or a comment.
    Blank,
    /// A row of the recording; its fields can be asked for.
    Row,
    /// A row that cannot be used.
    Refused(Refusal),
}

/// A table of text and the columns of it that are wanted.
#[derive(Debug)]
pub(super) struct Table {
    format: TextFormat,
    wanted: Vec<Column>,
    /// Wanted columns from this one on may go by their places as text: keys of TOML are text.
    loose: usize,
    /// Columns of each row, where the configuration says so.
    columns: Option<usize>,
    /// Keys of the configuration that name the columns, for errors.
    keys: &'static str,
    splitter: Splitter,
    places: Option<Places>,
    head: Head,
}

/// Places of the wanted columns.
#[derive(Clone, Debug)]
struct Places {
    places: Vec<usize>,
    /// Names by the header, of the wanted columns.
    names: Vec<Option<String>>,
    /// Columns of each row, where known.
    exact: Option<usize>,
    /// Columns of each row at least.
    least: usize,
}

/// How far the lines before the first row have been read.
#[derive(Clone, Debug, Default)]
struct Head {
    /// Lines so far, up to the end of those to skip.
    lines: u32,
    /// Whether a header is looked for.
    searching: bool,
    /// Lines that were no header.
    tried: u32,
    /// The line that had the most of the names: its number, how many it lacks, and the error.
    best: Option<(usize, String)>,
    /// Lines behind the header still to skip.
    units: u32,
    /// Whether the last header did not fit, and a later line may.
    lost: bool,
    /// A header that looks like a row: its line.
    row_like: Option<u64>,
}

impl Table {
    /// A table of `format` of which `wanted` columns are asked; `keys` name them in errors.
    pub(super) fn new(
        format: &TextFormat,
        wanted: Vec<Column>,
        columns: Option<usize>,
        keys: &'static str,
    ) -> Self {
        let splitter = Splitter::new(format.delimiter);
        let (format, head, loose) = (format.clone(), Head::default(), wanted.len());
        let mut table = Self { format, wanted, loose, columns, keys, splitter, places: None, head };
        table.restart();
        table
    }

    /// The same, but wanted columns from number `nth` on may go by their places as text.
    pub(super) fn loose_from(mut self, nth: usize) -> Self {
        self.loose = nth;
        self
    }

    /// Expects a beginning again: another file or writer. Where a new writer goes on without a
    /// header, the old one holds.
    pub(super) fn restart(&mut self) {
        let searching = self.format.header != Header::None;
        self.head = Head { searching, ..Head::default() };
        if !searching {
            self.places = self.find_places(0).ok();
        }
    }

    /// What the lines so far lack to be a header, while one is still looked for.
    pub(super) fn search_problem(&self) -> Option<String> {
        let best = self.head.best.as_ref().filter(|_| self.head.searching)?;
        Some(format!("no line has all columns so far: {}", best.1))
    }

    /// Whether lines before the first row are still to come.
    pub(super) fn in_head(&self) -> bool {
        let skipping = self.head.lines < self.format.skip_lines;
        skipping || self.head.searching || self.head.units > 0
    }

    /// How many lines at the start have been skipped so far; none more once rows have begun.
    pub(super) fn lines_skipped(&self) -> u32 {
        self.head.lines
    }

    /// Refuses all rows until the input begins again.
    pub(super) fn block(&mut self) {
        self.places = None;
        self.head = Head { lines: u32::MAX, tried: HEADER_LINES_MAX, ..Head::default() };
    }

    /// Reads line `number` of the file.
    ///
    /// # Errors
    /// When the header lacks columns: which ones, what it has, and what to do. Rows are then refused
    /// until the input starts again.
    pub(super) fn read(&mut self, line: &[u8], number: u64) -> Result<Step, String> {
        if let Some(problem) = foreign(line).filter(|_| number == 1) {
            self.block();
            return Err(problem.to_owned());
        }
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if self.head.lines < self.format.skip_lines {
            self.head.lines += 1;
            self.splitter.split(line);
            return Ok(Step::Head);
        }
        if line.iter().all(u8::is_ascii_whitespace) || self.is_comment(line) {
            return Ok(Step::Blank);
        }
        if self.head.searching && self.take_separator(line) {
            return Ok(Step::Head);
        }
        let whole = self.splitter.split(line);
        if self.head.searching {
            if let Some(step) = self.search(whole, number)? {
                return Ok(step);
            }
        } else if self.head.units > 0 {
            self.head.units -= 1;
            return Ok(Step::Head);
        } else if self.head.lost {
            return self.search_later(whole, number);
        }
        if !whole {
            return Ok(Step::Refused(Refusal::Quote));
        }
        Ok(self.check_columns())
    }

    fn is_comment(&self, line: &[u8]) -> bool {
        let line = line.trim_ascii_start();
        self.format.comment.0.iter().any(|begin| line.starts_with(begin.as_bytes()))
    }

    /// Takes a line such as `sep=;` for what stands between two columns, as spreadsheets do.
    fn take_separator(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\"").unwrap_or(line);
        let line = line.strip_prefix(b"\"").unwrap_or(line);
        let Some([delimiter]) = line.strip_prefix(b"sep=") else {
            return false;
        };
        let plain = delimiter.is_ascii() && !matches!(delimiter, b'"' | b'\r' | 0);
        if plain {
            self.splitter = Splitter::new(char::from(*delimiter));
        }
        plain
    }

    /// Looks whether the line just split is the header. `None`: it is a row.
    fn search(&mut self, whole: bool, number: u64) -> Result<Option<Step>, String> {
        let auto = self.format.header == Header::Auto;
        let found = if whole { self.find_places(number) } else { Err(Lack::unread(number)) };
        let lack = match found {
            Ok(places) => {
                self.places = Some(places);
                self.head.searching = false;
                self.head.units = self.format.skip_after_header;
                self.head.row_like = self.looks_like_a_row().then_some(number);
                return Ok(Some(Step::Head));
            }
            Err(lack) => lack,
        };
        if self.places.is_some() && (!auto || self.check_columns() == Step::Row) {
            self.head.searching = false;
            return Ok(None);
        }
        self.head.tried += 1;
        if !auto {
            self.head.searching = false;
            self.head.lost = true;
            let keys = self.keys;
            return Err(format!("{}; correct {keys}, or set header = false", lack.text));
        }
        if self.head.best.as_ref().is_none_or(|best| lack.count < best.0) {
            self.head.best = Some((lack.count, lack.text));
        }
        if self.head.tried < HEADER_LINES_MAX {
            return Ok(Some(Step::Head));
        }
        self.head.searching = false;
        let best = self.head.best.take().unwrap_or_default().1;
        Err(format!("none of its first {HEADER_LINES_MAX} lines has all columns: {best}"))
    }

    /// Whether the line just split, which is taken for the header though no column goes by a name, has
    /// numbers in all wanted columns, but for one that may be the label. Some programs number columns:
    /// those are names.
    fn looks_like_a_row(&self) -> bool {
        let (mut numbers, mut places) = (0, true);
        for column in &self.wanted {
            let Column::Index(place) = column else { return false };
            let text = self.splitter.field(*place).unwrap_or("");
            numbers += usize::from(text.parse::<f64>().is_ok());
            places &= text.parse() == Ok(*place);
        }
        numbers > 0 && numbers + 1 >= self.wanted.len() && !places
    }

    /// The line of a header that looks like a row.
    pub(super) fn row_like_header(&self) -> Option<u64> {
        self.head.row_like
    }

    /// After a first line that was no header: whether a later one would be.
    fn search_later(&mut self, whole: bool, number: u64) -> Result<Step, String> {
        self.head.tried += 1;
        self.head.lost = self.head.tried < HEADER_LINES_MAX;
        let names = self.wanted.iter().any(|column| matches!(column, Column::Name(_)));
        if names && whole && self.find_places(number).is_ok() {
            self.head.lost = false;
            return Err(format!(
                "the first line is no header, but line {number} has all columns: set header = \
                 \"auto\""
            ));
        }
        Ok(Step::Refused(Refusal::NoHeader))
    }

    fn check_columns(&self) -> Step {
        let has = self.splitter.count();
        let Some(places) = &self.places else {
            return Step::Refused(Refusal::NoHeader);
        };
        let needs = places.exact.unwrap_or(places.least.max(has));
        if has == needs { Step::Row } else { Step::Refused(Refusal::Columns { has, needs }) }
    }

    /// Text of the wanted column `nth` in the row read last; `None` when it is no UTF-8.
    pub(super) fn field(&self, nth: usize) -> Option<&str> {
        self.places.as_ref()?.places.get(nth).and_then(|&place| self.splitter.field(place))
    }

    /// Text of the first field of the line read last.
    pub(super) fn first_field(&self) -> Option<&str> {
        self.splitter.field(0)
    }

    /// The wanted column `nth` for people: its place from 0, its name and its text.
    pub(super) fn show(&self, nth: usize) -> String {
        let Some((places, &place)) =
            self.places.as_ref().and_then(|places| Some((places, places.places.get(nth)?)))
        else {
            return format!("wanted column {nth}");
        };
        let name = places.names.get(nth).cloned().flatten();
        let name = name.map_or(String::new(), |name| format!(" ({})", quoted(&name)));
        let text = self.splitter.field(place).map_or("bytes that are no UTF-8".to_owned(), quoted);
        format!("column {place}{name}: {text}")
    }

    /// Finds the wanted columns by the line just split, number `number` of the file, or by place.
    fn find_places(&self, number: u64) -> Result<Places, Lack> {
        let count = self.splitter.count();
        let (mut missing, mut twice) = (Vec::new(), Vec::new());
        let mut places = Vec::with_capacity(self.wanted.len());
        for (nth, column) in self.wanted.iter().enumerate() {
            let name = match column {
                Column::Index(index) => {
                    places.push(*index);
                    continue;
                }
                Column::Name(name) => name,
            };
            let is_it = |&at: &usize| self.splitter.field(at) == Some(name.as_str());
            let mut at = (0..count).filter(is_it);
            let first = at.next();
            let others: Vec<usize> = at.collect();
            match first {
                Some(first) if !others.is_empty() => twice.push((name, first, others)),
                Some(first) => places.push(first),
                None => match name.parse().ok().filter(|_| nth >= self.loose) {
                    Some(place) => places.push(place),
                    None => missing.push(name.as_str()),
                },
            }
        }
        if let Some((name, first, others)) = twice.first() {
            let places: Vec<String> =
                [first].into_iter().chain(others).map(usize::to_string).collect();
            let text = format!(
                "{}: column {name:?} stands at the places {}; give the place instead of the name",
                line(number),
                places.join(" and ")
            );
            return Err(Lack { count: missing.len() + twice.len(), text });
        }
        let last = places.iter().max().copied().unwrap_or(0);
        let headed = self.format.header != Header::None;
        let exact = self.columns.or(headed.then_some(count));
        let beyond = exact.is_some_and(|exact| last >= exact);
        if !missing.is_empty() || beyond {
            let lacks = match missing.is_empty() {
                true => format!("place {last}"),
                false => missing.join(", "),
            };
            let has: Vec<&str> =
                (0..count).filter_map(|at| self.splitter.field(at)).take(NAMES_SHOWN_MAX).collect();
            let text = format!(
                "{}: the header has no column for {lacks}; it has {count}: {}",
                line(number),
                has.join(", ")
            );
            return Err(Lack { count: missing.len().max(1), text });
        }
        let name = |&place: &usize| headed.then(|| self.splitter.field(place).map(str::to_owned));
        let names = places.iter().map(|place| name(place).flatten()).collect();
        Ok(Places { places, names, exact, least: last + 1 })
    }
}

/// What a line lacks to be the header.
struct Lack {
    /// Columns that it lacks.
    count: usize,
    text: String,
}

impl Lack {
    fn unread(number: u64) -> Self {
        Self { count: usize::MAX, text: format!("{}: {}", line(number), Refusal::Quote) }
    }
}

fn line(number: u64) -> String {
    if number == 0 { "first line".to_owned() } else { format!("line {number}") }
}

/// `text` in quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(FIELD_CHARS_MAX) {
        Some((at, _)) => format!("{:?}...", text.get(..at).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
