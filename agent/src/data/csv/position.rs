//! How far a file has been read, so that a restart neither repeats nor skips rows.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dunlin_service::file::{Durability, replace};
use serde::{Deserialize, Serialize};

use super::DataError;

const MAGIC: &[u8; 8] = b"DUNLPOSN";
const VERSION: u8 = 2;
/// Longest position file in bytes.
const FILE_BYTES_MAX: u64 = 512;
/// Bytes at the start of a file by which it is known again, besides its inode.
pub(super) const HEAD_BYTES_MAX: usize = 1024;
/// Bytes before the position by which it is known again that the file was not written anew.
pub(super) const TAIL_BYTES_MAX: usize = 256;

/// How far a file has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    inode: u64,
    head_bytes: u32,
    head_crc: u32,
    tail_bytes: u32,
    tail_crc: u32,
    /// Bytes read: up to the end of a line.
    pub(super) offset: u64,
    /// Number of the line of the file in which the next byte is; 0 where that is not known.
    pub(super) line: u64,
    /// Number that the next sample had in the ring at that moment.
    pub(super) sequence: u64,
    /// Time that was read last, in microseconds.
    pub(super) last_us: Option<i64>,
    /// Time of the next row in microseconds, where rows bring none.
    pub(super) next_us: Option<i64>,
    /// Time of the first row of the file in microseconds, where rows bring none.
    pub(super) base_us: Option<i64>,
    /// Name of the file, where it is one of a folder.
    pub(super) name: String,
}

/// The position as version 1 had it.
#[derive(Deserialize)]
struct First {
    inode: u64,
    head_bytes: u32,
    head_crc: u32,
    offset: u64,
    sequence: u64,
}

impl From<First> for Position {
    fn from(first: First) -> Self {
        let First { inode, head_bytes, head_crc, offset, sequence } = first;
        Self { inode, head_bytes, head_crc, offset, sequence, ..Self::new(0, &[], &[], 0) }
    }
}

impl Position {
    /// Position `offset` in the file `inode` that begins with `head` and has `tail` before it.
    pub(super) fn new(inode: u64, head: &[u8], tail: &[u8], offset: u64) -> Self {
        let head = &head[..head.len().min(HEAD_BYTES_MAX)];
        let tail = &tail[tail.len().saturating_sub(TAIL_BYTES_MAX)..];
        Self {
            inode,
            head_bytes: u32::try_from(head.len()).unwrap_or(0),
            head_crc: crc32fast::hash(head),
            tail_bytes: u32::try_from(tail.len()).unwrap_or(0),
            tail_crc: crc32fast::hash(tail),
            offset,
            line: 0,
            sequence: 0,
            last_us: None,
            next_us: None,
            base_us: None,
            name: String::new(),
        }
    }

    /// Bytes of the head that must be the same.
    pub(super) fn head_bytes(&self) -> usize {
        usize::try_from(self.head_bytes).unwrap_or(0).min(HEAD_BYTES_MAX)
    }

    /// Bytes before the position that must be the same.
    pub(super) fn tail_bytes(&self) -> usize {
        usize::try_from(self.tail_bytes).unwrap_or(0).min(TAIL_BYTES_MAX)
    }

    /// Whether this is a position in a file that begins with `head`.
    pub(super) fn has_head(&self, head: &[u8]) -> bool {
        head.len() == self.head_bytes() && crc32fast::hash(head) == self.head_crc
    }

    /// Whether this is a position behind `tail`.
    pub(super) fn has_tail(&self, tail: &[u8]) -> bool {
        tail.len() == self.tail_bytes() && crc32fast::hash(tail) == self.tail_crc
    }

    /// Whether this is a position in the file `inode`.
    pub(super) fn has_inode(&self, inode: u64) -> bool {
        self.inode == inode
    }

    /// Reads the position at `path`; `None` when there is none that can be read.
    pub(super) fn load(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body).to_le_bytes() != *crc {
            return None;
        }
        let (version, body) = body.strip_prefix(MAGIC)?.split_first()?;
        let read = match *version {
            1 => postcard::take_from_bytes::<First>(body).map(|(first, rest)| (first.into(), rest)),
            VERSION => postcard::take_from_bytes::<Self>(body),
            _ => return None,
        };
        read.ok().and_then(|(this, rest)| rest.is_empty().then_some(this))
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
        let mut position = Position::new(5, b"t,x\n0,1", b"0,1", 7);
        (position.line, position.next_us) = (3, Some(-20));
        position.name = "a.csv".to_owned();
        position.save(&path).unwrap();
        assert_eq!(Position::load(&path), Some(position.clone()));
        assert!(position.has_inode(5) && !position.has_inode(6));
        assert!(position.has_head(b"t,x\n0,1") && !position.has_head(b"t,x\n9,1"));
        assert!(position.has_tail(b"0,1") && !position.has_tail(b"0,2"));
        std::fs::write(&path, b"DUNLPOSN but nonsense").unwrap();
        assert_eq!(Position::load(&path), None);
    }

    #[test]
    fn a_position_of_the_first_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position");
        let mut bytes = b"DUNLPOSN\x01".to_vec();
        let head = crc32fast::hash(b"t,x\n");
        bytes.extend(postcard::to_allocvec(&(5_u64, 4_u32, head, 300_u64, 9_u64)).unwrap());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let position = Position::load(&path).unwrap();
        assert_eq!((position.offset, position.sequence, position.line), (300, 9, 0));
        assert!(position.has_inode(5) && position.has_head(b"t,x\n") && position.has_tail(b""));
    }
}
