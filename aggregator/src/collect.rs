//! Collectors: what the reports of one round make together. One a kind of sum.

mod table;

use alloc::vec::Vec;
use dunlin_protocol::task::Task;
use serde::{Deserialize, Serialize, Serializer};

use crate::combine::{Accumulator, CombineError, Contribution, Figures, FitTotals};
pub use table::Table;

/// The reports of one round, added up; nothing of a single one is left.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Stored")]
pub enum Collector {
    /// Real vectors, for their weighted mean, and figures.
    Mean(Accumulator),
    /// Vectors of whole numbers, added up exactly.
    Table(Table),
}

/// A collector as a store has it. The first two are as in stores that knew no sums of errors.
#[derive(Deserialize)]
enum Stored {
    Mean(Accumulator),
    Table(Table),
    /// A mean with sums of errors.
    Fitted(Accumulator, FitTotals),
}

impl From<Stored> for Collector {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Mean(sum) => Self::Mean(sum),
            Stored::Table(table) => Self::Table(table),
            Stored::Fitted(sum, fit) => Self::Mean(sum.with_fit(fit)),
        }
    }
}

impl Serialize for Collector {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        /// The same cases in the same order, borrowed.
        #[derive(Serialize)]
        enum Written<'a> {
            Mean(&'a Accumulator),
            Table(&'a Table),
            Fitted(&'a Accumulator, &'a FitTotals),
        }
        let written = match self {
            Self::Mean(sum) if sum.fit().is_empty() => Written::Mean(sum),
            Self::Mean(sum) => Written::Fitted(sum, sum.fit()),
            Self::Table(table) => Written::Table(table),
        };
        written.serialize(writer)
    }
}

/// What one device adds to a [`Collector`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// Its share of a mean: of the weighted sum and of the figures.
    Mean(Contribution),
    /// Of a table: its numbers.
    Table(Vec<i128>),
}

impl Collector {
    /// Adds one device's share; all of it or nothing.
    ///
    /// # Errors
    /// [`CombineError::Mismatch`] for a share of another kind or length, [`CombineError::Overflow`]
    /// when a sum would leave its range.
    pub fn add(&mut self, share: &Share) -> Result<(), CombineError> {
        match (self, share) {
            (Self::Mean(sum), Share::Mean(share)) => sum.add(share),
            (Self::Table(table), Share::Table(values)) => table.add(values),
            (Self::Mean(_) | Self::Table(_), Share::Mean(_) | Share::Table(_)) => {
                Err(CombineError::Mismatch)
            }
        }
    }

    /// The weighted mean, `[n_update]`.
    ///
    /// # Errors
    /// [`CombineError::Empty`] without any weight, [`CombineError::Mismatch`] for a table.
    pub fn mean(&self) -> Result<Vec<f32>, CombineError> {
        match self {
            Self::Mean(sum) => sum.mean(),
            Self::Table(_) => Err(CombineError::Mismatch),
        }
    }

    /// The figures added up so far.
    pub fn figures(&self) -> Figures {
        match self {
            Self::Mean(sum) => sum.figures(),
            Self::Table(table) => table.figures(),
        }
    }

    /// As [`Collector::figures`], with the errors of outputs that are values.
    pub fn figures_of(&self, task: &Task) -> Figures {
        match self {
            Self::Mean(sum) => sum.figures_of(task),
            Self::Table(table) => table.figures(),
        }
    }

    /// Whether it can hold the reports of `job` for a model of `task`.
    pub fn suits(&self, job: &crate::round::Job, task: &Task) -> bool {
        let len = job.vector(task).len();
        match self {
            Self::Mean(sum) => sum.n_update() == len,
            Self::Table(table) => table.values().len() == len,
        }
    }
}
