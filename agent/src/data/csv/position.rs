//! How far a file has been read, so that a restart neither repeats nor skips rows.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dunlin_service::file::{Durability, replace};
use serde::{Deserialize, Serialize};

use super::DataError;

const MAGIC: &[u8; 8] = b"DUNLPOSN";
const VERSION: u8 = 1;
/// Longest position file in bytes.
const FILE_BYTES_MAX: u64 = 128;
/// Bytes at the start of a file by which it is known again, besides its inode.
pub(super) const HEAD_BYTES_MAX: usize = 256;

/// How far a file has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    inode: u64,
    head_bytes: u32,
    head_crc: u32,
    /// Bytes read: up to the end of a line.
    pub(super) offset: u64,
    /// Number that the next sample had in the ring at that moment. The ring may have gone on since:
    /// as many rows as it has more are in it already.
    pub(super) sequence: u64,
}

impl Position {
    /// Position `offset` in the file `inode` that begins with `head`.
    pub(super) fn new(inode: u64, head: &[u8], offset: u64, sequence: u64) -> Self {
        let head = &head[..head.len().min(HEAD_BYTES_MAX)];
        let head_bytes = u32::try_from(head.len()).unwrap_or(0);
        Self { inode, head_bytes, head_crc: crc32fast::hash(head), offset, sequence }
    }

    /// Bytes of the head that must be the same.
    pub(super) fn head_bytes(&self) -> usize {
        usize::try_from(self.head_bytes).unwrap_or(0).min(HEAD_BYTES_MAX)
    }

    /// Whether this is a position in the file `inode` that begins with `head`.
    pub(super) fn is_of(&self, inode: u64, head: &[u8]) -> bool {
        self.inode == inode
            && head.len() == self.head_bytes()
            && crc32fast::hash(head) == self.head_crc
    }

    /// Reads the position at `path`; `None` when there is none that can be read.
    pub(super) fn load(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body).to_le_bytes() != *crc {
            return None;
        }
        let body = body.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
        postcard::take_from_bytes(body)
            .ok()
            .and_then(|(this, rest)| rest.is_empty().then_some(this))
    }

    /// Writes the position to `path`, whole or not at all.
    pub(super) fn save(&self, path: &Path) -> Result<(), DataError> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        let body = postcard::to_allocvec(self).map_err(|error| DataError::State {
            path: path.to_owned(),
            problem: format!("cannot be encoded: {error}"),
        })?;
        bytes.extend_from_slice(&body);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        replace(path, &bytes, Durability::PowerCut).map_err(DataError::io(path, "write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_belongs_to_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position");
        assert_eq!(Position::load(&path), None);
        let position = Position::new(5, b"t,x\n0,1", 7, 1);
        position.save(&path).unwrap();
        assert_eq!(Position::load(&path), Some(position));
        assert!(position.is_of(5, b"t,x\n0,1"));
        assert!(!position.is_of(6, b"t,x\n0,1") && !position.is_of(5, b"t,x\n9,1"));
        std::fs::write(&path, b"DUNLPOSN but nonsense").unwrap();
        assert_eq!(Position::load(&path), None);
    }
}
