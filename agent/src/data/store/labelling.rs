//! How label ranges come to samples that are kept, and to those that are to come.

use super::{Origin, SampleStore};
use crate::data::labels::{LabelIndex, LabelRange};
use crate::data::ring::NO_LABEL;
use crate::data::{DataError, Loss};

/// Label ranges that are applied in one pass over the ring.
const RANGES_AT_ONCE: usize = 1024;

impl SampleStore {
    /// Gives the samples of `ranges` their labels, and keeps the ranges that may have samples yet
    /// to come. Applying the same ranges again changes nothing.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn label(&mut self, ranges: &[LabelRange]) -> Result<(), DataError> {
        let newest = self.ring.times().map_or(i64::MIN, |times| times.newest);
        self.label_from(0, newest, ranges)
    }

    /// Labels the recording that is read now, of which the ring has samples if it has `begun`. Clocks of
    /// recordings may all begin with 0: samples before the last step back in time are of others.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub(in crate::data) fn label_recording(
        &mut self,
        ranges: &[LabelRange],
        begun: bool,
    ) -> Result<(), DataError> {
        if !begun {
            return self.label_from(u64::MAX, i64::MIN, ranges);
        }
        let (mut first, mut before) = (0, i64::MIN);
        self.ring.scan(0, |record| {
            if record.time_us < before {
                first = record.sequence;
            }
            before = record.time_us;
        })?;
        self.label_from(first, before, ranges)
    }

    /// Labels samples from number `first` on; what ends behind the moment `newest` waits for more.
    fn label_from(
        &mut self,
        first: u64,
        newest: i64,
        ranges: &[LabelRange],
    ) -> Result<(), DataError> {
        let lost = self.waiting.lost();
        ranges.iter().filter(|r| r.end_us > newest).for_each(|&range| self.waiting.add(range));
        self.lose(Loss::Label, self.waiting.lost() - lost, || {
            "more than 4096 label ranges wait for their samples; those that begin last are dropped"
                .to_owned()
        });
        let Some(times) = self.ring.times().filter(|_| first < self.ring.next_sequence()) else {
            return Ok(());
        };
        let held = |r: &&LabelRange| r.start_us <= times.latest && r.end_us > times.earliest;
        let held: Vec<LabelRange> = ranges.iter().filter(held).copied().collect();
        for batch in held.chunks(RANGES_AT_ONCE) {
            let index = LabelIndex::new(batch);
            self.ring.relabel(|record| {
                index.label_at(record.time_us).filter(|_| record.sequence >= first)
            })?;
        }
        Ok(())
    }

    /// The text of the label file begins, for the first time or again.
    pub(in crate::data) fn begin_label_file(&mut self, origin: Origin) {
        self.file_labels.begin(origin);
        if origin != Origin::Stream {
            self.waiting.begin();
        }
    }

    /// Takes ranges of the label file. See [`SampleStore::label`].
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub(in crate::data) fn label_by_file(
        &mut self,
        ranges: &[LabelRange],
    ) -> Result<(), DataError> {
        self.file_labels.add(ranges)?;
        self.label(ranges)
    }

    /// The label file is read whole: samples that it had a label for, and has none for any more, have
    /// none then. Gives how many lost theirs.
    ///
    /// # Errors
    /// [`DataError::Io`]; the next call tries again.
    pub(in crate::data) fn end_label_file(&mut self) -> Result<u64, DataError> {
        let Self { ring, file_labels, waiting, .. } = self;
        if !file_labels.is_instead() {
            return Ok(0);
        }
        waiting.forget_before();
        let mut gone = 0;
        if !file_labels.has_all() {
            ring.relabel(|record| {
                let left = record.label != NO_LABEL && file_labels.has_left(record.time_us);
                gone += u64::from(left);
                left.then_some(NO_LABEL)
            })?;
            // What was taken away must be so before it is forgotten that it was given.
            ring.sync()?;
        }
        file_labels.settle()?;
        Ok(gone)
    }

    /// A recording is over whose label ranges count its rows: those that go on behind its end are not
    /// meant for the next one. `of`: what they are about, for people.
    pub(in crate::data) fn end_labels(&mut self, of: impl FnOnce() -> String) {
        let period_us = i64::try_from(self.ring.header().period_ns / 1000).unwrap_or(i64::MAX);
        let newest = self.ring.times().map_or(i64::MIN, |times| times.newest);
        // A range that ends with the last row ends one period after it.
        let until = newest.saturating_add(period_us.saturating_add(period_us / 2));
        let left = self.waiting.end(until);
        self.lose(Loss::Label, left, || format!("{}: the range goes on behind its last row", of()));
    }
}
