//! Events of the connection that wait for the core: bounded in bytes, not in number.
//!
//! A broker hands out the retained presence of every device at once after a subscription. Those
//! messages are short and come only once, while chunks are long and are sent again. So presence has
//! room of its own, for as many devices as are followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use dunlin_link::LinkEvent;
use dunlin_protocol::topic::{Topic, Topics};

use crate::settings::{DEVICES_MAX, Enrolment};

/// What an event costs beside its topic and payload, in bytes.
const EVENT_BYTES: usize = 128;
/// What the presence of a device costs in bytes, if its name and what it says are as long as they
/// get under a root like ours.
const PRESENCE_BYTES: usize = EVENT_BYTES + 160;

/// What may wait at the most, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Presence, of devices and of the aggregator itself: it comes once.
    presence: usize,
    /// Everything else. What finds no room is dropped: devices send chunks and claims again.
    rest: usize,
}

impl Limits {
    /// The presence of all devices that are followed, and some thousands of long chunks.
    const MOST: Self = Self { presence: DEVICES_MAX * PRESENCE_BYTES, rest: 64 * 1024 * 1024 };

    /// As much as the devices of this enrolment need; those of others are let in up to as many again.
    pub(crate) fn of_enrolment(enrolled: &Enrolment) -> Self {
        let devices = match enrolled {
            Enrolment::Any => DEVICES_MAX,
            Enrolment::Only(devices) => (2 * devices.len() + 1_000).min(DEVICES_MAX),
        };
        Self { presence: devices * PRESENCE_BYTES, ..Self::MOST }
    }

    fn of(self, lane: Lane) -> usize {
        match lane {
            Lane::Presence => self.presence,
            Lane::Rest => self.rest,
        }
    }
}

/// What an event shares its room with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Presence,
    Rest,
}

/// Bytes that wait now, by what they share their room with.
#[derive(Default)]
struct Waiting {
    presence: AtomicUsize,
    rest: AtomicUsize,
}

impl Waiting {
    fn of(&self, lane: Lane) -> &AtomicUsize {
        match lane {
            Lane::Presence => &self.presence,
            Lane::Rest => &self.rest,
        }
    }
}

/// Where the connection's thread puts events.
pub(crate) struct Inlet {
    events: Sender<(Lane, LinkEvent)>,
    waiting: Arc<Waiting>,
    limits: Limits,
    topics: Topics,
}

/// Where the core's thread takes them.
pub(crate) struct Inbox {
    events: Receiver<(Lane, LinkEvent)>,
    waiting: Arc<Waiting>,
}

/// Both ends of a queue of events in this tree of topics.
pub(crate) fn inbox(limits: Limits, topics: Topics) -> (Inlet, Inbox) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(Waiting::default());
    let inlet = Inlet { events: sender, waiting: Arc::clone(&waiting), limits, topics };
    (inlet, Inbox { events: receiver, waiting })
}

fn cost(event: &LinkEvent) -> usize {
    match event {
        LinkEvent::Message { topic, payload } => EVENT_BYTES + topic.len() + payload.len(),
        LinkEvent::Connected
        | LinkEvent::Disconnected { .. }
        | LinkEvent::Refused { .. }
        | LinkEvent::SubscribeRefused { .. } => EVENT_BYTES,
    }
}

impl Inlet {
    fn lane(&self, event: &LinkEvent) -> Lane {
        let LinkEvent::Message { topic, .. } = event else { return Lane::Rest };
        match self.topics.parse(topic) {
            Some(Topic::DeviceState(_) | Topic::ServerState(_)) => Lane::Presence,
            Some(
                Topic::Up(..)
                | Topic::Down(..)
                | Topic::Out(..)
                | Topic::Plan(_)
                | Topic::Object(..),
            )
            | None => Lane::Rest,
        }
    }

    /// Whether `event` was taken: not when its room is full or nobody reads it any more.
    pub(crate) fn offer(&self, event: LinkEvent) -> bool {
        let (cost, lane) = (cost(&event), self.lane(&event));
        let waiting = self.waiting.of(lane);
        // There is one writer, so nothing is added between the look and the addition.
        if waiting.load(Ordering::Acquire).saturating_add(cost) > self.limits.of(lane) {
            return false;
        }
        waiting.fetch_add(cost, Ordering::AcqRel);
        self.events.send((lane, event)).is_ok()
    }
}

impl Inbox {
    /// The next event.
    ///
    /// # Errors
    /// When none comes within `wait`, or the connection's thread has ended.
    pub(crate) fn recv_timeout(&self, wait: Duration) -> Result<LinkEvent, RecvTimeoutError> {
        let (lane, event) = self.events.recv_timeout(wait)?;
        self.waiting.of(lane).fetch_sub(cost(&event), Ordering::AcqRel);
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::name;
    use dunlin_protocol::presence::{Ineligible, Presence, State};

    fn open(limits: Limits) -> (Inlet, Inbox) {
        inbox(limits, Topics::default())
    }

    fn message(bytes: usize) -> LinkEvent {
        LinkEvent::Message { topic: String::new(), payload: vec![0; bytes] }
    }

    /// The longest presence of a device with a name of 64 characters.
    fn presence() -> LinkEvent {
        let held = Some(Ineligible::Charging);
        let payload = Presence { held, ..Presence::new(State::Offline, u32::MAX) }.encode().into();
        let topic = Topics::default().name(&Topic::DeviceState(name(&"d".repeat(64))));
        LinkEvent::Message { topic, payload }
    }

    #[test]
    fn many_short_messages_fit_where_few_long_ones_do() {
        let (inlet, inbox) = open(Limits { presence: 0, rest: 1024 * 1024 });
        assert!((0..8000).all(|_| inlet.offer(message(2))));
        assert!(!inlet.offer(message(120 * 1024)));
        for _ in 0..8000 {
            inbox.recv_timeout(Duration::ZERO).unwrap();
        }
        assert!((0..8).all(|_| inlet.offer(message(120 * 1024))));
        assert!(!inlet.offer(message(120 * 1024)));
    }

    #[test]
    fn the_presence_of_every_device_that_is_followed_has_room_beside_chunks() {
        assert!(cost(&presence()) <= PRESENCE_BYTES, "{}", cost(&presence()));
        const { assert!(Limits::MOST.presence / PRESENCE_BYTES >= DEVICES_MAX) };
        let (inlet, inbox) = open(Limits { presence: 3 * PRESENCE_BYTES, rest: 1024 });
        while inlet.offer(message(100)) {}
        assert!((0..3).all(|_| inlet.offer(presence())));
        assert!(!inlet.offer(presence()), "there is a bound for presence, too");
        let mut taken = Vec::new();
        while let Ok(event) = inbox.recv_timeout(Duration::ZERO) {
            taken.push(event);
        }
        assert_eq!(taken[taken.len() - 3..], [presence(), presence(), presence()]);
        assert!(inlet.offer(message(100)) && inlet.offer(presence()), "there is room again");
    }

    #[test]
    fn an_event_that_nobody_reads_is_not_taken() {
        let (inlet, inbox) = open(Limits { presence: 1024, rest: 1024 });
        drop(inbox);
        assert!(!inlet.offer(LinkEvent::Connected));
    }
}
