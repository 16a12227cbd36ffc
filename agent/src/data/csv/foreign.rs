//! Files that are no text in UTF-8.

/// Bytes at the start of a file that tell.
pub(super) const TELLING_BYTES: usize = 64;

const UTF_16: &str = "is UTF-16; convert it: iconv -f UTF-16 -t UTF-8";

/// What programs write at the start of their files, and what to do with these.
const MAGIC: [(&[u8], &str); 7] = [
    (b"\xFF\xFE", UTF_16),
    (b"\xFE\xFF", UTF_16),
    (b"\x7FELF", "is a program, no text; correct source.path"),
    (b"\x1F\x8B", "is packed with gzip; unpack it: gunzip"),
    (b"\xFD7zXZ", "is packed with xz; unpack it: unxz"),
    (b"PK\x03\x04", "is a ZIP archive or a spreadsheet; unpack it, or export it as CSV"),
    (b"PAR1", "is a Parquet file; convert it to CSV"),
];

/// What a file that begins with `bytes` is where that is no text in UTF-8, and what to do; `None` where
/// it may be. NULs alone say nothing: power cuts leave them in logs.
pub(super) fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    known.map(|(_, problem)| *problem).or_else(|| is_utf_16(bytes).then_some(UTF_16))
}

/// Whether `bytes` are UTF-16 without a mark: every other byte of Latin text is NUL, and no other.
fn is_utf_16(bytes: &[u8]) -> bool {
    let (pairs, _) = bytes.as_chunks::<2>();
    let every = |nul: usize| pairs.iter().all(|pair| pair[nul] == 0 && pair[1 - nul] != 0);
    pairs.len() >= 2 && (every(0) || every(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_what_it_is_and_text_with_nuls_stays_text() {
        let utf_16 =
            |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(foreign(&utf_16("\u{feff}t,x\n")), Some(UTF_16));
        assert_eq!(foreign(&utf_16("t,x\n0,1\n")), Some(UTF_16));
        assert_eq!(
            foreign(&"t,x".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
            Some(UTF_16)
        );
        assert!(foreign(b"\x7FELF\x02\x01\x01\0\0").unwrap().contains("program"));
        assert!(foreign(b"\x1F\x8B\x08\0").unwrap().contains("gunzip"));
        for text in [b"t,x\n".as_slice(), b"", b"\0\0\0\0", b"0,1\0\0", b"\xEF\xBB\xBFt", b"1\0"] {
            assert_eq!(foreign(text), None, "{text:?}");
        }
    }
}
