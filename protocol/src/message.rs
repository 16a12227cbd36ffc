//! The short messages of a round: claim, go, acknowledgement and verdict.

use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

use crate::extension::Extensions;
use crate::id::{Lineage, RoundId, ShortDigest};
use crate::limits::{CHUNKS_MAX, CONTROL_BYTES_MAX};
use crate::time::Instant;
use crate::wire::{Kind, Message, WireError};

/// Which piece of work a message speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkRef {
    /// The history of the model: round numbers count within one.
    pub lineage: Lineage,
    /// Number of the round in this lineage, from 1.
    pub round: RoundId,
    /// The kind of work, as in [`crate::plan::WorkItem::kind`].
    pub kind: u8,
}

/// A selected device asks to take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The work item of the plan that the device wants to do.
    pub work: WorkRef,
    /// The device's start number, so that an aggregator sees restarts.
    pub boot: u32,
    /// Codecs that the device can write: bit `n` stands for codec id `n`.
    pub codecs: u32,
    /// Memory that training may use, in KiB; 0 when unknown.
    pub memory_kib: u32,
    /// Training windows at hand.
    pub windows: u32,
    /// Additions of later versions.
    pub extensions: Extensions,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Go {
    /// The work that the claim named.
    pub work: WorkRef,
    /// Whether the device takes part.
    pub answer: Answer,
    /// The aggregator's clock as it answers: with it a device places the deadline on its own.
    pub now: Instant,
    /// When the work ends, on the aggregator's clock.
    pub deadline: Instant,
    /// Additions of later versions.
    pub extensions: Extensions,
}

/// Go or no go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The device takes part, and sends its report before the deadline.
    Go,
    /// Do not, for this reason.
    NoGo(Refusal),
}

/// Why a device, its claim or its update was refused. Wire numbers are the order here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// The device is not on the aggregator's list.
    NotEnrolled,
    /// No such round is open: too late, too early, or never there.
    RoundClosed,
    /// The message names another lineage.
    WrongLineage,
    /// The round has all the devices that it takes.
    Full,
    /// The device cannot write the codec of the plan.
    Codec,
    /// The device has fewer windows than one batch needs.
    NoData,
    /// Another update of this device was accepted in this round.
    Duplicate,
    /// The update starts from another version than the round.
    StaleBase,
    /// The update belongs to another parameter layout.
    WrongLayout,
    /// The update cannot be read.
    Malformed,
    /// The update speaks another version of the wire format.
    Schema,
    /// The object is longer than the round allows.
    Oversized,
    /// The update has a value that is not finite, or a loss beyond what a report can say.
    NotFinite,
    /// The update is longer than its codec can have made one of the clip norm.
    NormTooLarge,
    /// One coordinate of the update is beyond the bound of the plan.
    ValueTooLarge,
    /// The update names no examples, or more than it may.
    BadWeight,
    /// The bytes do not have the digest that they were announced with.
    Digest,
    /// The aggregator has no room for another transfer now; try again.
    Busy,
}

impl Refusal {
    /// All reasons in wire order, for counters.
    pub const ALL: [Self; 18] = [
        Self::NotEnrolled,
        Self::RoundClosed,
        Self::WrongLineage,
        Self::Full,
        Self::Codec,
        Self::NoData,
        Self::Duplicate,
        Self::StaleBase,
        Self::WrongLayout,
        Self::Malformed,
        Self::Schema,
        Self::Oversized,
        Self::NotFinite,
        Self::NormTooLarge,
        Self::ValueTooLarge,
        Self::BadWeight,
        Self::Digest,
        Self::Busy,
    ];

    /// The reason as one word, for counters and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotEnrolled => "not_enrolled",
            Self::RoundClosed => "round_closed",
            Self::WrongLineage => "wrong_lineage",
            Self::Full => "full",
            Self::Codec => "codec",
            Self::NoData => "no_data",
            Self::Duplicate => "duplicate",
            Self::StaleBase => "stale_base",
            Self::WrongLayout => "wrong_layout",
            Self::Malformed => "malformed",
            Self::Schema => "schema",
            Self::Oversized => "oversized",
            Self::NotFinite => "not_finite",
            Self::NormTooLarge => "norm_too_large",
            Self::ValueTooLarge => "value_too_large",
            Self::BadWeight => "bad_weight",
            Self::Digest => "digest",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which chunks of an object have arrived: bit `i % 8` of byte `i / 8` stands for chunk `i`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The object that arrives, by the first eight bytes of its SHA-256.
    pub object: ShortDigest,
    /// Chunks of the object.
    pub chunks: u16,
    /// `ceil(chunks / 8)` bytes; bits behind the last chunk are 0.
    pub have: Vec<u8>,
}

impl Ack {
    /// Whether chunk `index` has arrived.
    pub fn has(&self, index: u16) -> bool {
        let byte = self.have.get(usize::from(index / 8));
        byte.is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The work that the update was sent for.
    pub work: WorkRef,
    /// The update's object, by the first eight bytes of its SHA-256.
    pub object: ShortDigest,
    /// Counted, or refused for a reason.
    pub outcome: Outcome,
}

/// Whether an update is in the round's sum, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The update is in the sum and on the aggregator's disk.
    Accepted,
    /// It is not, for this reason.
    Refused(Refusal),
}

macro_rules! control {
    ($type:ty, $kind:ident, $check:expr) => {
        impl Message for $type {
            const KIND: Kind = Kind::$kind;
            const BYTES_MAX: usize = CONTROL_BYTES_MAX;
            fn check(&self) -> Result<(), WireError> {
                let check: fn(&Self) -> Result<(), WireError> = $check;
                check(self)
            }
        }
    };
}

control!(Claim, Claim, |claim| claim.extensions.check());
control!(Go, Go, |go| go.extensions.check());
control!(Verdict, Verdict, |_| Ok(()));
control!(Ack, Ack, |ack| {
    let chunks = usize::from(ack.chunks);
    if chunks == 0 || u32::from(ack.chunks) > CHUNKS_MAX {
        return Err(WireError::Invalid("an object has 1 to 4096 chunks"));
    }
    if ack.have.len() != chunks.div_ceil(8) {
        return Err(WireError::Invalid("the bitmap has one bit a chunk"));
    }
    let spare = ack.have.len() * 8 - chunks;
    match ack.have.last() {
        Some(last) if u32::from(*last).leading_zeros() < 24 + u32::try_from(spare).unwrap_or(8) => {
            Err(WireError::Invalid("bits behind the last chunk are 0"))
        }
        _ => Ok(()),
    }
});
