//! A connection that sleeps: closed in an orderly way, opened again when it is time.

use std::time::{Duration, Instant as Clock};

use dunlin_link::{Counters, Link, LinkConfig, LinkError, Will};

use crate::ports::{Connect, Events, Message, Transport};

/// The device's connection to its broker by MQTT, or the time of the next.
struct Connection {
    config: LinkConfig,
    events: Events,
    link: Option<Link>,
    wake: Option<Clock>,
    /// What earlier links have carried.
    before: Counters,
}

#[allow(clippy::disallowed_methods)] // part of the shell: sleeps by the clock of the machine
fn now() -> Clock {
    Clock::now()
}

impl Connect for LinkConfig {
    fn connect(
        mut self: Box<Self>,
        will: Will,
        events: Events,
    ) -> Result<Box<dyn Transport>, LinkError> {
        self.will = Some(will);
        let (wake, before) = (None, Counters::default());
        let mut connection = Connection { config: *self, events, link: None, wake, before };
        connection.open()?;
        Ok(Box::new(connection))
    }
}

impl Connection {
    fn open(&mut self) -> Result<(), LinkError> {
        let events = self.events.clone();
        self.link = Some(Link::open(self.config.clone(), move |event| events(event))?);
        Ok(())
    }
}

impl Transport for Connection {
    fn publish(&mut self, (topic, payload, retain): Message) {
        if let Some(link) = &self.link {
            link.publish(topic, payload, retain);
        }
    }

    fn subscribe(&mut self, topic: String) {
        if let Some(link) = &self.link {
            link.subscribe(topic);
        }
    }

    fn unsubscribe(&mut self, topic: String) {
        if let Some(link) = &self.link {
            link.unsubscribe(topic);
        }
    }

    fn counters(&self) -> Counters {
        let now = self.link.as_ref().map(Link::counters).unwrap_or_default();
        sum(self.before, now)
    }

    fn heartbeat(&self) -> Option<u64> {
        self.link.as_ref().map(Link::heartbeat)
    }

    fn set_will(&mut self, payload: Vec<u8>) {
        if let Some(link) = &self.link {
            link.set_will(payload.clone());
        }
        if let Some(will) = &mut self.config.will {
            will.payload = payload;
        }
    }

    fn sleep(&mut self, span: Duration) {
        self.close(Vec::new());
        self.wake = now().checked_add(span);
    }

    fn until_awake(&mut self) -> Result<Option<Duration>, LinkError> {
        let Some(wake) = self.wake else { return Ok(None) };
        let left = wake.saturating_duration_since(now());
        if !left.is_zero() {
            return Ok(Some(left));
        }
        self.wake = None;
        self.open()?;
        Ok(None)
    }

    fn close(&mut self, last: Vec<Message>) -> Counters {
        if let Some(link) = self.link.take() {
            let sender = link.sender();
            link.close(last);
            self.before = sum(self.before, sender.counters());
        }
        self.before
    }

    fn abort(&mut self) {
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
