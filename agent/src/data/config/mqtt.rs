//! `kind = "mqtt"`

use dunlin_link::{BrokerSection, LinkConfig, check_filter};
use dunlin_service::config::Problems;
use serde::Deserialize;

use super::Live;
use crate::data::mqtt::JsonPath;

/// Where the broker is when the configuration does not say.
pub(super) const LOCAL_URL: &str = "mqtt://localhost";

/// A topic of an MQTT broker with JSON messages. Each channel of the task comes from the place of
/// a number in a message.
pub type MqttConfig = Live<JsonPath, MqttInput>;

/// Which topic, and what is in its messages.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttInput {
    /// The broker; in the file its keys stand beside the others.
    #[serde(skip, default = "local")]
    pub broker: BrokerSection,
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

fn local() -> BrokerSection {
    BrokerSection::new(LOCAL_URL)
}

impl MqttInput {
    /// The connection that this asks for.
    ///
    /// # Errors
    /// What is wrong, by its keys.
    pub fn link(&self) -> Result<LinkConfig, Vec<(&'static str, String)>> {
        let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
        let client_id = self.client_id.clone().unwrap_or(format!("dunlin-{random:08x}-sensor"));
        self.broker.link(client_id)
    }
}

impl MqttConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        let input = &self.input;
        for (key, problem) in input.link().err().into_iter().flatten() {
            problems.add(key, problem);
        }
        if let Err(problem) = check_filter(&input.topic) {
            let advice = "write levels such as sensors/imu, + for any one level, # for any rest";
            problems.add("topic", format!("{problem}; {advice}"));
        }
        self.sampling.check(problems, "acc.x");
    }
}
