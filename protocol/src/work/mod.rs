//! Kinds of work: what a plan may ask of devices, and what each sends in return. One file a kind.
//!
//! A kind has a number, a body in the plan's [`WorkItem`](crate::plan::WorkItem), metrics that its
//! reports carry, and a [`VectorSpec`] for the payload. Devices pass over kinds that they do not
//! know. A new kind is a file here and a line in each `match` below.

mod evaluate;
mod fit;
mod sums;
mod train;
mod vector;

pub use evaluate::Score;
pub use fit::{
    FIT_CHANNELS_MAX, FIT_EXTENSION, FIT_FRACTION_BITS, FIT_SUMS, Fit, FitChannel, FitFigures,
    FitSums, Significant, fit_channels, is_beyond as fit_is_beyond, read_fits,
};
pub use sums::{CHANNEL_SUMS, ChannelQuery, SumsWork};
pub use train::{Augment, TrainFigures, TrainWork, Training};
pub use vector::{Bound, Coding, Protection, Section, VectorSpec, read_integers, write_integers};

use alloc::vec::Vec;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::task::Task;
use crate::wire::{self, WireError};

/// Kinds of work; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum WorkKind {
    /// Train from the base version and send the difference.
    Train = 1,
    /// Measure the base version on held-back windows and send the figures.
    Evaluate = 2,
    /// Add up small statistics of the windows and send the exact sums.
    Sums = 3,
}

impl WorkKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Train, Self::Evaluate, Self::Sums];

    /// The kind as one word, for messages and counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::Sums => "sums",
        }
    }

    /// The kind with this number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// What reports of this kind say beside their payload, in order.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Train => &train::METRICS,
            Self::Evaluate => &evaluate::METRICS,
            Self::Sums => &sums::METRICS,
        }
    }

    /// Checks the figures of a report of this kind.
    ///
    /// # Errors
    /// [`WireError::Invalid`] names the rule.
    pub(crate) fn check_metrics(self, metrics: &[u64]) -> Result<(), WireError> {
        let declared = self.metrics();
        let fits = |(metric, value): (&Metric, &u64)| *value <= metric.max;
        if metrics.len() != declared.len() || !declared.iter().zip(metrics).all(fits) {
            return Err(WireError::Invalid("each figure that the kind declares, within its bound"));
        }
        let hits = |windows: usize| metrics[windows + 1] <= metrics[windows];
        let counted = match self {
            Self::Train => hits(2) && hits(5),
            Self::Evaluate => hits(0),
            Self::Sums => true,
        };
        if counted {
            Ok(())
        } else {
            Err(WireError::Invalid("a score counts no more hits than windows"))
        }
    }

    /// Whether a loss in a report of this kind is at its bound: as good as no number.
    pub fn is_beyond(self, metrics: &[u64]) -> bool {
        let at_bound =
            |(metric, value): (&Metric, &u64)| metric.fraction_bits > 0 && *value >= metric.max;
        self.metrics().iter().zip(metrics).any(at_bound)
    }

    /// Whether a device needs the base version to do it.
    pub fn needs_model(self) -> bool {
        match self {
            Self::Train | Self::Evaluate => true,
            Self::Sums => false,
        }
    }

    /// Whether a device needs windows to do it: others answer that they have none.
    pub fn needs_windows(self) -> bool {
        match self {
            Self::Train | Self::Evaluate => true,
            Self::Sums => false,
        }
    }
}

/// One figure of a report: a number in fixed point, not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// What it counts, for people; reports carry only the number.
    pub name: &'static str,
    /// The number is the figure times two to this power, rounded to the nearest.
    pub fraction_bits: u8,
    /// Largest number that is taken.
    pub max: u64,
}

impl Metric {
    /// Counts things, up to those of one device.
    const fn count(name: &'static str) -> Self {
        Self { name, fraction_bits: 0, max: u32::MAX as u64 }
    }

    /// A sum of losses over windows.
    const fn loss(name: &'static str) -> Self {
        Self { name, fraction_bits: LOSS_FRACTION_BITS, max: LOSS_SUM_MAX << LOSS_FRACTION_BITS }
    }
}

