//! `kind = "mqtt"`

use std::collections::{BTreeMap, BTreeSet};

use dunlin_link::{BrokerSection, LinkConfig, check_filter};
use dunlin_service::config::Problems;
use serde::Deserialize;
use serde::de::Deserializer;
use toml::Value;

use super::time::plain;
use super::{Live, Missing, MissingRules, TimeField, Where};
use crate::data::mqtt::{JsonPath, covers};

/// Where the broker is when the configuration does not say.
pub(super) const LOCAL_URL: &str = "mqtt://localhost";

/// A topic of an MQTT broker with JSON messages. Each channel of the task comes from the place of
/// a number in a message.
pub type MqttConfig = Live<MqttChannel, MqttInput>;

/// Where the values of a channel stand: in the file a place, or a table of `topic` and `place`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttChannel {
    /// Topic, without wildcards, where channels are of several ([`ByTopic::Channel`]).
    pub topic: Option<String>,
    /// Place of a number in a message, or in each of its samples.
    pub place: JsonPath,
}

impl<'de> Deserialize<'de> for MqttChannel {
    #[allow(clippy::wildcard_enum_match_arm)] // a place may be any value
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            topic: String,
            place: JsonPath,
        }
        Ok(match Value::deserialize(deserializer)? {
            table @ Value::Table(_) => {
                let Table { topic, place } = table.try_into().map_err(plain)?;
                Self { topic: Some(topic), place }
            }
            place => Self { topic: None, place: place.try_into().map_err(plain::<D::Error>)? },
        })
    }
}

/// What the topics are to each other that a filter with wildcards lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByTopic {
    /// Sensors of which one is meant: `only`, or else the first topic with all channels, which stays
    /// the one after a restart. Messages of others are counted and left out. So it is, too, where
    /// nothing is said.
    One,
    /// Parts of one sample: each channel names its topic, and values are joined by time.
    Channel,
    /// One and the same sensor: messages follow each other whatever their topic.
    Mix,
}

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
    /// What several topics are to each other.
    pub by_topic: Option<ByTopic>,
    /// The topic that is meant with [`ByTopic::One`].
    pub only: Option<String>,
    /// Place of the samples where one message has several: an array.
    pub batch: Option<JsonPath>,
    /// Place of the time in a sample, and how it is written; without it, samples have the time of
    /// their arrival.
    pub time: Option<TimeField<JsonPath>>,
    /// Place of the label in a sample; an empty one, or none, is no label.
    pub label: Option<JsonPath>,
    /// What messages must hold to be samples, or each item of a batch; others are left out. With
    /// `batch`, places that begin with `$` are those of the whole message.
    #[serde(default, rename = "where")]
    pub filter: Where<JsonPath>,
    /// Values of texts that stand for a number, such as `Low = 39`.
    #[serde(default, rename = "text")]
    pub words: BTreeMap<String, f32>,
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

    fn has_wildcard(&self) -> bool {
        self.topic.contains(['+', '#'])
    }
}

impl MqttConfig {
    /// Lets channels of several topics keep their last values where the user says nothing of
    /// missing ones: each message has only some of them.
    pub(super) fn fill_missing(&mut self) {
        let missing = &mut self.sampling.intake.missing;
        if self.input.by_topic == Some(ByTopic::Channel) && *missing == MissingRules::default() {
            missing.others = Missing::Hold;
        }
    }

    /// The topic of a channel where channels have topics of their own.
    pub(in crate::data) fn topic_of<'c>(&'c self, channel: &'c MqttChannel) -> &'c str {
        channel.topic.as_deref().unwrap_or(&self.input.topic)
    }

    /// What is subscribed to: no more than is needed.
    pub(in crate::data) fn subscriptions(&self) -> BTreeSet<&str> {
        match (self.input.by_topic, &self.input.only) {
            (Some(ByTopic::Channel), _) => {
                self.sampling.channels.values().map(|channel| self.topic_of(channel)).collect()
            }
            (Some(ByTopic::One), Some(only)) => BTreeSet::from([only.as_str()]),
            (Some(ByTopic::One | ByTopic::Mix) | None, _) => {
                BTreeSet::from([self.input.topic.as_str()])
            }
        }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let input = &self.input;
        for (key, problem) in input.link().err().into_iter().flatten() {
            problems.add(key, problem);
        }
        if let Err(problem) = check_filter(&input.topic) {
            let advice = "write levels such as sensors/imu, + for any one level, # for any rest";
            problems.add("topic", format!("{problem}; {advice}"));
        }
        self.check_topics(problems);
        if let Some(time) = &input.time {
            time.format.check(problems, "time");
        }
        let blind = self.sampling.intake.resample && input.time.is_none();
        let text =
            "goes by the times of samples, not of their arrival: set source.time, or remove it";
        problems.add_if(blind, "resample", text);
        input.filter.check(problems);
        for (word, value) in &input.words {
            let text = "must be a finite number";
            problems.add_if(!value.is_finite(), &format!("text.{word}"), text);
        }
        self.sampling.check(problems, "acc.x");
    }

    fn check_topics(&self, problems: &mut Problems) {
        let input = &self.input;
        if let Some(only) = &input.only {
            let one = input.by_topic == Some(ByTopic::One);
            problems.add_if(!one, "only", "needs by_topic = \"one\"");
            self.check_topic(problems, "only", only);
        }
        let by_channel = input.by_topic == Some(ByTopic::Channel);
        for (name, channel) in &self.sampling.channels {
            let key = format!("channels.{name}");
            match &channel.topic {
                Some(topic) => {
                    problems.add_if(!by_channel, &key, "has a topic: set by_topic = \"channel\"");
                    self.check_topic(problems, &key, topic);
                }
                None => {
                    let text = "needs a topic with by_topic = \"channel\": write it as { topic = \
                                \"zigbee2mqtt/living\", place = \"temperature\" }";
                    problems.add_if(by_channel && input.has_wildcard(), &key, text);
                }
            }
        }
    }

    /// Checks a topic that `topic` must let in.
    fn check_topic(&self, problems: &mut Problems, key: &str, topic: &str) {
        let filter = &self.input.topic;
        let one = check_filter(topic).is_ok() && !topic.contains(['+', '#']);
        problems.add_if(!one, key, format!("{topic:?} must be one topic without wildcards"));
        let text = format!("{topic:?} is no topic that source.topic = {filter:?} lets in");
        problems.add_if(one && !covers(filter, topic), key, text);
    }
}
