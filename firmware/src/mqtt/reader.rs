//! The packets that a broker sends, cut out of a stream that may stop and break anywhere.
//!
//! Only messages take memory: their topic and payload are collected where they will stay. What is
//! too long passes by; of it only the packet id is kept, because a broker stops sending when too
//! many messages wait for their acknowledgement.

use alloc::string::String;
use alloc::vec::Vec;

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    ConnAck { code: u8 },
    Message { topic: String, payload: Vec<u8>, ack: Option<u16> },
    Skipped { bytes: usize, ack: Option<u16> },
    PubAck { id: u16 },
    SubAck { id: u16, code: u8 },
    UnsubAck { id: u16 },
    PingResp,
}

/// What the bytes broke; they are out of step from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) &'static str);

const LENGTH: Fault = Fault("a packet has a wrong length");
const TOPIC: Fault = Fault("a message has no proper topic");

/// What the first byte of a packet announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ConnAck,
    Message { acknowledged: bool },
    PubAck,
    SubAck,
    UnsubAck,
    PingResp,
}

/// Where in a packet the stream stands.
enum State {
    First,
    Length { kind: Kind, value: usize, shift: u32 },
    Short { kind: Kind, body: [u8; 3], filled: usize, length: usize },
    Message(Incoming),
}

/// Cuts packets out of a stream.
pub(super) struct Reader {
    state: State,
    packet_bytes_max: usize,
}

impl Reader {
    /// A reader in front of a packet; it keeps none that is longer than `packet_bytes_max` behind
    /// its fixed header.
    pub(super) fn new(packet_bytes_max: usize) -> Self {
        Self { state: State::First, packet_bytes_max }
    }

    /// Forgets the packet that it stands in.
    pub(super) fn reset(&mut self) {
        self.state = State::First;
    }

    /// Takes bytes from the front of `input` until a packet is complete or they are used up.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> Result<Option<Packet>, Fault> {
        loop {
            match &mut self.state {
                State::First => {
                    let Some(first) = pop(input) else { return Ok(None) };
                    self.state = State::Length { kind: kind_of(first)?, value: 0, shift: 0 };
                }
                State::Length { kind, value, shift } => {
                    let Some(byte) = pop(input) else { return Ok(None) };
                    *value |= usize::from(byte & 0x7F) << *shift;
                    *shift += 7;
                    if byte & 0x80 == 0 {
                        self.state = body(*kind, *value, self.packet_bytes_max)?;
                    } else if *shift > 21 {
                        return Err(LENGTH);
                    }
                }
                State::Short { kind, body, filled, length } => {
                    if filled < length {
                        let Some(byte) = pop(input) else { return Ok(None) };
                        if let Some(place) = body.get_mut(*filled) {
                            *place = byte;
                        }
                        *filled += 1;
                    } else {
                        let packet = short(*kind, *body)?;
                        self.state = State::First;
                        return Ok(Some(packet));
                    }
                }
                State::Message(incoming) => {
                    let packet = incoming.take(input)?;
                    if packet.is_some() {
                        self.state = State::First;
                    }
                    return Ok(packet);
                }
            }
        }
    }

    /// Bytes that it holds, for the tests.
    #[cfg(test)]
    pub(super) fn bytes_held(&self) -> usize {
        match &self.state {
            State::First | State::Length { .. } | State::Short { .. } => 0,
            State::Message(incoming) => incoming.topic.capacity() + incoming.payload.capacity(),
        }
    }
}

/// What a broker may say to a client that asked for QoS 1 at most.
fn kind_of(first: u8) -> Result<Kind, Fault> {
    Ok(match first {
        0x20 => Kind::ConnAck,
        // The flag in 0x08 says "again", in 0x01 "retained".
        0x30 | 0x31 => Kind::Message { acknowledged: false },
        0x32 | 0x33 | 0x3A | 0x3B => Kind::Message { acknowledged: true },
        0x40 => Kind::PubAck,
        0x90 => Kind::SubAck,
        0xB0 => Kind::UnsubAck,
        0xD0 => Kind::PingResp,
        _ => return Err(Fault("a packet that a broker does not send")),
    })
}

/// What follows a fixed header.
fn body(kind: Kind, length: usize, packet_bytes_max: usize) -> Result<State, Fault> {
    let expected = match kind {
        Kind::Message { acknowledged } => {
            let keep = length <= packet_bytes_max;
            return Ok(State::Message(Incoming::new(length, acknowledged, keep)));
        }
        Kind::ConnAck | Kind::PubAck | Kind::UnsubAck => 2,
        // We subscribe to one topic at a time.
        Kind::SubAck => 3,
        Kind::PingResp => 0,
    };
    if length != expected {
        return Err(LENGTH);
    }
    Ok(State::Short { kind, body: [0; 3], filled: 0, length })
}

