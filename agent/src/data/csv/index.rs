//! A label file whose rows are each for one recording of a folder.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::advice::RowNumbers;
use super::follow::read_at;
use super::label_file::ROWS;
use super::lines::{Line, LineBuffer};
use super::ranges::RangeReader;
use crate::data::checked_text::{self, Found};
use crate::data::config::{CsvConfig, LabelBy, LabelFile, TimeUnit};
use crate::data::labels::{LabelRange, captures};
use crate::data::store::SampleStore;
use crate::data::{Loss, files};

/// Behind length and checksum in the note: samples have labels that the index has no more.
const CHANGED: &str = "changed";
const FIRST_LINE: &str = "dunlin-index 1";
/// Longest note in bytes.
const NOTE_BYTES_MAX: u64 = 256;
/// Longest index in bytes.
const BYTES_MAX: usize = 16 << 20;

/// An index of recordings.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    form: LabelFile,
    unit: TimeUnit,
    period_ns: u64,
    /// Names of the recordings, with `*`.
    files: String,
    /// Where it is noted what the index looked like, and that: bytes and their checksum.
    note_path: PathBuf,
    known: Option<(u64, u32)>,
    /// Whether it was changed so that samples keep labels which it has no more, and whether that was said
    /// since the start.
    changed: bool,
    told: bool,
    /// Length and time of the last change at the last look.
    seen: Option<(u64, SystemTime)>,
    /// What the rows of the recording looked up last look like.
    numbers: RowNumbers,
}

impl Index {
    /// The index of `config`, where its label file is one. What it looks like is noted in the folder
    /// `state_dir`.
    pub(super) fn of(config: &CsvConfig, state_dir: &Path) -> Option<Self> {
        let (path, form) = config.sampling.index()?;
        let (unit, period_ns) = (config.sampling.time_unit, config.sampling.period_ns());
        let note_path = state_dir.join(files::INDEX);
        let note = match checked_text::read(&note_path, FIRST_LINE, NOTE_BYTES_MAX) {
            Ok(Found::Text(note)) => note,
            Ok(Found::Nothing | Found::Damaged) | Err(_) => String::new(),
        };
        let mut words = note.split_whitespace();
        let known = words
            .next()
            .zip(words.next())
            .and_then(|(bytes, checksum)| Some((bytes.parse().ok()?, checksum.parse().ok()?)));
        let changed = words.next() == Some(CHANGED);
        let (files, numbers) = (config.input.files.clone(), RowNumbers::default());
        #[rustfmt::skip]
        let this = Self {
            path, form, unit, period_ns, files, note_path, known, changed, told: false, seen: None,
            numbers,
        };
        Some(this)
    }

    /// Says where rows have changed that samples were labelled by: which samples are of which recording
    /// is not known any more.
    fn compare(&mut self, bytes: &[u8], store: &mut SampleStore) {
        let now = (bytes.len() as u64, crc32fast::hash(bytes));
        if self.known == Some(now) {
            return self.tell_changed(store);
        }
        // Rows that are added are mostly those of recordings to come.
        let has_all = self.known.is_none_or(|(length, checksum)| {
            let begin = usize::try_from(length).ok().and_then(|length| bytes.get(..length));
            begin.is_some_and(|begin| crc32fast::hash(begin) == checksum)
        });
        if !has_all && !store.ring().is_empty() {
            (self.changed, self.told) = (true, false);
        }
        self.tell_changed(store);
        let changed = if self.changed { CHANGED } else { "" };
        let note = format!("{} {} {changed}\n", now.0, now.1);
        match checked_text::write(&self.note_path, FIRST_LINE, &note) {
            Ok(()) => self.known = Some(now),
            Err(error) => log::warn!("{}: cannot be written: {error}", self.note_path.display()),
        }
    }

    /// Says once a start that samples have labels which the index has no more.
    fn tell_changed(&mut self, store: &mut SampleStore) {
        if self.changed && !std::mem::replace(&mut self.told, true) {
            let path = self.path.display();
            store.lose(Loss::Label, 1, || {
                format!(
                    "{path}: was changed; recordings that were read before keep the labels that they \
                     have: to label them anew, stop the agent, and dunlin-agent data reset reads them \
                     again"
                )
            });
        }
    }

