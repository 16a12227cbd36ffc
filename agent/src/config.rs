//! The agent's configuration file, in TOML.

use std::path::{Path, PathBuf};

use dunlin_link::{BrokerSection, LinkConfig};
use dunlin_protocol::id::Name;
use dunlin_protocol::topic::Topics;
use dunlin_service::config::{ConfigError, Problem, Problems};
use serde::Deserialize;

use crate::data::SourceConfig;
use crate::eligibility::EligibilityConfig;
use crate::inference::InferenceConfig;
use crate::session::{LinkPolicy, Settings};

/// Environment variable that overrides `[broker]`'s `password` and `password_file`, so that the
/// password need not be in a file.
pub const PASSWORD_VARIABLE: &str = "DUNLIN_PASSWORD";

/// Longest configuration file in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Smallest cap in megabytes a day: less would not carry a day of keep-alive messages and one round.
const CAP_MB_MIN: f64 = 0.1;

/// Megabytes of a million bytes as bytes.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0.1 to 1e9
fn bytes_of(megabytes: f64) -> u64 {
    (megabytes * 1e6) as u64
}

/// Everything that an agent is told. `agent.example.toml` explains each key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// Name of the device.
    pub device: String,
    /// Name of the federation.
    pub federation: String,
    /// First level of all topics.
    #[serde(default = "default_root")]
    pub root: String,
    /// Directory for the state and the recorded samples.
    pub state_dir: PathBuf,
    /// Where the broker is, and the account and keys of the device there.
    pub broker: BrokerSection,
    /// What the link costs.
    #[serde(default)]
    pub link: LinkSection,
    /// How the device trains on its own windows.
    #[serde(default)]
    pub training: TrainingConfig,
    /// When the device may work.
    #[serde(default)]
    pub eligibility: EligibilityConfig,
    /// Classifying live windows; absent: the device does not.
    pub inference: Option<InferenceConfig>,
    /// Where windows come from.
    pub source: SourceConfig,
}

/// `[link]`: when the device is connected, and how much that may cost.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSection {
    /// When the device is connected.
    pub mode: LinkMode,
    /// Most megabytes on the wire, both ways, in any 24 hours.
    pub cap_mb_per_day: Option<f64>,
}

/// When a device is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkMode {
    /// Always, as far as the link allows.
    #[default]
    Always,
    /// When the plan says so, to look for work and to do it.
    Intermittent,
}

/// `[training]`: which windows measure, which backend computes, and what training may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Share of the windows that only measures.
    pub held_back: f32,
    /// Which of Burn's backends computes: `flex` or `ndarray`, where the program has it.
    pub backend: String,
    /// Memory that training may use, in KiB; 0 when unknown.
    pub memory_kib: u32,
    /// Niceness of the thread that trains, 0 to 19.
    pub nice: u8,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self { held_back: 0.1, backend: "flex".into(), memory_kib: 0, nice: 19 }
    }
}

fn default_root() -> String {
    "dunlin".into()
}

impl AgentConfig {
    /// Reads and checks the file at `path` and its drop-ins.
    ///
    /// # Errors
    /// Every problem found, with its key and what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = dunlin_service::config::read(path, CONFIG_BYTES_MAX)?;
        config.checked().map_err(|problems| problems.in_file(path))
    }

    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every problem found, with its key and what to do.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        toml::from_str::<Self>(text)?.checked()
    }

    fn checked(mut self) -> Result<Self, Problems> {
        if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
            self.broker.password = Some(password);
            self.broker.password_file = None;
        }
        self.problems().or(self)
    }

    fn problems(&self) -> Problems {
        let mut problems = Problems::default();
        let names =
            [("device", &self.device), ("federation", &self.federation), ("root", &self.root)];
        for (key, name) in names {
            if let Err(error) = Name::new(name) {
                problems.add_value(key, format_args!("{name:?}"), error.to_string());
            }
        }
        let held_back = (0.0..1.0).contains(&self.training.held_back);
        problems.add_if(!held_back, "training.held_back", "use a share from 0 to below 1");
        let advice = "use 0 to 19; 19 gives way to every other program";
        problems.add_if(self.training.nice > 19, "training.nice", advice);
        let cap = self.link.cap_mb_per_day.is_none_or(|cap| (CAP_MB_MIN..=1e9).contains(&cap));
        problems.add_if(!cap, "link.cap_mb_per_day", format!("use {CAP_MB_MIN} or more"));
        problems.extend(self.backend().err());
        // The client id is the device's name, which has been looked at.
        let found = self.link().err().into_iter().flatten();
        problems.extend(found.filter(|problem| problem.key != "broker.client_id"));
        problems.extend(self.eligibility.check());
        problems.extend(self.inference.iter().flat_map(InferenceConfig::problems));
        problems.extend(self.source.check());
        problems
    }

    /// The connection that the configuration asks for.
    ///
    /// # Errors
    /// What is wrong with the section `[broker]`.
    pub fn link(&self) -> Result<LinkConfig, Problems> {
        let mut broker = self.broker.clone();
        broker.username.get_or_insert_with(|| self.device.clone());
        broker.link(&self.device).map_err(|found| Problems::of_section("broker", found))
    }

    /// The session's settings.
    ///
    /// # Errors
    /// When a name is not one topic level.
    pub fn settings(&self) -> Result<Settings, dunlin_protocol::id::NameError> {
        Ok(Settings {
            device: Name::new(&self.device)?,
            federation: Name::new(&self.federation)?,
            topics: Topics::new(Name::new(&self.root)?),
            memory_kib: self.training.memory_kib,
            link: LinkPolicy {
                cap_per_day: self.link.cap_mb_per_day.map(bytes_of),
                keep_alive_ms: u64::from(self.broker.keep_alive_s) * 1000,
                intermittent: self.link.mode == LinkMode::Intermittent,
            },
        })
    }

    #[cfg(not(feature = "burn"))]
    fn backend(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// The backend that trains.
    ///
    /// # Errors
    /// When this program does not have it.
    #[cfg(feature = "burn")]
    pub fn backend(&self) -> Result<dunlin_models::Backend, Problem> {
        let text = &self.training.backend;
        text.parse::<dunlin_models::Backend>().map_err(|error| {
            Problem::of_value("training.backend", format_args!("{text:?}"), error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_checked_by_its_keys_and_a_wrong_device_is_named_once() {
        let keys = |device: &str, broker: &str| -> Vec<String> {
            let text = format!(
                "device = '{device}'\nfederation = 'gait'\nstate_dir = 'state'\n\
                 source = {{ kind = 'har', dir = 'x', person = 1 }}\n[broker]\n{broker}\n"
            );
            let problems = AgentConfig::parse(&text).unwrap_err();
            problems.into_iter().map(|problem| problem.key).collect()
        };
        assert_eq!(keys("a/b", "url = 'mqtt://h'"), ["device"]);
        assert_eq!(keys("a", "url = 'http://h'"), ["broker.url"]);
        assert_eq!(keys("a", "url = 'mqtt://h'\nkeep_alive_s = 1"), ["broker.keep_alive_s"]);
        assert_eq!(keys("a", "url = 'mqtts://h'\ncert = 'c'"), ["broker.key"]);
    }
}
