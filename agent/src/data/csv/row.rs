//! One line to one sample, by the columns of the configuration.

use std::borrow::Cow;

use super::table::{Refusal, Step, Table};
use crate::data::config::{Column, CsvConfig, Header, TimeFormat, TimeKind, Where};
use crate::data::time::TimeReader;

/// Keys that name columns, for errors.
const KEYS: &str = "source.channels, source.time, source.label or source.where";
/// What stands where there is no value, besides nothing.
const MISSING: [&str; 9] = ["nan", "na", "n/a", "null", "none", "-", "--", "?", "#n/a"];

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Row<'a> {
    /// A line before the rows; with the time of the first sample, where it has that.
    Head(Option<i64>),
    /// A line of nothing but white space, or a comment.
    Blank,
    /// A row that `where` leaves out.
    Filtered,
    /// A row that is a sample.
    Sample {
        /// Time in microseconds, where there is a time column.
        time_us: Option<i64>,
        /// Text of the label; empty for none.
        label: &'a str,
        /// `[channels]` in the order of their names; NaN is a missing value.
        values: &'a [f32],
    },
    /// A row that cannot be used.
    Refused(Refusal),
}

/// Makes samples of lines.
#[derive(Debug)]
pub(super) struct RowReader {
    config: CsvConfig,
    table: Table,
    parts: Parts,
    time: Option<TimeReader>,
    /// Reads the time of the first sample, where a line at the start has it.
    start: TimeReader,
    filter: Where<usize>,
    /// Whether a comma in a time stands before its decimals.
    comma_times: bool,
    time_text: String,
    values: Vec<f32>,
}

/// Where the parts of a sample are among the wanted columns.
#[derive(Clone, Copy, Debug)]
struct Parts {
    channels: usize,
    times: usize,
    label: Option<usize>,
}

impl RowReader {
    /// A reader that expects a header first where the configuration says so.
    pub(super) fn new(config: &CsvConfig) -> Self {
        let input = &config.input;
        let mut wanted: Vec<Column> = config.sampling.channels.values().cloned().collect();
        let channels = wanted.len();
        let times = input.time.as_ref().map_or(&[][..], |time| time.place.0.as_slice());
        wanted.extend_from_slice(times);
        let label = input.label.as_ref().map(|_| wanted.len());
        wanted.extend(input.label.clone());
        let headless = input.text.header == Header::None;
        let loose = wanted.len();
        let filter = input.filter.map(|column| {
            wanted.push(by_place(column, headless));
            wanted.len() - 1
        });
        let mut text = input.text.clone();
        let heads = input.start_line.max(input.rate_line).unwrap_or(0);
        text.skip_lines = text.skip_lines.max(heads);
        let unit = config.sampling.time_unit;
        let format = input.time.as_ref().map(|time| &time.format);
        let pattern = format.is_some_and(|format| matches!(format.kind, TimeKind::Pattern(_)));
        let comma_times = input.text.decimal == ',' && !pattern;
        Self {
            table: Table::new(&text, wanted, input.columns, KEYS).loose_from(loose),
            parts: Parts { channels, times: times.len(), label },
            time: format.map(|format| TimeReader::new(format, unit)),
            start: TimeReader::new(&TimeFormat::default(), unit),
            filter,
            comma_times,
            config: config.clone(),
            time_text: String::new(),
            values: Vec::new(),
        }
    }

    /// Expects a header again: another file or writer begins. Where a new writer goes on without
    /// one, the old header holds.
    pub(super) fn restart(&mut self) {
        self.table.restart();
    }

    /// Forgets the time read last: what comes is the same recording again.
    pub(super) fn rewind(&mut self) {
        if let Some(time) = &mut self.time {
            time.restart();
        }
    }

    /// The time that was read last, in microseconds.
    pub(super) fn last_us(&self) -> Option<i64> {
        self.time.as_ref().and_then(TimeReader::last_us)
    }

    /// What the lines so far lack to be a header, while one is still looked for.
    pub(super) fn search_problem(&self) -> Option<String> {
        self.table.search_problem()
    }

    /// The line of a header that looks like a row.
    pub(super) fn row_like_header(&self) -> Option<u64> {
        self.table.row_like_header()
    }

    /// Whether rows bring their times.
    pub(super) fn has_times(&self) -> bool {
        self.time.is_some()
    }

    /// Whether lines before the first row are still to come.
    pub(super) fn in_head(&self) -> bool {
        self.table.in_head()
    }

    /// Goes on after a sample of `time_us`, in microseconds.
    pub(super) fn resume(&mut self, time_us: i64) {
        if let Some(time) = &mut self.time {
            time.resume(time_us);
        }
    }