    /// Looks whether the index was changed.
    pub(super) fn look(&mut self, store: &mut SampleStore) {
        let data = std::fs::metadata(&self.path).ok();
        let seen = data.and_then(|data| Some((data.len(), data.modified().ok()?)));
        if seen.is_none() || seen == self.seen {
            return;
        }
        if let Ok(bytes) = self.read() {
            self.seen = seen;
            self.compare(&bytes, store);
        }
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        std::fs::File::open(&self.path).and_then(|file| read_at(&file, 0, BYTES_MAX))
    }

    /// A recording of `rows` rows is over, or rests: says whether its ranges look like numbers of rows.
    pub(super) fn judge(&self, rows: u64, name: &str, store: &mut SampleStore) {
        let newest = store.ring().times().map(|times| times.newest);
        let advice = newest.and_then(|newest| self.numbers.advice(rows, newest));
        if let Some(text) = advice.filter(|_| self.form.by == LabelBy::Time) {
            store.hint(ROWS, format!("{}, {name}: {text}", self.path.display()));
        }
    }

    /// Whether its ranges count the rows of a recording, or its time from its first row on.
    pub(super) fn counts_rows(&self) -> bool {
        self.form.by != LabelBy::Time
    }

    /// Labels the samples of the recording `name`, those to come included; without times they begin
    /// at `base_us` microseconds. `begun`: whether samples of it are held. Gives the label that holds
    /// for all of it, where the index has that.
    pub(super) fn apply(
        &mut self,
        name: &str,
        base_us: i64,
        begun: bool,
        store: &mut SampleStore,
    ) -> Option<String> {
        let mut bytes = match self.read() {
            Ok(bytes) => bytes,
            Err(error) => {
                let text = || format!("{}: cannot be read: {error}", self.path.display());
                store.lose(Loss::Label, 1, text);
                return None;
            }
        };
        self.compare(&bytes, store);
        bytes.push(b'\n');
        let texts = captures(&self.files, name).unwrap_or_default();
        let form = LabelFile { filter: self.form.filter.filled(&texts), ..self.form.clone() };
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let names = vec![name.to_owned(), stem.to_owned()];
        let mut rows = RangeReader::of(&form, self.unit, self.period_ns, names);
        let (mut ranges, mut whole, mut refused) = (Vec::new(), None, false);
        LineBuffer::new(form.text.row_end).feed(&bytes, |line, _, number| {
            let Line::Whole(line) = line else { return };
            match rows.read(line, number, store) {
                Ok(None) => {}
                Ok(Some(_)) if form.whole => whole = Some(rows.label().to_owned()),
                Ok(Some(range)) => ranges.push(self.shifted(range, base_us)),
                // Without a header that has the columns, no row says more.
                Err(_) if refused && rows.lack().is_some() => {}
                Err(why) => {
                    refused |= rows.lack().is_some() || rows.is_ours();
                    let text = || format!("{} {}", self.path.display(), rows.at(number, &why));
                    store.lose(Loss::Label, 1, text);
                }
            }
        });
        if ranges.is_empty() && whole.is_none() && !refused {
            let (path, others) = (self.path.display(), rows.others());
            store.lose(Loss::Label, 1, || format!("{path}: has no row for {name}; {others}"));
        }
        self.numbers = rows.numbers;
        if let Err(error) = store.label_recording(&ranges, begun) {
            store.lose(Loss::Label, 1, || format!("cannot apply labels: {error}"));
        }
        whole
    }

    /// A range that counts rows begins with the recording.
    fn shifted(&self, range: LabelRange, base_us: i64) -> LabelRange {
        if self.form.by == LabelBy::Time {
            return range;
        }
        let (start_us, end_us) = (range.start_us, range.end_us);
        LabelRange {
            start_us: start_us.saturating_add(base_us),
            end_us: end_us.saturating_add(base_us),
            ..range
        }
    }
}
