//! Which kinds of work a device can do nothing of with what it has, and why: nobody need wait for it.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::word_of_json;
use crate::work::WorkKind;

/// What a device lacks for work of one kind. Unlike [`Ineligible`](super::Ineligible) it does not pass
/// with the hour: a setting, the task or the data have to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// Its memory is too small for the task, or for an update as the plan wants it.
    Memory,
    /// It has no windows of the task.
    Windows,
    /// It holds no windows back to measure on.
    HeldBack,
    /// Something that this program does not know.
    Other,
}

impl Lack {
    const KNOWN: [Self; 3] = [Self::Memory, Self::Windows, Self::HeldBack];

    /// The word for it in a presence message.
    pub fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Windows => "windows",
            Self::HeldBack => "held_back",
            Self::Other => "other",
        }
    }

    /// What a JSON value stands for: whatever this program does not know is a lack too.
    fn of_json(value: &[u8]) -> Option<Self> {
        word_of_json(value, &Self::KNOWN, Self::word, Self::Other)
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a device lacks, by kind of work; nothing for kinds that it can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unable([Option<Lack>; WorkKind::ALL.len()]);

impl Unable {
    /// A device that lacks by kind what `lack` says.
    pub fn new(lack: impl Fn(WorkKind) -> Option<Lack>) -> Self {
        Self(WorkKind::ALL.map(lack))
    }

    /// What it lacks for work of this kind; `None` where it can do it.
    pub fn lack(&self, kind: WorkKind) -> Option<Lack> {
        self.iter().find(|(unable, _)| *unable == kind).map(|(_, lack)| lack)
    }

    /// The kinds that it cannot do, each with what it lacks.
    pub fn iter(&self) -> impl Iterator<Item = (WorkKind, Lack)> {
        let kinds = WorkKind::ALL.into_iter().zip(self.0);
        kinds.filter_map(|(kind, lack)| Some((kind, lack?)))
    }

    /// Whether it can do work of every kind.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the field of a presence message. Kinds that this program does not know are skipped.
    pub(super) fn of_json(value: &[u8]) -> Self {
        let mut unable = Self::default();
        let inner = value.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        for field in inner.and_then(super::fields).into_iter().flatten() {
            let Some(colon) = field.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (field[..colon].trim_ascii(), field[colon + 1..].trim_ascii());
            let name = name.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            for (place, kind) in unable.0.iter_mut().zip(WorkKind::ALL) {
                if name == Some(kind.word().as_bytes()) {
                    *place = Lack::of_json(value);
                }
            }
        }
        unable
    }
}

/// As the JSON object of a presence message.
impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (kind, lack)) in self.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, r#"{comma}"{kind}":"{lack}""#, kind = kind.word())?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_is_lacked_reads_back_by_kind_and_what_is_not_known_is_skipped_or_another_lack() {
        let unable = Unable::new(|kind| (kind == WorkKind::Evaluate).then_some(Lack::HeldBack));
        assert_eq!(unable.to_string(), r#"{"evaluate":"held_back"}"#);
        assert_eq!(Unable::of_json(unable.to_string().as_bytes()), unable);
        let full = Unable::new(|_| Some(Lack::Memory));
        assert_eq!(Unable::of_json(full.to_string().as_bytes()), full);
        let read = |text: &str| Unable::of_json(text.as_bytes());
        let odd = read(r#"{ "train" : "disk" , "sing":"voice", "sums": null, "evaluate": 7 }"#);
        let lacks = WorkKind::ALL.map(|kind| odd.lack(kind));
        assert_eq!(lacks, [Some(Lack::Other), Some(Lack::Other), None]);
        for nothing in ["{}", "7", "null", "[]", "{,}", "{:}", r#"{"train"}"#, r#""train""#] {
            assert!(read(nothing).is_empty(), "{nothing}");
        }
    }
}
