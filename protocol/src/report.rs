//! The report object: what a device sends at the end of a piece of work, whatever its kind.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::extension::Extensions;
use crate::id::{ModelVersion, RoundId};
use crate::limits::OBJECT_BYTES_MAX;
use crate::message::WorkRef;
use crate::task::TaskDigest;
use crate::wire::{self, Kind, WireError};
use crate::work::WorkKind;

/// Which work a report is of, in as few bytes as a link deserves: what the plan says for all (codec
/// parameters, bounds, seeds) is not repeated, and hashes are cut to four bytes. They catch mistakes;
/// who may speak for a device is the broker's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportHeader {
    /// [`crate::id::Lineage::tag`] of the history.
    pub lineage: [u8; 4],
    /// Number of the round that the work belongs to.
    pub round: RoundId,
    /// The kind of work, as in [`crate::plan::WorkItem::kind`].
    pub kind: u8,
    /// The version that it starts from.
    pub base_version: ModelVersion,
    /// [`TaskDigest::tag`] of its task: what its coordinates and figures mean.
    pub task: [u8; 4],
    /// Number of the codec that wrote the payload; 0 without one.
    pub codec: u8,
}

/// Bytes of the framing of a training report of one chunk, everything but the codec's payload, while
/// rounds, versions and windows are below 16,384 and sums of losses below 524,288.
pub const FRAMING_BYTES: u32 = 64;

impl ReportHeader {
    /// The header of a report of `work`.
    pub fn new(work: WorkRef, base: ModelVersion, task: TaskDigest, codec: u8) -> Self {
        Self {
            lineage: work.lineage.tag(),
            round: work.round,
            kind: work.kind,
            base_version: base,
            task: task.tag(),
            codec,
        }
    }
}

/// What a device sends: header, metrics, and a payload as the work's
/// [`VectorSpec`](crate::work::VectorSpec) declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<'a> {
    /// Which work it is of.
    pub header: ReportHeader,
    /// The figures, as the kind of work declares them: [`WorkKind::metrics`].
    pub metrics: Vec<u64>,
    /// Additions of later versions.
    pub extensions: Extensions,
    /// The coded vector; empty for work that sends figures alone.
    pub payload: &'a [u8],
}

impl<'a> Report<'a> {
    /// A report without extensions.
    pub fn new(header: ReportHeader, metrics: Vec<u64>, payload: &'a [u8]) -> Self {
        Self { header, metrics, extensions: Extensions::NONE, payload }
    }

    /// The object's bytes: envelope, header, metrics and extensions in postcard, payload.
    ///
    /// # Errors
    /// [`WireError`] when a figure breaks a rule or the object gets too long.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        self.check()?;
        let mut bytes = wire::encode_parts(Kind::Report, &self.header)?;
        let malformed = |_| WireError::Malformed;
        for metric in &self.metrics {
            bytes = postcard::to_extend(metric, bytes).map_err(malformed)?;
        }
        bytes = postcard::to_extend(&self.extensions, bytes).map_err(malformed)?;
        bytes.extend_from_slice(self.payload);
        let limit = OBJECT_BYTES_MAX as usize;
        if bytes.len() > limit {
            return Err(WireError::TooLong { bytes: bytes.len(), limit });
        }
        Ok(bytes)
    }

    /// Reads a report; the payload stays where it is and is not decoded yet.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let body = wire::open(bytes, Kind::Report, OBJECT_BYTES_MAX as usize)?;
        let (header, mut rest) = wire::take::<ReportHeader>(body)?;
        let mut metrics = Vec::new();
        for _ in kind(&header)?.metrics() {
            let (metric, after) = wire::take::<u64>(rest)?;
            metrics.push(metric);
            rest = after;
        }
        let (extensions, payload) = wire::take::<Extensions>(rest)?;
        let report = Self { header, metrics, extensions, payload };
        report.check().map(|()| report)
    }

    fn check(&self) -> Result<(), WireError> {
        kind(&self.header)?.check_metrics(&self.metrics)?;
        self.extensions.check()
    }
}

fn kind(header: &ReportHeader) -> Result<WorkKind, WireError> {
    WorkKind::from_number(header.kind).ok_or(WireError::Work { found: header.kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::id::{Digest, Lineage};
    use crate::object::CHUNK_HEADER_BYTES;
    use crate::work::{LOSS_FRACTION_BITS, LOSS_SUM_MAX};

    /// Bytes of a training report without payload and extensions.
    fn bytes(number: u32, loss_sum: u64) -> usize {
        let (round, lineage) = (RoundId(number), Lineage([7; 16]));
        let work = WorkRef { lineage, round, kind: WorkKind::Train as u8 };
        let (base, task) = (ModelVersion(number), TaskDigest(Digest([7; 32])));
        let header = ReportHeader::new(work, base, task, Codec::INT8.spec().id);
        let (count, loss) = (u64::from(number), loss_sum << LOSS_FRACTION_BITS);
        let metrics = Vec::from([count, loss, count, count, loss, count, count, loss]);
        Report::new(header, metrics, &[]).encode().unwrap().len()
    }

    #[test]
    fn a_report_frames_its_payload_in_as_few_bytes_as_the_documents_say() {
        let framing = |number, loss_sum| CHUNK_HEADER_BYTES + bytes(number, loss_sum);
        assert_eq!(framing(100, 30), 50);
        assert_eq!(framing(1_000, 3_000), 60);
        assert_eq!(framing(16_383, 524_287), 63);
        assert!(framing(16_383, 524_287) <= FRAMING_BYTES as usize);
        assert_eq!(bytes(u32::MAX, LOSS_SUM_MAX), 69);
    }
}
