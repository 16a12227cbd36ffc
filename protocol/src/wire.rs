//! The envelope of every binary message: one schema byte, one kind byte, then the body.
//!
//! The schema byte stands outside postcard, so that any version can read it. Version rule: a
//! reader takes exactly its own schema and refuses others by name; a message that the schema cannot
//! say ([`Message::schema`]) has a later one, and an older reader says that it must be upgraded. What comes later does not change
//! the schema: kinds of work and codecs have numbers inside a body, and messages end in
//! [`Extensions`](crate::extension::Extensions), which old readers skip.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use postcard::Deserializer;
use postcard::de_flavors::{Flavor, Slice};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer as Reader, SeqAccess, Visitor};

/// Version of the wire format that this crate speaks.
pub const SCHEMA: u8 = 2;

/// Bytes in front of every body.
pub const ENVELOPE_BYTES: usize = 2;

/// What a message is: its second byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A [`crate::plan::Plan`]: what a federation works on, for all its devices.
    Plan = 1,
    /// A [`crate::message::Claim`]: a device asks to take part in a round.
    Claim = 2,
    /// A [`crate::message::Go`]: the answer to a claim.
    Go = 3,
    /// An [`crate::message::Ack`]: which chunks of an update have arrived.
    Ack = 4,
    /// A [`crate::message::Verdict`]: what became of an update.
    Verdict = 5,
    /// A [`crate::object::Chunk`]: a piece of one of the objects below.
    Chunk = 6,
    /// A message with its signer and signature around it. Reserved: this program has no keys yet
    /// and refuses it as [`WireError::Signed`].
    Signed = 7,
    /// A [`crate::give_up::GaveUp`]: a device sends nothing for work that it was told to do.
    GaveUp = 8,
    /// A [`crate::task::TaskSpec`]: what is learned. An object.
    Task = 16,
    /// A [`crate::model::Model`]: all parameters of a version. An object.
    Model = 17,
    /// A [`crate::report::Report`]: what a device sends of its work. An object.
    Report = 18,
    /// A [`crate::delta::Delta`]: how a version becomes the next. An object.
    Delta = 19,
    /// A [`crate::seeded::Seeded`]: initial weights as their seed. An object.
    Seeded = 20,
}

/// Why bytes from a peer were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The message ends before its envelope or its body does.
    #[error("the message is cut short")]
    Truncated,
    /// The message speaks another version of the wire format.
    #[error(
        "the message has schema {found}, this program reads schema {SCHEMA}: upgrade the older side"
    )]
    Schema {
        /// The schema byte found.
        found: u8,
    },
    /// The message is of another kind than the reader expects.
    #[error("the message is of kind {found}, expected {expected:?}")]
    Kind {
        /// The kind byte found.
        found: u8,
        /// The kind that the reader reads.
        expected: Kind,
    },
    /// The report is of a kind of work that this program does not know.
    #[error("the report is of work of kind {found}, which this program does not know")]
    Work {
        /// Number of the kind of work in the report's header.
        found: u8,
    },
    /// The message is signed, which this program cannot check.
    #[error("the message is signed, and this program cannot check signatures: upgrade it")]
    Signed,
    /// The message has an addition that a reader must know, and this program does not.
    #[error("the message needs extension {number}, which this program does not know: upgrade it")]
    Extension {
        /// Number of the addition, 128 or above.
        number: u8,
    },
    /// The message is longer than its kind may be.
    #[error("the message has {bytes} bytes, at most {limit} are allowed")]
    TooLong {
        /// Length of the message, envelope included.
        bytes: usize,
        /// Most bytes that its kind may have.
        limit: usize,
    },
    /// The body is not what its kind should hold.
    #[error("the body of the message cannot be read")]
    Malformed,
    /// Bytes are left after the body.
    #[error("{bytes} bytes are left after the message")]
    Trailing {
        /// Bytes behind the end of the body.
        bytes: usize,
    },
    /// The body reads well but breaks a rule.
    #[error("the message breaks a rule: {0}")]
    Invalid(&'static str),
    /// The checksum does not match the bytes.
    #[error("the checksum does not match")]
    Checksum,
}

