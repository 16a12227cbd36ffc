//! Reads a file as it grows, a FIFO whoever writes to it, or standard input. Never blocks.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use super::position::{HEAD_BYTES_MAX, Position, TAIL_BYTES_MAX};
use super::same::Known;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes at the start of a file in which each change is noticed; of longer ones the beginning and
/// what was read last are compared.
const KEPT_BYTES: u64 = 64 * 1024;
/// The inode of no file.
const NO_INODE: u64 = 0;
/// Pieces of standard input that wait in memory at the most.
const WAITING_PIECES: usize = 2;

/// What the input has for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes, now in the buffer.
    Bytes,
    /// Nothing now; ask again later.
    Nothing,
    /// A file or FIFO was opened.
    Opened(Opened),
    /// What follows does not continue what came before: another file, or another writer.
    Restarted,
    /// The file is shorter than what was read of it: it begins again.
    Shortened,
    /// What was read of the file is no longer in it: it was written anew in place.
    Rewritten,
    /// Nothing more will come.
    Ended,
}

/// What a file that was opened is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// Read from its start.
    New,
    /// Read from where an earlier program stopped.
    Resumed,
    /// An earlier program read it, but it was written anew since; read from its start.
    Rewritten,
    /// An earlier program read another file of this name; read from its start.
    Other,
}

/// Where the bytes come from.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    /// Bytes at the start of a file that must stay as they were read, to the last one.
    kept_bytes: u64,
    resume: Option<Position>,
    open: Option<OpenFile>,
    /// Whether the file that was open before is gone for good: it was not moved away.
    replaced: bool,
    stream: Option<Receiver<io::Result<Vec<u8>>>>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    inode: u64,
    fifo: bool,
    /// Bytes read, from the start of the file.
    offset: u64,
    /// Whether a FIFO gave bytes since it was last without a writer.
    heard: bool,
    /// Whether it is a FIFO without a writer.
    lonely: bool,
    /// What was read of it.
    known: Known,
}

impl Follower {
    /// Follows the file or FIFO `path`, from `resume` on if it is still the same file.
    pub(super) fn file(path: &Path, resume: Option<Position>) -> Self {
        Self {
            path: path.to_owned(),
            kept_bytes: KEPT_BYTES,
            resume,
            open: None,
            replaced: false,
            stream: None,
        }
    }

    /// The same, but each change among its first `bytes` bytes is noticed.
    pub(super) fn keep(self, bytes: u64) -> Self {
        Self { kept_bytes: bytes, ..self }
    }

