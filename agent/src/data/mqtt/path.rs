//! Places in a JSON message.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Longest path in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Most steps of one path: serde_json follows 128 at the most, paths side by side included.
const STEPS_MAX: usize = 16;
/// Highest place in an array.
const INDEX_MAX: usize = 65_535;

/// A place in a JSON value: keys with dots between them, and places in arrays from 0 in brackets,
/// such as `acc.x` or `values[0]`. `$` is the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

/// Why a text is no [`JsonPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:.300?} {problem}; write a place in the message such as acc.x or values[0]")]
pub struct JsonPathError {
    text: String,
    problem: String,
}

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the value of this key.
    Key(String),
    /// To the value in this place of an array, from 0.
    Index(usize),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it and how paths look.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let wrong = |problem: &str| JsonPathError { text: text.into(), problem: problem.into() };
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(wrong(&format!("does not have 1 to {TEXT_BYTES_MAX} bytes")));
        }
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        let mut first = rest.len() == text.len();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (index, after) = inner.split_once(']').ok_or_else(|| wrong("lacks a `]`"))?;
                let index = index.parse().ok().filter(|&index| index <= INDEX_MAX);
                let advice = format!("has no number from 0 to {INDEX_MAX} in brackets");
                steps.push(Step::Index(index.ok_or_else(|| wrong(&advice))?));
                rest = after;
            } else {
                let named = if first { Some(rest) } else { rest.strip_prefix('.') };
                let named = named.ok_or_else(|| wrong("lacks a `.` between two steps"))?;
                let (key, after) = named.split_at(named.find(['.', '[']).unwrap_or(named.len()));
                if key.is_empty() {
                    return Err(wrong("has an empty step"));
                }
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            }
            first = false;
        }
        if steps.len() > STEPS_MAX {
            return Err(wrong(&format!("has more than {STEPS_MAX} steps")));
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The path as it was written.
    pub(in crate::data) fn text(&self) -> &str {
        &self.text
    }

    /// The steps from the value to the place.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<Step> {
        JsonPath::parse(text).unwrap().steps
    }

    #[test]
    fn paths_are_keys_with_dots_and_places_in_brackets() {
        let key = |text: &str| Step::Key(text.to_owned());
        assert_eq!(steps("x"), [key("x")]);
        assert_eq!(steps("acc.x"), [key("acc"), key("x")]);
        assert_eq!(steps("$.acc.x"), steps("acc.x"));
        assert_eq!(steps("values[2]"), [key("values"), Step::Index(2)]);
        assert_eq!(steps("[1][0].x y"), [Step::Index(1), Step::Index(0), key("x y")]);
        assert_eq!(steps("$"), []);
    }

    #[test]
    fn wrong_paths_say_how_paths_look() {
        let long = "x".repeat(257);
        let deep = "x.".repeat(16) + "x";
        for wrong in ["", "a..b", ".a", "a.", "a[", "a[x]", "a[-1]", "a[65536]", "a[0]b", "$x"]
            .into_iter()
            .chain([long.as_str(), deep.as_str()])
        {
            let error = JsonPath::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("such as acc.x or values[0]"), "{wrong}: {error}");
        }
    }
}
