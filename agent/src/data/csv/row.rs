//! One line to one sample, by the columns of the configuration.

use std::fmt;

use super::lines::LINE_BYTES_MAX;
use crate::data::config::{COLUMNS_MAX, Column, CsvConfig, TimeUnit};

/// Cuts a line at its delimiters, minding quotes.
#[derive(Debug)]
pub(super) struct Splitter {
    reader: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Splitter {
    /// A splitter at `delimiter`, an ASCII character.
    pub(super) fn new(delimiter: char) -> Self {
        let delimiter = u8::try_from(delimiter).unwrap_or(b',');
        let terminator = csv_core::Terminator::Any(b'\n');
        let reader =
            csv_core::ReaderBuilder::new().delimiter(delimiter).terminator(terminator).build();
        Self { reader, text: vec![0; LINE_BYTES_MAX], ends: vec![0; COLUMNS_MAX], count: 0 }
    }

    /// Cuts `line`; `false` when a quote does not end in it or it has more than 1024 columns.
    pub(super) fn split(&mut self, line: &[u8]) -> bool {
        self.reader.reset();
        self.count = 0;
        let (_, _, bytes, ends) = self.reader.read_record(line, &mut self.text, &mut self.ends);
        let (text, places) = (&mut self.text[bytes..], &mut self.ends[ends..]);
        let (result, _, _, more) = self.reader.read_record(b"\n", text, places);
        let whole = matches!(result, csv_core::ReadRecordResult::Record);
        self.count = if whole { ends + more } else { 0 };
        whole
    }

    /// Columns of the line cut last.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Column `index` without outer spaces; `None` when the line has no such column or it is no
    /// UTF-8.
    pub(super) fn field(&self, index: usize) -> Option<&str> {
        let end = *self.ends[..self.count].get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end).and_then(|text| std::str::from_utf8(text).ok()).map(str::trim)
    }
}

/// Why a row is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The line is longer than 16 KiB.
    TooLong,
    /// The line broke off: its writer went away.
    Torn,
    /// A quote does not end in the line, or it has more than 1024 columns.
    Quote,
    /// Another number of columns than expected.
    Columns {
        /// Columns that this row has.
        has: usize,
        /// Columns that each row should have.
        needs: usize,
    },
    /// A column, from 0, is not a finite number.
    Number(usize),
    /// The time column, from 0, is not a time.
    Time(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a line has more than {LINE_BYTES_MAX} bytes"),
            Self::Torn => f.write_str("a line broke off"),
            Self::Quote => write!(f, "a quote does not end, or more than {COLUMNS_MAX} columns"),
            Self::Columns { has, needs } => write!(f, "a row has {has} columns instead of {needs}"),
            Self::Number(column) => write!(f, "column {column} is not a finite number"),
            Self::Time(column) => write!(f, "column {column} is not a time"),
        }
    }
}

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Row<'a> {
    /// A row that names the columns.
    Header,
    /// A line of nothing but white space.
    Blank,
    /// A row that is a sample.
    Sample {
        /// Time in microseconds, where there is a time column.
        time_us: Option<i64>,
        /// Text of the label; empty for none.
        label: &'a str,
        /// `[channels]` in the order of their names.
        values: &'a [f32],
    },
    /// A row that cannot be used.
    Refused(Refusal),
}

/// Places of the columns in use.
#[derive(Clone, Debug)]
struct Places {
    channels: Vec<usize>,
    time: Option<usize>,
    label: Option<usize>,
    /// Columns of each row, where known.
    exact: Option<usize>,
    /// Columns of each row at least.
    least: usize,
}

/// Makes samples of lines, once it knows in which columns their parts are.
#[derive(Debug)]
pub(super) struct RowReader {
    config: CsvConfig,
    splitter: Splitter,
    places: Option<Places>,
    expect_header: bool,
    values: Vec<f32>,
}

