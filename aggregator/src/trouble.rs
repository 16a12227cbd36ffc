//! What the data of devices lack, in words: how many devices, by reason.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt::Write as _;

/// What devices do whose own data lack something, behind their number: a phrase for each word that
/// agents use. A word that is not here is shown as it is.
const PHRASES: [(&str, &str); 22] = [
    ("windows", "have no windows"),
    ("misfit", "have a source that does not fit the task"),
    ("off_rate", "are off the rate"),
    ("short_rows", "have rows that end before a window"),
    ("unlabelled", "have no labels of the task"),
    ("constant", "have channels that never change"),
    ("off_scale", "have values far off the task's scale"),
    ("cut", "cut values"),
    ("time", "have samples without a usable time"),
    ("number", "have values that are no numbers"),
    ("missing", "have samples with missing values"),
    ("columns", "have rows of other columns"),
    ("message", "get messages that they cannot read"),
    ("topic", "get messages of another topic"),
    ("dropped", "drop samples that come too fast"),
    ("reading", "have readings that fail"),
    ("label", "have labels that cannot be used"),
    ("order", "have samples out of order"),
    ("disk", "lost samples on disk"),
    ("filled", "have single missing samples filled in"),
    ("held", "have missing values held or interpolated"),
    ("other", "have other trouble"),
];

/// `counts`: devices by word. `12 devices cut values, 3 are off the rate`, in the order of the
/// numbers; `None` where there are none.
pub(crate) fn in_words(counts: &BTreeMap<String, u32>) -> Option<String> {
    let mut counts: alloc::vec::Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|&(_, count)| core::cmp::Reverse(*count));
    let mut text = String::new();
    for (word, count) in counts {
        let phrase = PHRASES.iter().find(|(known, _)| known == word);
        let phrase = phrase.map_or(word.as_str(), |(_, phrase)| *phrase);
        // Writing to a String cannot fail.
        let _ = match text.is_empty() {
            true => write!(text, "{count} device(s) {phrase}"),
            false => write!(text, ", {count} {phrase}"),
        };
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_counted_by_reason_with_the_most_frequent_first() {
        let counts = |pairs: &[(&str, u32)]| pairs.iter().map(|(w, n)| ((*w).into(), *n)).collect();
        assert_eq!(in_words(&counts(&[])), None);
        let text = in_words(&counts(&[("cut", 3), ("off_rate", 12), ("new_word", 1), ("time", 0)]));
        assert_eq!(text.unwrap(), "12 device(s) are off the rate, 3 cut values, 1 new_word");
    }

    #[test]
    fn every_word_has_one_phrase() {
        for (place, (word, _)) in PHRASES.iter().enumerate() {
            assert!(word.len() <= 12 && PHRASES.iter().skip(place + 1).all(|(w, _)| w != word));
        }
    }
}
