//! What the payload of a report holds: both ends work it out from the plan, so that it need not
//! travel.

use alloc::vec::Vec;

use crate::codec::CodecSpec;
use crate::wire::{self, WireError};

/// How the coordinates of a section are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coding {
    /// Real numbers, by this codec.
    Real(CodecSpec),
    /// Whole numbers of up to 128 bits, exact: zigzag varints in postcard, one after the other.
    Integers,
}

/// What the coordinates of a section may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The sum of the magnitudes is at most this.
    L1(f64),
    /// The Euclidean norm is at most this.
    L2(f64),
    /// No coordinate's magnitude is above this.
    LInf(f64),
}

/// Coordinates that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What the coordinates are, for people, such as `update`.
    pub name: &'static str,
    /// Number of coordinates; 0 for a part that was not asked for.
    pub len: usize,
    /// How they are written.
    pub coding: Coding,
    /// What devices keep them within before they are written, and aggregators check. What is read may
    /// be longer by what the codec adds: `Codec::norm_max`.
    pub bounds: Vec<Bound>,
}

/// What the aggregator learns of one device's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The vector itself, as the device sent it.
    Clear,
}

/// The payload of a report: sections one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSpec {
    /// In the order of the payload.
    pub sections: Vec<Section>,
    /// What the aggregator learns of it.
    pub protection: Protection,
}

impl VectorSpec {
    /// The payload of work that sends figures alone: none.
    pub const NONE: Self = Self { sections: Vec::new(), protection: Protection::Clear };

    /// Coordinates of all sections together.
    pub fn len(&self) -> usize {
        self.sections.iter().map(|section| section.len).sum()
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Writes whole numbers as [`Coding::Integers`] says.
///
/// # Errors
/// [`WireError::Malformed`] when postcard cannot.
pub fn write_integers(values: &[i128]) -> Result<Vec<u8>, WireError> {
    let write = |bytes, value| postcard::to_extend(value, bytes);
    values.iter().try_fold(Vec::new(), write).map_err(|_| WireError::Malformed)
}

/// Reads `count` whole numbers that fill `payload`.
///
/// # Errors
/// [`WireError`] when there are fewer, more, or other bytes.
pub fn read_integers(mut payload: &[u8], count: usize) -> Result<Vec<i128>, WireError> {
    // Each has a byte at the least, so that no count makes more memory than came.
    let mut values = Vec::with_capacity(count.min(payload.len()));
    for _ in 0..count {
        let (value, rest) = wire::take::<i128>(payload)?;
        values.push(value);
        payload = rest;
    }
    match payload.len() {
        0 => Ok(values),
        bytes => Err(WireError::Trailing { bytes }),
    }
}
