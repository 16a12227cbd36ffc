//! Small files of the kernel: read with a bound, whatever lies there.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file that are read at the most.
const TEXT_BYTES_MAX: u64 = 4096;
/// Entries of a folder that are looked at at the most.
const ENTRIES_MAX: usize = 256;

/// The beginning of the file `path`; `None` when it cannot be read or is no plain file, which could
/// block.
pub(super) fn text(path: &Path) -> Option<String> {
    bytes(path, TEXT_BYTES_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// As [`text`], the first `most` bytes.
pub(super) fn bytes(path: &Path, most: u64) -> Option<Vec<u8>> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The file's first line without space around it.
pub(super) fn word(path: &Path) -> Option<String> {
    text(path).map(|text| text.lines().next().unwrap_or("").trim().to_owned())
}

/// The finite number that the file holds.
pub(super) fn number(path: &Path) -> Option<f32> {
    word(path)?.parse().ok().filter(|number: &f32| number.is_finite())
}

/// What lies in the folder, by name; empty when it is not there.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX).flatten();
    let mut entries: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}
