//! A connection that sleeps: closed in an orderly way, opened again when it is time.

use std::time::{Duration, Instant as Clock};

use dunlin_link::{Counters, Link, LinkConfig, LinkError, LinkEvent};

/// Makes the receiver of a link's events; each link has its own.
pub(crate) type MakeSink = Box<dyn Fn() -> Box<dyn FnMut(LinkEvent) -> bool + Send>>;

/// A message to leave with: topic, payload, whether it is kept.
pub(crate) type LastWord = (String, Vec<u8>, bool);

/// The device's connection to its broker, or the time of the next.
pub(crate) struct Connection {
    config: LinkConfig,
    sink: MakeSink,
    link: Option<Link>,
    wake: Option<Clock>,
    /// What earlier links have carried.
    before: Counters,
}

#[allow(clippy::disallowed_methods)] // part of the shell: sleeps by the clock of the machine
fn now() -> Clock {
    Clock::now()
}

impl Connection {
    /// Opens the first link.
    ///
    /// # Errors
    /// When the settings are wrong.
    pub(crate) fn open(config: LinkConfig, sink: MakeSink) -> Result<Self, LinkError> {
        let link = Some(Link::open(config.clone(), sink())?);
        Ok(Self { config, sink, link, wake: None, before: Counters::default() })
    }

    /// The link, unless it sleeps.
    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// What all links have carried.
    pub(crate) fn counters(&self) -> Counters {
        let now = self.link.as_ref().map(Link::counters).unwrap_or_default();
        sum(self.before, now)
    }

    /// Leaves the broker until `span` has passed.
    pub(crate) fn sleep(&mut self, last: Vec<LastWord>, span: Duration) {
        self.close(last);
        self.wake = now().checked_add(span);
    }

    /// Time until the link opens again; opens it when that has come.
    ///
    /// # Errors
    /// When a file of the settings can no longer be read.
    pub(crate) fn until_awake(&mut self) -> Result<Option<Duration>, LinkError> {
        let Some(wake) = self.wake else { return Ok(None) };
        let left = wake.saturating_duration_since(now());
        if !left.is_zero() {
            return Ok(Some(left));
        }
        self.wake = None;
        self.link = Some(Link::open(self.config.clone(), (self.sink)())?);
        Ok(None)
    }

    /// Says `last` and leaves; what had been carried by then.
    pub(crate) fn close(&mut self, last: Vec<LastWord>) -> Counters {
        if let Some(link) = self.link.take() {
            let sender = link.sender();
            link.close(last);
            self.before = sum(self.before, sender.counters());
        }
        self.before
    }

    /// Ends without a word.
    pub(crate) fn abort(&mut self) {
        if let Some(link) = self.link.take() {
            link.abort();
        }
    }
}

fn sum(a: Counters, b: Counters) -> Counters {
    Counters {
        payload_bytes_up: a.payload_bytes_up + b.payload_bytes_up,
        payload_bytes_down: a.payload_bytes_down + b.payload_bytes_down,
        messages_up: a.messages_up + b.messages_up,
        messages_down: a.messages_down + b.messages_down,
        dropped: a.dropped + b.dropped,
        reconnects: a.reconnects + b.reconnects,
    }
}
