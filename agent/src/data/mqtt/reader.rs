//! Moves messages from the connection into the store.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use dunlin_link::{Link, LinkEvent};
use dunlin_service::config::Problems;

use super::message::MessageReader;
use crate::data::config::MqttConfig;
use crate::data::live::{Pace, SampleReader, lock, wall_us};
use crate::data::log_limit::{LogLimit, clock};
use crate::data::store::SampleStore;
use crate::data::{DataError, Loss};

/// Messages that wait at the most, while windows are cut, say. More are dropped.
const WAITING_MAX: usize = 128;
/// Wait between two looks at the messages; at a thousand a second, a sixth of what may wait.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes in what comes over one connection.
pub(super) struct MqttReader {
    link: Link,
    /// What came, and when, in microseconds since 1970.
    events: Receiver<(i64, LinkEvent)>,
    messages: Messages,
}

/// Makes samples of messages and puts them into the store.
pub(super) struct Messages {
    url: String,
    topic: String,
    reader: MessageReader,
    pace: Pace,
    /// Limits how often what is wrong with messages becomes the source's problem.
    refused: LogLimit,
    /// Whether a sample came over this connection.
    heard: bool,
}

impl MqttReader {
    /// Starts to connect.
    ///
    /// # Errors
    /// [`DataError::Input`] when a setting or certificate can never be used.
    pub(super) fn open(config: &MqttConfig) -> Result<Self, DataError> {
        let path = PathBuf::from(&config.input.broker.url);
        let problem = |problem| DataError::Input { path, problem };
        let link = match config.input.link() {
            Ok(link) => link,
            Err(found) => return Err(problem(Problems::of_section("source", found).to_string())),
        };
        let (sink, events) = sync_channel(WAITING_MAX);
        let link = Link::open(link, move |event| sink.try_send((wall_us(), event)).is_ok());
        let link = link.map_err(|error| problem(error.to_string()))?;
        Ok(Self { link, events, messages: Messages::new(config) })
    }
}

impl SampleReader for MqttReader {
    fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        let Ok((arrival_us, event)) = self.events.try_recv() else { return false };
        if self.messages.hear(event, arrival_us, &mut lock(store)) {
            self.link.subscribe(self.messages.topic.clone());
        }
        true
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}

impl Messages {
    /// Messages as `config` describes them.
    pub(super) fn new(config: &MqttConfig) -> Self {
        Self {
            url: config.input.broker.url.clone(),
            topic: config.input.topic.clone(),
            reader: MessageReader::new(config),
            pace: Pace::new(config.sampling.period_ns()),
            refused: LogLimit::default(),
            heard: false,
        }
    }

    /// Takes in what came at `arrival_us`; whether a new connection must subscribe.
    pub(super) fn hear(
        &mut self,
        event: LinkEvent,
        arrival_us: i64,
        store: &mut SampleStore,
    ) -> bool {
        let connected = event == LinkEvent::Connected;
        let Self { url, topic, .. } = self;
        let problem = match event {
            LinkEvent::Message { payload, .. } => {
                self.take(&payload, arrival_us, store);
                return false;
            }
            LinkEvent::Connected => {
                self.heard = false;
                format!("{url}: connected; no sample on {topic} yet")
            }
            LinkEvent::SubscribeRefused { topic } => {
                format!("{url}: the broker refuses {topic}; allow this user to read it")
            }
            LinkEvent::Disconnected { reason } | LinkEvent::Refused { reason } => reason,
        };
        store.set_problem(Some(problem));
        connected
    }

    /// Takes in the samples of a message that arrived at `arrival_us`.
    pub(super) fn take(&mut self, payload: &[u8], arrival_us: i64, store: &mut SampleStore) {
        let samples = match self.reader.read(payload) {
            Ok(samples) => samples,
            Err(problem) => {
                self.pace.skip(1);
                return self.refuse(Loss::Message, store, &problem);
            }
        };
        for (sample, left) in samples.iter().zip((0..samples.len()).rev()) {
            match sample {
                Ok(sample) => {
                    self.heard = true;
                    let arrival = || self.pace.next_of(left, arrival_us);
                    let time_us = sample.time_us.unwrap_or_else(arrival);
                    store.take(time_us, &sample.label, &sample.values);
                }
                Err(refusal) => {
                    // The sample was taken, only not understood: its time passes.
                    self.pace.skip(1);
                    self.refuse(Loss::Number, store, &refusal.to_string());
                }
            }
        }
    }

    fn refuse(&mut self, loss: Loss, store: &mut SampleStore, problem: &str) {
        let Self { url, topic, .. } = self;
        let text = format!("{url}, {topic}: {problem}");
        if !self.heard && self.refused.count(clock()).is_some() {
            store.set_problem(Some(text.clone()));
        }
        store.lose(loss, 1, || text);
    }
}
