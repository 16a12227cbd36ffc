//! Reading a ring, block by block, and changing labels in place.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::record::{self, Layout};
use super::{BLOCK_BYTES, Record, Ring};
use crate::data::DataError;

/// Neighbouring samples as they lie on disk.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    /// Number of the first sample, and of the one after the last.
    first: u64,
    next: u64,
    layout: Layout,
    record: Record,
}

impl Block {
    /// An empty block; the next one read begins with the oldest sample.
    pub fn before_all() -> Self {
        let layout = Layout::none();
        Self { bytes: Vec::new(), first: 0, next: 0, record: layout.blank(), layout }
    }

    /// Shows every whole sample to `visit`, oldest first.
    pub fn visit(&mut self, mut visit: impl FnMut(&Record)) {
        let Self { bytes, first, next, layout, record } = self;
        for (number, bytes) in (*first..*next).zip(bytes.chunks_exact(layout.bytes())) {
            if layout.read(bytes, record) && record.sequence == number {
                visit(record);
            }
        }
    }
}

impl Ring {
    /// Finds the newest sample by looking at every place once.
    pub(super) fn recover(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len().saturating_sub(self.start);
        let places = (length / self.layout.bytes() as u64).min(self.header.capacity);
        let mut newest = None;
        let mut block = Vec::new();
        let mut place = 0;
        while place < places {
            let count = self.read_places(place, places - place, &mut block)?;
            for bytes in block.chunks_exact(self.layout.bytes()) {
                let whole = self.layout.read(bytes, &mut self.scratch);
                let (at, time) = (self.scratch.sequence, self.scratch.time_us);
                if whole && at % self.header.capacity == place && at < u64::MAX {
                    self.note_time(time);
                    if newest.is_none_or(|(best, _)| at > best) {
                        newest = Some((at, time));
                    }
                }
                place += 1;
            }
            if count == 0 {
                break;
            }
        }
        if let Some((at, time)) = newest {
            self.next = at + 1;
            self.note_time(time);
        }
        self.oldest = self.next.saturating_sub(self.header.capacity);
        // A ring that has gone round has all its places.
        if self.next > self.header.capacity && places < self.header.capacity {
            self.gone = self.header.capacity - places;
            log::error!("{}: is cut short by {} samples", self.path.display(), self.gone);
            self.fill_up()?;
        }
        Ok(())
    }

    /// Gives the file all its places; what is in those that it lacked is no record.
    pub(super) fn fill_up(&self) -> io::Result<()> {
        let bytes = self.header.capacity.saturating_mul(self.layout.bytes() as u64);
        self.file.set_len(self.start + bytes)
    }

    /// Reads up to a block of whole records from `place` on; gives how many.
    fn read_places(&mut self, place: u64, most: u64, block: &mut Vec<u8>) -> io::Result<u64> {
        let count = most.min((BLOCK_BYTES / self.layout.bytes()).max(1) as u64);
        let bytes = usize::try_from(count).unwrap_or(0) * self.layout.bytes();
        block.resize(bytes, 0);
        self.file.seek(SeekFrom::Start(self.start + place * self.layout.bytes() as u64))?;
        let mut filled = 0;
        while filled < bytes {
            match self.file.read(&mut block[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        // A place that was never written reads as zeros, whose checksum is wrong.
        block[filled..].fill(0);
        Ok(count)
    }

    /// Shows every whole sample from number `from` on to `visit`, oldest first. Missing numbers are
    /// samples that were lost.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn scan(&mut self, from: u64, mut visit: impl FnMut(&Record)) -> Result<(), DataError> {
        self.rewrite(from, |record| {
            visit(record);
            None
        })
    }

    /// Reads the next samples into `block`, as they lie on disk; `false` when there are none before
    /// `end`. Whoever shares the ring need not keep it for longer than one block.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn read_block(&mut self, block: &mut Block, end: u64) -> Result<bool, DataError> {
        self.flush()?;
        let (at, end) = (block.next.max(self.oldest), end.min(self.next));
        if at >= end {
            return Ok(false);
        }
        let place = at % self.header.capacity;
        let most = (end - at).min(self.header.capacity - place);
        let read = self.read_places(place, most, &mut block.bytes);
        let count = read.map_err(DataError::io(&self.path, "read"))?;
        (block.first, block.next) = (at, at + count);
        if block.record.values.is_empty() {
            (block.layout, block.record) = (self.layout.clone(), self.layout.blank());
        }
        Ok(count > 0)
    }

    /// Shows every whole sample to `relabel`, oldest first, and gives those a new label in place
    /// for which it gives one.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn relabel(
        &mut self,
        relabel: impl FnMut(&Record) -> Option<u16>,
    ) -> Result<(), DataError> {
        self.rewrite(0, relabel)
    }

    fn rewrite(
        &mut self,
        from: u64,
        mut relabel: impl FnMut(&Record) -> Option<u16>,
    ) -> Result<(), DataError> {
        self.flush()?;
        let mut block = Vec::new();
        let mut at = from.max(self.oldest);
        while at < self.next {
            let place = at % self.header.capacity;
            let most = (self.next - at).min(self.header.capacity - place);
            let read = self.read_places(place, most, &mut block);
            let count = read.map_err(DataError::io(&self.path, "read"))?;
            if let Some((first, end)) = self.relabel_block(at, &mut block, &mut relabel) {
                self.relabelled += 1;
                let begin = self.start + place * self.layout.bytes() as u64 + first as u64;
                let seek = self.file.seek(SeekFrom::Start(begin));
                let write = seek.and_then(|_| self.file.write_all(&block[first..end]));
                write.map_err(DataError::io(&self.path, "write"))?;
            }
            at += count;
        }
        Ok(())
    }

    /// Changes the labels in a block of records from number `at` on; gives the bytes that changed.
    fn relabel_block(
        &mut self,
        at: u64,
        block: &mut [u8],
        relabel: &mut impl FnMut(&Record) -> Option<u16>,
    ) -> Option<(usize, usize)> {
        let mut changed: Option<(usize, usize)> = None;
        let stride = self.layout.bytes();
        for ((number, bytes), begin) in
            (at..).zip(block.chunks_exact_mut(stride)).zip((0..).step_by(stride))
        {
            if !self.layout.read(bytes, &mut self.scratch) || self.scratch.sequence != number {
                continue;
            }
            let label = relabel(&self.scratch).filter(|&label| label != self.scratch.label);
            if let Some(label) = label {
                record::relabel(bytes, label);
                let first = changed.map_or(begin, |(first, _)| first);
                changed = Some((first, begin + stride));
            }
        }
        changed
    }
}
