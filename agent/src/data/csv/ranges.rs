//! Makes label ranges of the lines of a label file.

use std::borrow::Cow;

use super::advice::RowNumbers;
use super::row::by_place;
use super::table::{Refusal, Step, Table, quoted};
use crate::data::config::{Header, LabelBy, LabelFile, TimeUnit, Where};
use crate::data::labels::LabelRange;
use crate::data::store::SampleStore;
use crate::data::time::TimeReader;

/// Makes ranges of lines.
#[derive(Debug)]
pub(super) struct RangeReader {
    table: Table,
    filter: Where<usize>,
    /// The wanted column that names the recording, and its names.
    file: Option<(usize, Vec<String>)>,
    time: TimeReader,
    unit: TimeUnit,
    pub(super) by: LabelBy,
    period_ns: u64,
    lasts: bool,
    whole: bool,
    maybe_header: bool,
    first_line: bool,
    /// Whether the row read last is for the recording.
    ours: bool,
    /// What the header lacks: no row can be read then.
    lack: Option<String>,
    /// What rows for other recordings name, a few of them.
    others: Vec<String>,
    /// Whether starts and ends look like numbers of rows.
    pub(super) numbers: RowNumbers,
}

/// Where the parts of a range are among the wanted columns.
const START: usize = 0;
const END: usize = 1;
const LABEL: usize = 2;
/// Names of other recordings that are told.
const OTHERS_MAX: usize = 5;

impl RangeReader {
    /// A reader of the rows that are for the recording of these `names`.
    pub(super) fn of(form: &LabelFile, unit: TimeUnit, period_ns: u64, names: Vec<String>) -> Self {
        let mut reader = Self::new(form, unit, period_ns);
        reader.file = reader.file.map(|(nth, _)| (nth, names));
        reader
    }

    pub(super) fn new(form: &LabelFile, unit: TimeUnit, period_ns: u64) -> Self {
        let end = form.duration.as_ref().or(form.end.as_ref()).unwrap_or(&form.start);
        let mut wanted = vec![form.start.clone(), end.clone(), form.label.clone()];
        let headless = form.text.header == Header::None;
        let loose = wanted.len();
        let filter = form.filter.map(|column| {
            wanted.push(by_place(column, headless));
            wanted.len() - 1
        });
        let file = form.file.as_ref().map(|column| {
            wanted.push(column.clone());
            (wanted.len() - 1, Vec::new())
        });
        let plain = form.filter.is_empty() && file.is_none();
        let columns = form.maybe_header.then_some(3).filter(|_| plain);
        let keys = "start, end, duration, label, file or where of source.label_file";
        Self {
            table: Table::new(&form.text, wanted, columns, keys).loose_from(loose),
            filter,
            file,
            time: TimeReader::new(&form.time, unit),
            unit: form.time.unit.unwrap_or(unit),
            by: form.by,
            period_ns,
            lasts: form.duration.is_some(),
            whole: form.whole,
            maybe_header: form.maybe_header,
            first_line: true,
            ours: false,
            lack: None,
            others: Vec::new(),
            numbers: RowNumbers::default(),
        }
    }

    /// A text begins.
    pub(super) fn begin(&mut self) {
        self.table.restart();
        self.time.restart();
        (self.first_line, self.lack) = (true, None);
        self.numbers = RowNumbers::default();
    }

    /// The range of a last line that has no end yet, if it is whole; nothing is told of it.
    pub(super) fn try_read(&mut self, line: &[u8], store: &mut SampleStore) -> Option<LabelRange> {
        if line.is_empty() || self.table.in_head() || self.first_line && self.maybe_header {
            return None;
        }
        let time = self.time.clone();
        let range = self.read(line, 0, store).ok().flatten();
        self.time = time;
        range
    }

    /// Whether the line read last is a row for the recording.
    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    /// What is wrong with line `number`, with where that is.
    pub(super) fn at(&self, number: u64, why: &str) -> String {
        let is_known = self.lack.as_deref() == Some(why);
        if is_known { why.to_owned() } else { format!("line {number}: {why}") }
    }

    /// What the header lacks, where it lacks something.
    pub(super) fn lack(&self) -> Option<&str> {
        self.lack.as_deref()
    }

    /// What rows for other recordings name instead, a few of them, for people.
    pub(super) fn others(&self) -> String {
        match self.others.is_empty() {
            true => "it has no rows".to_owned(),
            false => format!("it has rows for {}", self.others.join("; ")),
        }
    }

    /// Remembers what the row read last names.
    fn note_other(&mut self) {
        if self.others.len() >= OTHERS_MAX {
            return;
        }
        let file = self.file.iter().map(|(nth, _)| self.table.show(*nth));
        let places = self.filter.keys().map(|&nth| self.table.show(nth));
        let text = file.chain(places).collect::<Vec<_>>().join(", ");
        if !self.others.contains(&text) {
            self.others.push(text);
        }
    }

