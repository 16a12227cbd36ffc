//! Puts bytes together to lines, whatever the pieces they come in, within a fixed memory.

/// Longest line in bytes, without its end.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// One line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A whole line without its end.
    Whole(&'a [u8]),
    /// A line longer than [`LINE_BYTES_MAX`]; its bytes are gone.
    TooLong,
}

/// Holds the beginning of a line until its end comes.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    partial: Vec<u8>,
    too_long: bool,
    /// What ends a line besides a line feed.
    end: Option<u8>,
    /// Whether a carriage return stood alone in what has no end yet.
    bare_return: bool,
    /// Line feeds so far; where rows end otherwise, several are in one line of the file.
    feeds: u64,
}

impl LineBuffer {
    /// A buffer of lines that also end at `end`, an ASCII character.
    pub(super) fn new(end: Option<char>) -> Self {
        Self { end: end.and_then(|end| u8::try_from(end).ok()), ..Self::default() }
    }

    /// Number of the line of the file, from 1, in which the next bytes are, counted from where
    /// [`LineBuffer::count_from`] said.
    pub(super) fn number(&self) -> u64 {
        self.feeds + 1
    }

    /// Counts lines on from the line `number` of the file.
    pub(super) fn count_from(&mut self, number: u64) {
        self.feeds = number.saturating_sub(1);
    }

    /// Takes the next `bytes` and shows each line that ends in them to `visit`, together with the
    /// number of `bytes` up to the end of that line, and the number of the line in the file.
    pub(super) fn feed(&mut self, bytes: &[u8], mut visit: impl FnMut(Line<'_>, usize, u64)) {
        let (mut used, end) = (0, self.end.unwrap_or(b'\n'));
        let is_end = |&byte: &u8| byte == b'\n' || byte == end;
        while let Some(length) = bytes[used..].iter().position(is_end) {
            let piece = &bytes[used..used + length];
            used += length + 1;
            let number = self.number();
            self.feeds += u64::from(bytes[used - 1] == b'\n');
            if self.too_long || self.partial.len() + length > LINE_BYTES_MAX {
                visit(Line::TooLong, used, number);
            } else if self.partial.is_empty() {
                visit(Line::Whole(without_return(piece)), used, number);
            } else {
                self.partial.extend_from_slice(piece);
                visit(Line::Whole(without_return(&self.partial)), used, number);
            }
            self.forget();
        }
        let rest = &bytes[used..];
        self.bare_return |= rest.split_last().is_some_and(|(_, rest)| rest.contains(&b'\r'));
        if self.too_long || self.partial.len() + rest.len() > LINE_BYTES_MAX {
            self.partial.clear();
            self.too_long = true;
        } else {
            self.partial.extend_from_slice(rest);
        }
    }

    /// Drops the beginning of a line whose end will not come, and counts lines from 1 again; says
    /// whether there was one.
    pub(super) fn restart(&mut self) -> bool {
        self.feeds = 0;
        self.forget()
    }

    /// The beginning of a line, while it waits for its end.
    pub(super) fn partial(&self) -> &[u8] {
        without_return(&self.partial)
    }

    /// Whether rows seem to end with carriage returns alone, and none has ended so far.
    pub(super) fn has_only_returns(&self) -> bool {
        self.bare_return && self.feeds == 0
    }

    /// Takes the beginning of a line for a whole one: nothing more will come.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let whole = !self.too_long && !self.partial.is_empty();
        let line = whole.then(|| without_return(&self.partial).to_vec());
        self.forget();
        line
    }

    fn forget(&mut self) -> bool {
        let torn = self.too_long || !self.partial.is_empty();
        self.partial.clear();
        (self.too_long, self.bare_return) = (false, false);
        torn
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Option<String>> {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        for piece in pieces {
            buffer.feed(piece, |line, _, _| {
                lines.push(match line {
                    Line::Whole(line) => Some(String::from_utf8_lossy(line).into_owned()),
                    Line::TooLong => None,
                });
            });
            assert!(buffer.partial.capacity() <= 2 * LINE_BYTES_MAX, "memory stays bounded");
        }
        lines
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn lines_come_out_whole_however_they_are_cut() {
        let text = b"a,b\r\n1,2\n\n3,4\nrest";
        let expected = [some("a,b"), some("1,2"), some(""), some("3,4")];
        assert_eq!(lines(&[text]), expected);
        for size in 1..text.len() {
            assert_eq!(lines(&text.chunks(size).collect::<Vec<_>>()), expected, "{size}");
        }
    }

    #[test]
    fn a_line_that_never_ends_takes_no_more_memory_and_the_next_line_is_read() {
        let long = vec![b'x'; 10 * LINE_BYTES_MAX];
        assert_eq!(lines(&[&long, &long, b"\nok\n"]), [None, some("ok")]);
        let exact = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(lines(&[&exact, b"\n"])[0].as_ref().map(String::len), Some(LINE_BYTES_MAX));
        assert_eq!(lines(&[&exact, b"x\n", b"ok\n"]), [None, some("ok")]);
    }

    #[test]
    fn the_place_of_each_line_end_is_told() {
        let mut ends = Vec::new();
        LineBuffer::default().feed(b"ab\ncde\nf", |_, end, number| ends.push((end, number)));
        assert_eq!(ends, [(3, 1), (7, 2)]);
    }

    #[test]
    fn rows_may_end_otherwise_and_lines_are_counted_as_editors_do() {
        let mut buffer = LineBuffer::new(Some(';'));
        let mut lines = Vec::new();
        buffer.feed(b"a;b;\nc;", |line, _, number| {
            if let Line::Whole(line) = line {
                lines.push((String::from_utf8_lossy(line).into_owned(), number));
            }
        });
        let expected = [("a", 1), ("b", 1), ("", 1), ("c", 2)];
        assert_eq!(lines, expected.map(|(text, number)| (text.to_owned(), number)));
        buffer.feed(b"rest", |_, _, _| {});
        assert_eq!((buffer.number(), buffer.finish()), (2, Some(b"rest".to_vec())));
        assert_eq!(buffer.finish(), None);
    }
}
