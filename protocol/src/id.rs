//! Names and numbers that identify things. Each is a type of its own, so that they cannot be mixed.

use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::limits::NAME_CHARS_MAX;

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("the name is empty")]
    Empty,
    /// The name has more than [`NAME_CHARS_MAX`] characters.
    #[error("the name has more than {NAME_CHARS_MAX} characters")]
    TooLong,
    /// The name has a character outside `A-Z a-z 0-9 _ -`.
    #[error("the name has the character {0:?}; only A-Z a-z 0-9 _ - are allowed")]
    BadCharacter(char),
}

/// A name of 1 to 64 characters of `A-Z a-z 0-9 _ -`: safe as one MQTT topic level on every broker.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "heapless::String<NAME_CHARS_MAX>", into = "heapless::String<NAME_CHARS_MAX>")]
pub struct Name(heapless::String<NAME_CHARS_MAX>);

impl Name {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if let Some(c) = text.chars().find(|&c| !allowed(c)) {
            return Err(NameError::BadCharacter(c));
        }
        heapless::String::try_from(text).map(Self).map_err(|_| NameError::TooLong)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<heapless::String<NAME_CHARS_MAX>> for Name {
    type Error = NameError;
    fn try_from(text: heapless::String<NAME_CHARS_MAX>) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for heapless::String<NAME_CHARS_MAX> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl core::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a device is: its MQTT user name, its client id and its topic level.
pub type DeviceId = Name;
/// Which group of devices learns one model together.
pub type FederationId = Name;
/// Which aggregator process speaks.
pub type InstanceId = Name;

/// One unbroken history of a model: 128 random bits, drawn when an aggregator starts from scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lineage(pub [u8; 16]);

impl Lineage {
    /// The first four bytes, by which an update names its history.
    pub fn tag(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }
}

/// As 32 hexadecimal digits.
impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Number of a round; starts at 1, never used twice in one lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoundId(pub u32);

impl RoundId {
    /// The round after this one; stays at the last number after 4 294 967 295 rounds.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for RoundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Version of the global model; 0 holds the initial weights, each published model adds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelVersion(pub u32);

impl ModelVersion {
    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hash of the order, shape and sharing of a model's parameters: two models agree on what
/// coordinate `i` means exactly when their layout hashes are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LayoutHash(pub [u8; 8]);

/// SHA-256 of an object's bytes: its address and its check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first eight bytes, which name the object in topics and chunk headers.
    pub fn short(&self) -> ShortDigest {
        let mut short = [0; 8];
        short.copy_from_slice(&self.0[..8]);
        ShortDigest(short)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.short())
    }
}

/// First eight bytes of an object's [`Digest`]; printed as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShortDigest(pub [u8; 8]);

impl fmt::Display for ShortDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ShortDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl core::str::FromStr for ShortDigest {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.as_bytes();
        if digits.len() != 16 || digits.iter().any(|d| !matches!(d, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(());
        }
        let mut bytes = [0; 8];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |d: u8| if d < b'a' { d - b'0' } else { d - b'a' + 10 };
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_keep_to_one_topic_level() {
        assert!(Name::new("wrist-07_b").is_ok());
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new("a/b"), Err(NameError::BadCharacter('/')));
        assert_eq!(Name::new("ü"), Err(NameError::BadCharacter('ü')));
        assert_eq!(Name::new(&"x".repeat(65)), Err(NameError::TooLong));
        assert!(Name::new(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn a_short_digest_reads_back_what_it_prints() {
        let short = Digest::of(b"dunlin").short();
        assert_eq!(short.to_string().parse(), Ok(short));
        assert_eq!("0123".parse::<ShortDigest>(), Err(()));
        assert_eq!("0123456789ABCDEF".parse::<ShortDigest>(), Err(()));
    }
}