    /// Text of the label of the line read last.
    pub(super) fn label(&self) -> &str {
        self.table.field(LABEL).unwrap_or("")
    }

    /// Whether the row read last names the recording.
    fn is_for_us(&self) -> bool {
        let Some((nth, names)) = &self.file else { return true };
        let text = self.table.field(*nth).unwrap_or("");
        let name = text.rsplit(['/', '\\']).next().unwrap_or(text);
        // Names that are numbers are the same with zeros before them.
        let number = |text: &str| text.parse::<u64>().ok();
        let same = |own: &str| own == name || number(own).is_some_and(|n| number(name) == Some(n));
        names.iter().any(|own| same(own))
    }

    /// The range of line `number`; `None` where it has none.
    pub(super) fn read(
        &mut self,
        line: &[u8],
        number: u64,
        store: &mut SampleStore,
    ) -> Result<Option<LabelRange>, String> {
        let step = self.table.read(line, number);
        self.ours = false;
        let first = matches!(step, Ok(Step::Row | Step::Refused(_)))
            && std::mem::take(&mut self.first_line)
            && self.maybe_header;
        if let Err(lack) = &step {
            self.lack = Some(lack.clone());
        }
        let range = match step? {
            Step::Head | Step::Blank => return Ok(None),
            // What is wrong with all of them is the header.
            Step::Refused(Refusal::NoHeader) => {
                Err(self.lack.clone().unwrap_or_else(|| Refusal::NoHeader.to_string()))
            }
            Step::Refused(refusal) => Err(refusal.to_string()),
            Step::Row => {
                let table = &self.table;
                let fits = self.filter.matches(|&nth| table.field(nth).map(Cow::Borrowed));
                if !fits || !self.is_for_us() {
                    self.note_other();
                    return Ok(None);
                }
                self.ours = true;
                self.range(store)
            }
        };
        match range {
            Ok(range) => Ok(Some(range)),
            Err(_) if first => Ok(None),
            Err(why) => Err(why),
        }
    }

    fn range(&mut self, store: &mut SampleStore) -> Result<LabelRange, String> {
        let (start_us, end_us) = match self.by {
            _ if self.whole => (i64::MIN, i64::MAX),
            LabelBy::Time if self.lasts => {
                let start_us = self.time(START)?;
                let text = self.table.field(END).unwrap_or("");
                let lasts = text.parse().ok().and_then(|number| self.unit.to_us(number));
                let lasts = lasts.ok_or_else(|| {
                    format!("{} is not a duration in {}", self.table.show(END), self.unit)
                })?;
                (start_us, start_us.saturating_add(lasts))
            }
            LabelBy::Time => {
                let (start_us, end_us) = (self.time(START)?, self.time(END)?);
                let texts = [START, END].map(|nth| self.table.field(nth).unwrap_or(""));
                self.numbers.add(texts, end_us);
                (start_us, end_us)
            }
            LabelBy::Samples => (self.sample(START, 0)?, self.sample(END, 0)?),
            LabelBy::Rows => (self.sample(START, 1)?, self.sample(END, 0)?),
        };
        if end_us <= start_us {
            return Err(format!(
                "the range ends, {}, before it begins, {}",
                self.table.show(END),
                self.table.show(START)
            ));
        }
        let text = self.table.field(LABEL).ok_or("its label is no UTF-8")?;
        let number = store.label_number(text).map_err(|error| error.to_string())?;
        let label = number.ok_or_else(|| format!("label {} cannot be used", quoted(text)))?;
        Ok(LabelRange { start_us, end_us, label })
    }

    fn time(&mut self, nth: usize) -> Result<i64, String> {
        let text = self.table.field(nth).unwrap_or("\u{fffd}");
        self.time.read_text(text).map_err(|problem| format!("{} {problem}", self.table.show(nth)))
    }

    /// Moment of the sample whose number is in the wanted column `nth`, the first being `first`.
    fn sample(&self, nth: usize, first: i64) -> Result<i64, String> {
        let number = self.table.field(nth).and_then(|text| text.parse::<i64>().ok());
        let number = number.and_then(|number| number.checked_sub(first)).filter(|n| *n >= 0);
        let number =
            number.ok_or_else(|| format!("{} is not a number of samples", self.table.show(nth)))?;
        // Half a period earlier than the sample, so that rounding matters to neither end.
        let ns = i128::from(number) * i128::from(self.period_ns) - i128::from(self.period_ns / 2);
        i64::try_from(ns / 1000).map_err(|_| "its number of samples is too large".to_owned())
    }
}
