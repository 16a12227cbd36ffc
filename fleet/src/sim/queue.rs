//! What will happen, in the order of virtual time; at one moment, in the order of asking.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use dunlin_protocol::time::Instant;

struct Entry<E> {
    at: Instant,
    sequence: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The earliest is the greatest: a heap gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// The queue and its clock.
pub(super) struct Queue<E> {
    heap: BinaryHeap<Entry<E>>,
    sequence: u64,
    now: Instant,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, now: Instant(0) }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Lets `event` happen at `at`, or now if that has passed.
    pub(super) fn at(&mut self, at: Instant, event: E) {
        self.sequence += 1;
        let (at, sequence) = (at.max(self.now), self.sequence);
        self.heap.push(Entry { at, sequence, event });
    }

    /// Lets `event` happen in `delay_ms`.
    pub(super) fn after(&mut self, delay_ms: u64, event: E) {
        self.at(self.now.after(delay_ms), event);
    }

    /// The next event; the clock moves to its moment.
    pub(super) fn pop(&mut self) -> Option<E> {
        let entry = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
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