    /// Reads standard input, in a thread of its own that ends with the input or the program.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn stdin() -> io::Result<Self> {
        Self::stream(io::stdin())
    }

    /// Reads a stream that blocks and cannot be read again.
    fn stream(input: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_PIECES);
        std::thread::Builder::new()
            .name("standard input".to_owned())
            .spawn(move || pass_on(input, &sender))?;
        let stream = Some(receiver);
        let path = PathBuf::from("-");
        Ok(Self { path, kept_bytes: 0, resume: None, open: None, replaced: false, stream })
    }

    /// Looks for more; bytes replace what is in `piece`.
    ///
    /// # Errors
    /// What the operating system says, except that a missing file is nothing to read yet.
    pub(super) fn read(&mut self, piece: &mut Vec<u8>) -> io::Result<Piece> {
        if let Some(stream) = &self.stream {
            return match stream.try_recv() {
                Ok(bytes) => bytes.map(|bytes| {
                    *piece = bytes;
                    Piece::Bytes
                }),
                Err(TryRecvError::Empty) => Ok(Piece::Nothing),
                Err(TryRecvError::Disconnected) => Ok(Piece::Ended),
            };
        }
        let Some(open) = &mut self.open else {
            return self.open();
        };
        piece.resize(PIECE_BYTES, 0);
        match open.file.read(piece) {
            Ok(0) => self.at_end(),
            Ok(count) => {
                piece.truncate(count);
                if !open.is_same()? {
                    return open.begin_again(Piece::Rewritten);
                }
                open.known.add(piece);
                open.offset += count as u64;
                open.heard = true;
                Ok(Piece::Bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                open.lonely = false;
                Ok(Piece::Nothing)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Piece::Nothing),
            Err(error) => {
                // A folder, or a file that is gone in another way: what comes instead is opened.
                self.open = None;
                Err(error)
            }
        }
    }

    fn open(&mut self) -> io::Result<Piece> {
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Piece::Nothing),
            other => other?,
        };
        let data = file.metadata()?;
        if data.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (inode, fifo) = (data.ino(), data.file_type().is_fifo());
        let known = Known::new(self.kept_bytes);
        let mut open =
            OpenFile { file, inode, fifo, offset: 0, heard: false, lonely: false, known };
        let opened = match self.resume.take() {
            Some(position) if !fifo => open.resume(&position, &data)?,
            _ => Opened::New,
        };
        self.open = Some(open);
        Ok(Piece::Opened(opened))
    }

    /// Finds out why a read gave nothing.
    fn at_end(&mut self) -> io::Result<Piece> {
        let Some(open) = &mut self.open else {
            return Ok(Piece::Nothing);
        };
        let data = match std::fs::metadata(&self.path) {
            // Rotation renames the old file before it makes the new one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Piece::Nothing),
            other => other?,
        };
        if data.ino() != open.inode {
            self.replaced = !open.fifo && open.file.metadata()?.nlink() == 0;
            if self.replaced {
                // What stands in its place may be a corrected copy: it is compared as after a restart. Its
                // inode may be the one that is free now, and says nothing.
                self.resume = open.position(NO_INODE, open.offset).ok();
            }
            self.open = None;
            return Ok(Piece::Restarted);
        }
        if open.fifo {
            let ended = std::mem::take(&mut open.heard);
            open.lonely = !ended;
            return Ok(if ended { Piece::Restarted } else { Piece::Nothing });
        }
        if data.len() < open.offset {
            return match open.known.is_begun_by(&open.file, &data)? {
                Some(true) => open.begin_again(Piece::Rewritten),
                Some(false) => open.begin_again(Piece::Shortened),
                None => Ok(Piece::Nothing),
            };
        }
        if !open.is_same()? {
            return open.begin_again(Piece::Rewritten);
        }
        Ok(Piece::Nothing)
    }

    /// Whether the file or FIFO was not there at the last look.
    pub(super) fn waits_for_file(&self) -> bool {
        self.open.is_none() && self.stream.is_none()
    }

    /// Whether it is a FIFO that nobody writes to.
    pub(super) fn waits_for_writer(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.lonely)
    }

    /// Inode of the open file; `None` for a FIFO, standard input, or no file.
    pub(super) fn inode(&self) -> Option<u64> {
        self.open.as_ref().filter(|open| !open.fifo).map(|open| open.inode)
    }

    /// Whether the open file stands in place of one that nobody has any more.
    pub(super) fn is_instead(&self) -> bool {
        self.replaced
    }

    /// Bytes read of the open file; `None` for a FIFO, standard input, or no file.
    pub(super) fn offset(&self) -> Option<u64> {
        self.open.as_ref().filter(|open| !open.fifo).map(|open| open.offset)
    }

    /// The first bytes of the open file, at most `most`.
    pub(super) fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        match &self.open {
            Some(open) if !open.fifo => open.head(most),
            _ => Ok(Vec::new()),
        }
    }

    /// Where reading stands: `offset` bytes of the open file are dealt with. `None` for a FIFO or
    /// standard input, which cannot be read again.
    pub(super) fn position(&self, offset: u64) -> io::Result<Option<Position>> {
        match &self.open {
            Some(open) if !open.fifo => open.position(open.inode, offset).map(Some),
            _ => Ok(None),
        }
    }
}

impl OpenFile {
    /// `offset` bytes of it, as a file with this inode.
    fn position(&self, inode: u64, offset: u64) -> io::Result<Position> {
        let head = self.head(HEAD_BYTES_MAX)?;
        let tail = self.before(offset, TAIL_BYTES_MAX)?;
        Ok(Position::new(inode, &head, &tail, offset))
    }

    fn resume(&mut self, position: &Position, data: &Metadata) -> io::Result<Opened> {
        let head = position.has_head(&self.head(position.head_bytes())?);
        if !position.has_inode(self.inode) {
            return Ok(if head { Opened::Rewritten } else { Opened::Other });
        }
        let tail = self.before(position.offset, position.tail_bytes())?;
        if !head || data.len() < position.offset || !position.has_tail(&tail) {
            return Ok(Opened::Rewritten);
        }
        self.known.take_up(&self.file, position.offset)?;
        self.offset = position.offset;
        self.file.seek(SeekFrom::Start(self.offset))?;
        Ok(Opened::Resumed)
    }

    /// Whether what was read of a file is still in it.
    fn is_same(&mut self) -> io::Result<bool> {
        if self.fifo {
            return Ok(true);
        }
        let Self { known, file, offset, .. } = self;
        known.is_in(file, *offset)
    }

    /// Reads the file from its start, for the reason `why`.
    fn begin_again(&mut self, why: Piece) -> io::Result<Piece> {
        self.file.seek(SeekFrom::Start(0))?;
        self.offset = 0;
        self.known.clear();
        Ok(why)
    }

    fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        read_at(&self.file, 0, most)
    }

    /// The last bytes before `offset`, at most `most`.
    fn before(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let start = offset.saturating_sub(most as u64);
        read_at(&self.file, start, usize::try_from(offset - start).unwrap_or(0))
    }
}

/// Up to `most` bytes of `file` from `start` on, wherever it is read otherwise.
pub(super) fn read_at(file: &File, start: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Passes on what `input` gives until it ends or nobody listens.
fn pass_on(mut input: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let result = match input.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                Ok(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if sender.send(result).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
