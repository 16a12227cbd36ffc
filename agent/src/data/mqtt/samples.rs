//! From messages to samples in the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use dunlin_link::LinkEvent;

use super::joiner::Joiner;
use super::message::{Item, MessageReader, Sample};
use super::topics::OneTopic;
use crate::data::Loss;
use crate::data::config::{ByTopic, MqttConfig};
use crate::data::intake::OwnedReading;
use crate::data::live::{Pace, lock};
use crate::data::store::SampleStore;

/// Makes samples of messages and puts them into the store.
pub(super) struct Messages {
    url: String,
    /// What is subscribed to, for people.
    topic: String,
    topics: Topics,
    pace: Pace,
    /// Whether samples bring no time of their own.
    by_arrival: bool,
    /// Whether a sample came over this connection.
    heard: bool,
    /// Whether the last connection ended over a message that is too long to be read.
    overlong: bool,
    /// Whether any did.
    narrow: bool,
}

/// What several topics are to each other.
enum Topics {
    /// One and the same sensor.
    Same(MessageReader),
    /// Sensors of which one is meant.
    One(MessageReader, OneTopic),
    /// Parts of one sample: for each topic the numbers of its channels.
    Parts(BTreeMap<String, (MessageReader, Vec<usize>)>, Joiner),
}

impl Messages {
    /// Messages as `config` describes them; which topic is meant is remembered in `state_dir`.
    pub(super) fn new(config: &MqttConfig, state_dir: &Path) -> Self {
        let (input, sampling) = (&config.input, &config.sampling);
        let all =
            || MessageReader::new(config, sampling.channels.values().map(|channel| &channel.place));
        let open = input.topic.contains(['+', '#']) && input.only.is_none();
        let topics = match input.by_topic {
            Some(ByTopic::Channel) => {
                let silence_s = sampling.intake.missing_max_s;
                let joiner = Joiner::new(sampling.channels.len(), sampling.period_ns(), silence_s);
                Topics::Parts(parts(config), joiner)
            }
            Some(ByTopic::One) | None if open => {
                Topics::One(all(), OneTopic::open(&input.topic, state_dir))
            }
            Some(ByTopic::One | ByTopic::Mix) | None => Topics::Same(all()),
        };
        Self {
            url: input.broker.url.clone(),
            topic: config.subscriptions().into_iter().collect::<Vec<_>>().join(", "),
            topics,
            pace: Pace::new(sampling.period_ns()),
            by_arrival: input.time.is_none(),
            heard: false,
            overlong: false,
            narrow: false,
        }
    }

    /// Notes whether the last connection ended over a message that is too long to be read.
    pub(super) fn set_overlong(&mut self, overlong: bool) {
        self.overlong = overlong;
        self.narrow |= overlong;
    }

    /// The one topic to subscribe to instead of all that the filter lets in, after one of these had a
    /// message that ended the connection: a retained one would do so each time.
    pub(super) fn narrowed(&self) -> Option<&str> {
        match &self.topics {
            Topics::One(_, one) if self.narrow => one.kept(),
            Topics::One(..) | Topics::Same(_) | Topics::Parts(..) => None,
        }
    }

    /// What to do about a message that ends each connection.
    fn advice_on_overlong(&self) -> String {
        format!(
            "a message on one of the topics {} is too long to be read; where it is retained, it comes \
             with each connection: remove it (mosquitto_pub -r -n -t TOPIC), or let source.topic name \
             narrower topics",
            self.topic
        )
    }

    /// Takes in what came at `arrival_us`; whether a new connection must subscribe.
    pub(super) fn hear(
        &mut self,
        event: LinkEvent,
        arrival_us: i64,
        store: &mut SampleStore,
    ) -> bool {
        let connected = event == LinkEvent::Connected;
        let Self { url, topic, .. } = &*self;
        let problem = match event {
            LinkEvent::Message { topic, payload } => {
                self.take(&topic, &payload, arrival_us, store);
                return false;
            }
            LinkEvent::Connected => {
                let problem = match self.overlong {
                    true => format!("{url}: connected again; {}", self.advice_on_overlong()),
                    false => format!("{url}: connected; no sample on {topic} yet"),
                };
                self.heard = false;
                problem
            }
            LinkEvent::SubscribeRefused { topic } => {
                format!("{url}: the broker refuses {topic}; allow this user to read it")
            }
            LinkEvent::Disconnected { reason } if self.overlong => {
                format!("{reason}; {}", self.advice_on_overlong())
            }
            LinkEvent::Disconnected { reason } | LinkEvent::Refused { reason } => reason,
        };
        store.set_problem(Some(problem));
        connected
    }

    /// Lets time pass when nothing comes: joined samples do not wait for the next message.
    pub(super) fn idle(&mut self, now_us: i64, store: &Mutex<SampleStore>) {
        if let Topics::Parts(_, joiner) = &mut self.topics
            && self.by_arrival
        {
            joiner.advance(now_us, |time_us, label, values| {
                lock(store).take(time_us, label, values);
            });
        }
    }

