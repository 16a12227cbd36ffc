//! A client that waits for what it expects.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use super::PATIENCE;
use crate::{Link, LinkConfig, LinkEvent};

/// How long a test has waited is told by nothing but a clock.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// A [`Link`] with its events in a queue, for tests that wait for what they expect.
pub struct TestClient {
    /// The link, to publish and subscribe with.
    pub link: Link,
    events: Receiver<LinkEvent>,
}

impl TestClient {
    /// Opens the link.
    ///
    /// # Panics
    /// When the configuration is refused.
    pub fn open(config: LinkConfig) -> Self {
        let (sink, events) = channel();
        let link = Link::open(config, move |event| sink.send(event).is_ok());
        Self { link: link.unwrap_or_else(|error| panic!("{error}")), events }
    }

    /// The next event for which `choose` gives something; events before it are thrown away.
    ///
    /// # Panics
    /// When none comes for a minute; the message carries the events that did come.
    pub fn wait<T>(&self, mut choose: impl FnMut(&LinkEvent) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let end = now() + PATIENCE;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(now())) {
                Ok(event) => match choose(&event) {
                    Some(value) => return value,
                    None => seen.push(format!("{event:.200?}")),
                },
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("the expected event did not come; these did: {seen:#?}");
                }
            }
        }
    }

    /// The next event that is there already.
    pub fn poll(&self) -> Option<LinkEvent> {
        self.events.try_recv().ok()
    }

    /// Waits for a connection.
    ///
    /// # Panics
    /// Like [`TestClient::wait`].
    pub fn wait_connected(&self) {
        self.wait(|event| (*event == LinkEvent::Connected).then_some(()));
    }

    /// Waits for the loss of a connection or a failed attempt: the reason.
    ///
    /// # Panics
    /// Like [`TestClient::wait`].
    pub fn wait_disconnected(&self) -> String {
        self.wait(|event| match event {
            LinkEvent::Disconnected { reason } => Some(reason.clone()),
            LinkEvent::Connected
            | LinkEvent::Refused { .. }
            | LinkEvent::SubscribeRefused { .. }
            | LinkEvent::Message { .. } => None,
        })
    }

    /// Waits for a message: its topic and payload.
    ///
    /// # Panics
    /// Like [`TestClient::wait`].
    pub fn wait_message(&self) -> (String, Vec<u8>) {
        self.wait(|event| match event {
            LinkEvent::Message { topic, payload } => Some((topic.clone(), payload.clone())),
            LinkEvent::Connected
            | LinkEvent::Disconnected { .. }
            | LinkEvent::Refused { .. }
            | LinkEvent::SubscribeRefused { .. } => None,
        })
    }

    /// Subscribes to `filter` and waits until the broker has acted on it, by publishing to `proof`,
    /// which the filter must cover and this client must be allowed to write.
    ///
    /// # Panics
    /// Like [`TestClient::wait`].
    pub fn subscribe_and_wait(&self, filter: &str, proof: &str) {
        self.link.subscribe(filter.to_owned());
        self.link.publish(proof.to_owned(), b"proof".to_vec(), false);
        while self.wait_message().0 != proof {}
    }
}
