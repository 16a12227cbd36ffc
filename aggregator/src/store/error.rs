//! Why a store cannot be used.

use std::path::PathBuf;

use super::{SCHEMA, old};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("store {}: {problem}", .path.display())]
pub struct StoreError {
    pub(super) path: PathBuf,
    #[source]
    pub(super) problem: StoreProblem,
}

/// What is wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreProblem {
    /// Another process has it open.
    #[error("another process has it open; stop that aggregator first")]
    InUse,
    /// The file is not an aggregator's store.
    #[error("the file is not an aggregator's store; give `store.path` a new name or remove it")]
    NotOurs,
    /// A newer program wrote it, or one too old to be brought up.
    #[error(
        "it was written with schema {found}, this program reads schemas {oldest} to {SCHEMA}; use \
         the program that wrote it",
        oldest = old::OLDEST
    )]
    Schema {
        /// Version of the records that was found.
        found: u32,
    },
    /// A record cannot be read.
    #[error("the record {record:?} cannot be read; restore a backup of the file")]
    Corrupt {
        /// Which record it is, such as `head`.
        record: &'static str,
    },
    /// The disk or the database refused.
    #[error("{0}; check the path, its permissions and the space on the disk")]
    Database(#[source] Box<redb::Error>),
}

impl StoreError {
    /// What is wrong with it.
    pub fn problem(&self) -> &StoreProblem {
        &self.problem
    }

    /// Whether a person has to change something, so that opening it again would not help.
    pub fn is_config(&self) -> bool {
        match self.problem {
            StoreProblem::NotOurs | StoreProblem::Schema { .. } | StoreProblem::Corrupt { .. } => {
                true
            }
            StoreProblem::InUse | StoreProblem::Database(_) => false,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for StoreProblem {
    fn from(error: E) -> Self {
        let error = error.into();
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            Self::InUse
        } else if matches!(error, redb::Error::Corrupted(_)) {
            Self::Corrupt { record: "database" }
        } else {
            Self::Database(Box::new(error))
        }
    }
}
