//! The head of a ring file: what its records mean. Written once, never changed in place.
//!
//! `magic [8] | version u16 | length u32 | postcard of the header | crc32 u32`, then zeros up to a
//! multiple of 4096 bytes, where the records begin.
//!
//! Version 1 has a name and a quantum for each channel and nothing else, and marks no values that were
//! cut: those are at the end of the range.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dunlin_protocol::limits::{CHANNELS_MAX, LABEL_CHARS_MAX};
use dunlin_service::file::{Durability, replace};
use serde::{Deserialize, Serialize};

use super::record::Layout;
use super::{DataError, record};

const MAGIC: &[u8; 8] = b"DUNLRING";
/// Version that is written, and the one before, which is read.
pub(super) const VERSION: u16 = 2;
pub(super) const VERSION_1: u16 = 1;
const FIXED_BYTES: usize = 14;
const ALIGN_BYTES: usize = 4096;
/// Longest header body in bytes: 64 names and units of 32 characters of 4 bytes, and their numbers.
const BODY_BYTES_MAX: usize = CHANNELS_MAX * (LABEL_CHARS_MAX * 8 + 28) + 64;

/// What one channel of a ring holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RingChannel {
    /// Name of the channel, as the task has it.
    pub name: String,
    /// Value of one step where values are kept as 16-bit multiples; 0 where they are kept as they are,
    /// as 32-bit floats.
    pub quantum: f32,
    /// What the source's numbers were multiplied by; 1 for nothing.
    pub factor: f64,
    /// What was added after that; 0 for nothing.
    pub offset: f64,
    /// Unit of the values kept, as the configuration names it; empty where it names none.
    pub unit: String,
}

/// What the records of a ring mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The channels, in the order of their values.
    pub channels: Vec<RingChannel>,
    /// Nanoseconds from one sample to the next.
    pub period_ns: u64,
    /// Samples that the ring holds at the most.
    pub capacity: u64,
}

/// The header of version 1.
#[derive(Deserialize)]
struct HeaderV1 {
    channels: Vec<(String, f32)>,
    period_ns: u64,
    capacity: u64,
}

/// What stands at the beginning of a file.
pub(super) enum Found {
    /// A header of this version.
    Header(Header),
    /// A header of version 1: of its channels only name and quantum are known.
    Version1(Header),
    /// A ring of a version that this program does not know.
    Version(u16),
    /// Nothing that can be read.
    Damaged,
}

impl RingChannel {
    /// A channel with values kept as they are if `quantum` is 0, or as 16-bit multiples of `quantum`;
    /// its unit is not known.
    pub fn new(name: impl Into<String>, quantum: f32) -> Self {
        Self { name: name.into(), quantum, factor: 1.0, offset: 0.0, unit: String::new() }
    }

    /// Largest value that the channel can hold, in its unit; the smallest is the negative of it.
    pub fn most(&self) -> f32 {
        if self.quantum > 0.0 { f32::from(i16::MAX) * self.quantum } else { f32::MAX }
    }
}

impl Header {
    /// Names of the channels.
    pub fn names(&self) -> Vec<String> {
        self.channels.iter().map(|channel| channel.name.clone()).collect()
    }

    /// Bytes of one record on disk.
    pub fn record_bytes(&self) -> usize {
        record::record_bytes(self.channels.iter().map(|channel| channel.quantum))
    }

    /// How records of this header lie on disk.
    pub(super) fn layout(&self) -> Layout {
        Layout::new(self.channels.iter().map(|channel| channel.quantum))
    }

    /// Microseconds that `steps` sampling periods last, at least 1.
    pub fn span_us(&self, steps: u64) -> i64 {
        let span = u128::from(self.period_ns) * u128::from(steps) / 1000;
        i64::try_from(span).unwrap_or(i64::MAX).max(1)
    }

    /// Bytes in front of the first record.
    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let body = postcard::to_allocvec(self)?;
        let length = u32::try_from(body.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&body);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(ALIGN_BYTES), 0);
        Ok(bytes)
    }

    /// Makes a file at `path` that holds this header and no records, or none at all.
    pub(super) fn create(&self, path: &Path) -> Result<(), DataError> {
        let encoded = self.encode().map_err(|error| DataError::State {
            path: path.to_owned(),
            problem: format!("cannot describe the channels: {error}; shorten their names"),
        })?;
        replace(path, &encoded, Durability::PowerCut).map_err(DataError::io(path, "write"))
    }

    /// Reads the beginning of `file`: what stands there, and where the records begin.
    pub(super) fn read(file: &mut File) -> std::io::Result<(Found, u64)> {
        let most = FIXED_BYTES + BODY_BYTES_MAX + 4;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(Self::decode(&bytes).unwrap_or((Found::Damaged, 0)))
    }

    fn decode(bytes: &[u8]) -> Option<(Found, u64)> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        if magic != MAGIC {
            return None;
        }
        let version = u16::from_le_bytes(*version);
        if !(VERSION_1..=VERSION).contains(&version) {
            return Some((Found::Version(version), 0));
        }
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let body = rest.get(..length)?;
        let crc = rest.get(length..length.checked_add(4)?)?;
        if crc32fast::hash(bytes.get(..FIXED_BYTES + length)?).to_le_bytes() != crc {
            return None;
        }
        let (header, rest) = if version == VERSION_1 {
            let (old, rest) = postcard::take_from_bytes::<HeaderV1>(body).ok()?;
            (old.into(), rest)
        } else {
            postcard::take_from_bytes::<Self>(body).ok()?
        };
        let sound = rest.is_empty() && header.capacity > 0 && !header.channels.is_empty();
        let start = (FIXED_BYTES + length + 4).next_multiple_of(ALIGN_BYTES);
        let found =
            if version == VERSION_1 { Found::Version1(header) } else { Found::Header(header) };
        sound.then_some((found, start as u64))
    }
}

impl From<HeaderV1> for Header {
    fn from(old: HeaderV1) -> Self {
        let channel = |(name, quantum): (String, f32)| RingChannel::new(name, quantum);
        let channels = old.channels.into_iter().map(channel).collect();
        Self { channels, period_ns: old.period_ns, capacity: old.capacity }
    }
}
