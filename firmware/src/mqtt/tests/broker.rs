//! A broker and the stream to it, on time that the test moves.

use alloc::string::String;
use alloc::vec::Vec;

use dunlin_protocol::time::Instant;

use super::{events, vector};
use crate::mqtt::{Client, Event, Options};

/// How long the stream takes to make a lost connection anew: QEMU's `reconnect=1`.
const RECONNECT_MS: u64 = 1_000;
const STEP_MS: u64 = 50;

/// What one TCP connection is to the broker.
#[derive(Default)]
struct Session {
    introduced: bool,
    input: Vec<u8>,
}

/// A client, the stream, and a broker behind it.
pub(super) struct World {
    pub(super) client: Client,
    pub(super) now: Instant,
    session: Option<Session>,
    lost_at: Instant,
    to_client: Vec<u8>,
    /// The code of its next CONNACKs.
    pub(super) code: u8,
    /// Whether it keeps its answers to pings and publications to itself.
    pub(super) mute: bool,
    /// Bytes that the stream takes in one step.
    pub(super) speed: usize,
    /// First bytes of the packets that came whole.
    pub(super) seen: Vec<u8>,
    pub(super) published: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
    /// Connections that the broker closed because a client broke the rules.
    pub(super) violations: u32,
}

impl World {
    /// A client that wants to connect, and a broker that is there.
    pub(super) fn new(options: Options) -> Self {
        let mut client = Client::new(options, 7).unwrap();
        client.connect(Instant(0));
        Self {
            client,
            now: Instant(0),
            session: Some(Session::default()),
            lost_at: Instant(0),
            to_client: Vec::new(),
            code: 0,
            mute: false,
            speed: usize::MAX,
            seen: Vec::new(),
            published: Vec::new(),
            events: Vec::new(),
            violations: 0,
        }
    }

    /// Lets `span_ms` milliseconds pass, step by step.
    pub(super) fn run(&mut self, span_ms: u64) {
        let end = self.now.after(span_ms);
        while self.now < end {
            self.now = self.now.after(STEP_MS);
            if self.session.is_none() && self.now.since(self.lost_at) >= RECONNECT_MS {
                self.session = Some(Session::default());
            }
            let bytes = core::mem::take(&mut self.to_client);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let taken = self.client.receive(self.now, rest);
                rest = &rest[taken..];
                self.poll_and_write();
            }
            self.client.tick(self.now);
            self.poll_and_write();
            let due = self.client.next_deadline();
            assert!(due.is_none_or(|due| due > self.now), "a deadline that tick does not move");
        }
    }

    /// Ends the TCP connection; nobody tells the client.
    pub(super) fn cut(&mut self) {
        self.session = None;
        self.lost_at = self.now;
        self.to_client.clear();
    }

    /// Bytes come from the stream.
    pub(super) fn inject(&mut self, bytes: &[u8]) {
        self.to_client.extend_from_slice(bytes);
    }

    /// How often the client reported this.
    pub(super) fn count(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| what(event)).count()
    }

    fn poll_and_write(&mut self) {
        self.events.extend(events(&mut self.client));
        let output = self.client.output();
        let part = output[..output.len().min(self.speed)].to_vec();
        self.client.written(part.len());
        if let Some(session) = &mut self.session {
            session.input.extend_from_slice(&part);
        }
        while let Some(packet) = self.session.as_mut().and_then(next_packet) {
            self.answer(&packet);
        }
    }

    fn answer(&mut self, packet: &[u8]) {
        let Some(session) = &mut self.session else { return };
        let first = packet[0];
        self.seen.push(first);
        let introduces = first == 0x10;
        if introduces == session.introduced {
            self.violations += 1;
            return self.cut();
        }
        session.introduced = true;
        match first {
            0x10 => {
                self.to_client.extend_from_slice(&[0x20, 2, 0, self.code]);
                if self.code != 0 {
                    self.lost_at = self.now;
                    self.session = None;
                }
            }
            0x32 | 0x33 => {
                let topic_bytes = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                let id = &packet[4 + topic_bytes..6 + topic_bytes];
                self.published.push(packet[6 + topic_bytes..].to_vec());
                if !self.mute {
                    self.to_client.extend_from_slice(&[0x40, 2, id[0], id[1]]);
                }
            }
            0x82 => self.to_client.extend_from_slice(&[0x90, 3, packet[2], packet[3], 1]),
            0xC0 if !self.mute => self.to_client.extend_from_slice(&vector("broker_pingresp")),
            0xE0 => self.cut(),
            _ => {}
        }
    }
}

/// Takes one whole packet of fewer than 128 bytes behind its header from what came.
fn next_packet(session: &mut Session) -> Option<Vec<u8>> {
    let length = 2 + usize::from(*session.input.get(1)?);
    (session.input.len() >= length).then(|| session.input.drain(..length).collect())
}

/// A message of fewer than 128 bytes at QoS 1.
pub(super) fn message(topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let length = |n: usize| u8::try_from(n).unwrap();
    let mut packet =
        [0x32, length(4 + topic.len() + payload.len()), 0, length(topic.len())].to_vec();
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// The event of such a message.
pub(super) fn event(topic: &str, payload: &[u8]) -> Event {
    Event::Message { topic: String::from(topic), payload: payload.to_vec() }
}
