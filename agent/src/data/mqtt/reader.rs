//! Moves messages from the connection into the store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dunlin_link::{Link, LinkConfig, LinkEvent};
use dunlin_service::config::Problems;

use super::queue::Queue;
use super::samples::Messages;
use crate::data::config::MqttConfig;
use crate::data::live::{SampleReader, lock, wall_us};
use crate::data::store::SampleStore;
use crate::data::{DataError, Loss};

/// Longest message in bytes: batches of phones have less than a tenth of it.
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Wait between two looks at the messages.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes in what comes over one connection.
pub(super) struct MqttReader {
    link: Link,
    /// What came, and when, in microseconds since 1970.
    queue: Arc<Queue>,
    messages: Messages,
    subscriptions: Vec<String>,
    /// Messages that the link has dropped, as far as the store knows.
    dropped: u64,
    /// Connections that ended over a message that is too long, as far as the messages know.
    overlong: u64,
}

impl MqttReader {
    /// Starts to connect.
    ///
    /// # Errors
    /// [`DataError::Input`] when a setting or certificate can never be used.
    pub(super) fn open(config: &MqttConfig, state_dir: &Path) -> Result<Self, DataError> {
        let path = PathBuf::from(&config.input.broker.url);
        let problem = |problem| DataError::Input { path, problem };
        let link = match config.input.link() {
            Ok(link) => LinkConfig { message_bytes_max: MESSAGE_BYTES_MAX, ..link },
            Err(found) => return Err(problem(Problems::of_section("source", found).to_string())),
        };
        let queue = Arc::new(Queue::default());
        let events = Arc::clone(&queue);
        // Waiting for room holds this connection up and nothing else: it only listens.
        let link = Link::open(link, move |event| events.push(wall_us(), event));
        let link = link.map_err(|error| problem(error.to_string()))?;
        let messages = Messages::new(config, state_dir);
        let subscriptions = config.subscriptions().into_iter().map(str::to_owned).collect();
        Ok(Self { link, queue, messages, subscriptions, dropped: 0, overlong: 0 })
    }

    fn count_dropped(&mut self, store: &Mutex<SampleStore>) {
        let dropped = self.link.counters().dropped;
        let fresh = dropped.saturating_sub(self.dropped);
        if fresh > 0 {
            self.dropped = dropped;
            lock(store).lose(Loss::Dropped, fresh, || {
                "messages over 2 MiB, or more than 16 MiB waiting while the device was busy; publish \
                 less at once, or name narrower topics in source.topic"
                    .to_owned()
            });
        }
    }
}

impl SampleReader for MqttReader {
    fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        let Some((arrival_us, event)) = self.queue.pop() else {
            self.count_dropped(store);
            self.messages.idle(wall_us(), store);
            return false;
        };
        if matches!(event, LinkEvent::Disconnected { .. }) {
            let overlong = self.link.counters().overlong;
            self.messages.set_overlong(overlong > self.overlong);
            self.overlong = overlong;
        }
        if self.messages.hear(event, arrival_us, &mut lock(store)) {
            match self.messages.narrowed() {
                Some(topic) => self.link.subscribe(topic.to_owned()),
                None => {
                    self.subscriptions.iter().for_each(|topic| self.link.subscribe(topic.clone()))
                }
            }
        }
        true
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}

impl Drop for MqttReader {
    fn drop(&mut self) {
        // The connection's thread must not wait for room while the link waits for its end.
        self.queue.close();
    }
}
