//! What waits to be sent and what has been counted: the part shared by the user and the thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::{PUBLISH_HEADER_BYTES, QueueLimits, Will};
use crate::counters::{Backlog, Counters, Oversize};
use crate::item::{Item, Next};

/// Why the thread should leave its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    No,
    /// The queue ran over.
    Overflow,
    /// Say what is left, then good-bye.
    Close,
    /// At once, without a word.
    Abort,
}

/// Bytes of a publication.
#[derive(Clone, Copy)]
struct Length {
    payload: usize,
    packet: usize,
}

struct State {
    connected: bool,
    ever_connected: bool,
    leave: Leave,
    items: VecDeque<Item>,
    bytes: usize,
    /// Publications handed to rumqttc and not yet written, in order.
    handed: VecDeque<Length>,
    /// Packets written and not yet acknowledged: identifier and length.
    written: VecDeque<(u16, usize)>,
    /// The longest packet that this connection's broker has acknowledged.
    passed: usize,
    oversize: Option<Oversize>,
    /// The last will of the connections to come.
    will: Option<Will>,
    /// Topics of subscriptions handed to rumqttc and not yet written, in order.
    subscribing: VecDeque<String>,
    /// Subscriptions written and not yet answered, by packet identifier.
    subscribed: VecDeque<(u16, String)>,
    unacknowledged: usize,
    /// Grows with everything that is written or acknowledged, and when there is work again.
    progress: u64,
    said_everything: bool,
    counters: Counters,
}

/// The queue between the user's threads and the connection's thread.
pub(crate) struct Outbox {
    limits: QueueLimits,
    state: Mutex<State>,
    /// Wakes the one future that feeds the connection.
    pub(crate) work: Notify,
    /// Wakes the one future that watches for `Leave`.
    pub(crate) control: Notify,
    /// How often the thread has answered to `control`.
    answers: AtomicU64,
}

