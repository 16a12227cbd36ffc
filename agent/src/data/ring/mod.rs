//! The bounded store of samples on disk: an append-only ring. Values are kept as they are, or as
//! 16-bit multiples of a quantum.
//!
//! One file: a header, then `capacity` places for records of one size; sample `n` lies in place
//! `n % capacity`. Nothing says where the ring ends: on opening, every record with a right checksum
//! in its right place counts, and the highest number is the newest. So a record torn by a power cut
//! costs that sample and nothing else. Appends are collected in memory and written in blocks;
//! [`Ring::flush`] makes them survive the end of the process, [`Ring::sync`] a power cut.

mod compare;
mod header;
mod record;
mod resize;
mod scan;

pub use header::{Header, RingChannel};
pub use record::{NO_LABEL, Record, record_bytes};
pub use scan::Block;

pub(in crate::data) use compare::pace;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::DataError;
use compare::{Compared, compare};
use header::Found;
use record::Layout;

/// Smallest capacity in samples.
pub const CAPACITY_SAMPLES_MIN: u64 = 1024;
/// Bytes that are collected before they are written, and read at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// A bounded store of samples on disk. Memory: two blocks of 64 KiB, whatever the capacity.
#[derive(Debug)]
pub struct Ring {
    path: PathBuf,
    file: File,
    header: Header,
    /// Byte in the file where place 0 begins.
    start: u64,
    /// How records lie in the file.
    layout: Layout,
    /// Number of the next sample.
    next: u64,
    /// Lowest number that is still held, if its record is whole.
    oldest: u64,
    /// Records that are not in the file yet: the last ones before `next`.
    pending: Vec<u8>,
    times: Option<Times>,
    cut: u64,
    /// Samples that were in the file and are not, as far as that can be seen.
    gone: u64,
    /// Blocks in which labels were changed since the ring was opened.
    relabelled: u64,
    scratch: Record,
}

/// Times of the samples held, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// No sample is earlier than this.
    pub earliest: i64,
    /// No sample is later than this.
    pub latest: i64,
    /// Time of the newest sample: its clock may have been set back.
    pub newest: i64,
}

impl Ring {
    /// Opens the ring at `path`, or makes an empty one. Reads the whole file once. Another capacity
    /// than the file's moves the newest samples into a file of that capacity. So does a file of the
    /// version before, and one whose values are multiples of a quantum where `header` has none: nothing
    /// of the samples is lost. A file that cannot be read at all is moved aside, because nobody may be
    /// near to do it.
    ///
    /// # Errors
    /// [`DataError::Ring`] when the samples in the file are others than `header` says, or it has a
    /// version that this program does not know: it is then as it was. [`DataError::State`] when another
    /// process has it open; [`DataError::Io`].
    pub fn open(path: &Path, header: Header) -> Result<Self, DataError> {
        if !path.try_exists().map_err(DataError::io(path, "look for the file"))? {
            header.create(path)?;
        }
        let mut file = open_file(path)?;
        let (found, start) = Header::read(&mut file).map_err(DataError::io(path, "read"))?;
        if matches!(found, Found::Damaged) {
            let length = file.metadata().map_err(DataError::io(path, "read"))?.len();
            drop(file);
            set_aside(path)?;
            header.create(path)?;
            let mut ring = Self::open(path, header)?;
            ring.gone = (length.saturating_sub(ring.start) / ring.layout.bytes() as u64).max(1);
            return Ok(ring);
        }
        let compared = compare(&found, &header);
        let differs = |problem| DataError::Ring { path: path.to_owned(), problem };
        if let Compared::Differs(problem) = compared {
            return Err(differs(problem));
        }
        let (on_disk, layout) = match found {
            Found::Header(on_disk) => {
                let layout = on_disk.layout();
                (on_disk, layout)
            }
            Found::Version1(on_disk) => {
                let layout = on_disk.layout().of_version_1();
                (on_disk, layout)
            }
            Found::Damaged | Found::Version(_) => return Err(differs(compare::unknown_version(0))),
        };
        let same = compared == Compared::Same && on_disk.capacity == header.capacity;
        let ring = Self::scan_file(path, file, (on_disk, layout), start)?;
        if same { Ok(ring) } else { ring.brought_over(header) }
    }

