//! What will happen, in the order of virtual time; at one moment, in the order of asking.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dunlin_protocol::time::Instant;

/// The queue and its clock. Events lie still while the heap moves their places.
pub(super) struct Queue<E> {
    /// When, in which order of asking, and where the event lies: a heap gives its greatest first.
    heap: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    events: Vec<Option<E>>,
    free: Vec<u32>,
    sequence: u64,
    now: Instant,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        let (heap, events, free) = (BinaryHeap::new(), Vec::new(), Vec::new());
        Self { heap, events, free, sequence: 0, now: Instant(0) }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Lets `event` happen at `at`, or now if that has passed.
    ///
    /// # Panics
    /// When 2^32 events wait, which no memory holds.
    pub(super) fn at(&mut self, at: Instant, event: E) {
        self.sequence += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            u32::try_from(self.events.len() - 1).expect("fewer events than memory holds")
        });
        self.events[place as usize] = Some(event);
        self.heap.push(Reverse((at.max(self.now), self.sequence, place)));
    }

    /// Lets `event` happen in `delay_ms`.
    pub(super) fn after(&mut self, delay_ms: u64, event: E) {
        self.at(self.now.after(delay_ms), event);
    }

    /// The next event; the clock moves to its moment.
    pub(super) fn pop(&mut self) -> Option<E> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.now = at;
        self.free.push(place);
        self.events[place as usize].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_asking() {
        let mut queue = Queue::new();
        queue.after(5, "c");
        queue.after(1, "a");
        queue.after(1, "b");
        assert_eq!([queue.pop(), queue.pop()], [Some("a"), Some("b")]);
        queue.at(Instant(0), "late");
        assert_eq!((queue.pop(), queue.now()), (Some("late"), Instant(1)));
        assert_eq!((queue.pop(), queue.now(), queue.pop()), (Some("c"), Instant(5), None));
    }
}
