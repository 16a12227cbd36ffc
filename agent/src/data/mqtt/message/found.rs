//! What stands in a place of a message.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::quoted;
use crate::data::time::TimeReader;

/// What stands in a wanted place.
#[derive(Clone, Debug, Default)]
pub(super) enum Found {
    /// Nothing at all, or `null`.
    #[default]
    Nothing,
    /// A number without a fraction, exactly.
    Integer(i128),
    /// Any other number.
    Number(f64),
    Text(String),
    Flag(bool),
    /// An object or an array.
    Other,
}

impl Found {
    /// As text, to be compared; `None` for what is not there, an object or an array.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Integer(number) => Some(number.to_string().into()),
            Self::Number(number) => Some(number.to_string().into()),
            Self::Text(text) => Some(text.into()),
            Self::Flag(flag) => Some(if *flag { "true" } else { "false" }.into()),
            Self::Nothing | Self::Other => None,
        }
    }

    /// The value of a channel; NaN where nothing stands. Some programs write numbers as text;
    /// `words` are texts that stand for a number.
    ///
    /// # Errors
    /// What is wrong, to be said after the place.
    #[allow(clippy::cast_possible_truncation)] // to infinity, which is refused
    #[allow(clippy::cast_precision_loss)] // values are kept with 32 bits
    pub(super) fn value(&self, words: &BTreeMap<String, f32>) -> Result<f32, String> {
        let (value, shown) = match self {
            Self::Nothing => return Ok(f32::NAN),
            Self::Integer(number) => (*number as f32, number.to_string()),
            Self::Number(number) => (*number as f32, number.to_string()),
            Self::Text(text) => {
                let text = text.trim();
                match (words.get(text), text.parse::<f64>()) {
                    (Some(value), _) => return Ok(*value),
                    (None, Ok(number)) => (number as f32, quoted(text)),
                    (None, Err(_)) => return Err(format!("is {}, no number", quoted(text))),
                }
            }
            Self::Flag(flag) => return Err(format!("is {flag}, no number")),
            Self::Other => return Err("is an object or array, no number".to_owned()),
        };
        if value.is_finite() { Ok(value) } else { Err(format!("is {shown}, not a finite number")) }
    }

    /// The time of a sample in microseconds.
    ///
    /// # Errors
    /// What is wrong, to be said after the place.
    pub(super) fn time(&self, reader: &mut TimeReader) -> Result<i64, String> {
        let (time, shown) = match self {
            Self::Integer(number) => (reader.read_integer(*number), number.to_string()),
            Self::Number(number) => (reader.read_number(*number), number.to_string()),
            Self::Text(text) => (reader.read_text(text), quoted(text)),
            Self::Nothing => return Err("is missing".to_owned()),
            Self::Flag(_) | Self::Other => return Err("is no time".to_owned()),
        };
        time.map_err(|problem| format!("{shown} {problem}"))
    }

    /// The text of a label; empty where nothing stands.
    ///
    /// # Errors
    /// What is wrong, to be said after the place.
    pub(super) fn label(&self) -> Result<String, String> {
        match self {
            Self::Nothing => Ok(String::new()),
            Self::Other => Err("is an object or array, no label".to_owned()),
            Self::Integer(_) | Self::Number(_) | Self::Text(_) | Self::Flag(_) => {
                Ok(self.text().map(Cow::into_owned).unwrap_or_default())
            }
        }
    }
}