impl WireError {
    /// A short name of the reason, for counters and test vectors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Schema { .. } => "schema",
            Self::Kind { .. } => "kind",
            Self::Work { .. } => "work",
            Self::Signed => "signed",
            Self::Extension { .. } => "extension",
            Self::TooLong { .. } => "too_long",
            Self::Malformed => "malformed",
            Self::Trailing { .. } => "trailing",
            Self::Invalid(_) => "invalid",
            Self::Checksum => "checksum",
        }
    }
}

/// A message whose whole body is postcard.
pub trait Message: Serialize + DeserializeOwned {
    /// The kind in the second byte of its envelope.
    const KIND: Kind;
    /// Longest message in bytes, envelope included.
    const BYTES_MAX: usize;

    /// Schemas that its envelope may have.
    const SCHEMAS: &'static [u8] = &[SCHEMA];

    /// The oldest schema that can say this message: that of its envelope.
    fn schema(&self) -> u8 {
        SCHEMA
    }

    /// Checks the rules that the types alone do not keep; both ends call it.
    ///
    /// # Errors
    /// [`WireError::Invalid`] names the rule.
    fn check(&self) -> Result<(), WireError>;
}

/// Writes the envelope and a postcard `body`.
///
/// # Errors
/// [`WireError::Malformed`] when postcard cannot write the body.
pub(crate) fn encode_parts<T: Serialize>(kind: Kind, body: &T) -> Result<Vec<u8>, WireError> {
    let bytes = alloc::vec![SCHEMA, kind as u8];
    postcard::to_extend(body, bytes).map_err(|_| WireError::Malformed)
}

/// Checks the envelope and returns the body's bytes.
pub(crate) fn open(bytes: &[u8], kind: Kind, limit: usize) -> Result<&[u8], WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong { bytes: bytes.len(), limit });
    }
    let found = peek_kind(bytes)?;
    if found != kind as u8 {
        return Err(WireError::Kind { found, expected: kind });
    }
    Ok(&bytes[ENVELOPE_BYTES..])
}

/// Reads a message that fills `bytes` exactly; its rules are not checked.
pub(crate) fn read<M: Message>(bytes: &[u8]) -> Result<M, WireError> {
    let newer = bytes.first().filter(|schema| M::SCHEMAS.contains(schema));
    let body = match (newer, bytes) {
        (Some(&schema), [_, kind, body @ ..]) if schema != SCHEMA => {
            if bytes.len() > M::BYTES_MAX {
                return Err(WireError::TooLong { bytes: bytes.len(), limit: M::BYTES_MAX });
            }
            if *kind != M::KIND as u8 {
                return Err(WireError::Kind { found: *kind, expected: M::KIND });
            }
            body
        }
        _ => open(bytes, M::KIND, M::BYTES_MAX)?,
    };
    let (message, rest) = take::<M>(body)?;
    if !rest.is_empty() {
        return Err(WireError::Trailing { bytes: rest.len() });
    }
    if bytes.first() != Some(&message.schema()) {
        return Err(WireError::Invalid("a message has the oldest schema that can say it"));
    }
    Ok(message)
}

/// Reads one postcard value from the front of `body` and returns it with the bytes behind it.
pub(crate) fn take<T: DeserializeOwned>(body: &[u8]) -> Result<(T, &[u8]), WireError> {
    let mut reader = Deserializer::from_flavor(Unhinted(Slice::new(body)));
    let value = T::deserialize(&mut reader).and_then(|value| Ok((value, reader.finalize()?)));
    value.map_err(|error| {
        let cut = error == postcard::Error::DeserializeUnexpectedEnd;
        if cut { WireError::Truncated } else { WireError::Malformed }
    })
}

/// Bytes of which no length is believed before its elements are there: a list of long elements that
/// claims as many as there are bytes would else reserve many times the message.
struct Unhinted<'de>(Slice<'de>);

