//! `kind = "mqtt"`

use std::fmt;
use std::path::PathBuf;

use dunlin_link::{LinkConfig, LinkError, TlsFiles, UrlError, check_filter};
use serde::Deserialize;

use super::{Live, Problems};
use crate::data::mqtt::JsonPath;

/// A topic of an MQTT broker with JSON messages. Each channel of the task comes from the place of
/// a number in a message.
pub type MqttConfig = Live<JsonPath, MqttInput>;

/// Which topic, and what is in its messages.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttInput {
    /// `mqtt://host:port` or `mqtts://host:port`; without a port 1883 or 8883.
    #[serde(default = "default_url")]
    pub url: String,
    /// User name, where the broker asks for one.
    pub username: Option<String>,
    /// Password of the account; only with a user name.
    pub password: Option<String>,
    /// Certificate authority in PEM; the system's when absent.
    pub ca: Option<PathBuf>,
    /// Client certificate in PEM.
    pub cert: Option<PathBuf>,
    /// Client key in PEM.
    pub key: Option<PathBuf>,
    /// Client id; made from a random number when absent. It must differ from that of every other
    /// client, the agent's own connection included: a broker ends the older of two connections
    /// with one id. Mosquitto with `use_username_as_clientid` takes the user name for the id, so
    /// the user name must differ, too.
    pub client_id: Option<String>,
    /// Topic filter; `+` and `#` stand for any level and any rest.
    pub topic: String,
    /// Place of the samples where one message has several: an array.
    pub batch: Option<JsonPath>,
    /// Place of the time in a sample; without it, samples have the time of their arrival.
    pub time: Option<JsonPath>,
    /// Place of the label in a sample; an empty one, or none, is no label.
    pub label: Option<JsonPath>,
}

fn default_url() -> String {
    "mqtt://localhost".to_owned()
}

/// Leaves the password out.
impl fmt::Debug for MqttInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttInput")
            .field("url", &self.url)
            .field("username", &self.username)
            .field("client_id", &self.client_id)
            .field("topic", &self.topic)
            .field("batch", &self.batch)
            .field("time", &self.time)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl MqttInput {
    /// The connection that this asks for.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn link(&self) -> Result<LinkConfig, UrlError> {
        let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
        let client_id = self.client_id.clone().unwrap_or(format!("dunlin-{random:08x}-sensor"));
        let mut link = LinkConfig::new(self.url.parse()?, client_id);
        link.username.clone_from(&self.username);
        link.password.clone_from(&self.password);
        link.tls = TlsFiles::of(&self.ca, &self.cert, &self.key);
        Ok(link)
    }
}

impl MqttConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        let input = &self.input;
        match input.link() {
            Err(error) => problems.add(true, "url", format!("{:?}: {error}", input.url)),
            Ok(link) => match link.check() {
                Ok(()) => {}
                Err(LinkError::Setting { name, problem }) => {
                    let key = name.strip_prefix("tls.").unwrap_or(name);
                    let key = if key == "tls" { "url" } else { key };
                    problems.add(true, key, problem);
                }
                Err(error) => problems.add(true, "url", error.to_string()),
            },
        }
        if let Err(problem) = check_filter(&input.topic) {
            let advice = "write levels such as sensors/imu, + for any one level, # for any rest";
            problems.add(true, "topic", format!("{problem}; {advice}"));
        }
        self.sampling.check(problems, "acc.x");
    }
}
