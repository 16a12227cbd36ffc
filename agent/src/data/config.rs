//! The `[source]` section of the agent's configuration.

mod csv;
mod filter;
mod iio;
mod intake;
mod label_file;
mod mqtt;
mod period;
mod presets;
mod sampling;
mod time;

pub use csv::{
    COLUMNS_MAX, Column, Columns, Comments, CsvConfig, CsvInput, Header, LabelFrom, TextFormat,
};
pub use filter::{Wanted, Where};
pub use iio::{IioConfig, IioInput, IioMode};
pub use intake::{Derived, IntakeConfig, Missing, MissingRules};
pub use label_file::{LabelBy, LabelFile};
pub use mqtt::{ByTopic, MqttChannel, MqttConfig, MqttInput};
pub use period::Period;
pub use sampling::{Live, Sampling, TimeUnit};
pub use time::{TimeField, TimeFormat, TimeKind};

use std::path::{Path, PathBuf};

use dunlin_link::BrokerSection;
use dunlin_service::config::Problems;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use toml::{Table, Value};

use super::ring::Header as RingHeader;
use super::{DataError, files};
use intake::INTAKE_KEYS;
use sampling::SAMPLING_KEYS;

/// Where windows come from.
#[allow(clippy::large_enum_variant)] // a program has one of them
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SourceConfig {
    /// One person of the UCI HAR data set, as if the device were worn by that person.
    Har(HarConfig),
    /// A growing CSV file, a FIFO or standard input.
    Csv(CsvConfig),
    /// A sensor of Linux's industrial I/O.
    Iio(IioConfig),
    /// A topic of an MQTT broker with JSON messages.
    Mqtt(MqttConfig),
}

/// What `kind` may be.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Har,
    Csv,
    Iio,
    Mqtt,
}

/// One person of the UCI HAR data set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarConfig {
    /// The folder `UCI HAR Dataset`, or the folder that contains it.
    pub dir: PathBuf,
    /// Number of the person, 1 to 30.
    pub person: u16,
}

impl<'de> Deserialize<'de> for SourceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = Table::deserialize(deserializer)?;
        let kind = keys.remove("kind").ok_or_else(|| D::Error::missing_field("kind"))?;
        let word = kind.as_str().unwrap_or_default().to_owned();
        let kind = read::<Kind, _>(kind)?;
        presets::apply(&word, &mut keys).map_err(D::Error::custom)?;
        Ok(match kind {
            Kind::Har => Self::Har(read(keys.into())?),
            Kind::Csv => {
                let written = written(&keys);
                let text = part(&mut keys, &TextFormat::KEYS);
                let more = format!(", and a csv source {}, format", TextFormat::KEYS.join(", "));
                let mut config: CsvConfig = live(keys, &more)?;
                config.input.text = read(text.into())?;
                config.sampling.written = written;
                Self::Csv(config)
            }
            Kind::Iio => {
                let mut config: IioConfig = live(keys, "")?;
                config.fill_units();
                config.sampling.note_units();
                Self::Iio(config)
            }
            Kind::Mqtt => {
                let mut broker = part(&mut keys, &BrokerSection::KEYS);
                broker.entry("url").or_insert_with(|| mqtt::LOCAL_URL.into());
                let mut config: MqttConfig = live(keys, ", and an mqtt source those of [broker]")?;
                config.input.broker = read(broker.into())?;
                config.sampling.note_units();
                config.fill_missing();
                Self::Mqtt(config)
            }
        })
    }
}

fn read<T: DeserializeOwned, E: Error>(value: Value) -> Result<T, E> {
    value.try_into().map_err(|error: toml::de::Error| E::custom(error.to_string().trim_end()))
}

/// Takes these keys out of `table`. Serde's `flatten` would do so, too, but then it can no longer
/// refuse keys that nobody knows.
fn part(table: &mut Table, keys: &[&str]) -> Table {
    keys.iter().filter_map(|key| table.remove_entry(*key)).collect()
}

/// Keys of a csv source that say what its text means, beside those of [`TextFormat`] and of what
/// happens to samples before they are kept. The ring compares rate, quantum and names by itself; of
/// units it takes one that is added.
const MEANING_KEYS: [&str; 12] = [
    "channels",
    "time",
    "time_unit",
    "where",
    "text",
    "columns",
    "label",
    "labels",
    "label_from",
    "files",
    "unit",
    "units",
];

/// The keys in `keys` that say what the text of a file means, a line each: `key = value`.
fn written(keys: &Table) -> String {
    let mut all = [&MEANING_KEYS[..], &TextFormat::KEYS[..], &INTAKE_KEYS[..]].concat();
    all.sort_unstable();
    let line = |key: &str| Some(format!("{key} = {}\n", in_words(keys.get(key)?)));
    all.into_iter().filter_map(line).collect()
}

