//! One line to its fields.

use super::lines::LINE_BYTES_MAX;
use crate::data::config::COLUMNS_MAX;

/// Cuts a line at its delimiters, minding quotes.
#[derive(Debug)]
pub(super) struct Splitter {
    reader: csv_core::Reader,
    /// Whether a blank stands between columns: several are one then.
    blanks: bool,
    squeezed: Vec<u8>,
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Splitter {
    /// A splitter at `delimiter`, an ASCII character.
    pub(super) fn new(delimiter: char) -> Self {
        let delimiter = u8::try_from(delimiter).unwrap_or(b',');
        let terminator = csv_core::Terminator::Any(b'\n');
        let reader =
            csv_core::ReaderBuilder::new().delimiter(delimiter).terminator(terminator).build();
        let (text, ends) = (vec![0; LINE_BYTES_MAX], vec![0; COLUMNS_MAX]);
        let blanks = delimiter == b' ';
        Self { reader, blanks, squeezed: Vec::new(), text, ends, count: 0 }
    }

    /// Cuts `line`; `false` when a quote does not end in it or it has more than 1024 columns.
    pub(super) fn split(&mut self, line: &[u8]) -> bool {
        self.reader.reset();
        self.count = 0;
        let line = if self.blanks {
            squeeze(line, &mut self.squeezed);
            &self.squeezed
        } else {
            line
        };
        let (_, _, bytes, ends) = self.reader.read_record(line, &mut self.text, &mut self.ends);
        let (text, places) = (&mut self.text[bytes..], &mut self.ends[ends..]);
        let (result, _, _, more) = self.reader.read_record(b"\n", text, places);
        let whole = matches!(result, csv_core::ReadRecordResult::Record);
        self.count = if whole { ends + more } else { 0 };
        whole
    }

    /// Columns of the line cut last.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Column `index` without outer spaces; `None` when the line has no such column or it is no
    /// UTF-8.
    pub(super) fn field(&self, index: usize) -> Option<&str> {
        let end = *self.ends[..self.count].get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end).and_then(|text| std::str::from_utf8(text).ok()).map(str::trim)
    }
}

/// Makes one blank of several and drops those at the ends, but for those within quotes.
fn squeeze(line: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let mut quoted = false;
    for &byte in line.trim_ascii() {
        quoted ^= byte == b'"';
        if quoted || byte != b' ' || into.last() != Some(&b' ') {
            into.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(delimiter: char, line: &str) -> Vec<String> {
        let mut splitter = Splitter::new(delimiter);
        assert!(splitter.split(line.as_bytes()), "{line}");
        (0..splitter.count()).filter_map(|at| splitter.field(at)).map(str::to_owned).collect()
    }

    #[test]
    fn several_blanks_are_one_delimiter_and_other_delimiters_count_each() {
        assert_eq!(fields(' ', "  1   2 \"a  b\" 3  "), ["1", "2", "a  b", "3"]);
        assert_eq!(fields(',', "1,,2,"), ["1", "", "2", ""]);
        assert_eq!(fields('\t', "1\t 2 \t3"), ["1", "2", "3"]);
    }
}
