//! The client: when to connect, to ask, to give up and to try again.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use dunlin_protocol::backoff::Reconnect;
use dunlin_protocol::time::Instant;

use super::answers::{Answers, Asked};
use super::backoff;
use super::connection::{Connection, Phase};
use super::outbox::Outbox;
use super::packet::{self, DISCONNECT, PINGREQ};
use super::reader::{Fault, Packet, Reader};
use super::{ConnectRefusal, Counters, Event, KEEP_ALIVE_S, Options, OptionsError};

/// A broker that has not answered CONNECT by then does not answer.
const CONNACK_MS: u64 = 10_000;

/// One MQTT client over one byte stream; see the [module](super).
pub struct Client {
    options: Options,
    phase: Phase,
    waits: Reconnect,
    reader: Reader,
    out: Outbox,
    answers: Answers,
    /// At most two: a message, and that the connection was lost behind it.
    events: VecDeque<Event>,
    counters: Counters,
}

impl Client {
    /// A client that stays away until [`Client::connect`]. Equal seeds draw equal waits.
    ///
    /// # Errors
    /// [`OptionsError`] when no CONNECT can be made of the options.
    pub fn new(mut options: Options, rng_seed: u64) -> Result<Self, OptionsError> {
        options.keep_alive_s = options.keep_alive_s.clamp(KEEP_ALIVE_S.0, KEEP_ALIVE_S.1);
        if options.password.is_some() && options.username.is_none() {
            return Err(OptionsError::PasswordWithoutName);
        }
        let mut out = Outbox::new(options.out_bytes_max);
        if !packet::connect(&mut out, &options) {
            return Err(OptionsError::OutputTooSmall);
        }
        out.forget();
        Ok(Self {
            reader: Reader::new(options.packet_bytes_max),
            options,
            phase: Phase::Away,
            waits: backoff::waits(rng_seed),
            out,
            answers: Answers::new(),
            events: VecDeque::with_capacity(2),
            counters: Counters::default(),
        })
    }

