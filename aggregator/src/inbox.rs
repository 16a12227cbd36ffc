//! Events of the connection that wait for the core: bounded in bytes, not in number.
//!
//! A broker hands out the retained presence of every device at once after a subscription. Those
//! messages are short and come only once, while chunks are long and are sent again: a bound on the
//! number would lose the first to make room for the second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use dunlin_link::LinkEvent;

/// What an event costs beside its topic and payload, in bytes.
const EVENT_BYTES: usize = 128;

/// Where the connection's thread puts events.
pub(crate) struct Inlet {
    events: Sender<LinkEvent>,
    waiting: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// Where the core's thread takes them.
pub(crate) struct Inbox {
    events: Receiver<LinkEvent>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends of a queue that holds `bytes_max` bytes at the most.
pub(crate) fn inbox(bytes_max: usize) -> (Inlet, Inbox) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let inlet = Inlet { events: sender, waiting: Arc::clone(&waiting), bytes_max };
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
    /// Whether `event` was taken: not when the queue is full or nobody reads it any more.
    pub(crate) fn offer(&self, event: LinkEvent) -> bool {
        let cost = cost(&event);
        // There is one writer, so nothing is added between the look and the addition.
        if self.waiting.load(Ordering::Acquire).saturating_add(cost) > self.bytes_max {
            return false;
        }
        self.waiting.fetch_add(cost, Ordering::AcqRel);
        self.events.send(event).is_ok()
    }
}

impl Inbox {
    /// The next event.
    ///
    /// # Errors
    /// When none comes within `wait`, or the connection's thread has ended.
    pub(crate) fn recv_timeout(&self, wait: Duration) -> Result<LinkEvent, RecvTimeoutError> {
        let event = self.events.recv_timeout(wait)?;
        self.waiting.fetch_sub(cost(&event), Ordering::AcqRel);
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> LinkEvent {
        LinkEvent::Message { topic: String::new(), payload: vec![0; bytes] }
    }

    #[test]
    fn many_short_messages_fit_where_few_long_ones_do() {
        let (inlet, inbox) = inbox(1024 * 1024);
        assert!((0..8000).all(|_| inlet.offer(message(2))));
        assert!(!inlet.offer(message(120 * 1024)));
        for _ in 0..8000 {
            inbox.recv_timeout(Duration::ZERO).unwrap();
        }
        assert!((0..8).all(|_| inlet.offer(message(120 * 1024))));
        assert!(!inlet.offer(message(120 * 1024)));
    }

    #[test]
    fn an_event_that_nobody_reads_is_not_taken() {
        let (inlet, inbox) = inbox(1024);
        drop(inbox);
        assert!(!inlet.offer(LinkEvent::Connected));
    }
}
