//! The head of a ring file: what its records mean. Written once, never changed in place.
//!
//! `magic [8] | version u16 | length u32 | postcard of the header | crc32 u32`, then zeros up to a
//! multiple of 4096 bytes, where the records begin.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dunlin_protocol::limits::{CHANNELS_MAX, LABEL_CHARS_MAX};
use dunlin_service::file::{Durability, replace};
use serde::{Deserialize, Serialize};

use super::DataError;

const MAGIC: &[u8; 8] = b"DUNLRING";
const VERSION: u16 = 1;
const FIXED_BYTES: usize = 14;
const ALIGN_BYTES: usize = 4096;
/// Longest header body in bytes: 64 names of 32 characters of 4 bytes, and their numbers.
const BODY_BYTES_MAX: usize = CHANNELS_MAX * (LABEL_CHARS_MAX * 4 + 8) + 64;

/// What the records of a ring mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name and quantum (value of one step, in the unit of the channel) of each channel.
    pub channels: Vec<(String, f32)>,
    /// Nanoseconds from one sample to the next.
    pub period_ns: u64,
    /// Samples that the ring holds at the most.
    pub capacity: u64,
}

/// What stands at the beginning of a file.
pub(super) enum Found {
    /// A header of this version.
    Header(Header),
    /// A ring of a version that this program does not know.
    Version(u16),
    /// Nothing that can be read.
    Damaged,
}

impl Header {
    /// Names of the channels.
    pub fn names(&self) -> Vec<String> {
        self.channels.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Sampling rate in thousandths of a hertz, rounded.
    pub fn rate_millihertz(&self) -> u32 {
        let period = self.period_ns.max(1);
        u32::try_from((1_000_000_000_000 + period / 2) / period).unwrap_or(u32::MAX)
    }

    /// Microseconds that `steps` sampling periods last, at least 1.
    pub fn span_us(&self, steps: u64) -> i64 {
        let span = self.period_ns.saturating_mul(steps) / 1000;
        i64::try_from(span).unwrap_or(i64::MAX).max(1)
    }

    /// Whether records made under `other` mean the same; the capacity does not matter.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.channels == other.channels && self.period_ns == other.period_ns
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
        if version != VERSION {
            return Some((Found::Version(version), 0));
        }
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let body = rest.get(..length)?;
        let crc = rest.get(length..length.checked_add(4)?)?;
        if crc32fast::hash(&bytes[..FIXED_BYTES + length]).to_le_bytes() != crc {
            return None;
        }
        let (header, rest) = postcard::take_from_bytes::<Self>(body).ok()?;
        let sound = rest.is_empty() && header.capacity > 0 && !header.channels.is_empty();
        let start = (FIXED_BYTES + length + 4).next_multiple_of(ALIGN_BYTES);
        sound.then_some((Found::Header(header), start as u64))
    }
}