/// Fraction bits of sums of losses.
pub const LOSS_FRACTION_BITS: u8 = 16;
/// Largest sum of losses that fits a report. It stands for everything beyond, so that a report at it
/// measured nothing: devices give up instead, and aggregators refuse it.
pub const LOSS_SUM_MAX: u64 = 1 << 26;

/// A loss that is summed over windows, as the number of its metric: the nearest, halves away from
/// zero, [`LOSS_SUM_MAX`] for more and for what is no number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub fn loss_metric(sum: f64) -> u64 {
    let most = LOSS_SUM_MAX as f64;
    let sum = if sum <= most { sum.max(0.0) } else { most };
    let scaled = sum * f64::from(1_u32 << LOSS_FRACTION_BITS);
    let whole = scaled as u64;
    whole + u64::from(scaled - whole as f64 >= 0.5)
}

/// What a work item asks for, read from its kind and body.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Train and send an update.
    Train(TrainWork),
    /// Measure the base version and send a score, without a vector.
    Evaluate,
    /// Add up these statistics of the windows and send the sums.
    Sums(SumsWork),
    /// Work that this program is too old for.
    Unknown(u8),
}

impl Work {
    /// The kind; `None` when this program does not know it.
    pub fn kind(&self) -> Option<WorkKind> {
        match self {
            Self::Train(_) => Some(WorkKind::Train),
            Self::Evaluate => Some(WorkKind::Evaluate),
            Self::Sums(_) => Some(WorkKind::Sums),
            Self::Unknown(_) => None,
        }
    }

    /// The kind's number, as in [`WorkItem::kind`](crate::plan::WorkItem::kind).
    pub fn number(&self) -> u8 {
        match self {
            Self::Unknown(number) => *number,
            Self::Train(_) => WorkKind::Train as u8,
            Self::Evaluate => WorkKind::Evaluate as u8,
            Self::Sums(_) => WorkKind::Sums as u8,
        }
    }

    /// The body for [`WorkItem::body`](crate::plan::WorkItem::body).
    ///
    /// # Errors
    /// [`WireError::Malformed`] when it cannot be written.
    pub fn body(&self) -> Result<Vec<u8>, WireError> {
        let body = match self {
            Self::Train(work) => postcard::to_allocvec(work),
            Self::Sums(work) => postcard::to_allocvec(work),
            Self::Evaluate | Self::Unknown(_) => Ok(Vec::new()),
        };
        body.map_err(|_| WireError::Malformed)
    }

    /// Checks the rules that the types alone do not keep.
    ///
    /// # Errors
    /// [`WireError::Invalid`] names the rule.
    pub fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Train(work) => work.check(),
            Self::Sums(work) => work.check(),
            Self::Evaluate | Self::Unknown(_) => Ok(()),
        }
    }

    /// Reads the body of a work item.
    ///
    /// # Errors
    /// [`WireError`] when the body of a known kind cannot be read or breaks a rule.
    pub(crate) fn read(number: u8, body: &[u8]) -> Result<Self, WireError> {
        match WorkKind::from_number(number) {
            Some(WorkKind::Train) => {
                let work: TrainWork = whole(body)?;
                work.check().map(|()| Self::Train(work))
            }
            Some(WorkKind::Evaluate) => Ok(Self::Evaluate),
            Some(WorkKind::Sums) => {
                let work: SumsWork = whole(body)?;
                work.check().map(|()| Self::Sums(work))
            }
            None => Ok(Self::Unknown(number)),
        }
    }

    /// What the payload of a report holds, for a model of `task`; nothing for work that sends
    /// figures alone.
    pub fn vector(&self, task: &Task) -> VectorSpec {
        match self {
            Self::Train(work) => work.vector(task),
            Self::Sums(work) => work.vector(task),
            Self::Evaluate | Self::Unknown(_) => VectorSpec::NONE,
        }
    }
}

/// Reads a value that fills `body`.
fn whole<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    let (work, rest) = wire::take(body)?;
    match rest.len() {
        0 => Ok(work),
        bytes => Err(WireError::Trailing { bytes }),
    }
}
