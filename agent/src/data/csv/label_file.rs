//! Follows a file of labels for ranges of time.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::follow::{Follower, Piece};
use super::lines::{Line, LineBuffer};
use super::row::by_place;
use super::table::{Refusal, Step, Table, quoted};
use crate::data::Loss;
use crate::data::config::{Header, LabelBy, LabelFile, TimeUnit, Where};
use crate::data::labels::LabelRange;
use crate::data::live::lock;
use crate::data::log_limit::{LogLimit, clock};
use crate::data::store::SampleStore;
use crate::data::time::{TimeReader, show_us};

/// Bytes of a label file in which each change is noticed.
const KEPT_BYTES: u64 = 1 << 20;
/// Ranges that are remembered to see whether any meets a sample.
const SPANS_MAX: usize = 4096;
/// Labels that begin at most this long after the newest sample may wait for theirs.
const AHEAD_US: i64 = 24 * 3_600_000_000;

/// Reads label ranges; from the start of the file whenever it opens or was written anew, because
/// applying a range twice changes nothing.
#[derive(Debug)]
pub(in crate::data) struct LabelReader {
    path: PathBuf,
    follower: Follower,
    piece: Vec<u8>,
    lines: LineBuffer,
    ranges: RangeReader,
    unreadable: LogLimit,
    /// Beginnings and ends of the ranges of this file so far.
    spans: Vec<(i64, i64)>,
    /// Whether one of them met a sample, or it was told that none does.
    met: bool,
}

/// Makes ranges of lines.
#[derive(Debug)]
struct RangeReader {
    table: Table,
    filter: Where<usize>,
    time: TimeReader,
    unit: TimeUnit,
    by: LabelBy,
    period_ns: u64,
    lasts: bool,
    maybe_header: bool,
    first_line: bool,
}

/// Where the parts of a range are among the wanted columns.
const START: usize = 0;
const END: usize = 1;
const LABEL: usize = 2;

impl LabelReader {
    /// A reader of the file or FIFO `path`, which need not exist yet. Numbers are of `unit`, a
    /// sample takes `period_ns` nanoseconds.
    pub(in crate::data) fn new(
        path: &Path,
        form: &LabelFile,
        unit: TimeUnit,
        period_ns: u64,
    ) -> Self {
        Self {
            path: path.to_owned(),
            follower: Follower::file(path, None).keep(KEPT_BYTES),
            piece: Vec::new(),
            lines: LineBuffer::new(form.text.row_end),
            ranges: RangeReader::new(form, unit, period_ns),
            unreadable: LogLimit::default(),
            spans: Vec::new(),
            met: false,
        }
    }

