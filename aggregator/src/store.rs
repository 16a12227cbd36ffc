//! The aggregator's memory on disk: one `redb` file, one durable transaction for each [`Save`].

use std::fmt;
use std::path::{Path, PathBuf};

use dunlin_protocol::id::LayoutHash;
use dunlin_protocol::task::TaskSpec;
use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, ReadableTable, TableDefinition,
    TableError,
};
use serde::{Serialize, de::DeserializeOwned};

mod error;
mod load;
mod old;
mod write;

use crate::round::RoundKey;
use crate::snapshot::{Save, Snapshot};
use crate::summary::RoundSummary;
pub use error::{StoreError, StoreProblem};
use load::{load, peek};
use write::write_record;

/// What the file says it is.
const MAGIC: &[u8] = b"dunlin-aggregator";
/// Version of the records. An older one is brought up as the store is opened; a newer one is refused
/// and stays as it is.
const SCHEMA: u32 = 4;
/// Summaries that are kept; older ones go.
const HISTORY_MAX: u64 = 10_000;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const MODELS: TableDefinition<u32, &[u8]> = TableDefinition::new("models");
const ROUNDS: TableDefinition<(u32, u8), &[u8]> = TableDefinition::new("rounds");
/// How far the devices of open rounds, and of the last closed one of each kind, got: a log by round,
/// kind and number, in which the last entry of a device counts. What is appended lies together, so
/// that a write touches few pages however many devices there are.
const PROGRESS: TableDefinition<(u32, u8, u32), &[u8]> = TableDefinition::new("progress");
const SUMS: TableDefinition<(u32, u8), &[u8]> = TableDefinition::new("sums");
/// The number of the last closed round of each kind.
const CLOSED: TableDefinition<u8, u32> = TableDefinition::new("closed_rounds");
const ANSWERS: TableDefinition<&str, &[u8]> = TableDefinition::new("answers");
const HISTORY: TableDefinition<u64, &[u8]> = TableDefinition::new("history");

/// An open store. Only one process can have it.
pub struct Store {
    path: PathBuf,
    database: Database,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.path.display())
    }
}

impl Store {
    /// Opens the store at `path`; makes an empty one where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the file is in use, is something else, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name = |problem| StoreError { path: path.to_owned(), problem };
        // What cannot be read this way is new, in use, damaged or no store: opening it says which. Opening
        // it for writing changes bytes of the file.
        if let Ok(database) = ReadOnlyDatabase::open(path) {
            refuse_other_schemas(&database).map_err(name)?;
        }
        make_private(path);
        let database = Database::create(path).map_err(|error| name(of_open(error)))?;
        check_schema(&database).map_err(name)?;
        Ok(Self { path: path.to_owned(), database })
    }

    /// Layout and task of the model in the store at `path`, of which not a byte is changed. `None` where
    /// there is no model yet, or the store is of an older version.
    ///
    /// # Errors
    /// [`StoreError`] when the file is in use, was not closed in order, is something else, or cannot be
    /// read.
    pub fn peek(path: &Path) -> Result<Option<(LayoutHash, Option<TaskSpec>)>, StoreError> {
        let name = |problem| StoreError { path: path.to_owned(), problem };
        // An empty file is a store that was never written.
        if std::fs::metadata(path).map_or(true, |data| data.len() == 0) {
            return Ok(None);
        }
        let database = ReadOnlyDatabase::open(path).map_err(|error| name(of_open(error)))?;
        refuse_other_schemas(&database).map_err(name)?;
        peek(&database).map_err(name)
    }

    fn named<T>(&self, result: Result<T, StoreProblem>) -> Result<T, StoreError> {
        result.map_err(|problem| StoreError { path: self.path.clone(), problem })
    }

    /// What was saved; `None` in an empty store.
    ///
    /// # Errors
    /// [`StoreError`] when a record cannot be read.
    pub fn load(&self) -> Result<Option<Snapshot>, StoreError> {
        self.named(load(&self.database))
    }

    /// Does what `save` says, all or nothing, and returns when it is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when the disk refuses; then nothing of it happened.
    pub fn save(&self, save: &Save) -> Result<(), StoreError> {
        let write = || -> Result<(), StoreProblem> {
            let transaction = self.database.begin_write()?;
            save.records.iter().try_for_each(|record| write_record(&transaction, record))?;
            Ok(transaction.commit()?)
        };
        self.named(write())
    }

    /// The last `count` rounds that ended, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when a record cannot be read.
    pub fn history(&self, count: usize) -> Result<Vec<RoundSummary>, StoreError> {
        let read = || -> Result<Vec<RoundSummary>, StoreProblem> {
            let transaction = self.database.begin_read()?;
            let table = match transaction.open_table(HISTORY) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut summaries = Vec::new();
            for entry in table.iter()?.rev().take(count) {
                summaries.push(decode("history", entry?.1.value())?);
            }
            summaries.reverse();
            Ok(summaries)
        };
        self.named(read())
    }
}

