//! Objects: byte strings addressed by their SHA-256, moved in chunks that may come in any order.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::crc32;
use crate::id::{Digest, ShortDigest};
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, OBJECT_BYTES_MAX};
use crate::message::Ack;
use crate::wire::{self, Kind, SCHEMA, WireError};

/// Bytes of a chunk message in front of its data.
pub const CHUNK_HEADER_BYTES: usize = wire::ENVELOPE_BYTES + 8 + 2 + 4 + 1 + 4;

/// Unit of chunk lengths in bytes.
const KIB: u32 = 1024;

/// Where an object can be had and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Length of the object in bytes, 1 to [`OBJECT_BYTES_MAX`].
    pub bytes: u32,
    /// Length of each chunk but the last.
    pub chunk_bytes: u32,
}

impl ObjectRef {
    /// Describes `object`, cut into chunks of `chunk_bytes`.
    ///
    /// # Errors
    /// [`WireError`] when the object or the chunk is shorter or longer than allowed.
    pub fn of(object: &[u8], chunk_bytes: u32) -> Result<Self, WireError> {
        let bytes = u32::try_from(object.len()).unwrap_or(u32::MAX);
        let this = Self { digest: Digest::of(object), bytes, chunk_bytes };
        this.check().map(|()| this)
    }

    /// Chunks that the object is cut into.
    #[allow(clippy::cast_possible_truncation)] // check() keeps it below CHUNKS_MAX
    pub fn chunks(&self) -> u16 {
        self.bytes.div_ceil(self.chunk_bytes) as u16
    }

    /// Length of the longest chunk in bytes.
    pub fn chunk_len(&self) -> u32 {
        self.chunk_bytes.min(self.bytes)
    }

    pub(crate) fn check(&self) -> Result<(), WireError> {
        if self.bytes == 0 || self.bytes > OBJECT_BYTES_MAX {
            return Err(WireError::Invalid("an object has 1 byte to 16 MiB"));
        }
        check_chunk_bytes(self.chunk_bytes)
    }

    fn range(&self, index: u16) -> core::ops::Range<usize> {
        let start = usize::from(index) * self.chunk_bytes as usize;
        start..(start + self.chunk_bytes as usize).min(self.bytes as usize)
    }
}

/// Whether chunks may have this length.
pub(crate) fn check_chunk_bytes(bytes: u32) -> Result<(), WireError> {
    if (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(KIB) {
        Ok(())
    } else {
        Err(WireError::Invalid("chunks have 4 to 120 whole KiB"))
    }
}

/// The chunk length to try after one whose packet, of `packet_bytes`, did not get through: half of
/// the shorter of both, at least [`CHUNK_BYTES_MIN`]; `None` where that is no less than `chunk_bytes`.
pub fn smaller_chunk(chunk_bytes: u32, packet_bytes: u32) -> Option<u32> {
    let half = chunk_bytes.min(packet_bytes) / 2;
    let smaller = (half / KIB * KIB).max(CHUNK_BYTES_MIN);
    (smaller < chunk_bytes).then_some(smaller)
}

/// One chunk as it lies in a message: a fixed little-endian header, then the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The object it belongs to.
    pub object: ShortDigest,
    /// Its place, from 0.
    pub index: u16,
    /// Length of the whole object in bytes.
    pub object_bytes: u32,
    /// Length of each chunk but the last in bytes.
    pub chunk_bytes: u32,
    /// The chunk's part of the object: `chunk_bytes` bytes, fewer in the last chunk.
    pub data: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Chunk `index` of `object`; `None` behind the last.
    pub fn cut(reference: &ObjectRef, object: &'a [u8], index: u16) -> Option<Self> {
        if index >= reference.chunks() {
            return None;
        }
        Some(Self {
            object: reference.digest.short(),
            index,
            object_bytes: reference.bytes,
            chunk_bytes: reference.chunk_bytes,
            data: object.get(reference.range(index))?,
        })
    }

    /// The message that carries this chunk.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHUNK_HEADER_BYTES + self.data.len());
        bytes.extend_from_slice(&[SCHEMA, Kind::Chunk as u8]);
        bytes.extend_from_slice(&self.object.0);
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&self.object_bytes.to_le_bytes());
        #[allow(clippy::cast_possible_truncation)] // check_chunk_bytes() keeps it at most 120
        bytes.push((self.chunk_bytes / KIB) as u8);
        bytes.extend_from_slice(&self.checksum(&bytes[2..]).to_le_bytes());
        bytes.extend_from_slice(self.data);
        bytes
    }

    /// Reads a chunk and checks its header, its length and its checksum.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let limit = CHUNK_HEADER_BYTES + CHUNK_BYTES_MAX as usize;
        let body = wire::open(bytes, Kind::Chunk, limit)?;
        let (object, rest) = body.split_first_chunk::<8>().ok_or(WireError::Truncated)?;
        let (index, rest) = rest.split_first_chunk::<2>().ok_or(WireError::Truncated)?;
        let (object_bytes, rest) = rest.split_first_chunk::<4>().ok_or(WireError::Truncated)?;
        let (chunk_kib, rest) = rest.split_first().ok_or(WireError::Truncated)?;
        let (crc, data) = rest.split_first_chunk::<4>().ok_or(WireError::Truncated)?;
        let chunk = Self {
            object: ShortDigest(*object),
            index: u16::from_le_bytes(*index),
            object_bytes: u32::from_le_bytes(*object_bytes),
            chunk_bytes: u32::from(*chunk_kib) * KIB,
            data,
        };
        let reference = chunk.reference();
        reference.check()?;
        if chunk.index >= reference.chunks() {
            return Err(WireError::Invalid("the chunk lies behind the object's end"));
        }
        if data.len() != reference.range(chunk.index).len() {
            return Err(WireError::Invalid("the chunk does not have the length of its place"));
        }
        if chunk.checksum(&body[..15]) != u32::from_le_bytes(*crc) {
            return Err(WireError::Checksum);
        }
        Ok(chunk)
    }

    /// CRC-32 (IEEE) over the header behind the envelope and the data.
    fn checksum(&self, header: &[u8]) -> u32 {
        crc32::of(&[header, self.data])
    }

    /// The object's sizes; only the first eight bytes of the digest are known.
    fn reference(&self) -> ObjectRef {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.object.0);
        let (bytes, chunk_bytes) = (self.object_bytes, self.chunk_bytes);
        ObjectRef { digest: Digest(digest), bytes, chunk_bytes }
    }
}

