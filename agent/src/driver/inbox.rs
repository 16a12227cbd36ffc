//! Events that wait for the session: bounded in number.
//!
//! Most of what finds no room comes again, because it is asked for once more. A plan and an
//! aggregator's presence do not: the broker hands them out once to a connection. So the newest of
//! each of their topics waits apart.

use std::collections::BTreeMap;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dunlin_link::LinkEvent;
use dunlin_protocol::topic::{Topic, Topics};

use super::Event;

/// Topics of which a message may wait apart: one plan, and aggregators one after the other.
const APART_MAX: usize = 8;

/// The newest message of each topic that found no room.
#[derive(Clone, Default)]
struct Apart(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Apart {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // Each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the session's thread takes events.
pub(super) struct Inbox {
    events: Receiver<Event>,
    apart: Apart,
}

/// Where the connection's thread puts them.
#[derive(Clone)]
pub(super) struct Inlet {
    events: SyncSender<Event>,
    apart: Apart,
    topics: Topics,
}

/// A queue of `events_max` events.
pub(super) fn open(events_max: usize) -> (SyncSender<Event>, Inbox) {
    let (sender, events) = sync_channel(events_max);
    (sender, Inbox { events, apart: Apart::default() })
}

impl Inbox {
    /// The inlet for the connection in this tree of topics, at the queue that `sender` fills.
    pub(super) fn inlet(&self, sender: SyncSender<Event>, topics: Topics) -> Inlet {
        Inlet { events: sender, apart: self.apart.clone(), topics }
    }

    /// The next event.
    ///
    /// # Errors
    /// When none comes within `wait`, or all senders are gone.
    pub(super) fn recv_timeout(&self, wait: Duration) -> Result<Event, RecvTimeoutError> {
        match self.events.try_recv() {
            Ok(event) => return Ok(event),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        // What waits apart came after everything that was in the queue when it came.
        if let Some((topic, payload)) = self.apart.lock().pop_first() {
            return Ok(Event::Link(LinkEvent::Message { topic, payload }));
        }
        self.events.recv_timeout(wait)
    }
}

impl Inlet {
    /// Whether `event` was taken.
    pub(super) fn offer(&self, event: LinkEvent) -> bool {
        let mut apart = self.apart.lock();
        if let LinkEvent::Message { topic, payload } = &event
            && let Some(waiting) = apart.get_mut(topic)
        {
            // It must not overtake the one that waits: it takes its place.
            waiting.clone_from(payload);
            return true;
        }
        match self.events.try_send(Event::Link(event)) {
            Ok(()) => true,
            Err(TrySendError::Full(Event::Link(LinkEvent::Message { topic, payload })))
                if self.comes_once(&topic) && apart.len() < APART_MAX =>
            {
                apart.insert(topic, payload);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether nobody asks for messages of this topic again.
    fn comes_once(&self, topic: &str) -> bool {
        matches!(self.topics.parse(topic), Some(Topic::Plan(_) | Topic::ServerState(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::id::{Digest, Name};

    fn message(topic: &Topic, text: &str) -> LinkEvent {
        LinkEvent::Message { topic: Topics::default().name(topic), payload: text.into() }
    }

    fn chunk() -> LinkEvent {
        message(&Topic::Object(Name::new("gait").unwrap(), Digest::of(b"x").short(), 0), "chunk")
    }

    fn plan(text: &str) -> LinkEvent {
        message(&Topic::Plan(Name::new("gait").unwrap()), text)
    }

    fn server(instance: &str) -> LinkEvent {
        message(&Topic::ServerState(Name::new(instance).unwrap()), "online")
    }

    /// Everything that waits now, in order.
    fn heard(inbox: &Inbox) -> Vec<LinkEvent> {
        let next = || match inbox.recv_timeout(Duration::ZERO) {
            Ok(Event::Link(event)) => Some(event),
            Ok(_) | Err(_) => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_plan_that_finds_no_room_is_heard_once_there_is() {
        let (sender, inbox) = open(2);
        let inlet = inbox.inlet(sender, Topics::default());
        assert!(inlet.offer(chunk()) && inlet.offer(chunk()));
        assert!(!inlet.offer(chunk()), "it is asked for again");
        assert!(inlet.offer(plan("first")) && inlet.offer(server("agg")));
        assert!(inlet.offer(plan("second")), "the newest counts");
        assert_eq!(heard(&inbox), [chunk(), chunk(), plan("second"), server("agg")]);
        assert!(inlet.offer(plan("third")));
        assert_eq!(heard(&inbox), [plan("third")]);
    }

    #[test]
    fn nothing_overtakes_a_plan_of_before() {
        let (sender, inbox) = open(1);
        let inlet = inbox.inlet(sender, Topics::default());
        assert!(inlet.offer(chunk()) && inlet.offer(plan("first")));
        assert!(matches!(inbox.recv_timeout(Duration::ZERO), Ok(Event::Link(_))));
        assert!(inlet.offer(plan("second")), "there is room in the queue now");
        assert_eq!(heard(&inbox), [plan("second")]);
    }

    #[test]
    fn what_waits_apart_is_bounded_and_the_end_is_told_after_it() {
        let (sender, inbox) = open(1);
        let inlet = inbox.inlet(sender, Topics::default());
        assert!(inlet.offer(chunk()));
        let taken = (0..20).filter(|n| inlet.offer(server(&format!("agg-{n}")))).count();
        assert_eq!(taken, APART_MAX);
        drop(inlet);
        assert_eq!(heard(&inbox).len(), 1 + APART_MAX);
        let end = inbox.recv_timeout(Duration::ZERO);
        assert!(matches!(end, Err(RecvTimeoutError::Disconnected)));
    }
}
