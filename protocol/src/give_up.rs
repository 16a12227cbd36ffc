//! A device gives up work that it was told to do, and says why: nobody need wait for it.

use alloc::string::String;
use core::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::extension::Extensions;
use crate::limits::CONTROL_BYTES_MAX;
use crate::message::WorkRef;
use crate::wire::{Kind, Message, WireError};

/// Longest text of a [`GaveUp`] in characters.
pub const TEXT_CHARS_MAX: usize = 120;

/// Why a device gives up. Numbers of the wire are those here; a number that this program does not know
/// is [`GiveUp::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum GiveUp {
    /// A reason without a number of its own: the text says it.
    Other = 0,
    /// The training left the range of numbers: the learning rate is too high, or the data are wrong.
    Diverged = 1,
    /// There is not enough memory.
    Memory = 2,
    /// There are no windows for the work, such as none that were held back for an evaluation.
    NoData = 3,
    /// Task, model and windows do not fit each other.
    Misfit = 4,
    /// The base version could not be had: no longer offered, spoiled, or its chunks did not come.
    Base = 5,
    /// The device cannot keep or write what it must.
    Storage = 6,
    /// Its time was over before it was done.
    Deadline = 7,
    /// Its own rules keep it from work now: see [`crate::presence::Ineligible`].
    Held = 8,
}

impl GiveUp {
    /// All reasons in the order of their numbers, for counters.
    pub const ALL: [Self; 9] = [
        Self::Other,
        Self::Diverged,
        Self::Memory,
        Self::NoData,
        Self::Misfit,
        Self::Base,
        Self::Storage,
        Self::Deadline,
        Self::Held,
    ];

    /// The reason as one word, for counters and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Diverged => "diverged",
            Self::Memory => "memory",
            Self::NoData => "no_data",
            Self::Misfit => "misfit",
            Self::Base => "base",
            Self::Storage => "storage",
            Self::Deadline => "deadline",
            Self::Held => "held",
        }
    }
}

impl From<u8> for GiveUp {
    fn from(number: u8) -> Self {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number).unwrap_or(Self::Other)
    }
}

impl From<GiveUp> for u8 {
    fn from(reason: GiveUp) -> Self {
        reason as Self
    }
}

/// Its number, and its word where people read it.
impl Serialize for GiveUp {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        if writer.is_human_readable() {
            writer.serialize_str(self.name())
        } else {
            writer.serialize_u8(*self as u8)
        }
    }
}

impl<'de> Deserialize<'de> for GiveUp {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = GiveUp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reason to give up")
            }
            fn visit_str<E>(self, word: &str) -> Result<GiveUp, E> {
                let known = GiveUp::ALL.into_iter().find(|reason| reason.name() == word);
                Ok(known.unwrap_or(GiveUp::Other))
            }
        }
        if reader.is_human_readable() {
            reader.deserialize_str(Word)
        } else {
            u8::deserialize(reader).map(Self::from)
        }
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device takes no part any more in work that it was told to do, and sends nothing for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaveUp {
    /// The work that it was told to do.
    pub work: WorkRef,
    /// Why it gives up, for counters.
    pub reason: GiveUp,
    /// Why it gives up, for people: at most [`TEXT_CHARS_MAX`] characters, none of them a control
    /// character.
    pub text: String,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl GaveUp {
    /// Gives `work` up; of `text`, as much as there is room for is told.
    pub fn new(work: WorkRef, reason: GiveUp, text: &str) -> Self {
        let plain = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign });
        let text = plain.take(TEXT_CHARS_MAX).collect();
        Self { work, reason, text, extensions: Extensions::NONE }
    }
}

impl Message for GaveUp {
    const KIND: Kind = Kind::GaveUp;
    const BYTES_MAX: usize = CONTROL_BYTES_MAX;

    fn check(&self) -> Result<(), WireError> {
        if self.text.chars().count() > TEXT_CHARS_MAX || self.text.chars().any(char::is_control) {
            return Err(WireError::Invalid("a text of at most 120 characters on one line"));
        }
        self.extensions.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Lineage, RoundId};
    use crate::wire;
    use std::string::ToString;

    fn work() -> WorkRef {
        WorkRef { lineage: Lineage([7; 16]), round: RoundId(3), kind: 1 }
    }

    #[test]
    fn a_long_text_of_several_lines_is_cut_to_what_may_be_said() {
        let long = "no\nmemory\u{7}é".repeat(40);
        let said = GaveUp::new(work(), GiveUp::Memory, &long);
        assert_eq!(said.text.chars().count(), TEXT_CHARS_MAX);
        assert!(said.text.starts_with("no memory éno"), "{}", said.text);
        let bytes = wire::encode(&said).unwrap();
        assert_eq!(wire::decode::<GaveUp>(&bytes), Ok(said));
    }

    #[test]
    fn a_reason_of_a_newer_device_is_another_reason() {
        let said = GaveUp::new(work(), GiveUp::Held, "");
        let mut bytes = wire::encode(&said).unwrap();
        let place = bytes.len() - 3;
        assert_eq!(bytes[place], GiveUp::Held as u8);
        bytes[place] = 200;
        let read = wire::decode::<GaveUp>(&bytes).map(|said| said.reason);
        assert_eq!(read, Ok(GiveUp::Other));
    }

    #[test]
    fn each_reason_has_a_number_and_a_word_of_its_own() {
        for reason in GiveUp::ALL {
            assert_eq!(GiveUp::from(u8::from(reason)), reason);
            let same = GiveUp::ALL.iter().filter(|other| other.to_string() == reason.name());
            assert_eq!(same.count(), 1, "{reason}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_or_has_line_breaks_is_refused() {
        for text in ["x".repeat(121), "two\nlines".to_string()] {
            let said = GaveUp { text, ..GaveUp::new(work(), GiveUp::Other, "") };
            assert!(matches!(wire::encode(&said), Err(WireError::Invalid(_))));
        }
    }
}
