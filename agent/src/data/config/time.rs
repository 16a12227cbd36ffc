//! How times are written in an input.

use dunlin_service::config::Problems;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use toml::Value;

use super::TimeUnit;
use crate::data::time::TimeReader;

/// How times are written: in the file either the format alone, as text, or a table of these keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimeFormat {
    /// What a time is.
    #[serde(rename = "format")]
    pub kind: TimeKind,
    /// Unit of numbers; `time_unit` of the source where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
    /// Time zone of times that name none: `UTC`, an offset such as `+02:00`, or a name such as
    /// `Europe/Berlin`. UTC where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What numbers count from, the day of the first `of_day`, or the moment before the first
    /// `delta`, as ISO 8601; 1970-01-01 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// What a time in an input is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeKind {
    /// A number of units since 1970, or since any other moment.
    #[default]
    Epoch,
    /// ISO 8601, with a zone or without, with `T` or a space, with a fraction or without.
    Iso,
    /// Time of day, such as `23:59:59.5`, or a number of units since midnight; it may pass midnight.
    OfDay,
    /// A number of units since the sample before.
    Delta,
    /// Text by a pattern of strptime, such as `%d-%m-%Y %H:%M`.
    Pattern(String),
}

/// The keys of a time, where they stand in a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    format: TimeKind,
    unit: Option<TimeUnit>,
    zone: Option<String>,
    start: Option<String>,
}

impl TimeKind {
    /// The text that names it in a configuration.
    pub fn text(&self) -> &str {
        match self {
            Self::Epoch => "epoch",
            Self::Iso => "iso",
            Self::OfDay => "of_day",
            Self::Delta => "delta",
            Self::Pattern(pattern) => pattern,
        }
    }
}

impl Serialize for TimeKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for TimeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "epoch" => Self::Epoch,
            "iso" => Self::Iso,
            "of_day" => Self::OfDay,
            "delta" => Self::Delta,
            pattern if pattern.contains('%') => Self::Pattern(text),
            _ => {
                let known = "epoch, iso, of_day, delta or a pattern such as \"%d-%m-%Y %H:%M\"";
                return Err(D::Error::custom(format!("{text:?} is no time format; use {known}")));
            }
        })
    }
}

impl<'de> Deserialize<'de> for TimeFormat {
    #[allow(clippy::wildcard_enum_match_arm)] // a format may be any value
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            table @ Value::Table(_) => {
                let Keys { format, unit, zone, start } =
                    table.try_into().map_err(plain::<D::Error>)?;
                Self { kind: format, unit, zone, start }
            }
            text => Self { kind: text.try_into().map_err(plain::<D::Error>)?, ..Self::default() },
        })
    }
}

impl TimeFormat {
    /// Numbers of `unit`, or of the source's unit where there is none.
    pub fn epoch(unit: Option<TimeUnit>) -> Self {
        Self { unit, ..Self::default() }
    }

    /// Adds what is wrong under `key`: a zone that this system does not know, a pattern or a start
    /// that cannot be read. Looks into the system's time zones.
    pub(in crate::data) fn check(&self, problems: &mut Problems, key: &str) {
        if let Some(problem) = TimeReader::new(self, TimeUnit::default()).setup_problem() {
            problems.add(key, problem.to_string());
        }
        let numbers = matches!(self.kind, TimeKind::Epoch | TimeKind::Delta);
        let no_use = self.zone.is_some() && numbers && self.start.is_none();
        let text = "has a zone, but numbers need none; remove it or set format";
        problems.add_if(no_use, key, text);
        let dated = matches!(self.kind, TimeKind::Iso | TimeKind::Pattern(_));
        let no_start = self.start.is_some() && dated;
        problems.add_if(no_start, key, "has a start, but its times are dates; remove it");
    }
}

/// Where the time of a sample stands, and how it is written. In the file either the place alone
/// or a table of `column` (or `place`) and the keys of [`TimeFormat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeField<C> {
    /// Where it stands.
    pub place: C,
    /// How it is written.
    pub format: TimeFormat,
}

impl<C> TimeField<C> {
    /// Numbers in the source's unit, at `place`.
    pub fn epoch(place: C) -> Self {
        Self { place, format: TimeFormat::default() }
    }
}

impl<'de, C: DeserializeOwned> Deserialize<'de> for TimeField<C> {
    #[allow(clippy::wildcard_enum_match_arm)] // a place may be any value
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Table(mut table) => {
                let place = table.remove("column").or_else(|| table.remove("place"));
                let place = place.ok_or_else(|| D::Error::missing_field("column"))?;
                Ok(Self {
                    place: place.try_into().map_err(plain::<D::Error>)?,
                    format: Value::Table(table).try_into().map_err(plain::<D::Error>)?,
                })
            }
            place => Ok(Self::epoch(place.try_into().map_err(plain::<D::Error>)?)),
        }
    }
}

/// An error of TOML without its trailing line end.
pub(super) fn plain<E: Error>(error: toml::de::Error) -> E {
    E::custom(error.to_string().trim_end())
}
