//! `where`: which rows or items are samples.

use std::borrow::Cow;
use std::collections::BTreeMap;

use dunlin_service::config::Problems;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};

/// What some columns or places must hold, so that a row or an item is a sample. In the file a
/// table of columns or places to what they must be: text, a number, a boolean, or an array of
/// such, any of which will do. All of the columns or places must fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Where<C>(Vec<(C, Vec<Wanted>)>);

/// One value that fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// `true` or `false`, in any case.
    Flag(bool),
    /// A number, however it is written: 1 fits `1.0`.
    Number(f64),
    /// Text without outer spaces, exactly.
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Wanted),
    More(Vec<Wanted>),
}

impl<C> Default for Where<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, C: DeserializeOwned> Deserialize<'de> for Where<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = BTreeMap::<String, OneOrMore>::deserialize(deserializer).map_err(|error| {
            let form = "a table of column or place to text, number, boolean or an array of them";
            D::Error::custom(format!("{error}; `where` is {form}"))
        })?;
        let one = |(key, wanted): (String, OneOrMore)| {
            let place = C::deserialize(StrDeserializer::<D::Error>::new(&key))?;
            let wanted = match wanted {
                OneOrMore::One(wanted) => vec![wanted],
                OneOrMore::More(wanted) => wanted,
            };
            Ok((place, wanted))
        };
        table.into_iter().map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl<C> Where<C> {
    /// Columns or places to what fits there.
    pub fn new(wanted: Vec<(C, Vec<Wanted>)>) -> Self {
        Self(wanted)
    }

    /// Wants `wanted` in `place` besides.
    pub fn add(&mut self, place: C, wanted: Wanted) {
        self.0.push((place, vec![wanted]));
    }

    /// Whether everything is a sample.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns or places that are looked at.
    pub fn keys(&self) -> impl Iterator<Item = &C> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values that fit, of all columns or places.
    pub fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.0.iter().flat_map(|(_, wanted)| wanted)
    }

    /// The same with `texts` in the place of `{1}`, `{2}` and so on. A text that is a whole number
    /// then is that number, as `01` and `1` are the same in an index.
    #[must_use]
    pub fn filled(&self, texts: &[&str]) -> Self
    where
        C: Clone,
    {
        let fill = |wanted: &Wanted| match wanted {
            Wanted::Text(text) if text.contains('{') => {
                let mut filled = text.clone();
                for (at, text) in texts.iter().enumerate() {
                    filled = filled.replace(&format!("{{{}}}", at + 1), text);
                }
                filled.parse::<u32>().map_or(Wanted::Text(filled), |n| Wanted::Number(n.into()))
            }
            other @ Wanted::Flag(_) | other @ Wanted::Number(_) | other @ Wanted::Text(_) => {
                other.clone()
            }
        };
        let one = |(key, wanted): &(C, Vec<Wanted>)| {
            (key.clone(), wanted.iter().map(fill).collect::<Vec<_>>())
        };
        Self(self.0.iter().map(one).collect())
    }

    /// The same with other names of the columns or places, in the same order.
    pub fn map<D>(&self, mut place: impl FnMut(&C) -> D) -> Where<D> {
        Where(self.0.iter().map(|(key, wanted)| (place(key), wanted.clone())).collect())
    }

    /// Whether a row or item is a sample; `text_of` gives what it has in a column or at a place,
    /// where it has that. What is not there does not fit.
    pub fn matches<'t>(&self, mut text_of: impl FnMut(&C) -> Option<Cow<'t, str>>) -> bool {
        self.0.iter().all(|(key, wanted)| {
            text_of(key).is_some_and(|text| wanted.iter().any(|one| one.fits(&text)))
        })
    }

    /// Adds what is wrong: an empty list of values, which nothing would fit.
    pub(in crate::data) fn check(&self, problems: &mut Problems) {
        let empty = self.0.iter().any(|(_, wanted)| wanted.is_empty());
        problems.add_if(empty, "where", "has an empty list, which nothing fits; name a value");
    }
}

impl Wanted {
    /// Whether `text` is this value.
    pub fn fits(&self, text: &str) -> bool {
        let text = text.trim();
        match self {
            Self::Flag(flag) => text.eq_ignore_ascii_case(if *flag { "true" } else { "false" }),
            #[allow(clippy::float_cmp)] // the same digits give the same bits
            Self::Number(number) => text.parse::<f64>().is_ok_and(|have| have == *number),
            Self::Text(wanted) => text == wanted.trim(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Where<String> {
        toml::from_str(text).unwrap()
    }

    fn row<'t>(fields: &'t [(&str, &'t str)]) -> impl Fn(&String) -> Option<Cow<'t, str>> {
        |key| fields.iter().find(|(name, _)| name == key).map(|(_, text)| Cow::Borrowed(*text))
    }

    #[test]
    fn all_columns_must_fit_and_any_value_of_a_list_will_do() {
        let filter = parse("'Event Type' = 'EGV'\nsensor = [2, 3, 'x']\nvalid = true\n");
        let ok = [("Event Type", " EGV"), ("sensor", "2.0"), ("valid", "TRUE")];
        assert!(filter.matches(row(&ok)));
        assert!(filter.matches(row(&[ok[0], ("sensor", "x"), ok[2]])));
        assert!(!filter.matches(row(&[ok[0], ("sensor", "4"), ok[2]])));
        assert!(!filter.matches(row(&[("Event Type", "egv"), ok[1], ok[2]])));
        assert!(!filter.matches(row(&[ok[0], ok[1]])), "what is not there does not fit");
        assert!(!filter.matches(row(&[ok[0], ok[1], ("valid", "false")])));
        assert!(Where::<String>::default().matches(row(&[])));
    }

    #[test]
    fn places_of_a_name_are_filled_in_and_numbers_of_it_are_numbers() {
        let filter = parse("a = ['{1}', 'x']\nb = 'user{2}'\n").filled(&["01", "7"]);
        assert!(filter.matches(row(&[("a", "1"), ("b", "user7")])));
        assert!(!filter.matches(row(&[("a", "2"), ("b", "user7")])));
    }

    #[test]
    fn a_list_without_values_and_other_types_are_refused() {
        let mut problems = Problems::default();
        parse("a = []\n").check(&mut problems);
        assert!(!problems.is_empty());
        let error = toml::from_str::<Where<String>>("a = { b = 1 }\n").unwrap_err().to_string();
        assert!(error.contains("array of them"), "{error}");
    }
}
