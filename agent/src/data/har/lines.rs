//! Text files of numbers, line by line, with a limit on the length of a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::DataError;

/// Longest line in bytes: 8192 samples of 30 characters.
const LINE_BYTES_MAX: u64 = 256 * 1024;
/// Bytes read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// The lines of one file, of which one is in memory.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: usize,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io(path, "open"))?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), number: 0 })
    }

    /// The next line without its end; `None` after the last one.
    pub(super) fn next_line(&mut self) -> Result<Option<&[u8]>, DataError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.line);
        if read.map_err(DataError::io(&self.path, "read"))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.last() != Some(&b'\n') && self.line.len() as u64 == LINE_BYTES_MAX {
            return Err(self.error(format!("has more than {LINE_BYTES_MAX} bytes")));
        }
        Ok(Some(self.line.trim_ascii_end()))
    }

    /// The line that was read last as text.
    pub(super) fn text(&self) -> Result<&str, DataError> {
        let text = std::str::from_utf8(self.line.trim_ascii());
        text.map_err(|_| self.error("is not text".to_owned()))
    }

    /// Appends the numbers of the line that was read last to `out`; says how many there were.
    pub(super) fn numbers(&self, out: &mut Vec<f32>) -> Result<usize, DataError> {
        let before = out.len();
        for field in self.text()?.split_ascii_whitespace() {
            match field.parse::<f32>() {
                Ok(value) if value.is_finite() => out.push(value),
                _ => {
                    let place = out.len() - before + 1;
                    return Err(self.error(format!("value {place} is {field:?}, not a number")));
                }
            }
        }
        Ok(out.len() - before)
    }

    /// The line that was read last as one whole number.
    pub(super) fn number(&self) -> Result<u16, DataError> {
        let text = self.text()?;
        text.parse().map_err(|_| self.error(format!("is {text:?}, not a number up to 65535")))
    }

    /// An error about the line that was read last.
    pub(super) fn error(&self, problem: String) -> DataError {
        DataError::line(&self.path, self.number, problem)
    }
}
