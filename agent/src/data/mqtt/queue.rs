//! Messages between the connection's thread and the source's.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dunlin_link::LinkEvent;

/// Bytes that wait at the most: ten thousand samples of a chatty sensor.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that an event takes besides its topic and payload.
const EVENT_BYTES: usize = 128;
/// How long a message waits for room. Meanwhile the connection is not read, and messages wait at the
/// broker; a longer wait would keep pings from going out.
const ROOM_WAIT: Duration = Duration::from_secs(4);

/// Events and when they came, in order, bounded by their bytes.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    room: Condvar,
    bytes_max: usize,
    room_wait: Duration,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<(i64, LinkEvent)>,
    bytes: usize,
    closed: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self::new(BYTES_MAX, ROOM_WAIT)
    }
}

impl Queue {
    /// A queue of `bytes_max` bytes in which a message waits for room as long as `room_wait`.
    fn new(bytes_max: usize, room_wait: Duration) -> Self {
        Self { state: Mutex::default(), room: Condvar::new(), bytes_max, room_wait }
    }

    /// Each change is whole, so that a thread that panicked leaves the queue usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what came at `arrival_us`; waits for room where there is none. Whether it was taken:
    /// not when there is still no room, or nobody takes anything any more.
    pub(super) fn push(&self, arrival_us: i64, event: LinkEvent) -> bool {
        let bytes = bytes(&event);
        let full = |state: &mut State| {
            let over = state.bytes.saturating_add(bytes) > self.bytes_max;
            over && !state.events.is_empty() && !state.closed
        };
        let waited = self.room.wait_timeout_while(self.lock(), self.room_wait, full);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed || timeout.timed_out() {
            return false;
        }
        state.bytes = state.bytes.saturating_add(bytes);
        state.events.push_back((arrival_us, event));
        true
    }

    /// Takes the oldest event.
    pub(super) fn pop(&self) -> Option<(i64, LinkEvent)> {
        let mut state = self.lock();
        let event = state.events.pop_front()?;
        state.bytes = state.bytes.saturating_sub(bytes(&event.1));
        self.room.notify_one();
        Some(event)
    }

    /// Lets nobody wait for room any more: nothing will be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
    }
}

fn bytes(event: &LinkEvent) -> usize {
    let own = match event {
        LinkEvent::Message { topic, payload } => topic.len().saturating_add(payload.len()),
        LinkEvent::Disconnected { reason } | LinkEvent::Refused { reason } => reason.len(),
        LinkEvent::SubscribeRefused { topic } => topic.len(),
        LinkEvent::Connected => 0,
    };
    own.saturating_add(EVENT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> LinkEvent {
        LinkEvent::Message { topic: String::new(), payload: vec![0; bytes] }
    }

    #[test]
    fn a_full_queue_makes_messages_wait_and_drops_those_that_waited_too_long() {
        let queue = Queue::new(1000, Duration::from_millis(20));
        assert!(queue.push(1, message(5000)), "one message fits whatever its size");
        assert!(!queue.push(2, message(1)));
        assert_eq!(queue.pop().map(|event| event.0), Some(1));
        assert!(queue.push(3, message(700)) && !queue.push(4, message(200)));
        let queue = Queue::new(1000, Duration::from_secs(3600));
        std::thread::scope(|scope| {
            let pushed = scope.spawn(|| (0..100).all(|n| queue.push(n, message(300))));
            let mut times = Vec::new();
            while times.len() < 100 {
                times.extend(queue.pop().map(|event| event.0));
            }
            assert!(pushed.join().unwrap());
            assert_eq!(times, (0..100).collect::<Vec<_>>());
        });
        assert_eq!(queue.lock().bytes, 0);
    }

    #[test]
    fn a_closed_queue_lets_nobody_wait() {
        let queue = Queue::new(1000, Duration::from_secs(3600));
        assert!(queue.push(0, message(900)));
        std::thread::scope(|scope| {
            let pushed = scope.spawn(|| queue.push(0, message(900)));
            queue.close();
            assert!(!pushed.join().unwrap());
        });
    }
}
