//! What an aggregator starts from.

use std::collections::BTreeMap;
use std::fmt;

use dunlin_protocol::id::{LayoutHash, Lineage, ModelVersion, RoundId, ShortDigest};
use dunlin_protocol::task::ParamLayout;

use crate::library::Edition;
use crate::settings::{Downlink, Problem};
use crate::snapshot::{Head, ModelRecord, Snapshot};

/// Where the first model comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Initial {
    /// Drawn from this seed as the task says.
    Seed(u64),
    /// Given: `[n_model]`, finite.
    Params(Vec<f32>),
}

/// What an aggregator starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// A new history.
    Fresh {
        /// Its 128 random bits.
        lineage: Lineage,
        /// Its first model.
        initial: Initial,
    },
    /// What an earlier run saved.
    Restored(Box<Snapshot>),
}

/// Why an aggregator did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The settings are wrong in these places.
    Settings(Vec<Problem>),
    /// The saved state belongs to a task with another parameter layout.
    OtherTask {
        /// The layout of the task in the settings.
        task: LayoutHash,
        /// The layout saved.
        saved: LayoutHash,
    },
    /// The saved state does not fit together.
    Inconsistent(&'static str),
    /// The first model has the wrong length or a value that is not finite.
    Initial {
        /// Values that it must have.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(problems) => {
                f.write_str("the settings cannot be used:")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
            Self::OtherTask { task, saved } => write!(
                f,
                "the store belongs to another task (its layout is {}, the task's is {}): give \
                 the new task a store of its own",
                ShortDigest(saved.0),
                ShortDigest(task.0)
            ),
            Self::Inconsistent(what) => {
                write!(f, "the saved state does not fit together: {what}; restore a backup")
            }
            Self::Initial { expected, found } => write!(
                f,
                "the first model needs {expected} finite parameters, the one given has {found} \
                 or a value that is not finite"
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// The state of a history that begins: version 0 and nothing else; no start has happened yet.
pub(super) fn fresh(
    lineage: Lineage,
    layout: &ParamLayout,
    initial: Initial,
    downlink: Downlink,
) -> Result<Snapshot, StartError> {
    let version = ModelVersion(0);
    let edition = match initial {
        Initial::Seed(seed) => Edition::of_seed(downlink, layout, seed),
        Initial::Params(params) => {
            check_params(&params, layout.n_model())?;
            let edition = Edition::anchor(downlink, version, layout.hash(), params);
            edition.map_err(|_| StartError::Inconsistent("the first model is too large"))?
        }
    };
    // What the grid cost a first version is gone for good: nothing was learned with it.
    let params = edition.given;
    let (given, momentum, written) = (Vec::new(), Vec::new(), edition.written);
    let record = ModelRecord { version, params, given, momentum, written };
    let layout = layout.hash();
    let next_round = RoundId(1);
    Ok(Snapshot {
        head: Head {
            lineage,
            layout,
            boot: 0,
            version,
            published: 0,
            next_round,
            retired: Vec::new(),
        },
        models: BTreeMap::from([(version, record)]),
        rounds: BTreeMap::new(),
        sums: BTreeMap::new(),
        closed: BTreeMap::new(),
    })
}

/// Whether `params` can be a model of `expected` parameters.
pub(super) fn check_params(params: &[f32], expected: usize) -> Result<(), StartError> {
    if params.len() == expected && params.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(StartError::Initial { expected, found: params.len() })
    }
}
