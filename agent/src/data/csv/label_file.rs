//! Follows a file of labels for ranges of time.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::advice::Clashes;
use super::follow::{Follower, Piece};
use super::lines::{Line, LineBuffer};
use super::ranges::RangeReader;
use super::table::Refusal;
use crate::data::Loss;
use crate::data::config::{LabelBy, LabelFile, TimeUnit};
use crate::data::labels::LabelRange;
use crate::data::live::lock;
use crate::data::log_limit::{LogLimit, clock};
use crate::data::store::{Origin, SampleStore};
use crate::data::time::show_us;

/// Bytes of a label file in which each change is noticed.
const KEPT_BYTES: u64 = 1 << 20;
/// Polls without anything new after which a file is read whole: nobody is writing it just now.
const QUIET_POLLS: u32 = 10;
/// Labels that begin at most this long after the newest sample may wait for theirs.
const AHEAD_US: i64 = 24 * 3_600_000_000;

/// Reads label ranges; from the start of the file whenever it opens or was written anew. Ranges apply
/// at once, and twice changes nothing; what an earlier text gave and this one does not is taken back
/// once it is read whole.
#[derive(Debug)]
pub(in crate::data) struct LabelReader {
    path: PathBuf,
    follower: Follower,
    piece: Vec<u8>,
    lines: LineBuffer,
    ranges: RangeReader,
    unreadable: LogLimit,
    /// The ranges of this file so far.
    found: Clashes,
    /// Polls without anything new.
    quiet: u32,
    /// Whether one of them met a sample, or it was told that none does.
    met: bool,
}

/// Kind of the hint that the file is not there.
const MISSING: &str = "label file";
/// Hints that this file gives.
const CLASHES: &str = "label clashes";
pub(super) const ROWS: &str = "label rows";

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
            found: Clashes::default(),
            quiet: 0,
            met: false,
        }
    }

    /// Takes in the next piece; whether there may be more at once.
    pub(in crate::data) fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        match self.follower.read(&mut self.piece) {
            Ok(Piece::Bytes) => {
                self.quiet = 0;
                self.take_piece(&mut lock(store));
                true
            }
            Ok(
                piece @ (Piece::Opened(_) | Piece::Restarted | Piece::Shortened | Piece::Rewritten),
            ) => {
                let torn = self.lines.restart();
                lock(store).drop_hint(MISSING);
                if piece == Piece::Rewritten {
                    let path = self.path.display();
                    log::info!("{path}: was written anew; labels are read again from its start");
                } else if torn && self.quiet < QUIET_POLLS {
                    let why = || format!("{}: its last line broke off", self.path.display());
                    lock(store).lose(Loss::Label, 1, why);
                }
                self.begin(piece, &mut lock(store));
                true
            }
            Ok(Piece::Nothing | Piece::Ended) => {
                self.rest(&mut lock(store));
                false
            }
            Err(error) => {
                self.quiet = 0;
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

    fn begin(&mut self, why: Piece, store: &mut SampleStore) {
        self.ranges.begin();
        self.found = Clashes::default();
        (self.quiet, self.met) = (0, false);
        store.drop_hint(CLASHES);
        let anew = matches!(why, Piece::Rewritten | Piece::Shortened) || self.follower.is_instead();
        store.begin_label_file(match self.follower.inode() {
            Some(inode) if anew => Origin::Instead(inode),
            Some(inode) => Origin::File(inode),
            None => Origin::Stream,
        });
    }

    /// Nothing is new. Once that stays so, the file is taken for whole: also a last line without an end,
    /// and that rows are gone from it.
    fn rest(&mut self, store: &mut SampleStore) {
        self.look_for_samples(store);
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet == QUIET_POLLS && self.follower.waits_for_file() {
            store.hint(
                MISSING,
                format!("{}: is not there yet: no labels come from it", self.path.display()),
            );
        }
        if self.quiet != QUIET_POLLS || self.follower.inode().is_none() {
            return;
        }
        if let Some(range) = self.ranges.try_read(self.lines.partial(), store) {
            self.apply(&[range], store);
        }
        let path = self.path.display();
        match store.end_label_file() {
            Ok(0) => {}
            Ok(count) => log::warn!(
                "{path}: its rows for {count} samples are gone: these have no label any more, nor one \
                 of their own that came with them"
            ),
            Err(error) => {
                self.quiet = 0;
                log::warn!("{path}: labels of rows that are gone stay for now: {error}");
            }
        }
    }

    fn apply(&self, ranges: &[LabelRange], store: &mut SampleStore) {
        if let Err(error) = store.label_by_file(ranges) {
            store.lose(Loss::Label, 1, || format!("cannot apply labels: {error}"));
        }
    }

    fn take_piece(&mut self, store: &mut SampleStore) {
        let piece = std::mem::take(&mut self.piece);
        self.take_lines(store, &piece);
        self.piece = piece;
    }

    fn take_lines(&mut self, store: &mut SampleStore, bytes: &[u8]) {
        let mut new = Vec::new();
        let Self { ranges, lines, path, found, .. } = self;
        lines.feed(bytes, |line, _, number| {
            let range = match line {
                Line::Whole(line) => ranges.read(line, number, store),
                Line::TooLong => Err(Refusal::TooLong.to_string()),
            };
            match range {
                Ok(None) => {}
                Ok(Some(range)) => {
                    found.add(range, number);
                    new.push(range);
                }
                Err(why) => {
                    let text = || format!("{} {}", path.display(), ranges.at(number, &why));
                    store.lose(Loss::Label, 1, text);
                }
            }
        });
        self.apply(&new, store);
    }

    /// Tells of ranges that contradict each other or seem to count rows and, once, when none of them
    /// so far meets a sample.
    fn look_for_samples(&mut self, store: &mut SampleStore) {
        let path = self.path.display();
        if let Some(text) = self.found.text() {
            store.hint(CLASHES, format!("{path}: {text}"));
        }
        let Some(times) = store.ring().times() else { return };
        if self.ranges.by == LabelBy::Time {
            let advice = self.ranges.numbers.advice(store.next_sequence(), times.latest);
            advice.into_iter().for_each(|text| store.hint(ROWS, format!("{path}: {text}")));
        }
        if self.met || self.found.spans().next().is_none() {
            return;
        }
        let meets = |(start, end): (i64, i64)| start <= times.latest && end > times.earliest;
        let waits = |(start, end): (i64, i64)| {
            end > times.latest && start.saturating_sub(times.latest) < AHEAD_US
        };
        if self.found.spans().any(meets) {
            self.met = true;
        } else if !self.found.spans().any(waits) {
            self.met = true;
            let first = self.found.spans().map(|span| span.0).min().unwrap_or(0);
            let last = self.found.spans().map(|span| span.1).max().unwrap_or(0);
            let count = self.found.spans().count();
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
