//! Presence: who is there. The one message in JSON, for people and dashboards.

mod data_trouble;
#[cfg(test)]
mod tests;
mod unable;

pub use data_trouble::{DataTrouble, TROUBLES_MAX, Word};
pub use unable::{Lack, Unable};

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

/// Longest presence message in bytes.
pub const PRESENCE_BYTES_MAX: usize = 512;

/// What a device or an aggregator is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Connected; takes new work unless [`Presence::held`] says why not.
    Online,
    /// Left on purpose, for good.
    Offline,
    /// Left on purpose until its next check-in: a device whose link is not always up.
    Asleep,
    /// Gone without a word: the broker publishes this as the last will.
    Lost,
}

/// Why a device takes no new work at the moment. Its own rules say so; nobody else can.
///
/// The order is that in which a device looks for a reason: the first that holds is the one it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ineligible {
    /// Its link costs by the byte now. The one reason that also keeps a finished update back.
    Metered,
    /// Its battery is low and does not charge.
    Battery,
    /// It has no external power.
    Charging,
    /// It is too hot.
    Hot,
    /// Its memory is needed for something else.
    Memory,
    /// Its processor is needed for something else.
    Busy,
    /// Its clock is not set, so that nobody knows whether it may work at this time of day.
    Clock,
    /// It works at other times of the day.
    Hours,
    /// A reason that this program does not know.
    Other,
}

impl Ineligible {
    /// Every reason that this program knows.
    pub const KNOWN: [Self; 8] = [
        Self::Metered,
        Self::Battery,
        Self::Charging,
        Self::Hot,
        Self::Memory,
        Self::Busy,
        Self::Clock,
        Self::Hours,
    ];

    /// The word for it in a presence message.
    pub fn word(self) -> &'static str {
        match self {
            Self::Metered => "metered",
            Self::Battery => "battery",
            Self::Charging => "charging",
            Self::Hot => "hot",
            Self::Memory => "memory",
            Self::Busy => "busy",
            Self::Clock => "clock",
            Self::Hours => "hours",
            Self::Other => "other",
        }
    }

    /// The reason that a JSON value stands for. Whatever this program does not know is a reason
    /// too: a device that says one more word than its aggregator understands is still held.
    fn of_json(value: &[u8]) -> Option<Self> {
        word_of_json(value, &Self::KNOWN, Self::word, Self::Other)
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What of `known` a JSON value stands for by its `word`; `other` where it is none of them, and `None` for
/// null.
fn word_of_json<T: Copy>(
    value: &[u8],
    known: &[T],
    word: fn(T) -> &'static str,
    other: T,
) -> Option<T> {
    if value == b"null" {
        return None;
    }
    let text = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let mut known = known.iter().copied();
    Some(known.find(|one| text == Some(word(*one).as_bytes())).unwrap_or(other))
}

/// A retained presence message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// What it is doing.
    pub state: State,
    /// Number of the start that speaks: a last will of another start is ignored.
    pub boot: u32,
    /// Number of the connection of this start, from 1, also in the connection's last will: one of an
    /// earlier connection is ignored. 0 where that is not said.
    pub connection: u32,
    /// Of an aggregator: how often it has asked on this connection that all devices say their state
    /// again. A device answers each number once.
    pub call: u32,
    /// Why it takes no new work; `None` when it does.
    pub held: Option<Ineligible>,
    /// Kinds of work that it cannot do with what it has.
    pub unable: Unable,
    /// What its own data lack, if anything.
    pub data: Option<DataTrouble>,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Online => "online",
            State::Offline => "offline",
            State::Asleep => "asleep",
            State::Lost => "lost",
        };
        let (boot, schema) = (self.boot, crate::wire::SCHEMA);
        write!(f, r#"{{"state":"{state}","boot":{boot},"schema":{schema}"#)?;
        for (name, number) in [("connection", self.connection), ("call", self.call)] {
            if number > 0 {
                write!(f, r#","{name}":{number}"#)?;
            }
        }
        if let Some(held) = self.held {
            write!(f, r#","held":"{held}""#)?;
        }
        if !self.unable.is_empty() {
            write!(f, r#","unable":{}"#, self.unable)?;
        }
        if let Some(data) = &self.data {
            write!(f, r#","data":{data}"#)?;
        }
        f.write_str("}")
    }
}

impl Presence {
    /// The presence of somebody who takes work, if it is there; of no connection in particular.
    pub fn new(state: State, boot: u32) -> Self {
        let (held, unable, data) = (None, Unable::default(), None);
        Self { state, boot, connection: 0, call: 0, held, unable, data }
    }

    /// The same of the connection with this number.
    #[must_use]
    pub fn on(self, connection: u32) -> Self {
        Self { connection, ..self }
    }

    /// When it was said, to be compared: the start first, then its connection.
    pub fn order(&self) -> (u32, u32) {
        (self.boot, self.connection)
    }

    /// The payload of a state topic: one JSON object without line breaks.
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Reads a presence message: a JSON object with a text `state`, a number `boot` and perhaps numbers
    /// `connection` and `call`, a text `held` and objects `unable` and `data`; other fields are skipped,
    /// whatever they hold. `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > PRESENCE_BYTES_MAX {
            return None;
        }
        let text = core::str::from_utf8(bytes).ok()?.as_bytes().trim_ascii();
        let inner = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
        let (mut state, mut boot, mut held, mut data) = (None, None, None, None);
        let (mut connection, mut call, mut unable) = (0, 0, Unable::default());
        let number = |text| core::str::from_utf8(text).ok()?.parse().ok();
        for field in fields(inner)? {
            let colon = field.iter().position(|byte| *byte == b':')?;
            match (field[..colon].trim_ascii(), field[colon + 1..].trim_ascii()) {
                (br#""state""#, br#""online""#) => state = Some(State::Online),
                (br#""state""#, br#""offline""#) => state = Some(State::Offline),
                (br#""state""#, br#""asleep""#) => state = Some(State::Asleep),
                (br#""state""#, br#""lost""#) => state = Some(State::Lost),
                (br#""boot""#, text) => boot = number(text),
                (br#""connection""#, text) => connection = number(text).unwrap_or(0),
                (br#""call""#, text) => call = number(text).unwrap_or(0),
                (br#""held""#, reason) => held = Ineligible::of_json(reason),
                (br#""unable""#, object) => unable = Unable::of_json(object),
                (br#""data""#, object) => data = DataTrouble::of_json(object),
                _ => {}
            }
        }
        Some(Self { state: state?, boot: boot?, connection, call, held, unable, data })
    }
}

/// Where a reader of JSON is: bytes are enough, no part of a longer character is a sign.
#[derive(Clone, Copy, Default)]
struct Place {
    depth: u16,
    quoted: bool,
    escaped: bool,
}

impl Place {
    /// Takes the next byte; whether it parts two fields of the object that was read into.
    fn parts(&mut self, byte: u8) -> bool {
        if self.quoted {
            (self.quoted, self.escaped) =
                (self.escaped || byte != b'"', !self.escaped && byte == b'\\');
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0 && byte == b','
    }
}

/// The fields between the braces of a JSON object: parted by the commas that stand outside of all
/// texts, lists and objects among them. `None` where one of these does not end.
fn fields(object: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut end = Place::default();
    for byte in object {
        end.parts(*byte);
    }
    let mut place = Place::default();
    let whole = end.depth == 0;
    whole.then(|| object.split(move |byte| place.parts(*byte)))
}
