//! What a device's own data lack: a few words with counts, which only people need to understand.

use alloc::vec::Vec;
use core::fmt;

/// Kinds of trouble that one presence message tells of at the most.
pub const TROUBLES_MAX: usize = 4;

/// A word for a kind of trouble: 1 to 12 characters of `a-z` and `_`.
pub type Word = heapless::String<12>;

/// What a source could not use, and how much of it: at most [`TROUBLES_MAX`] words, each once. Words
/// are the device's; nobody else need know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataTrouble(Vec<(Word, u64)>);

impl DataTrouble {
    /// Adds how often `word` happened; whether there was room, the word is one, and it is new.
    pub fn add(&mut self, word: &str, count: u64) -> bool {
        let Some(known) = read_word(word) else { return false };
        let fits = self.0.len() < TROUBLES_MAX && self.0.iter().all(|(word, _)| *word != known);
        if fits {
            self.0.push((known, count));
        }
        fits
    }

    /// The words with their counts, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(word, count)| (word.as_str(), *count))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the field of a presence message. Entries that are no word with a count are skipped, as are
    /// those that there is no room for; `None` where none is left.
    pub(super) fn of_json(value: &[u8]) -> Option<Self> {
        let inner = value.strip_prefix(b"{")?.strip_suffix(b"}")?;
        let mut trouble = Self::default();
        for field in super::fields(inner)? {
            let text = core::str::from_utf8(field).ok();
            let Some((word, count)) = text.and_then(|text| text.split_once(':')) else { continue };
            let word = word.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            if let (Some(word), Ok(count)) = (word, count.trim().parse()) {
                trouble.add(word, count);
            }
        }
        (!trouble.is_empty()).then_some(trouble)
    }
}

fn read_word(text: &str) -> Option<Word> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { Word::try_from(text).ok() } else { None }
}

impl<'a> FromIterator<(&'a str, u64)> for DataTrouble {
    fn from_iter<I: IntoIterator<Item = (&'a str, u64)>>(words: I) -> Self {
        let mut trouble = Self::default();
        for (word, count) in words {
            trouble.add(word, count);
        }
        trouble
    }
}

/// As the JSON object of a presence message.
impl fmt::Display for DataTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (word, count)) in self.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, r#"{comma}"{word}":{count}"#)?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn only_short_plain_words_are_taken_each_once_and_four_of_them() {
        let mut trouble = DataTrouble::default();
        for word in ["", "Cut", "cut it", "thirteen_long", "cut\""] {
            assert!(!trouble.add(word, 1), "{word}");
        }
        assert!(trouble.add("cut", 1) && !trouble.add("cut", 2));
        assert!(["time", "off_rate", "windows"].into_iter().all(|word| trouble.add(word, 0)));
        assert!(!trouble.add("label", 1), "there is room for four");
        assert_eq!(trouble.to_string(), r#"{"cut":1,"time":0,"off_rate":0,"windows":0}"#);
    }

    #[test]
    fn what_is_no_word_with_a_count_is_skipped() {
        let read = |text: &str| DataTrouble::of_json(text.as_bytes());
        let words = |found: Option<DataTrouble>| {
            let found = found.unwrap_or_default();
            found.iter().map(|(word, count)| (word.to_string(), count)).collect::<Vec<_>>()
        };
        let cut = [("cut".to_string(), 7)];
        assert_eq!(words(read(r#"{"cut":7,"why":"off_rate","deep":{"cut":9},"x":-1}"#)), cut);
        assert_eq!(words(read(r#"{ "cut" : 7 }"#)), cut);
        for nothing in ["{}", "7", "null", "[]", r#"{"cut":"7"}"#, "{,}", "{:}"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
