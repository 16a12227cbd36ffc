//! The `[source]` section of the agent's configuration.

mod csv;
mod iio;
mod mqtt;
mod sampling;

pub use csv::{COLUMNS_MAX, Column, CsvConfig, CsvInput};
pub use iio::{IioConfig, IioInput, IioMode};
pub use mqtt::{MqttConfig, MqttInput};
pub use sampling::{Live, Sampling, TimeUnit};

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use toml::{Table, Value};

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
        Ok(match read::<Kind, _>(kind)? {
            Kind::Har => Self::Har(read(keys.into())?),
            Kind::Csv => Self::Csv(live(keys)?),
            Kind::Iio => Self::Iio(live(keys)?),
            Kind::Mqtt => Self::Mqtt(live(keys)?),
        })
    }
}

fn read<T: DeserializeOwned, E: Error>(value: Value) -> Result<T, E> {
    value.try_into().map_err(|error: toml::de::Error| E::custom(error.to_string().trim_end()))
}

/// Parts the keys that all live sources share from the kind's own. Serde's `flatten` would do so,
/// too, but then it can no longer refuse keys that nobody knows.
fn live<C, I, E>(mut own: Table) -> Result<Live<C, I>, E>
where
    C: DeserializeOwned,
    I: DeserializeOwned,
    E: Error,
{
    let shared: Table = SAMPLING_KEYS.iter().filter_map(|key| own.remove_entry(*key)).collect();
    let input = read(own.into()).map_err(|error: E| {
        let shared = SAMPLING_KEYS.join(", ");
        E::custom(format!("{error}\nbesides, each live source has the keys {shared}"))
    })?;
    Ok(Live { sampling: read(shared.into())?, input })
}

/// One thing that is wrong in the configuration, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigProblem {
    /// The key, such as `source.rate_hz`.
    pub key: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl SourceConfig {
    /// Everything that is wrong in the values, with key and next step; empty when all is well.
    /// Looks at no file: a live source may come later than the agent.
    pub fn check(&self) -> Vec<ConfigProblem> {
        let mut problems = Problems(Vec::new());
        match self {
            Self::Har(config) => {
                let no_dir = config.dir.as_os_str().is_empty();
                problems.add(no_dir, "dir", "is empty; name the folder `UCI HAR Dataset`");
                problems.add(config.person == 0, "person", "is 0; name a person from 1 to 30");
            }
            Self::Csv(config) => config.check(&mut problems),
            Self::Iio(config) => config.check(&mut problems),
            Self::Mqtt(config) => config.check(&mut problems),
        }
        problems.0
    }
}

struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, wrong: bool, key: &str, problem: impl Into<String>) {
        if wrong {
            let key = format!("source.{key}");
            self.0.push(ConfigProblem { key, problem: problem.into() });
        }
    }
}

#[cfg(test)]
mod tests;