impl Outbox {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        let state = State {
            connected: false,
            ever_connected: false,
            leave: Leave::No,
            items: VecDeque::new(),
            bytes: 0,
            handed: VecDeque::new(),
            written: VecDeque::new(),
            passed: 0,
            oversize: None,
            will: None,
            subscribing: VecDeque::new(),
            subscribed: VecDeque::new(),
            unacknowledged: 0,
            progress: 0,
            said_everything: false,
            counters: Counters::default(),
        };
        Self {
            limits,
            state: Mutex::new(state),
            work: Notify::new(),
            control: Notify::new(),
            answers: AtomicU64::new(0),
        }
    }

    /// No code that holds the lock can panic half-way, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `item`, or drops it when there is no connection; an overflow ends the connection.
    pub(crate) fn push(&self, item: Item) {
        let mut state = self.lock();
        if !state.connected || state.leave != Leave::No {
            state.counters.dropped += item.publications();
            return;
        }
        let over = state.items.len() >= self.limits.messages
            || state.bytes.saturating_add(item.bytes()) > self.limits.bytes;
        if over {
            state.counters.dropped += item.publications();
            state.drop_queue();
            state.leave = Leave::Overflow;
            self.control.notify_one();
        } else {
            state.progress += u64::from(!state.waiting());
            state.bytes += item.bytes();
            state.items.push_back(item);
            self.work.notify_one();
        }
    }

    /// Counts a publication that cannot be sent, or a message that was not taken.
    pub(crate) fn count_dropped(&self) {
        self.lock().counters.dropped += 1;
    }

    /// Counts the end of a connection over a packet that is longer than what is read.
    pub(crate) fn count_overlong(&self) {
        self.lock().counters.overlong += 1;
    }

    /// Takes the next thing to send and notes that it was handed over.
    pub(crate) fn next(&self) -> Next {
        let mut state = self.lock();
        let Some(item) = state.items.pop_front() else {
            state.said_everything = state.leave == Leave::Close && state.unacknowledged == 0;
            return if state.said_everything { Next::Disconnect } else { Next::Wait };
        };
        state.bytes -= item.bytes();
        match &item {
            Item::Publish { topic, payload, .. } => {
                let packet = topic.len() + payload.len() + PUBLISH_HEADER_BYTES;
                state.handed.push_back(Length { payload: payload.len(), packet });
                state.unacknowledged += 1;
            }
            Item::Subscribe(topic, _) => state.subscribing.push_back(topic.clone()),
            Item::Unsubscribe(_) => {}
        }
        Next::Item(item)
    }

    /// A connection is there: from now on things are queued.
    pub(crate) fn connected(&self) {
        let mut state = self.lock();
        state.connected = true;
        state.counters.reconnects += u64::from(state.ever_connected);
        state.ever_connected = true;
    }

    /// The connection is gone, and with it everything that was to go over it. `cut`: the other side
    /// ended it. What it may have been too long for the broker, if anything.
    pub(crate) fn disconnected(&self, cut: bool) -> Option<Oversize> {
        let mut state = self.lock();
        let oversize = if cut && state.connected { state.judge() } else { None };
        state.connected = false;
        state.drop_queue();
        state.counters.dropped += state.handed.len() as u64;
        state.handed.clear();
        state.written.clear();
        state.passed = 0;
        state.subscribing.clear();
        state.subscribed.clear();
        state.unacknowledged = 0;
        if state.leave == Leave::Overflow {
            state.leave = Leave::No;
        }
        oversize
    }

    /// A publication was written with this packet identifier.
    pub(crate) fn published(&self, packet: u16) {
        let mut state = self.lock();
        state.progress += 1;
        if let Some(bytes) = state.handed.pop_front() {
            state.written.push_back((packet, bytes.packet));
            state.counters.payload_bytes_up += bytes.payload as u64;
            state.counters.messages_up += 1;
        }
    }

    /// The broker acknowledged the publication with this packet identifier.
    pub(crate) fn acknowledged(&self, packet: u16) {
        let mut state = self.lock();
        state.progress += 1;
        state.passes(packet);
        state.unacknowledged = state.unacknowledged.saturating_sub(1);
        if state.leave == Leave::Close {
            self.work.notify_one();
        }
    }

    /// A subscription was written with this packet identifier.
    pub(crate) fn subscribe_written(&self, packet: u16) {
        let mut state = self.lock();
        state.progress += 1;
        if let Some(topic) = state.subscribing.pop_front() {
            state.subscribed.push_back((packet, topic));
        }
    }

    /// The broker answered a subscription: its topic. rumqttc uses an identifier again before the
    /// answer is there, so the oldest is meant.
    pub(crate) fn subscribe_answered(&self, packet: u16) -> Option<String> {
        let mut state = self.lock();
        let at = state.subscribed.iter().position(|(of, _)| *of == packet)?;
        state.subscribed.remove(at).map(|(_, topic)| topic)
    }

    /// Counts a message that arrived, taken or not.
    pub(crate) fn arrived(&self, payload_bytes: usize) {
        let mut state = self.lock();
        state.counters.payload_bytes_down += payload_bytes as u64;
        state.counters.messages_down += 1;
    }

    /// Asks the thread to say `last` after what is queued and then good-bye.
    pub(crate) fn close(&self, last: Vec<Item>) {
        let mut state = self.lock();
        if state.leave == Leave::Abort {
            return;
        }
        state.leave = Leave::Close;
        if state.connected {
            state.bytes += last.iter().map(Item::bytes).sum::<usize>();
            state.items.extend(last);
        } else {
            state.counters.dropped += last.iter().map(Item::publications).sum::<u64>();
        }
        self.work.notify_one();
        self.control.notify_one();
    }

    /// Asks the thread to go at once.
    pub(crate) fn abort(&self) {
        self.lock().leave = Leave::Abort;
        self.control.notify_one();
    }

    /// Asks the thread for a sign of life; how many it has given so far.
    pub(crate) fn heartbeat(&self) -> u64 {
        self.control.notify_one();
        self.answers.load(Ordering::Relaxed)
    }

    /// Waits until the user wants to leave, or asks for a sign of life, and gives that.
    pub(crate) async fn called(&self) {
        self.control.notified().await;
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) -> Leave {
        self.lock().leave
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.lock().connected
    }

    /// Whether the user wants the thread to end.
    pub(crate) fn ending(&self) -> bool {
        matches!(self.leave(), Leave::Close | Leave::Abort)
    }

    /// Gives the connections to come another last will.
    pub(crate) fn set_will(&self, will: Will) {
        self.lock().will = Some(will);
    }

    /// The last will of the next connection.
    pub(crate) fn will(&self) -> Option<Will> {
        self.lock().will.clone()
    }

    /// What the broker may be refusing for its length.
    pub(crate) fn oversize(&self) -> Option<Oversize> {
        self.lock().oversize
    }

    /// What has come and gone, and whether anything waits to be sent or acknowledged.
    pub(crate) fn traffic(&self) -> (u64, u64, bool) {
        let state = self.lock();
        (state.progress, state.counters.messages_down, state.waiting())
    }

    /// How far sending has come, and whether anything waits to be sent or acknowledged.
    pub(crate) fn progress(&self) -> (u64, bool) {
        let state = self.lock();
        (state.progress, state.waiting())
    }

    /// Whether the broker had acknowledged everything when we said good-bye.
    pub(crate) fn said_everything(&self) -> bool {
        self.lock().said_everything
    }

    pub(crate) fn counters(&self) -> Counters {
        self.lock().counters
    }

    pub(crate) fn backlog(&self) -> Backlog {
        let state = self.lock();
        Backlog {
            messages: state.items.len(),
            bytes: state.bytes,
            unacknowledged: state.unacknowledged,
        }
    }
}