    /// Reads line `number` of the file.
    ///
    /// # Errors
    /// When the header lacks columns or does not fit the configuration: what is wrong and what to
    /// do. Rows are then refused until the input starts again.
    pub(super) fn read(&mut self, line: &[u8], number: u64) -> Result<Row<'_>, String> {
        let skipped = self.table.lines_skipped();
        match self.table.read(line, number)? {
            Step::Head => self.head(skipped),
            Step::Blank => Ok(Row::Blank),
            Step::Refused(refusal) => Ok(Row::Refused(refusal)),
            Step::Row => Ok(self.sample().unwrap_or_else(Row::Refused)),
        }
    }

    /// What the line after `skipped` others at the start says.
    fn head(&mut self, skipped: u32) -> Result<Row<'_>, String> {
        let number = skipped.saturating_add(1);
        let line = Some(number).filter(|line| *line == self.table.lines_skipped());
        let input = &self.config.input;
        let field = self.table.first_field().unwrap_or("");
        if line.is_some() && line == input.rate_line {
            let rate = field.parse::<f64>().unwrap_or(f64::NAN);
            #[allow(clippy::cast_precision_loss)] // three digits are compared
            let wanted = 1e9 / self.config.sampling.period_ns() as f64;
            if rate.is_nan() || (rate / wanted - 1.0).abs() > 0.01 {
                let text = format!(
                    "line {number} says {field:?} Hz, the configuration {wanted:.3} Hz; correct \
                     rate_hz"
                );
                self.table.block();
                return Err(text);
            }
        }
        if line.is_some() && line == input.start_line {
            return match self.start.read_text(field) {
                Ok(start_us) => Ok(Row::Head(Some(start_us))),
                Err(problem) => {
                    let text = format!("line {number}: {field:?} {problem}");
                    self.table.block();
                    Err(text)
                }
            };
        }
        Ok(Row::Head(None))
    }

    fn sample(&mut self) -> Result<Row<'_>, Refusal> {
        let Parts { channels, times, label } = self.parts;
        let table = &self.table;
        if !self.filter.matches(|&nth| table.field(nth).map(Cow::Borrowed)) {
            return Ok(Row::Filtered);
        }
        let time_us = match &mut self.time {
            Some(time) => {
                self.time_text.clear();
                for nth in channels..channels + times {
                    if nth > channels {
                        self.time_text.push(' ');
                    }
                    self.time_text.push_str(table.field(nth).unwrap_or("\u{fffd}"));
                }
                if self.comma_times && !self.time_text.contains('.') {
                    self.time_text = self.time_text.replace(',', ".");
                }
                let read = time.read_text(&self.time_text);
                Some(read.map_err(|problem| Refusal::Time(channels, problem))?)
            }
            None => None,
        };
        self.values.clear();
        let input = &self.config.input;
        for nth in 0..channels {
            let text = table.field(nth).ok_or(Refusal::Number(nth))?;
            let word = input.words.get(text).copied();
            let value = word.or_else(|| value(text, input.text.decimal));
            self.values.push(value.ok_or(Refusal::Number(nth))?);
        }
        let label = label.and_then(|nth| self.table.field(nth)).unwrap_or("");
        Ok(Row::Sample { time_us, label, values: &self.values })
    }

    /// Why the line read last is refused, for people.
    pub(super) fn describe(&self, refusal: &Refusal) -> String {
        match refusal {
            Refusal::Number(nth) | Refusal::Time(nth, _) => {
                format!("{} {refusal}", self.table.show(*nth))
            }
            Refusal::TooLong
            | Refusal::Torn
            | Refusal::Quote
            | Refusal::NoHeader
            | Refusal::Columns { .. }
            | Refusal::Known => refusal.to_string(),
        }
    }

    /// What `where` saw in the line read last, for people.
    pub(super) fn describe_filter(&self) -> String {
        let seen: Vec<String> = self.filter.keys().map(|&nth| self.table.show(nth)).collect();
        seen.join(", ")
    }
}

/// A column of `where`: without a header, text is its place.
pub(super) fn by_place(column: &Column, headless: bool) -> Column {
    match column {
        Column::Name(name) if headless => {
            name.parse().map_or_else(|_| column.clone(), Column::Index)
        }
        Column::Name(_) | Column::Index(_) => column.clone(),
    }
}

/// The value of a field: NaN where it is missing, `None` where it is no finite number.
fn value(text: &str, decimal: char) -> Option<f32> {
    if text.is_empty() || MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing)) {
        return Some(f32::NAN);
    }
    let value = match decimal {
        ',' if text.contains('.') => return None,
        ',' => text.replacen(',', ".", 1).parse::<f32>(),
        _ => text.parse::<f32>(),
    };
    value.ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests;
