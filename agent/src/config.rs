//! The agent's configuration file, in TOML.

use std::fmt;
use std::path::{Path, PathBuf};

use dunlin_link::{BrokerUrl, LinkConfig, TlsFiles};
use dunlin_protocol::id::Name;
use dunlin_protocol::topic::Topics;
use serde::Deserialize;

use crate::data::SourceConfig;
use crate::eligibility::EligibilityConfig;
use crate::inference::InferenceConfig;
use crate::session::{LinkPolicy, Settings};

/// Environment variable that overrides `[broker] password`, so that it need not be in a file.
pub const PASSWORD_VARIABLE: &str = "DUNLIN_PASSWORD";

/// Longest configuration file in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Smallest cap in megabytes a day: less would not carry a day of signs of life and one round.
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
    /// Where the broker is, and the account and keys of the device.
    pub broker: BrokerConfig,
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

/// `[broker]`: where it is, and the account and keys of the device.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// `mqtt://host:port` or `mqtts://host:port`; without a port 1883 or 8883.
    pub url: String,
    /// User name; the device's name when absent.
    pub username: Option<String>,
    /// Password of the account; the variable [`PASSWORD_VARIABLE`] wins over it.
    pub password: Option<String>,
    /// Certificate authority in PEM; the system's when absent.
    pub ca: Option<PathBuf>,
    /// Client certificate in PEM.
    pub cert: Option<PathBuf>,
    /// Client key in PEM.
    pub key: Option<PathBuf>,
    /// Seconds between signs of life.
    #[serde(default = "default_keep_alive")]
    pub keep_alive_s: u16,
}

impl fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "secret");
        f.debug_struct("BrokerConfig").field("url", &self.url).field("password", &password).finish()
    }
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

fn default_keep_alive() -> u16 {
    30
}

/// Everything that is wrong with a configuration, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// The configuration names a backend that this program does not have.
#[cfg(feature = "burn")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("training.backend = {text:?}: {source}")]
pub struct BackendError {
    /// What the configuration says.
    pub text: String,
    /// Which backends there are.
    pub source: dunlin_models::ParseBackendError,
}

impl AgentConfig {
    /// Reads and checks the file at `path` and its drop-ins.
    ///
    /// # Errors
    /// Every problem found, with its key and what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config = dunlin_service::config::read(path, CONFIG_BYTES_MAX);
        let config: Self = config.map_err(|error| ConfigError(vec![error.to_string()]))?;
        config.checked().map_err(|ConfigError(lines)| {
            ConfigError(lines.iter().map(|line| format!("{}: {line}", path.display())).collect())
        })
    }

    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every problem found, with its key and what to do.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError(vec![error.to_string()]))?;
        config.checked()
    }

    fn checked(self) -> Result<Self, ConfigError> {
        let mut config = self;
        if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
            config.broker.password = Some(password);
        }
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let names =
            [("device", &self.device), ("federation", &self.federation), ("root", &self.root)];
        for (key, name) in names {
            if let Err(error) = Name::new(name) {
                problems.push(format!("{key} = {name:?}: {error}"));
            }
        }
        if !(0.0..1.0).contains(&self.training.held_back) {
            problems.push("training.held_back: use a share from 0 to below 1".into());
        }
        if self.training.nice > 19 {
            problems.push("training.nice: use 0 to 19; 19 gives way to every other program".into());
        }
        if self.link.cap_mb_per_day.is_some_and(|cap| !(CAP_MB_MIN..=1e9).contains(&cap)) {
            problems.push(format!("link.cap_mb_per_day: use {CAP_MB_MIN} or more"));
        }
        if let Err(error) = self.backend() {
            problems.push(error.to_string());
        }
        match self.broker.url.parse::<BrokerUrl>() {
            Err(error) => problems.push(format!("broker.url = {:?}: {error}", self.broker.url)),
            Ok(_) => {
                if let Some(Err(error)) = self.link().map(|link| link.check()) {
                    problems.push(format!("broker: {error}"));
                }
            }
        }
        problems.extend(self.eligibility.check().iter().map(ToString::to_string));
        problems.extend(self.inference.iter().flat_map(InferenceConfig::problems));
        problems.extend(self.source.check().into_iter().map(|line| format!("source: {line}")));
        problems
    }

    /// The connection that the configuration asks for; `None` when the URL is wrong.
    pub fn link(&self) -> Option<LinkConfig> {
        let broker = &self.broker;
        let mut link = LinkConfig::new(broker.url.parse().ok()?, &self.device);
        link.username = broker.username.clone().or_else(|| Some(self.device.clone()));
        link.password.clone_from(&broker.password);
        link.keep_alive_s = broker.keep_alive_s;
        link.tls = TlsFiles::of(&broker.ca, &broker.cert, &broker.key);
        Some(link)
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
    fn backend(&self) -> Result<(), String> {
        Ok(())
    }

    /// The backend that trains.
    ///
    /// # Errors
    /// When this program does not have it.
    #[cfg(feature = "burn")]
    pub fn backend(&self) -> Result<dunlin_models::Backend, BackendError> {
        let text = &self.training.backend;
        text.parse().map_err(|source| BackendError { text: text.clone(), source })
    }
}