impl<'de> Flavor<'de> for Unhinted<'de> {
    type Remainder = &'de [u8];
    type Source = &'de [u8];

    fn pop(&mut self) -> postcard::Result<u8> {
        self.0.pop()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(0)
    }

    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'de [u8]> {
        self.0.try_take_n(count)
    }

    fn finalize(self) -> postcard::Result<&'de [u8]> {
        self.0.finalize()
    }
}

/// Reads a list and keeps one element more than `MAX` at the most: enough to refuse it by, where all
/// of a long list of short elements would take many times the message's bytes. It grows with what is
/// there: a length that is only claimed reserves no memory. For `serde(deserialize_with)`.
///
/// # Errors
/// Those of `reader`.
pub fn take_list<'de, const MAX: usize, T, R>(reader: R) -> Result<Vec<T>, R::Error>
where
    T: Deserialize<'de>,
    R: Reader<'de>,
{
    struct List<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() <= MAX {
                    list.push(element);
                }
            }
            Ok(list)
        }
    }
    reader.deserialize_seq(List::<T, MAX>(PhantomData))
}

/// The kind byte of a message, when it has one of this schema.
///
/// # Errors
/// [`WireError::Truncated`], [`WireError::Schema`] or [`WireError::Signed`].
pub fn peek_kind(bytes: &[u8]) -> Result<u8, WireError> {
    const SIGNED: u8 = Kind::Signed as u8;
    match bytes {
        [SCHEMA, SIGNED, ..] => Err(WireError::Signed),
        [SCHEMA, kind, ..] => Ok(*kind),
        [found, _, ..] => Err(WireError::Schema { found: *found }),
        _ => Err(WireError::Truncated),
    }
}

/// Writes a message with its envelope.
///
/// # Errors
/// [`WireError::Invalid`] when the message breaks its own rules, [`WireError::TooLong`] when it is
/// longer than its kind may be.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, WireError> {
    message.check()?;
    let mut bytes = encode_parts(M::KIND, message)?;
    bytes[0] = message.schema();
    if bytes.len() > M::BYTES_MAX {
        return Err(WireError::TooLong { bytes: bytes.len(), limit: M::BYTES_MAX });
    }
    Ok(bytes)
}

/// Reads a message that fills `bytes` exactly.
///
/// # Errors
/// [`WireError`] says what is wrong with the bytes.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, WireError> {
    let message = read::<M>(bytes)?;
    message.check()?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list's reader is told of its length before the first element.
    struct Told(Option<usize>);

    impl<'de> Deserialize<'de> for Told {
        fn deserialize<D: Reader<'de>>(reader: D) -> Result<Self, D::Error> {
            struct Asks;
            impl<'de> Visitor<'de> for Asks {
                type Value = Told;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a list")
                }
                fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Told, A::Error> {
                    let told = Told(list.size_hint());
                    while list.next_element::<u8>()?.is_some() {}
                    Ok(told)
                }
            }
            reader.deserialize_seq(Asks)
        }
    }

    struct Two(Vec<u8>);

    impl<'de> Deserialize<'de> for Two {
        fn deserialize<R: Reader<'de>>(reader: R) -> Result<Self, R::Error> {
            take_list::<2, _, _>(reader).map(Self)
        }
    }

    #[test]
    fn of_a_list_that_is_too_long_one_element_more_is_kept_and_all_are_read() {
        for (bytes, kept) in [(&[2, 7, 8, 1][..], 2), (&[5, 7, 8, 9, 9, 9, 1], 3)] {
            let (two, rest) = take::<Two>(bytes).unwrap();
            assert_eq!((two.0.len(), rest), (kept, &[1][..]));
        }
    }

    #[test]
    fn a_claimed_length_reserves_no_memory() {
        let (told, rest) = take::<Told>(&[3, 7, 8, 9, 1]).unwrap();
        assert_eq!((told.0, rest), (None, &[1][..]));
        assert!(matches!(take::<Told>(&[200, 1, 7]), Err(WireError::Truncated)));
    }
}