fn short(kind: Kind, [a, b, code]: [u8; 3]) -> Result<Packet, Fault> {
    let id = u16::from_be_bytes([a, b]);
    Ok(match kind {
        // The first byte says whether the broker remembers a session: not of a clean one.
        Kind::ConnAck if a == 0 => Packet::ConnAck { code: b },
        Kind::ConnAck | Kind::Message { .. } => return Err(Fault("a CONNACK of another session")),
        Kind::PubAck => Packet::PubAck { id },
        Kind::SubAck => Packet::SubAck { id, code },
        Kind::UnsubAck => Packet::UnsubAck { id },
        Kind::PingResp => Packet::PingResp,
    })
}

/// The part of a message that comes next.
#[derive(Clone, Copy)]
enum Part {
    TopicLength,
    Topic,
    Id,
    Payload,
}

/// A message on its way in.
struct Incoming {
    part: Part,
    /// Bytes of this part that lack.
    lack: usize,
    /// Bytes of the packet behind this part.
    behind: usize,
    bytes: usize,
    acknowledged: bool,
    /// Whether it is collected; otherwise it passes by.
    keep: bool,
    /// The number that the last two-byte part held.
    number: u16,
    topic: Vec<u8>,
    payload: Vec<u8>,
}

impl Incoming {
    fn new(bytes: usize, acknowledged: bool, keep: bool) -> Self {
        // That a packet is too short for this is found out when the part is complete.
        let lack = bytes.min(2);
        Self {
            part: Part::TopicLength,
            lack,
            behind: bytes - lack,
            bytes,
            acknowledged,
            keep,
            number: 0,
            topic: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Takes bytes; the packet when it is complete.
    fn take(&mut self, input: &mut &[u8]) -> Result<Option<Packet>, Fault> {
        loop {
            self.collect(input);
            if self.lack > 0 {
                return Ok(None);
            }
            match self.part {
                Part::TopicLength => {
                    let length = usize::from(self.number);
                    if self.bytes < 2 || length == 0 {
                        return Err(TOPIC);
                    }
                    self.enter(Part::Topic, length)?;
                    self.keep = self.keep && self.topic.try_reserve_exact(length).is_ok();
                }
                Part::Topic if self.acknowledged => self.enter(Part::Id, 2)?,
                Part::Topic => self.enter_payload()?,
                Part::Id if self.number == 0 => return Err(Fault("a message has packet id 0")),
                Part::Id => self.enter_payload()?,
                Part::Payload => return self.finish().map(Some),
            }
        }
    }

    fn collect(&mut self, input: &mut &[u8]) {
        let part = pop_up_to(input, self.lack);
        self.lack -= part.len();
        match self.part {
            Part::TopicLength | Part::Id => {
                let digits = part.iter().map(|&byte| u16::from(byte));
                self.number = digits.fold(self.number, |number, byte| number << 8 | byte);
            }
            Part::Topic if self.keep => self.topic.extend_from_slice(part),
            Part::Payload if self.keep => self.payload.extend_from_slice(part),
            Part::Topic | Part::Payload => {}
        }
    }

    fn enter(&mut self, part: Part, length: usize) -> Result<(), Fault> {
        self.behind = self.behind.checked_sub(length).ok_or(LENGTH)?;
        self.part = part;
        self.lack = length;
        Ok(())
    }

    /// Enters the payload, for which the memory is taken now and exactly. Where it lacks, the rest
    /// of the message passes by.
    fn enter_payload(&mut self) -> Result<(), Fault> {
        self.enter(Part::Payload, self.behind)?;
        self.keep = self.keep && self.payload.try_reserve_exact(self.lack).is_ok();
        Ok(())
    }

    fn finish(&mut self) -> Result<Packet, Fault> {
        let ack = self.acknowledged.then_some(self.number);
        if !self.keep {
            return Ok(Packet::Skipped { bytes: self.bytes, ack });
        }
        let topic = core::mem::take(&mut self.topic);
        let topic = String::from_utf8(topic).map_err(|_| TOPIC)?;
        if topic.contains(['\0', '#', '+']) {
            return Err(TOPIC);
        }
        Ok(Packet::Message { topic, payload: core::mem::take(&mut self.payload), ack })
    }
}

fn pop(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

fn pop_up_to<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (part, rest) = input.split_at_checked(most).unwrap_or((input, &[]));
    *input = rest;
    part
}