    /// Takes bytes from the front of `bytes` and returns how many. Offer the others again after
    /// [`Client::poll_event`] and [`Client::written`]: nothing is acknowledged that nobody takes.
    ///
    /// After a pause receive first and tick then, so that an answer that has come counts.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let can_take = self.can_take();
            match &mut self.phase {
                Phase::Away | Phase::Quiet { .. } => {
                    rest = &[];
                    continue;
                }
                Phase::Connecting { .. } | Phase::Connected(_) if !can_take => break,
                Phase::Connecting { .. } => {}
                Phase::Connected(connection) => connection.heard = now,
            }
            let read = self.reader.take(&mut rest);
            let handled = read.and_then(|packet| match packet {
                Some(packet) => self.handle(now, packet),
                None => Ok(()),
            });
            if let Err(Fault(why)) = handled {
                self.lose(now, why);
            }
        }
        let taken = bytes.len() - rest.len();
        self.counters.bytes_in += taken as u64;
        taken
    }

    /// Time has passed: call it at [`Client::next_deadline`] or more often.
    pub fn tick(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Quiet { until } if now >= *until => self.try_connect(now),
            Phase::Connecting { until } if now >= *until => {
                self.lose(now, "no answer to CONNECT");
            }
            Phase::Connected(connection) => {
                let acks = self.answers.overdue_at(connection.heard);
                let ping_due = now >= connection.ping_deadline(self.options.keep_alive_s);
                if acks.is_some_and(|overdue| now >= overdue) {
                    self.lose(now, "no acknowledgement");
                } else if ping_due && connection.ping.is_some() {
                    self.lose(now, "no answer to a ping");
                } else if ping_due {
                    // Where a blocked stream leaves no room for it, the answer stays away too.
                    self.out.push_control(&PINGREQ);
                    connection.ping = Some(now);
                    connection.sent = now;
                }
            }
            Phase::Away | Phase::Quiet { .. } | Phase::Connecting { .. } => {}
        }
    }

    /// The oldest event that nobody has taken yet; `None` when there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Publishes at QoS 1. False when there is no connection or no room: say it again later.
    pub fn publish(&mut self, now: Instant, topic: &str, payload: &[u8], retain: bool) -> bool {
        self.ask(now, Asked::Publish, |out, id| packet::publish(out, id, topic, payload, retain))
    }

    /// The last will of the next connection has this payload; that of the present one stays.
    pub fn set_will(&mut self, payload: Vec<u8>) {
        self.options.will.payload = payload;
    }

    /// Whether a message is longer than the room for output will ever be.
    pub fn exceeds_room(&self, topic: &str, payload: &[u8]) -> bool {
        packet::publish_bytes_max(topic, payload) > self.options.out_bytes_max
    }

    /// Subscribes at QoS 1. False when there is no connection or no room: say it again later.
    pub fn subscribe(&mut self, now: Instant, topic: &str) -> bool {
        let asked = Asked::Subscribe(topic.to_owned());
        self.ask(now, asked, |out, id| packet::subscribe(out, id, topic))
    }

    /// Ends a subscription. False when there is no connection or no room: say it again later.
    pub fn unsubscribe(&mut self, now: Instant, topic: &str) -> bool {
        self.ask(now, Asked::Unsubscribe, |out, id| packet::unsubscribe(out, id, topic))
    }

    /// Leaves in order, behind what waits for the stream, and stays away until
    /// [`Client::connect`]. The broker does not publish the will.
    pub fn disconnect(&mut self) {
        if matches!(self.phase, Phase::Connected(_) | Phase::Connecting { .. }) {
            self.out.push_control(&DISCONNECT);
        }
        self.start_anew(Phase::Away);
    }

    /// Ends [`Client::disconnect`], or the state of a new client. CONNECT follows after a short
    /// quiet, because the stream may still hold a connection from before.
    pub fn connect(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Away) {
            self.out.push_control(&DISCONNECT);
            let until = now.after(self.waits.shortest_ms());
            self.start_anew(Phase::Quiet { until });
        }
    }

    /// The driver knows that bytes were lost or broken (an overrun, a parity error): the stream is
    /// out of step.
    pub fn stream_broke(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Connected(_) | Phase::Connecting { .. }) {
            self.lose(now, "the stream lost bytes");
        }
    }

    /// Whether the broker took us in, as far as we know.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    /// Bytes for the stream; tell [`Client::written`] how many it took.
    pub fn output(&self) -> &[u8] {
        self.out.waiting()
    }

    /// The stream took `count` bytes from the front of [`Client::output`].
    pub fn written(&mut self, count: usize) {
        self.counters.bytes_out += self.out.written(count) as u64;
    }

    /// When to tick next; `None` while the client is away.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Away => None,
            Phase::Quiet { until } | Phase::Connecting { until } => Some(*until),
            Phase::Connected(connection) => {
                let ping = connection.ping_deadline(self.options.keep_alive_s);
                let ack = self.answers.overdue_at(connection.heard);
                Some(ack.map_or(ping, |ack| ack.min(ping)))
            }
        }
    }

    /// What it did since its start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether a packet may be read: somebody took the last event, and an acknowledgement has room.
    fn can_take(&self) -> bool {
        self.events.is_empty() && self.out.has_room_for_ack()
    }

    fn ask(
        &mut self,
        now: Instant,
        asked: Asked,
        write: impl FnOnce(&mut Outbox, u16) -> bool,
    ) -> bool {
        let Phase::Connected(connection) = &mut self.phase else { return false };
        let Some(id) = self.answers.next_id() else { return false };
        if !write(&mut self.out, id) {
            return false;
        }
        self.answers.expect(id, now, asked);
        connection.sent = now;
        true
    }

    fn handle(&mut self, now: Instant, packet: Packet) -> Result<(), Fault> {
        let Phase::Connected(connection) = &mut self.phase else {
            let Packet::ConnAck { code } = packet else {
                return Err(Fault("an answer to CONNECT that is no CONNACK"));
            };
            match packet::connack(code).ok_or(Fault("a CONNACK of an unknown kind"))? {
                Ok(()) => self.enter(now),
                Err(refusal) => self.refused(now, refusal),
            }
            return Ok(());
        };
        let asked = match &packet {
            Packet::PubAck { id } | Packet::SubAck { id, .. } | Packet::UnsubAck { id } => {
                self.answers.settle(*id)
            }
            Packet::ConnAck { .. }
            | Packet::Message { .. }
            | Packet::Skipped { .. }
            | Packet::PingResp => None,
        };
        match (packet, asked) {
            (Packet::Message { topic, payload, ack }, _) => {
                self.events.push_back(Event::Message { topic, payload });
                self.acknowledge(now, ack);
            }
            (Packet::Skipped { bytes, ack }, _) => {
                self.counters.skipped += 1;
                self.events.push_back(Event::TooLong { bytes });
                self.acknowledge(now, ack);
            }
            (Packet::PubAck { .. }, Some(Asked::Publish))
            | (Packet::UnsubAck { .. }, Some(Asked::Unsubscribe))
            | (Packet::SubAck { code: 0 | 1, .. }, Some(Asked::Subscribe(_))) => {}
            (Packet::SubAck { code: 0x80, .. }, Some(Asked::Subscribe(topic))) => {
                self.events.push_back(Event::SubscribeRefused { topic });
            }
            (Packet::PingResp, _) if connection.ping.is_some() => connection.ping = None,
            (Packet::ConnAck { .. }, _) => return Err(Fault("a second CONNACK")),
            (
                Packet::PubAck { .. }
                | Packet::UnsubAck { .. }
                | Packet::SubAck { .. }
                | Packet::PingResp,
                _,
            ) => return Err(Fault("an answer to nothing that we asked")),
        }
        Ok(())
    }

    fn acknowledge(&mut self, now: Instant, ack: Option<u16>) {
        let Some(id) = ack else { return };
        // There is room: otherwise the packet would not have been read.
        self.out.push_control(&packet::puback(id));
        if let Phase::Connected(connection) = &mut self.phase {
            connection.sent = now;
        }
    }

    fn enter(&mut self, now: Instant) {
        self.phase = Phase::Connected(Connection::new(now));
        self.counters.connections += 1;
        self.events.push_back(Event::Connected);
    }

    fn try_connect(&mut self, now: Instant) {
        // While the stream has not even taken the goodbye, the quiet has not begun.
        if self.out.is_empty() && packet::connect(&mut self.out, &self.options) {
            self.phase = Phase::Connecting { until: now.after(CONNACK_MS) };
        } else {
            let until = now.after(self.waits.shortest_ms());
            self.phase = Phase::Quiet { until };
        }
    }

    fn lose(&mut self, now: Instant, why: &'static str) {
        let since = match &self.phase {
            Phase::Connected(connection) => Some(connection.since),
            Phase::Away | Phase::Quiet { .. } | Phase::Connecting { .. } => None,
        };
        if since.is_some() {
            self.events.push_back(Event::Disconnected(why));
        } else if self.events.is_empty() {
            // Somebody who does not listen needs no heap of these.
            self.events.push_back(Event::Failed(why));
        }
        let lasted_ms = since.map(|since| now.since(since));
        let until = now.after(self.waits.after_loss_ms(lasted_ms));
        self.hang_up(until);
    }

    fn refused(&mut self, now: Instant, refusal: ConnectRefusal) {
        self.events.push_back(Event::Refused(refusal));
        let wait_ms = match refusal {
            ConnectRefusal::Unavailable => self.waits.after_loss_ms(None),
            ConnectRefusal::Protocol
            | ConnectRefusal::ClientId
            | ConnectRefusal::Credentials
            | ConnectRefusal::NotAuthorized => self.waits.after_refusal_ms(),
        };
        self.hang_up(now.after(wait_ms));
    }

    /// Says goodbye, and keeps quiet while the stream makes a connection anew.
    fn hang_up(&mut self, until: Instant) {
        self.counters.losses += 1;
        self.out.forget();
        self.out.push_control(&DISCONNECT);
        self.start_anew(Phase::Quiet { until });
    }

    fn start_anew(&mut self, phase: Phase) {
        self.reader.reset();
        self.answers.clear();
        self.phase = phase;
    }

    /// Bytes of incoming packets and waiting events, for the tests.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.reader.bytes_held(), self.events.len())
    }
}
