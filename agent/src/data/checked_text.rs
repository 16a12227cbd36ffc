//! Small text files of our own whose first line says what they are and has the checksum of the rest.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use dunlin_service::file::{Durability, replace};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no file.
    Nothing,
    /// It is too long, or not what was written.
    Damaged,
    /// What stands behind the first line.
    Text(String),
}

/// Reads the file at `path`, whose first line is `name` and a checksum, and which has at most
/// `bytes_max` bytes.
///
/// # Errors
/// What the operating system says, except that the file is not there.
pub(super) fn read(path: &Path, name: &str, bytes_max: u64) -> io::Result<Found> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= bytes_max);
    let body = text.as_ref().and_then(|text| {
        let (first, body) = text.split_once('\n')?;
        (first == first_line(name, body)).then(|| body.to_owned())
    });
    Ok(body.map_or(Found::Damaged, Found::Text))
}

/// Puts `body` at `path`, whole or not at all; it outlives a power cut.
///
/// # Errors
/// What the operating system says.
pub(super) fn write(path: &Path, name: &str, body: &str) -> io::Result<()> {
    let text = format!("{}\n{body}", first_line(name, body));
    replace(path, text.as_bytes(), Durability::PowerCut)
}

fn first_line(name: &str, body: &str) -> String {
    format!("{name} {:08x}", crc32fast::hash(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_and_what_is_changed_or_too_long_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        let found = |bytes_max| read(&path, "dunlin-note 1", bytes_max).unwrap();
        assert_eq!(found(100), Found::Nothing);
        write(&path, "dunlin-note 1", "a\nb\n").unwrap();
        assert_eq!(found(100), Found::Text("a\nb\n".to_owned()));
        assert_eq!(found(8), Found::Damaged);
        assert_eq!(read(&path, "dunlin-note 2", 100).unwrap(), Found::Damaged);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert_eq!(found(100), Found::Damaged, "byte {at}");
        }
    }
}
