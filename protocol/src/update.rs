//! The update object: what a device sends at the end of a piece of work.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::codec::Codec;
use crate::extension::Extensions;
use crate::id::{ModelVersion, RoundId};
use crate::limits::OBJECT_BYTES_MAX;
use crate::message::WorkRef;
use crate::task::TaskDigest;
use crate::wire::{self, Kind, WireError};

/// How well a model did on windows that were never trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Windows looked at.
    pub windows: u32,
    /// Windows classified rightly; 0 for tasks without classes.
    pub correct: u32,
    /// Sum of the loss over the windows; finite, not negative.
    pub loss_sum: f32,
}

impl Score {
    /// Share of windows classified rightly, 0 without windows.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.correct) / f64::from(self.windows.max(1))
    }

    /// Mean loss of a window, 0 without windows.
    pub fn loss(&self) -> f64 {
        f64::from(self.loss_sum) / f64::from(self.windows.max(1))
    }

    fn check(&self) -> Result<(), WireError> {
        if self.correct <= self.windows && self.loss_sum.is_finite() && self.loss_sum >= 0.0 {
            Ok(())
        } else {
            Err(WireError::Invalid("a score counts no more hits than windows, with a finite loss"))
        }
    }
}

/// Everything in an update but its payload, in as few bytes as a link deserves: what the plan says
/// for all (codec parameters, seeds) is not repeated, and hashes are cut to four bytes. They catch
/// mistakes; who may speak for a device is the broker's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateHeader {
    /// [`crate::id::Lineage::tag`] of the history.
    pub lineage: [u8; 4],
    /// The round.
    pub round: RoundId,
    /// The kind of work, as in [`crate::plan::WorkItem::kind`].
    pub kind: u8,
    /// The version that it starts from.
    pub base_version: ModelVersion,
    /// [`TaskDigest::tag`] of its task: what its coordinates and figures mean.
    pub task: [u8; 4],
    /// Windows trained on.
    pub examples: u32,
    /// Mean training loss of the last epoch; 0 for an evaluation.
    pub train_loss: f32,
    /// The base version on held-back windows.
    pub before: Score,
    /// The trained model on held-back windows; empty for an evaluation.
    pub after: Score,
    /// Number of the payload's codec; 0 when there is no payload.
    pub codec: u8,
    /// Additions of later versions.
    pub extensions: Extensions,
}

/// Bytes of the framing of an update of one chunk, everything but the codec's payload, while rounds
/// and versions are below 16,384 and windows below 2,097,152.
pub const FRAMING_BYTES: u32 = 64;

impl UpdateHeader {
    /// A header without figures yet.
    pub fn new(work: WorkRef, base: ModelVersion, task: TaskDigest, codec: Codec) -> Self {
        Self {
            lineage: work.lineage.tag(),
            round: work.round,
            kind: work.kind,
            base_version: base,
            task: task.tag(),
            examples: 0,
            train_loss: 0.0,
            before: Score::default(),
            after: Score::default(),
            codec: codec.spec().id,
            extensions: Extensions::NONE,
        }
    }
}

/// What a device sends: figures, and for training the coded difference to the base version.
#[derive(Clone, Debug, PartialEq)]
pub struct Update<'a> {
    /// The figures.
    pub header: UpdateHeader,
    /// The coded difference, `[n_update]` values; empty for an evaluation.
    pub payload: &'a [u8],
}

impl<'a> Update<'a> {
    /// The object's bytes: envelope, header in postcard, payload.
    ///
    /// # Errors
    /// [`WireError`] when a figure breaks a rule or the object gets too long.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        self.check()?;
        let mut bytes = wire::encode_parts(Kind::Update, &self.header)?;
        bytes.extend_from_slice(self.payload);
        let limit = OBJECT_BYTES_MAX as usize;
        if bytes.len() > limit {
            return Err(WireError::TooLong { bytes: bytes.len(), limit });
        }
        Ok(bytes)
    }

    /// Reads an update; the payload stays where it is and is not decoded yet.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let body = wire::open(bytes, Kind::Update, OBJECT_BYTES_MAX as usize)?;
        let (header, payload) = wire::take::<UpdateHeader>(body)?;
        let update = Self { header, payload };
        update.check().map(|()| update)
    }

    fn check(&self) -> Result<(), WireError> {
        self.header.before.check()?;
        self.header.after.check()?;
        self.header.extensions.check()?;
        if self.header.train_loss.is_finite() && self.header.train_loss >= 0.0 {
            Ok(())
        } else {
            Err(WireError::Invalid("the training loss is finite and not negative"))
        }
    }
}
