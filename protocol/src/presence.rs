//! Presence: who is there. The one message in JSON, for people and dashboards.

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
        if value == b"null" {
            return None;
        }
        let word = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let known = Self::KNOWN.into_iter().find(|held| word == Some(held.word().as_bytes()));
        Some(known.unwrap_or(Self::Other))
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A retained presence message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// What it is doing.
    pub state: State,
    /// Number of the start that speaks: a last will of another start is ignored.
    pub boot: u32,
    /// Why it takes no new work; `None` when it does.
    pub held: Option<Ineligible>,
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
        if let Some(held) = self.held {
            write!(f, r#","held":"{held}""#)?;
        }
        f.write_str("}")
    }
}

impl Presence {
    /// The presence of somebody who takes work, if it is there.
    pub fn new(state: State, boot: u32) -> Self {
        Self { state, boot, held: None }
    }

    /// The payload of a state topic: one JSON object without line breaks.
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Reads a presence message: a JSON object with a text `state`, a number `boot` and perhaps a
    /// text `held`; other fields are skipped, whatever they hold. `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > PRESENCE_BYTES_MAX {
            return None;
        }
        let text = core::str::from_utf8(bytes).ok()?.as_bytes().trim_ascii();
        let inner = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
        let (mut state, mut boot, mut held) = (None, None, None);
        for field in fields(inner) {
            let colon = field.iter().position(|byte| *byte == b':')?;
            match (field[..colon].trim_ascii(), field[colon + 1..].trim_ascii()) {
                (br#""state""#, br#""online""#) => state = Some(State::Online),
                (br#""state""#, br#""offline""#) => state = Some(State::Offline),
                (br#""state""#, br#""asleep""#) => state = Some(State::Asleep),
                (br#""state""#, br#""lost""#) => state = Some(State::Lost),
                (br#""boot""#, number) => boot = core::str::from_utf8(number).ok()?.parse().ok(),
                (br#""held""#, reason) => held = Ineligible::of_json(reason),
                _ => {}
            }
        }
        Some(Self { state: state?, boot: boot?, held })
    }
}

/// The fields between the braces of a JSON object: parted by the commas that stand outside of all
/// texts, lists and objects among them. Bytes are enough: no part of a longer character is a sign.
fn fields(object: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut depth, mut quoted, mut escaped) = (0_u16, false, false);
    object.split(move |byte| {
        if quoted {
            (quoted, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
            return false;
        }
        match *byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *byte == b','
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_reads_back_and_skips_fields_it_does_not_know() {
        let presence = Presence::new(State::Lost, 17);
        assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence.clone()));
        let longer = br#" {"state": "lost", "boot": 17, "ver": "0.2"} "#;
        assert_eq!(Presence::decode(longer), Some(presence));
        assert_eq!(Presence::decode(b"{}"), None);
        assert_eq!(Presence::decode(b"\xff"), None);
    }

    #[test]
    fn fields_of_a_newer_peer_are_skipped_whatever_they_hold() {
        let known = Presence { held: Some(Ineligible::Hot), ..Presence::new(State::Online, 17) };
        for field in [
            r#""site":"Bern, second floor""#,
            r#""note":"a colon: and {braces}, [brackets}""#,
            r#""note":"she said \"hello, world\", and \\""#,
            r#""no colon":"none here""#,
            r#""a, b: c":7"#,
            r#""list":[1,2,"three, four",[5,{"six":6}]]"#,
            r#""more":{"battery":80,"state":"lost","boot":3,"held":"busy"}"#,
            r#""empty":[],"none":null,"true":true,"real":-1.5e3"#,
            r#""name":"Zürich, 東京""#,
        ] {
            let fields = [
                r#""state":"online""#,
                r#""boot": 17"#,
                r#""held" :"hot""#,
                field,
                r#""schema":9"#,
            ];
            for turn in 0..fields.len() {
                let mut fields = fields;
                fields.rotate_left(turn);
                let text = alloc::format!("{{{}}}", fields.join(","));
                assert_eq!(Presence::decode(text.as_bytes()), Some(known.clone()), "{text}");
            }
        }
        let deep = alloc::format!("{}{}", "[".repeat(200), "]".repeat(200));
        let text = alloc::format!(r#"{{"deep":{deep},"state":"online","boot":17,"held":"hot"}}"#);
        assert_eq!(Presence::decode(text.as_bytes()), Some(known));
    }

    #[test]
    fn what_is_no_object_or_lacks_a_field_is_no_presence() {
        for text in [
            "",
            "{}",
            "[]",
            r#""state""#,
            r#"{"state":"online"}"#,
            r#"{"boot":1}"#,
            r#"{"state":"online","boot":-1}"#,
            r#"{"state":"online","boot":"1"}"#,
            r#"{"state":"away","boot":1}"#,
            r#"{"state":"online","boot":1,}"#,
            r#"{"state":"online","boot":1"#,
            r#"{"note":"open,"state":"online","boot":1}"#,
            r#"{"more":{"state":"online","boot":1}}"#,
            r#"{"more":[{"state":"online","boot":1}"#,
        ] {
            assert_eq!(Presence::decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_device_that_is_held_says_why_and_readers_know_each_word() {
        for held in Ineligible::KNOWN {
            let presence = Presence { held: Some(held), ..Presence::new(State::Online, 3) };
            assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence));
        }
        let text = Presence { held: Some(Ineligible::Battery), ..Presence::new(State::Online, 3) };
        assert_eq!(text.encode(), r#"{"state":"online","boot":3,"schema":2,"held":"battery"}"#);
        assert_eq!(
            Presence::new(State::Online, 3).encode(),
            r#"{"state":"online","boot":3,"schema":2}"#,
            "nothing is added for a device that takes work"
        );
    }

    #[test]
    fn a_reason_of_a_newer_device_holds_too() {
        let held = |value: &str| {
            let text = alloc::format!(r#"{{"state":"online","boot":1,"held":{value}}}"#);
            Presence::decode(text.as_bytes()).map(|presence| presence.held)
        };
        assert_eq!(held(r#""hot""#), Some(Some(Ineligible::Hot)));
        assert_eq!(held(r#""weather""#), Some(Some(Ineligible::Other)));
        assert_eq!(held("7"), Some(Some(Ineligible::Other)));
        assert_eq!(held("\""), Some(Some(Ineligible::Other)));
        assert_eq!(held("null"), Some(None));
    }
}