impl RowReader {
    /// A reader that expects a header first where the configuration says so.
    pub(super) fn new(config: &CsvConfig) -> Self {
        let mut reader = Self {
            config: config.clone(),
            splitter: Splitter::new(config.input.delimiter),
            places: None,
            expect_header: config.input.header,
            values: Vec::new(),
        };
        if !config.input.header {
            reader.places = reader.find_places().ok();
        }
        reader
    }

    /// Expects a header again: another file or writer begins. Where a new writer goes on without
    /// one, the old header holds.
    pub(super) fn restart(&mut self) {
        self.expect_header = self.config.input.header;
    }

    /// Whether the next line should be a header.
    pub(super) fn expects_header(&self) -> bool {
        self.expect_header
    }

    /// Reads one line.
    ///
    /// # Errors
    /// When the header lacks columns: which ones, and what it has. Rows are then refused until the
    /// input starts again.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Row<'_>, String> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Row::Blank);
        }
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if !self.splitter.split(line) {
            return Ok(Row::Refused(Refusal::Quote));
        }
        if std::mem::take(&mut self.expect_header) {
            match self.find_places() {
                Ok(places) => {
                    self.places = Some(places);
                    return Ok(Row::Header);
                }
                Err(problem) if self.places.is_none() => return Err(problem),
                Err(_) => {}
            }
        }
        Ok(self.sample().unwrap_or_else(Row::Refused))
    }

    fn sample(&mut self) -> Result<Row<'_>, Refusal> {
        let has = self.splitter.count();
        let Some(places) = &self.places else {
            return Err(Refusal::Columns { has, needs: self.config.sampling.channels.len() });
        };
        let needs = places.exact.unwrap_or(places.least.max(has));
        if has != needs {
            return Err(Refusal::Columns { has, needs });
        }
        self.values.clear();
        for &place in &places.channels {
            let value = self.splitter.field(place).and_then(|text| text.parse::<f32>().ok());
            self.values.push(value.filter(|v| v.is_finite()).ok_or(Refusal::Number(place))?);
        }
        let unit = self.config.sampling.time_unit;
        let time_us = match places.time {
            Some(place) => {
                let time = self.splitter.field(place).and_then(|text| parse_time(text, unit));
                Some(time.ok_or(Refusal::Time(place))?)
            }
            None => None,
        };
        let label = places.label.and_then(|place| self.splitter.field(place)).unwrap_or("");
        Ok(Row::Sample { time_us, label, values: &self.values })
    }

    /// Finds the columns in use, by the header that was just split or by number.
    fn find_places(&self) -> Result<Places, String> {
        let count = self.splitter.count();
        let mut missing = Vec::new();
        let mut place = |column: &Column| match column {
            Column::Index(index) => *index,
            Column::Name(name) => {
                let at = (0..count).find(|&at| self.splitter.field(at) == Some(name.as_str()));
                at.unwrap_or_else(|| {
                    missing.push(name.clone());
                    0
                })
            }
        };
        let config = &self.config;
        let channels: Vec<usize> = config.sampling.channels.values().map(&mut place).collect();
        let time = config.input.time.as_ref().map(&mut place);
        let label = config.input.label.as_ref().map(&mut place);
        let last = channels.iter().chain(&time).chain(&label).max().copied().unwrap_or(0);
        let exact = config.input.columns.or(config.input.header.then_some(count));
        let has: Vec<&str> = (0..count).filter_map(|at| self.splitter.field(at)).take(64).collect();
        if !missing.is_empty() || exact.is_some_and(|exact| last >= exact) {
            return Err(format!(
                "the header has no column for {}; it has {count}: {}; correct source.channels, \
                 source.time or source.label, or set header = false",
                if missing.is_empty() { format!("place {last}") } else { missing.join(", ") },
                has.join(", ")
            ));
        }
        Ok(Places { channels, time, label, exact, least: last + 1 })
    }
}

/// A time in `unit` as microseconds.
pub(super) fn parse_time(text: &str, unit: TimeUnit) -> Option<i64> {
    text.parse().ok().and_then(|time| unit.to_us(time))
}

#[cfg(test)]
mod tests;
