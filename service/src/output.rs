//! What a program answers, on standard output.
//!
//! Whoever reads it may have seen enough and close the pipe, as `head` does. That is no failure: the
//! program ends at once and says nothing. `println!` would panic.

use std::io::{self, ErrorKind, Write};

/// Standard output. A reader that is gone ends the process with exit code 0, as it would end any
/// other tool of a shell; everything else that goes wrong is an error of the write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_end(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        or_end(io::stdout().flush())
    }
}

/// Prints `text` as it is, and nothing behind it. See [`Output`] for a reader that is gone.
///
/// # Errors
/// [`io::Error`] when it cannot be written, as on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut output = Output;
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Prints `text` and ends the line. See [`Output`] for a reader that is gone.
///
/// # Errors
/// [`io::Error`] when it cannot be written, as on a full disk.
pub fn say(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

fn or_end<T>(done: io::Result<T>) -> io::Result<T> {
    match done {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        done => done,
    }
}