/// Puts an object together from its chunks, in any order, repeats ignored.
#[derive(Clone, Debug)]
pub struct Assembly {
    reference: ObjectRef,
    bytes: Vec<u8>,
    have: Vec<u8>,
    missing: u16,
}

impl Assembly {
    /// Room for the object that `first` belongs to.
    pub fn for_chunk(first: &Chunk<'_>) -> Self {
        Self::new(first.reference())
    }

    /// Room for the object behind `reference`.
    pub fn new(reference: ObjectRef) -> Self {
        let missing = reference.chunks();
        Self {
            reference,
            bytes: alloc::vec![0; reference.bytes as usize],
            have: alloc::vec![0; usize::from(missing).div_ceil(8)],
            missing,
        }
    }

    /// First eight bytes of the object's digest.
    pub fn object(&self) -> ShortDigest {
        self.reference.digest.short()
    }

    /// Length of the whole object in bytes.
    pub fn object_bytes(&self) -> u32 {
        self.reference.bytes
    }

    /// Takes one chunk; whether it was new.
    ///
    /// # Errors
    /// [`WireError::Invalid`] when the chunk is of another object or of other sizes.
    pub fn take(&mut self, chunk: &Chunk<'_>) -> Result<bool, WireError> {
        let other = chunk.reference();
        let sizes = |r: &ObjectRef| (r.digest.short(), r.bytes, r.chunk_bytes);
        if sizes(&other) != sizes(&self.reference) {
            return Err(WireError::Invalid("the chunk belongs to another object"));
        }
        let (byte, bit) = (usize::from(chunk.index / 8), 1 << (chunk.index % 8));
        if self.have[byte] & bit != 0 {
            return Ok(false);
        }
        self.bytes[self.reference.range(chunk.index)].copy_from_slice(chunk.data);
        self.have[byte] |= bit;
        self.missing -= 1;
        Ok(true)
    }

    /// Whether every chunk is here.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Which chunks are not here yet, in order.
    pub fn missing(&self) -> impl Iterator<Item = u16> + '_ {
        (0..self.reference.chunks()).filter(|i| self.have[usize::from(i / 8)] & (1 << (i % 8)) == 0)
    }

    /// The acknowledgement for the sender.
    pub fn ack(&self) -> Ack {
        let chunks = self.reference.chunks();
        Ack { object: self.object(), chunks, have: self.have.clone() }
    }

    /// The object, checked against as much of its digest as is known.
    ///
    /// # Errors
    /// [`WireError::Truncated`] while chunks are missing, [`WireError::Checksum`] when the bytes
    /// are not the object.
    pub fn finish(self) -> Result<Vec<u8>, WireError> {
        if !self.is_complete() {
            return Err(WireError::Truncated);
        }
        let digest = Digest::of(&self.bytes);
        let known = self.reference.digest;
        let whole = known.0[8..].iter().any(|&byte| byte != 0);
        let matches = if whole { digest == known } else { digest.short() == known.short() };
        if matches { Ok(self.bytes) } else { Err(WireError::Checksum) }
    }

    /// The bytes as they are: chunks that are missing are zeros, and nothing was checked.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