    /// Takes in the samples of a message on `topic` that arrived at `arrival_us`.
    pub(super) fn take(
        &mut self,
        topic: &str,
        payload: &[u8],
        arrival_us: i64,
        store: &mut SampleStore,
    ) {
        let reader = match &mut self.topics {
            Topics::Same(reader) => reader,
            Topics::One(reader, one) => match one.instead_of(topic) {
                None => reader,
                Some(kept) => return store.lose(Loss::Topic, 1, || other_topic(topic, kept)),
            },
            Topics::Parts(parts, _) => match parts.get_mut(topic) {
                Some((reader, _)) => reader,
                None => return, // of a filter of before
            },
        };
        let mut items = match reader.read(payload) {
            Ok(items) => items,
            Err(problem) => {
                self.pace.skip(1);
                return self.refuse(Loss::Message, topic, store, &problem);
            }
        };
        let before = items.len();
        items.retain(|item| *item != Item::Filtered);
        let filtered = (before - items.len()) as u64;
        store.lose(Loss::Filtered, filtered, || format!("{topic}: not what `where` asks for"));
        if let Topics::One(_, one) = &mut self.topics
            && !one.is_known()
            && items.iter().any(Item::is_whole)
        {
            one.keep(topic);
        }
        let samples = self.samples(topic, items, arrival_us, store);
        if !samples.is_empty() {
            self.put(topic, samples, store);
        }
    }

    /// The samples among `items`, each with its time; all else is counted.
    fn samples(
        &mut self,
        topic: &str,
        items: Vec<Item>,
        arrival_us: i64,
        store: &mut SampleStore,
    ) -> Vec<(i64, Sample)> {
        let undecided = matches!(&self.topics, Topics::One(_, one) if !one.is_known());
        let joined = matches!(self.topics, Topics::Parts(..));
        let count = items.len();
        let mut samples = Vec::with_capacity(count);
        for (item, left) in items.into_iter().zip((0..count).rev()) {
            match item {
                Item::Sample(_) if undecided => {
                    let problem = "lacks a channel; the first topic that has all will be the one";
                    self.refuse(Loss::Missing, topic, store, problem);
                }
                Item::Sample(sample) => {
                    // Each topic has a pace of its own, which samples that are joined need not know.
                    let arrival = || match joined {
                        true => arrival_us,
                        false => self.pace.next_of(left, arrival_us),
                    };
                    samples.push((sample.time_us.unwrap_or_else(arrival), sample));
                }
                Item::Refused(loss, problem) => {
                    // The sample was taken, only not understood: its time passes.
                    self.pace.skip(1);
                    self.refuse(loss, topic, store, &problem);
                }
                Item::Filtered => {}
            }
        }
        samples
    }

    /// Puts samples with their times into the store, or into what joins them.
    fn put(&mut self, topic: &str, mut samples: Vec<(i64, Sample)>, store: &mut SampleStore) {
        let Topics::Parts(parts, joiner) = &mut self.topics else {
            self.heard = true;
            let reading =
                |(time_us, Sample { label, values, .. })| OwnedReading { time_us, label, values };
            return store.take_batch(&mut samples.into_iter().map(reading).collect());
        };
        let Some((_, channels)) = parts.get(topic) else { return };
        samples.sort_by_key(|(time_us, _)| *time_us);
        for (time_us, Sample { label, values, .. }) in samples {
            joiner.advance(time_us, |time_us, label, values| store.take(time_us, label, values));
            let values = channels.iter().copied().zip(values);
            if !joiner.set(time_us, &label, values) {
                store.lose(Loss::Order, 1, || {
                    format!("{topic}: the samples of all topics are past this one already")
                });
            }
        }
        let unheard = joiner.unheard();
        let is_unheard = |channels: &[usize]| channels.iter().any(|at| unheard.contains(at));
        let waits = parts.iter().filter(|(_, (_, channels))| is_unheard(channels));
        let waits: Vec<&str> = waits.map(|(topic, _)| topic.as_str()).collect();
        if waits.is_empty() {
            self.heard = true;
        } else {
            let url = &self.url;
            let text = format!("{url}: no value yet from {}", waits.join(", "));
            store.set_problem(Some(text));
        }
    }

    fn refuse(&mut self, loss: Loss, topic: &str, store: &mut SampleStore, problem: &str) {
        let text = format!("{topic}: {problem}");
        if !self.heard {
            store.set_problem(Some(format!("{}: {text}", self.url)));
        }
        store.lose(loss, 1, || text);
    }
}

/// The topics of the channels, each with a reader of its own.
fn parts(config: &MqttConfig) -> BTreeMap<String, (MessageReader, Vec<usize>)> {
    let mut numbers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, channel) in config.sampling.channels.values().enumerate() {
        numbers.entry(config.topic_of(channel)).or_default().push(number);
    }
    let part = |(topic, numbers): (&str, Vec<usize>)| {
        let own = config.sampling.channels.values();
        let own = own.filter(|channel| config.topic_of(channel) == topic);
        let reader = MessageReader::new(config, own.map(|channel| &channel.place));
        (topic.to_owned(), (reader, numbers))
    };
    numbers.into_iter().map(part).collect()
}

fn other_topic(topic: &str, kept: &str) -> String {
    format!(
        "{topic}: samples come from {kept} alone; where another is meant, name it: by_topic = \"one\", \
         only = \"...\"; for channels of several topics set by_topic = \"channel\"; \"mix\" takes all \
         topics for one sensor"
    )
}
