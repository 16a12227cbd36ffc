//! A label file whose rows are each for one recording of a folder.

use std::path::PathBuf;

use super::follow::read_at;
use super::label_file::RangeReader;
use super::lines::{Line, LineBuffer};
use crate::data::Loss;
use crate::data::config::{CsvConfig, LabelBy, LabelFile, TimeUnit};
use crate::data::labels::{LabelRange, captures};
use crate::data::store::SampleStore;

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
}

impl Index {
    /// The index of `config`, where its label file is one.
    pub(super) fn of(config: &CsvConfig) -> Option<Self> {
        let (path, form) = config.sampling.index()?;
        let (unit, period_ns) = (config.sampling.time_unit, config.sampling.period_ns());
        Some(Self { path, form, unit, period_ns, files: config.input.files.clone() })
    }

    /// Whether its ranges count the rows of a recording, or its time from its first row on.
    pub(super) fn counts_rows(&self) -> bool {
        self.form.by != LabelBy::Time
    }

    /// Labels the samples of the recording `name`, those to come included; without times they begin
    /// at `base_us` microseconds. Gives the label that holds for all of it, where the index has that.
    pub(super) fn apply(
        &self,
        name: &str,
        base_us: i64,
        store: &mut SampleStore,
    ) -> Option<String> {
        let read = std::fs::File::open(&self.path).and_then(|file| read_at(&file, 0, BYTES_MAX));
        let mut bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                let text = || format!("{}: cannot be read: {error}", self.path.display());
                store.lose(Loss::Label, 1, text);
                return None;
            }
        };
        bytes.push(b'\n');
        let texts = captures(&self.files, name).unwrap_or_default();
        let form = LabelFile { filter: self.form.filter.filled(&texts), ..self.form.clone() };
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let names = vec![name.to_owned(), stem.to_owned()];
        let mut rows = RangeReader::of(&form, self.unit, self.period_ns, names);
        let (mut ranges, mut whole) = (Vec::new(), None);
        LineBuffer::new(form.text.row_end).feed(&bytes, |line, _, number| {
            let Line::Whole(line) = line else { return };
            match rows.read(line, number, store) {
                Ok(None) => {}
                Ok(Some(_)) if form.whole => whole = Some(rows.label().to_owned()),
                Ok(Some(range)) => ranges.push(self.shifted(range, base_us)),
                Err(why) => {
                    let text = || format!("{} line {number}: {why}", self.path.display());
                    store.lose(Loss::Label, 1, text);
                }
            }
        });
        if ranges.is_empty() && whole.is_none() {
            let text = || format!("{}: has no row for {name}", self.path.display());
            store.lose(Loss::Label, 1, text);
        }
        if let Err(error) = store.label(&ranges) {
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
