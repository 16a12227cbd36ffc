//! Presence: who is there. The one message in JSON, for people and dashboards.

use alloc::string::{String, ToString};
use core::fmt;

/// Longest presence message in bytes.
pub const PRESENCE_BYTES_MAX: usize = 512;

/// What a device or an aggregator is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Connected.
    Online,
    /// Left on purpose, for good.
    Offline,
    /// Left on purpose until its next check-in: a device whose link is not always up.
    Asleep,
    /// Gone without a word: the broker publishes this as the last will.
    Lost,
}

/// A retained presence message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// What it is doing.
    pub state: State,
    /// Number of the start that speaks: a last will of an earlier start is ignored.
    pub boot: u32,
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
        write!(f, r#"{{"state":"{state}","boot":{boot},"schema":{schema}}}"#)
    }
}

impl Presence {
    /// The message's text.
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Reads a presence message: a flat JSON object with a text `state` and a number `boot`;
    /// other fields are skipped. `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > PRESENCE_BYTES_MAX {
            return None;
        }
        let text = core::str::from_utf8(bytes).ok()?.trim();
        let inner = text.strip_prefix('{')?.strip_suffix('}')?;
        let (mut state, mut boot) = (None, None);
        for field in inner.split(',') {
            let (key, value) = field.split_once(':')?;
            match (key.trim(), value.trim()) {
                (r#""state""#, r#""online""#) => state = Some(State::Online),
                (r#""state""#, r#""offline""#) => state = Some(State::Offline),
                (r#""state""#, r#""asleep""#) => state = Some(State::Asleep),
                (r#""state""#, r#""lost""#) => state = Some(State::Lost),
                (r#""boot""#, number) => boot = number.parse().ok(),
                _ => {}
            }
        }
        Some(Self { state: state?, boot: boot? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_reads_back_and_skips_fields_it_does_not_know() {
        let presence = Presence { state: State::Lost, boot: 17 };
        assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence.clone()));
        let longer = br#" {"state": "lost", "boot": 17, "ver": "0.2"} "#;
        assert_eq!(Presence::decode(longer), Some(presence));
        assert_eq!(Presence::decode(b"{}"), None);
        assert_eq!(Presence::decode(b"\xff"), None);
    }
}