/// A value as TOML writes it in one line; of two that are the same, the same text.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(all) => {
            format!("[{}]", all.iter().map(in_words).collect::<Vec<_>>().join(", "))
        }
        Value::Table(all) => {
            let part = |(key, value): (&String, &Value)| format!("{key:?} = {}", in_words(value));
            format!("{{ {} }}", all.iter().map(part).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Parts the keys that all live sources share from the kind's own; `more` names others that the
/// kind has besides.
fn live<C, I, E>(mut own: Table, more: &str) -> Result<Live<C, I>, E>
where
    C: DeserializeOwned,
    I: DeserializeOwned,
    E: Error,
{
    let mut shared = part(&mut own, &SAMPLING_KEYS);
    let intake = part(&mut own, &INTAKE_KEYS);
    let input = read(own.into()).map_err(|error: E| {
        let shared = [&SAMPLING_KEYS[..], &INTAKE_KEYS[..]].concat().join(", ");
        E::custom(format!("{error}\nbesides, each live source has the keys {shared}{more}"))
    })?;
    rate_of_period(&mut shared)?;
    let mut sampling: Sampling<C> = read(shared.into())?;
    sampling.intake = read(intake.into())?;
    Ok(Live { sampling, input })
}

/// Sets `rate_hz` by `period` where the table has that, and not both.
fn rate_of_period<E: Error>(shared: &mut Table) -> Result<(), E> {
    match (shared.get("period"), shared.contains_key("rate_hz")) {
        (Some(_), true) => Err(E::custom("rate_hz and period are both set; remove one of them")),
        (Some(period), false) => {
            let period: Period = read(period.clone())?;
            shared.insert("rate_hz".to_owned(), period.rate_hz().into());
            Ok(())
        }
        (None, false) => {
            Err(E::custom("missing field `rate_hz`, or `period` where samples are rare"))
        }
        (None, true) => Ok(()),
    }
}

impl SourceConfig {
    /// Everything that is wrong in the values, with key and next step; empty when all is well.
    /// Looks at no file but a password's: a live source may come later than the agent.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        match self {
            Self::Har(config) => {
                let no_dir = config.dir.as_os_str().is_empty();
                problems.add_if(no_dir, "dir", "is empty; name the folder `UCI HAR Dataset`");
                problems.add_if(config.person == 0, "person", "is 0; name a person from 1 to 30");
            }
            Self::Csv(config) => config.check(&mut problems),
            Self::Iio(config) => config.check(&mut problems),
            Self::Mqtt(config) => config.check(&mut problems),
        }
        problems.under("source")
    }

    /// Compares the ring in the folder `state_dir` with this configuration, as opening the source would,
    /// but neither locks nor changes it. Nothing is wrong where there is no ring, or the source has none.
    ///
    /// # Errors
    /// [`DataError::Ring`] when its samples are not those of this configuration: what differs, and what
    /// to do; [`DataError::Io`].
    pub fn check_ring(&self, state_dir: &Path) -> Result<(), DataError> {
        if let Some(header) = self.ring_header() {
            files::check_ring(state_dir, &header)?;
        }
        let (written, again) = match self {
            Self::Har(_) => return Ok(()),
            Self::Csv(config) => (&config.sampling.written, config.input.can_be_read_again()),
            Self::Iio(config) => (&config.sampling.written, false),
            Self::Mqtt(config) => (&config.sampling.written, false),
        };
        files::check_written(state_dir, written, again)
    }

    /// Where samples come from, for people and to know it again.
    pub fn origin(&self) -> String {
        match self {
            Self::Har(har) => format!("person {} in {}", har.person, har.dir.display()),
            Self::Csv(csv) => csv.input.path.display().to_string(),
            Self::Iio(iio) => {
                let devices = iio.input.device.iter().chain(iio.input.devices.values());
                devices.map(String::as_str).collect::<Vec<_>>().join(", ")
            }
            Self::Mqtt(mqtt) => {
                let topics = mqtt.subscriptions().into_iter().collect::<Vec<_>>();
                format!("{} at {}", topics.join(", "), mqtt.input.broker.url)
            }
        }
    }

    /// Whether the folder `state_dir` has samples.
    pub fn has_samples(&self, state_dir: &Path) -> bool {
        self.ring_header().is_some() && state_dir.join(files::RING).is_file()
    }

    /// What the ring of a live source must hold.
    fn ring_header(&self) -> Option<RingHeader> {
        match self {
            Self::Har(_) => None,
            Self::Csv(config) => Some(config.sampling.header()),
            Self::Iio(config) => Some(config.sampling.header()),
            Self::Mqtt(config) => Some(config.sampling.header()),
        }
    }
}

#[cfg(test)]
mod tests;