    /// Takes in the next piece; whether there may be more at once.
    pub(in crate::data) fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        match self.follower.read(&mut self.piece) {
            Ok(Piece::Bytes) => {
                self.take_piece(&mut lock(store));
                true
            }
            Ok(
                piece @ (Piece::Opened(_) | Piece::Restarted | Piece::Shortened | Piece::Rewritten),
            ) => {
                if piece == Piece::Rewritten {
                    let path = self.path.display();
                    log::info!("{path}: was written anew; labels are read again from its start");
                    self.lines.restart();
                } else if self.lines.restart() {
                    let why = || format!("{}: its last line broke off", self.path.display());
                    lock(store).lose(Loss::Label, 1, why);
                }
                self.begin();
                true
            }
            Ok(Piece::Nothing | Piece::Ended) => {
                self.look_for_samples(&mut lock(store));
                false
            }
            Err(error) => {
                if self.unreadable.count(clock()).is_some() {
                    log::warn!("{}: cannot be read: {error}", self.path.display());
                }
                false
            }
        }
    }

    /// Takes the last line for whole, even if it has no end: nothing more will come.
    pub(in crate::data) fn finish(&mut self, store: &mut SampleStore) {
        if let Some(line) = self.lines.finish() {
            self.take_lines(store, &[line, b"\n".to_vec()].concat());
        }
        self.look_for_samples(store);
    }

    fn begin(&mut self) {
        self.ranges.begin();
        self.spans.clear();
        self.met = false;
    }

    fn take_piece(&mut self, store: &mut SampleStore) {
        let piece = std::mem::take(&mut self.piece);
        self.take_lines(store, &piece);
        self.piece = piece;
    }

    fn take_lines(&mut self, store: &mut SampleStore, bytes: &[u8]) {
        let mut found = Vec::new();
        let Self { ranges, lines, path, spans, .. } = self;
        lines.feed(bytes, |line, _, number| {
            let range = match line {
                Line::Whole(line) => ranges.read(line, number, store),
                Line::TooLong => Err(Refusal::TooLong.to_string()),
            };
            match range {
                Ok(None) => {}
                Ok(Some(range)) => {
                    if spans.len() < SPANS_MAX {
                        spans.push((range.start_us, range.end_us));
                    }
                    found.push(range);
                }
                Err(why) => {
                    let text = || format!("{} line {number}: {why}", path.display());
                    store.lose(Loss::Label, 1, text);
                }
            }
        });
        if let Err(error) = store.label(&found) {
            store.lose(Loss::Label, 1, || format!("cannot apply labels: {error}"));
        }
    }

    /// Tells, once, when none of the ranges so far meets a sample.
    fn look_for_samples(&mut self, store: &mut SampleStore) {
        let Some(times) = store.ring().times().filter(|_| !self.met && !self.spans.is_empty())
        else {
            return;
        };
        let meets = |&(start, end): &(i64, i64)| start <= times.latest && end > times.earliest;
        let waits = |&(start, end): &(i64, i64)| {
            end > times.latest && start.saturating_sub(times.latest) < AHEAD_US
        };
        if self.spans.iter().any(meets) {
            self.met = true;
        } else if !self.spans.iter().any(waits) {
            self.met = true;
            let first = self.spans.iter().map(|span| span.0).min().unwrap_or(0);
            let last = self.spans.iter().map(|span| span.1).max().unwrap_or(0);
            let count = self.spans.len();
            store.lose(Loss::Label, count as u64, || {
                format!(
                    "{}: none of its {count} ranges, from {} to {}, meets a sample, from {} to {}; \
                     compare time, time_unit and zone of both",
                    self.path.display(),
                    show_us(first),
                    show_us(last),
                    show_us(times.earliest),
                    show_us(times.latest)
                )
            });
        }
    }
}

impl RangeReader {
    fn new(form: &LabelFile, unit: TimeUnit, period_ns: u64) -> Self {
        let end = form.duration.as_ref().or(form.end.as_ref()).unwrap_or(&form.start);
        let mut wanted = vec![form.start.clone(), end.clone(), form.label.clone()];
        let headless = form.text.header == Header::None;
        let loose = wanted.len();
        let filter = form.filter.map(|column| {
            wanted.push(by_place(column, headless));
            wanted.len() - 1
        });
        let columns = form.maybe_header.then_some(3).filter(|_| form.filter.is_empty());
        let keys = "start, end, duration or label of source.label_file";
        Self {
            table: Table::new(&form.text, wanted, columns, keys).loose_from(loose),
            filter,
            time: TimeReader::new(&form.time, unit),
            unit: form.time.unit.unwrap_or(unit),
            by: form.by,
            period_ns,
            lasts: form.duration.is_some(),
            maybe_header: form.maybe_header,
            first_line: true,
        }
    }

    fn begin(&mut self) {
        self.table.restart();
        self.time.restart();
        self.first_line = true;
    }

    /// The range of line `number`; `None` where it has none.
    fn read(
        &mut self,
        line: &[u8],
        number: u64,
        store: &mut SampleStore,
    ) -> Result<Option<LabelRange>, String> {
        let step = self.table.read(line, number);
        let first = matches!(step, Ok(Step::Row | Step::Refused(_)))
            && std::mem::take(&mut self.first_line)
            && self.maybe_header;
        let range = match step? {
            Step::Head | Step::Blank => return Ok(None),
            Step::Refused(refusal) => Err(refusal.to_string()),
            Step::Row => {
                let table = &self.table;
                if !self.filter.matches(|&nth| table.field(nth).map(Cow::Borrowed)) {
                    return Ok(None);
                }
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
            LabelBy::Time if self.lasts => {
                let start_us = self.time(START)?;
                let text = self.table.field(END).unwrap_or("");
                let lasts = text.parse().ok().and_then(|number| self.unit.to_us(number));
                let lasts = lasts.ok_or_else(|| {
                    format!("{} is not a duration in {}", self.table.show(END), self.unit)
                })?;
                (start_us, start_us.saturating_add(lasts))
            }
            LabelBy::Time => (self.time(START)?, self.time(END)?),
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
