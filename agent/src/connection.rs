//! A connection that sleeps: closed in an orderly way, opened again when it is time.

use std::time::{Duration, Instant as Clock};

use dunlin_link::{Counters, Dialer, Link, LinkConfig, LinkError, Will};

use crate::ports::{Connect, Events, Message, Transport};

/// Connections in a row that must end over a packet before it counts as too long.
const OVERSIZE_TIMES: u32 = 2;

/// The device's connection to its broker by MQTT, or the time of the next.
struct Connection {
    /// What earlier links have found out: files as they were when they could be read, the broker
    /// that answers.
    dialer: Dialer,
    will: Will,
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
        self: Box<Self>,
        will: Will,
        events: Events,
    ) -> Result<Box<dyn Transport>, LinkError> {
        let (wake, before) = (None, Counters::default());
        let dialer = Dialer::new(*self)?;
        let mut connection = Connection { dialer, will, events, link: None, wake, before };
        connection.open()?;
        Ok(Box::new(connection))
    }
}

impl Connection {
    fn open(&mut self) -> Result<(), LinkError> {
        let events = self.events.clone();
        self.link = Some(Link::open_with(&self.dialer, Some(self.will.clone()), move |event| {
            events(event)
        })?);
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

    fn set_will(&mut self, will: Will) {
        if let Some(link) = &self.link {
            link.set_will(will.clone());
        }
        self.will = will;
    }

    fn subscribe_once(&mut self, topic: String) {
        if let Some(link) = &self.link {
            link.subscribe_once(topic);
        }
    }

    fn oversize(&self) -> Option<usize> {
        let oversize = self.link.as_ref().and_then(Link::oversize)?;
        (oversize.times >= OVERSIZE_TIMES).then_some(oversize.bytes)
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
        overlong: a.overlong + b.overlong,
    }
}
