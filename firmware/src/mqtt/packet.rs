//! The packets that a client sends, written straight into the output.

use alloc::vec::Vec;

use super::outbox::Outbox;
use super::{ConnectRefusal, Options};

/// A whole PINGREQ: it has no body.
pub(super) const PINGREQ: [u8; 2] = [0xC0, 0];
/// A whole DISCONNECT: it has no body.
pub(super) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Length that the standard's length field can say.
const REMAINING_MAX: usize = 268_435_455;

/// Protocol name and level in front of every CONNECT.
const PROTOCOL: [u8; 7] = [0, 4, b'M', b'Q', b'T', b'T', 4];
const CLEAN_SESSION: u8 = 0x02;
const WILL_QOS_1_RETAINED: u8 = 0x04 | 0x08 | 0x20;
const HAS_PASSWORD: u8 = 0x40;
const HAS_USERNAME: u8 = 0x80;

/// PUBACK for the packet `id`, whole.
pub(super) fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

/// Writes CONNECT; whether it fits.
pub(super) fn connect(out: &mut Outbox, options: &Options) -> bool {
    let name = options.username.as_deref().map(str::as_bytes);
    let password = options.password.as_deref().map(str::as_bytes);
    let flags = CLEAN_SESSION
        | WILL_QOS_1_RETAINED
        | if name.is_some() { HAS_USERNAME } else { 0 }
        | if password.is_some() { HAS_PASSWORD } else { 0 };
    let client_id = options.client_id.as_bytes();
    let (topic, payload) = (options.will.topic.as_bytes(), options.will.payload.as_slice());
    let fields = [Some(client_id), Some(topic), Some(payload), name, password];
    if fields.iter().flatten().any(|field| u16::try_from(field.len()).is_err()) {
        return false;
    }
    let bytes = fields.iter().flatten().map(|field| field.len() + 2).sum::<usize>();
    let Some(room) = begin(out, 0x10, bytes + PROTOCOL.len() + 3) else { return false };
    room.extend_from_slice(&PROTOCOL);
    room.push(flags);
    room.extend_from_slice(&options.keep_alive_s.to_be_bytes());
    fields.into_iter().flatten().for_each(|field| put_field(room, field));
    true
}

/// Bytes of such a PUBLISH with the longest length field.
pub(super) fn publish_bytes_max(topic: &str, payload: &[u8]) -> usize {
    topic.len().saturating_add(payload.len()).saturating_add(2 + 2 + 5)
}

/// Writes PUBLISH at QoS 1; whether it fits.
pub(super) fn publish(
    out: &mut Outbox,
    id: u16,
    topic: &str,
    payload: &[u8],
    retain: bool,
) -> bool {
    let bytes = topic.len().saturating_add(payload.len()).saturating_add(4);
    if u16::try_from(topic.len()).is_err() {
        return false;
    }
    let Some(room) = begin(out, 0x32 | u8::from(retain), bytes) else { return false };
    put_field(room, topic.as_bytes());
    room.extend_from_slice(&id.to_be_bytes());
    room.extend_from_slice(payload);
    true
}

/// Writes SUBSCRIBE to one topic at QoS 1; whether it fits.
pub(super) fn subscribe(out: &mut Outbox, id: u16, topic: &str) -> bool {
    let Some(room) = begin_with_topic(out, 0x82, id, topic, 1) else { return false };
    room.push(1);
    true
}

/// Writes UNSUBSCRIBE from one topic; whether it fits.
pub(super) fn unsubscribe(out: &mut Outbox, id: u16, topic: &str) -> bool {
    begin_with_topic(out, 0xA2, id, topic, 0).is_some()
}

/// Length of the packet at the front of `bytes`, which is one of ours; 0 when it cannot be read.
pub(super) fn packet_length(bytes: &[u8]) -> usize {
    let mut remaining = 0;
    let mut shift = 0;
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        remaining |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return at + 1 + remaining;
        }
    }
    0
}

/// What a CONNACK code says; `None` when the standard does not know it.
pub(super) fn connack(code: u8) -> Option<Result<(), ConnectRefusal>> {
    match code {
        0 => Some(Ok(())),
        1 => Some(Err(ConnectRefusal::Protocol)),
        2 => Some(Err(ConnectRefusal::ClientId)),
        3 => Some(Err(ConnectRefusal::Unavailable)),
        4 => Some(Err(ConnectRefusal::Credentials)),
        5 => Some(Err(ConnectRefusal::NotAuthorized)),
        _ => None,
    }
}

/// Writes the fixed header of a packet of `remaining` more bytes, if all of it fits.
fn begin(out: &mut Outbox, first: u8, remaining: usize) -> Option<&mut Vec<u8>> {
    if remaining > REMAINING_MAX {
        return None;
    }
    let length_bytes = match remaining {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    };
    let room = out.room(1 + length_bytes + remaining)?;
    room.push(first);
    for at in 0..length_bytes {
        let seven = u8::try_from((remaining >> (7 * at)) & 0x7F).unwrap_or_default();
        room.push(if at + 1 < length_bytes { seven | 0x80 } else { seven });
    }
    Some(room)
}

fn begin_with_topic<'a>(
    out: &'a mut Outbox,
    first: u8,
    id: u16,
    topic: &str,
    more: usize,
) -> Option<&'a mut Vec<u8>> {
    u16::try_from(topic.len()).ok()?;
    let room = begin(out, first, topic.len() + 4 + more)?;
    room.extend_from_slice(&id.to_be_bytes());
    put_field(room, topic.as_bytes());
    Some(room)
}

/// Writes bytes behind their length; the callers have checked that the length can be said.
fn put_field(room: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or_default();
    room.extend_from_slice(&length.to_be_bytes());
    room.extend_from_slice(bytes);
}