    /// Compares the ring at `path` with `header` as [`Ring::open`] would, but neither locks nor changes
    /// it. Nothing is wrong where there is no ring yet.
    ///
    /// # Errors
    /// [`DataError::Ring`] as [`Ring::open`], and [`DataError::Io`].
    pub fn check(path: &Path, header: &Header) -> Result<(), DataError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(DataError::io(path, "open")(error)),
        };
        let (found, _) = Header::read(&mut file).map_err(DataError::io(path, "read"))?;
        match compare(&found, header) {
            Compared::Differs(problem) => Err(DataError::Ring { path: path.to_owned(), problem }),
            Compared::Same | Compared::BringOver => Ok(()),
        }
    }

    fn scan_file(
        path: &Path,
        file: File,
        (header, layout): (Header, Layout),
        start: u64,
    ) -> Result<Self, DataError> {
        let mut ring = Self {
            path: path.to_owned(),
            file,
            start,
            next: 0,
            oldest: 0,
            pending: Vec::new(),
            times: None,
            cut: 0,
            gone: 0,
            relabelled: 0,
            scratch: layout.blank(),
            layout,
            header,
        };
        ring.recover().map_err(DataError::io(path, "read"))?;
        Ok(ring)
    }

    fn note_time(&mut self, time: i64) {
        let old = self.times.unwrap_or(Times { earliest: time, latest: time, newest: time });
        let (earliest, latest) = (old.earliest.min(time), old.latest.max(time));
        self.times = Some(Times { earliest, latest, newest: time });
    }

    /// What the records mean.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number that the next sample gets: samples appended since the ring began.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Lowest number of a sample that is still held, if its record is whole.
    pub fn oldest_sequence(&self) -> u64 {
        self.oldest
    }

    /// Samples held at the most; torn records among them are found when they are read.
    pub fn len(&self) -> u64 {
        self.next - self.oldest
    }

    /// Whether the ring holds no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Times of the samples held; `None` while there are none.
    pub fn times(&self) -> Option<Times> {
        self.times
    }

    /// Values that the ring could not hold since it was opened. They read as NaN.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Samples that were in the file and are gone, as far as that can be seen: it could not be read, or
    /// had gone round and was cut short. At least 1 where there were any.
    pub fn gone(&self) -> u64 {
        self.gone
    }

    /// A number that changes whenever a sample gets another label than it had.
    pub fn relabelled(&self) -> u64 {
        self.relabelled
    }

    /// Appends a sample; the oldest one makes room. In memory until [`Ring::flush`], which this
    /// does itself once a block is full.
    ///
    /// `values`: `[channels]` in the order of the header; `label`: index or [`NO_LABEL`]. A value
    /// outside of the range of its channel, or that is no finite number, reads as NaN.
    ///
    /// # Errors
    /// [`DataError::Io`] when a full block cannot be written, [`DataError::State`] when `values`
    /// has another length than the header. The sample is then not in the ring.
    pub fn append(&mut self, time_us: i64, label: u16, values: &[f32]) -> Result<(), DataError> {
        if values.len() != self.header.channels.len() {
            let problem = format!(
                "a sample has {} values, the ring {} channels",
                values.len(),
                self.header.channels.len()
            );
            return Err(DataError::State { path: self.path.clone(), problem });
        }
        if self.pending.len() + self.layout.bytes() > BLOCK_BYTES {
            self.flush()?;
        }
        self.cut += self.layout.write((self.next, time_us, label), values, &mut self.pending);
        self.next += 1;
        self.oldest = self.oldest.max(self.next.saturating_sub(self.header.capacity));
        self.note_time(time_us);
        Ok(())
    }

    /// Hands what is collected to the operating system: it then survives the end of this process.
    ///
    /// # Errors
    /// [`DataError::Io`]; what was not written stays collected, so that a later call can try again.
    pub fn flush(&mut self) -> Result<(), DataError> {
        while !self.pending.is_empty() {
            let count = (self.pending.len() / self.layout.bytes()) as u64;
            let place = (self.next - count) % self.header.capacity;
            let fits = count.min(self.header.capacity - place);
            let bytes = usize::try_from(fits).unwrap_or(0) * self.layout.bytes();
            let at = SeekFrom::Start(self.start + place * self.layout.bytes() as u64);
            let write =
                self.file.seek(at).and_then(|_| self.file.write_all(&self.pending[..bytes]));
            write.map_err(DataError::io(&self.path, "write"))?;
            self.pending.drain(..bytes);
        }
        Ok(())
    }

    /// Makes everything appended so far survive a power cut. Wears flash: once a minute is enough.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn sync(&mut self) -> Result<(), DataError> {
        self.flush()?;
        self.file.sync_data().map_err(DataError::io(&self.path, "sync"))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Err(error) = self.sync() {
            log::error!("samples of the last minute may be lost: {error}");
        }
        // Closing alone keeps the lock while a child that is just being started has the file too.
        if let Err(error) = self.file.unlock() {
            log::debug!("{}: still locked: {error}", self.path.display());
        }
    }
}

/// Opens and locks a ring.
pub(in crate::data) fn open_file(path: &Path) -> Result<File, DataError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(DataError::io(path, "open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let problem = "another process uses it; stop that process, or give this one another \
                           state folder";
            return Err(DataError::State { path: path.to_owned(), problem: problem.to_owned() });
        }
        // Some file systems have no locks; two agents with one state folder are rare enough.
        Err(TryLockError::Error(error)) => log::debug!("{}: no lock: {error}", path.display()),
    }
    Ok(file)
}

fn set_aside(path: &Path) -> Result<(), DataError> {
    let aside = path.with_extension("damaged");
    log::error!(
        "{}: not readable as samples; moved to {} and started with an empty file",
        path.display(),
        aside.display()
    );
    fs::rename(path, &aside).map_err(DataError::io(path, "move aside"))
}

#[cfg(test)]
mod tests;
