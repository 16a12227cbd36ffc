//! What a label file has given, so that it can be taken back: rows that are gone from the file, or
//! shorter, must not stay in force on samples that are kept.
//!
//! Of a file that is read again from its start, the moments that it had a label for are remembered
//! until it is read whole; those that it has none for any more then lose theirs. They are noted on disk
//! before any sample is labelled, because files are also edited while no program runs.

use std::path::PathBuf;

use crate::data::DataError;
use crate::data::checked_text::{self, Found};
use crate::data::labels::LabelRange;
use crate::data::spans::Spans;

const FIRST_LINE: &str = "dunlin-spans 1";
/// Longest note in bytes.
const NOTE_BYTES_MAX: u64 = Spans::MAX as u64 * 42 + 128;

/// Where the text of a label file comes from that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Origin {
    /// A FIFO: it adds to what came before.
    Stream,
    /// The file of this inode, in place of what was there: what counts is in it alone.
    Instead(u64),
    /// The file of this inode. If it is not the one before, that one may have been moved away.
    File(u64),
}

/// The moments that a label file has given labels.
#[derive(Debug)]
pub(super) struct FileLabels {
    path: PathBuf,
    /// Those of the text before, until the text of now is read whole.
    before: Spans,
    now: Spans,
    /// Inode of the file, 0 where it is not known.
    inode: u64,
    /// Inode of another file, of which it is not known yet whether it is a new one.
    other: Option<u64>,
    recording: bool,
}

impl FileLabels {
    /// Reads the note at `path`.
    pub(super) fn open(path: PathBuf) -> Self {
        let found = checked_text::read(&path, FIRST_LINE, NOTE_BYTES_MAX);
        let known = match &found {
            Ok(Found::Text(body)) => Self::parse(body),
            Ok(Found::Nothing | Found::Damaged) | Err(_) => None,
        };
        if known.is_none() && !matches!(found, Ok(Found::Nothing)) {
            log::error!(
                "{}: not readable; labels of rows that were removed from the label file meanwhile stay",
                path.display()
            );
        }
        let (inode, now) = known.unwrap_or_default();
        Self { path, before: Spans::default(), now, inode, other: None, recording: false }
    }

    fn parse(body: &str) -> Option<(u64, Spans)> {
        let (inode, lines) = body.split_once('\n')?;
        let mut spans = Spans::default();
        for line in lines.lines() {
            let (start, end) = line.split_once(' ')?;
            spans.add(start.parse().ok()?, end.parse().ok()?);
        }
        Some((inode.parse().ok()?, spans))
    }

    fn save(&self) -> Result<(), DataError> {
        let mut all = self.before.clone();
        self.now.iter().for_each(|(start, end)| all.add(start, end));
        let lines: String = all.iter().map(|(start, end)| format!("{start} {end}\n")).collect();
        let body = format!("{}\n{lines}", self.inode);
        let written = checked_text::write(&self.path, FIRST_LINE, &body);
        written.map_err(DataError::io(&self.path, "write"))
    }

    /// A text begins.
    pub(super) fn begin(&mut self, origin: Origin) {
        self.recording = origin != Origin::Stream;
        let inode = match origin {
            Origin::Stream => return,
            Origin::Instead(inode) | Origin::File(inode) => inode,
        };
        let now = std::mem::take(&mut self.now);
        now.iter().for_each(|(start, end)| self.before.add(start, end));
        let known = self.inode == inode || self.before.is_empty();
        self.other = (origin == Origin::File(inode) && !known).then_some(inode);
        if self.other.is_none() {
            self.inode = inode;
        }
    }

    /// Notes `ranges` of the text, before samples get their labels.
    pub(super) fn add(&mut self, ranges: &[LabelRange]) -> Result<(), DataError> {
        if !self.recording {
            return Ok(());
        }
        let mut is_new = false;
        for range in ranges {
            let (start, end) = (range.start_us, range.end_us);
            is_new |= !self.before.covers(start, end) && !self.now.covers(start, end);
            self.now.add(start, end);
        }
        if is_new { self.save() } else { Ok(()) }
    }

    /// The text is read whole. Whether it came in place of what was there: samples at the moments that
    /// [`FileLabels::has_left`] names then lose their labels before [`FileLabels::settle`].
    pub(super) fn is_instead(&mut self) -> bool {
        if !self.recording || self.before.is_empty() {
            return false;
        }
        let Some(other) = self.other else { return true };
        // As long as nothing is in it, it may become either.
        if self.now.is_empty() {
            return false;
        }
        (self.inode, self.other) = (other, None);
        if self.now.meets(&self.before) {
            return true;
        }
        // It goes on where the one that was moved away has ended.
        self.before = Spans::default();
        if let Err(error) = self.save() {
            log::warn!("labels of a file that was moved away may be lost: {error}");
        }
        false
    }

    /// Whether nothing is gone.
    pub(super) fn has_all(&self) -> bool {
        self.before.iter().all(|(start, end)| self.now.covers(start, end))
    }

    /// Whether the text before had a label for the moment `time_us`, and the text of now has none.
    pub(super) fn has_left(&self, time_us: i64) -> bool {
        self.before.has(time_us) && !self.now.has(time_us)
    }

    /// Forgets the text before: its labels are gone from the disk.
    pub(super) fn settle(&mut self) -> Result<(), DataError> {
        self.before = Spans::default();
        self.save()
    }
}