impl State {
    fn waiting(&self) -> bool {
        !self.items.is_empty() || !self.subscribing.is_empty() || self.unacknowledged > 0
    }

    /// A packet was acknowledged: it is not too long, nor is any that is shorter.
    fn passes(&mut self, packet: u16) {
        let Some(at) = self.written.iter().position(|(of, _)| *of == packet) else { return };
        let Some((_, bytes)) = self.written.remove(at) else { return };
        self.passed = self.passed.max(bytes);
        if self.oversize.is_some_and(|oversize| oversize.bytes <= self.passed) {
            self.oversize = None;
        }
    }

    /// The other side ends a connection: which packet may have been too long for it, if any.
    fn judge(&mut self) -> Option<Oversize> {
        let longest = self.written.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        if longest <= self.passed {
            return None;
        }
        let times = self.oversize.map_or(0, |oversize| oversize.times).saturating_add(1);
        self.oversize = Some(Oversize { bytes: longest, passed: self.passed, times });
        self.oversize
    }

    fn drop_queue(&mut self) {
        self.counters.dropped += self.items.iter().map(Item::publications).sum::<u64>();
        self.items = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::QoS;

    fn publish(bytes: usize) -> Item {
        Item::Publish { topic: "t".into(), payload: vec![0; bytes], retain: false }
    }

    fn connected(messages: usize, bytes: usize) -> Outbox {
        let outbox = Outbox::new(QueueLimits { messages, bytes });
        outbox.connected();
        outbox
    }

    #[test]
    fn what_is_given_without_a_connection_is_dropped_and_counted() {
        let outbox = Outbox::new(QueueLimits { messages: 4, bytes: 100 });
        outbox.push(publish(1));
        outbox.push(Item::Subscribe("a".into(), QoS::AtLeastOnce));
        assert_eq!(outbox.next(), Next::Wait);
        assert_eq!(outbox.counters().dropped, 1);
    }

    #[test]
    fn an_overflow_by_count_or_by_bytes_empties_the_queue_and_asks_to_leave() {
        for outbox in [connected(2, 1000), connected(100, 25)] {
            for _ in 0..3 {
                outbox.push(publish(10));
            }
            assert_eq!(outbox.leave(), Leave::Overflow);
            assert_eq!(outbox.backlog(), Backlog::default());
            assert_eq!(outbox.counters().dropped, 3);
            outbox.disconnected(false);
            assert_eq!(outbox.leave(), Leave::No);
        }
    }

    #[test]
    fn bytes_are_counted_when_they_are_written() {
        let outbox = connected(10, 1000);
        outbox.push(publish(10));
        outbox.push(publish(20));
        assert!(matches!(outbox.next(), Next::Item(_)) && matches!(outbox.next(), Next::Item(_)));
        assert_eq!(outbox.counters().payload_bytes_up, 0);
        outbox.published(1);
        assert_eq!(outbox.counters().payload_bytes_up, 10);
        outbox.disconnected(false);
        let counters = outbox.counters();
        assert_eq!((counters.messages_up, counters.dropped), (1, 1));
    }

    #[test]
    fn good_bye_comes_after_the_last_acknowledgement() {
        let outbox = connected(10, 1000);
        outbox.push(publish(1));
        outbox.close(vec![publish(2)]);
        outbox.push(publish(3)); // too late
        assert!(matches!(outbox.next(), Next::Item(_)) && matches!(outbox.next(), Next::Item(_)));
        assert_eq!(outbox.next(), Next::Wait);
        outbox.acknowledged(1);
        assert_eq!(outbox.next(), Next::Wait);
        outbox.acknowledged(1);
        assert_eq!(outbox.next(), Next::Disconnect);
    }

    #[test]
    fn an_answer_belongs_to_the_oldest_subscription_with_its_identifier() {
        let outbox = connected(10, 1000);
        for topic in ["a", "b", "c"] {
            outbox.push(Item::Subscribe(topic.into(), QoS::AtLeastOnce));
            outbox.next();
        }
        for packet in [1, 2, 1] {
            outbox.subscribe_written(packet);
        }
        assert_eq!(outbox.subscribe_answered(1).as_deref(), Some("a"));
        assert_eq!(outbox.subscribe_answered(1).as_deref(), Some("c"));
        assert_eq!(outbox.subscribe_answered(1), None);
    }

    /// A connection that takes packets of at most `limit` bytes of payload, and ends over others.
    fn connection(outbox: &Outbox, payloads: &[usize], limit: usize) -> Option<Oversize> {
        outbox.connected();
        for (packet, bytes) in (1..).zip(payloads) {
            outbox.push(publish(*bytes));
            outbox.next();
            outbox.published(packet);
            if *bytes > limit {
                return outbox.disconnected(true);
            }
            outbox.acknowledged(packet);
        }
        outbox.disconnected(false)
    }

    #[test]
    fn a_packet_longer_than_all_before_is_suspected_and_counted_until_it_passes() {
        let outbox = Outbox::new(QueueLimits { messages: 10, bytes: 100_000 });
        let first = connection(&outbox, &[10, 4000, 20], 100).unwrap();
        assert_eq!(first, Oversize { bytes: 4010, passed: 20, times: 1 });
        assert_eq!(connection(&outbox, &[10, 4000], 100).unwrap().times, 2);
        assert_eq!(connection(&outbox, &[10, 2000], 100).unwrap().bytes, 2010);
        assert_eq!(outbox.oversize().unwrap().times, 3);
        connection(&outbox, &[10, 2000], 9000);
        assert_eq!(outbox.oversize(), None);
    }

    #[test]
    fn a_connection_that_ends_over_a_short_packet_or_by_itself_suspects_none() {
        let outbox = Outbox::new(QueueLimits { messages: 10, bytes: 100_000 });
        outbox.connected();
        for (packet, bytes) in [(1, 50), (2, 40)] {
            outbox.push(publish(bytes));
            outbox.next();
            outbox.published(packet);
        }
        outbox.acknowledged(1);
        assert_eq!(outbox.disconnected(true), None);
        assert_eq!(connection(&outbox, &[10, 4000], 9000), None);
    }
}
