//! Whether a file still has what was read of it: programs also write files anew in place.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::follow::read_at;
use super::position::{HEAD_BYTES_MAX, TAIL_BYTES_MAX};
use crate::data::live::wall_us;

/// A file that changed less than this long ago may change again within one tick of its clock.
const TICK_US: i64 = 100_000;
/// A file that has not changed for so long is not being written.
const WRITTEN_US: i64 = 1_000_000;
/// So many bytes tell one recording from another.
const TELLING_BYTES: usize = 256;
/// Bytes that are read at a time to compare.
const PIECE_BYTES: usize = 64 * 1024;

/// What was read of a file, as far as is kept to know it again.
#[derive(Debug)]
pub(super) struct Known {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Checksum of all bytes, while they are few.
    whole: Option<u32>,
    bytes: u64,
    kept_bytes: u64,
    /// Time of the last change in nanoseconds and length, when the file was last looked at.
    seen: Option<(i64, i64, u64)>,
}

impl Known {
    /// Nothing was read yet. Each change among the first `kept_bytes` bytes will be noticed.
    pub(super) fn new(kept_bytes: u64) -> Self {
        let (head, tail, whole) = (Vec::new(), Vec::new(), Some(crc32fast::hash(&[])));
        Self { head, tail, whole, bytes: 0, kept_bytes, seen: None }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.kept_bytes);
    }

    /// Takes note of the next `bytes` of the file.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES_MAX.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.tail.extend_from_slice(bytes);
        let old = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..old);
        let before = self.bytes;
        self.bytes += bytes.len() as u64;
        self.whole = self.whole.filter(|_| self.bytes <= self.kept_bytes).map(|whole| {
            let mut hasher = crc32fast::Hasher::new_with_initial_len(whole, before);
            hasher.update(bytes);
            hasher.finalize()
        });
    }

    /// Takes the first `offset` bytes of `file` for read.
    pub(super) fn take_up(&mut self, file: &File, offset: u64) -> io::Result<()> {
        self.clear();
        if offset <= self.kept_bytes {
            let mut at = 0;
            while at < offset {
                let most = usize::try_from(offset - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let piece = read_at(file, at, most)?;
                if piece.is_empty() {
                    break;
                }
                at += piece.len() as u64;
                self.add(&piece);
            }
            return Ok(());
        }
        self.whole = None;
        self.bytes = offset;
        self.head = read_at(file, 0, HEAD_BYTES_MAX)?;
        self.tail = read_at(file, offset.saturating_sub(TAIL_BYTES_MAX as u64), TAIL_BYTES_MAX)?;
        Ok(())
    }

    /// Whether `file`, which has become shorter, begins with rows that were read of it: somebody cut it,
    /// or writes it anew. `None` while there is too little in it to tell.
    pub(super) fn is_begun_by(&self, file: &File, data: &Metadata) -> io::Result<Option<bool>> {
        let now = read_at(file, 0, self.head.len())?;
        if !self.head.starts_with(&now) {
            return Ok(Some(false));
        }
        // A header alone says nothing: logs that are emptied have theirs again.
        let has_rows = now.iter().filter(|byte| **byte == b'\n').count() > 1;
        if now.len() >= TELLING_BYTES && has_rows {
            return Ok(Some(true));
        }
        let quiet = wall_us().saturating_sub(changed_us(data)) > WRITTEN_US;
        Ok(quiet.then_some(has_rows))
    }

    /// Whether `file`, of which `offset` bytes were read, still has them. Reads in it only where it
    /// changed since the last look.
    pub(super) fn is_in(&mut self, file: &File, offset: u64) -> io::Result<bool> {
        let data = file.metadata()?;
        let now = (data.mtime(), data.mtime_nsec(), data.len());
        if self.seen == Some(now) {
            return Ok(true);
        }
        let same = data.len() >= offset
            && match &self.whole {
                Some(whole) => has_checksum(file, offset, *whole)?,
                None => {
                    let start = offset.saturating_sub(self.tail.len() as u64);
                    read_at(file, 0, self.head.len())? == self.head
                        && read_at(file, start, self.tail.len())? == self.tail
                }
            };
        let settled = wall_us().saturating_sub(changed_us(&data)) > TICK_US;
        self.seen = (same && settled).then_some(now);
        Ok(same)
    }
}

/// When a file changed last, in microseconds since 1970.
fn changed_us(data: &Metadata) -> i64 {
    data.mtime().saturating_mul(1_000_000).saturating_add(data.mtime_nsec() / 1000)
}

/// Whether the first `bytes` bytes of `file` have the checksum `expected`.
fn has_checksum(file: &File, bytes: u64, expected: u32) -> io::Result<bool> {
    let (mut at, mut hasher) = (0, crc32fast::Hasher::new());
    while at < bytes {
        let most = usize::try_from(bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let piece = read_at(file, at, most)?;
        if piece.is_empty() {
            return Ok(false);
        }
        at += piece.len() as u64;
        hasher.update(&piece);
    }
    Ok(hasher.finalize() == expected)
}
