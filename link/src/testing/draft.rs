//! A report as a test writes it, right or wrong.

use dunlin_protocol::report::{Report, ReportHeader};
use dunlin_protocol::work::{TrainFigures, WorkKind};

/// A report before it is written: its header, and figures that other kinds of work cut to their own.
#[derive(Clone)]
pub struct Draft {
    /// The header; the kind may be one that no program knows, and the round must be below 128.
    pub header: ReportHeader,
    /// The figures of a training.
    pub figures: TrainFigures,
}

impl Draft {
    /// The object with this payload.
    ///
    /// # Panics
    /// When the figures break a rule of the wire.
    pub fn object(&self, payload: &[u8]) -> Vec<u8> {
        let kind = WorkKind::from_number(self.header.kind);
        let metrics = match kind {
            Some(WorkKind::Evaluate) => self.figures.before.metrics(),
            Some(WorkKind::Sums) => vec![u64::from(self.figures.examples)],
            Some(WorkKind::Train) | None => self.figures.metrics(),
        };
        let mut header = self.header.clone();
        header.kind = kind.unwrap_or(WorkKind::Train) as u8;
        let report = Report::new(header, metrics, payload).encode();
        let mut object = report.unwrap_or_else(|error| panic!("{error}"));
        // Envelope, lineage, and a round of one byte.
        object[7] = self.header.kind;
        object
    }
}