/// Makes an empty file where there is none: only its owner may read what devices sent.
fn make_private(path: &Path) {
    // Where that cannot be done, opening the store says why.
    let _ = dunlin_service::file::private().write(true).create_new(true).open(path);
}

/// Why a file could not be opened.
fn of_open(error: DatabaseError) -> StoreProblem {
    let is_other_data = |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidData;
    let foreign = matches!(error, DatabaseError::UpgradeRequired(_))
        || matches!(&error, DatabaseError::Storage(redb::StorageError::Io(error)) if is_other_data(error));
    if foreign { StoreProblem::NotOurs } else { error.into() }
}

/// Refuses a store of a version that this program does not know.
fn refuse_other_schemas(database: &ReadOnlyDatabase) -> Result<(), StoreProblem> {
    let Ok(meta) = database.begin_read()?.open_table(META) else { return Ok(()) };
    let schema = meta.get("schema")?.and_then(|bytes| bytes.value().try_into().ok());
    match schema.map(u32::from_le_bytes) {
        Some(found) if !(old::OLDEST..=SCHEMA).contains(&found) => {
            Err(StoreProblem::Schema { found })
        }
        Some(_) | None => Ok(()),
    }
}

fn check_schema(database: &Database) -> Result<(), StoreProblem> {
    let transaction = database.begin_write()?;
    {
        let is_new = transaction.list_tables()?.next().is_none();
        let mut meta = transaction.open_table(META)?;
        if is_new {
            meta.insert("magic", MAGIC)?;
            meta.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
        } else if meta.get("magic")?.is_none_or(|magic| magic.value() != MAGIC) {
            return Err(StoreProblem::NotOurs);
        }
        let schema = meta.get("schema")?.and_then(|bytes| bytes.value().try_into().ok());
        let found = schema.map(u32::from_le_bytes).ok_or(StoreProblem::NotOurs)?;
        if found != SCHEMA {
            old::bring_up(found, &transaction, &mut meta)?;
        }
        transaction.open_table(MODELS)?;
        transaction.open_table(ROUNDS)?;
        transaction.open_table(SUMS)?;
        transaction.open_table(PROGRESS)?;
        transaction.open_table(CLOSED)?;
        transaction.open_table(HISTORY)?;
        transaction.open_table(ANSWERS)?;
    }
    Ok(transaction.commit()?)
}

fn encode<T: Serialize>(record: &'static str, value: &T) -> Result<Vec<u8>, StoreProblem> {
    postcard::to_allocvec(value).map_err(|_| StoreProblem::Corrupt { record })
}

fn decode<T: DeserializeOwned>(record: &'static str, bytes: &[u8]) -> Result<T, StoreProblem> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(StoreProblem::Corrupt { record }),
    }
}

fn key(key: RoundKey) -> (u32, u8) {
    (key.round.0, key.kind as u8)
}

#[cfg(test)]
pub(crate) mod tests;
