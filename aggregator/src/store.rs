//! The aggregator's memory on disk: one `redb` file, one durable transaction for each [`Save`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use dunlin_protocol::id::{DeviceId, ModelVersion, RoundId};
use dunlin_protocol::work::WorkKind;
use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, TableDefinition, TableError, WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};

mod old;

use crate::query::{ANSWERS_MAX, QueryResult};
use crate::round::{self, Progress, RoundKey};
use crate::snapshot::{ClosedRound, Head, Record, Save, Snapshot};
use crate::summary::RoundSummary;

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

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("store {}: {problem}", .path.display())]
pub struct StoreError {
    path: PathBuf,
    #[source]
    problem: StoreProblem,
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
        refuse_newer(path).map_err(name)?;
        let database = match Database::create(path) {
            Ok(database) => database,
            Err(DatabaseError::UpgradeRequired(_)) => return Err(name(StoreProblem::NotOurs)),
            Err(DatabaseError::Storage(redb::StorageError::Io(error)))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                return Err(name(StoreProblem::NotOurs));
            }
            Err(error) => return Err(name(error.into())),
        };
        check_schema(&database).map_err(name)?;
        Ok(Self { path: path.to_owned(), database })
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

/// Looks at a store without opening it for writing, which changes bytes of the file.
fn refuse_newer(path: &Path) -> Result<(), StoreProblem> {
    // What cannot be read this way is new, in use, damaged or no store: opening it says which.
    let Ok(database) = ReadOnlyDatabase::open(path) else { return Ok(()) };
    let Ok(meta) = database.begin_read()?.open_table(META) else { return Ok(()) };
    let schema = meta.get("schema")?.and_then(|bytes| bytes.value().try_into().ok());
    match schema.map(u32::from_le_bytes) {
        Some(found) if found > SCHEMA => Err(StoreProblem::Schema { found }),
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

fn write_record(transaction: &WriteTransaction, record: &Record) -> Result<(), StoreProblem> {
    match record {
        Record::Head(head) => {
            let bytes = encode("head", head)?;
            transaction.open_table(META)?.insert("head", bytes.as_slice())?;
        }
        Record::Task(task) => {
            let bytes = encode("task", task)?;
            transaction.open_table(META)?.insert("task", bytes.as_slice())?;
        }
        Record::Model(model) => {
            let bytes = encode("model", model)?;
            transaction.open_table(MODELS)?.insert(model.version.0, bytes.as_slice())?;
        }
        Record::ForgetModel(version) => {
            transaction.open_table(MODELS)?.remove(version.0)?;
        }
        Record::Round(round) => {
            let bytes = encode("round", round)?;
            transaction.open_table(ROUNDS)?.insert(key(round.key), bytes.as_slice())?;
        }
        Record::Progress(of, device, progress) => {
            append_progress(transaction, *of, device, *progress)?;
        }
        Record::Sums(of, sums) => {
            let bytes = encode("sums", sums)?;
            transaction.open_table(SUMS)?.insert(key(*of), bytes.as_slice())?;
        }
        Record::Answer(answer) => keep_answer(transaction, answer)?,
        Record::Close(summary) => close_round(transaction, summary)?,
    }
    Ok(())
}

/// Keeps an answer, and the newest [`ANSWERS_MAX`] of all.
fn keep_answer(transaction: &WriteTransaction, answer: &QueryResult) -> Result<(), StoreProblem> {
    let mut table = transaction.open_table(ANSWERS)?;
    table.insert(answer.query.as_str(), encode("answer", answer)?.as_slice())?;
    while table.len()? > ANSWERS_MAX as u64 {
        let mut oldest: Option<QueryResult> = None;
        for entry in table.iter()? {
            let answer: QueryResult = decode("answer", entry?.1.value())?;
            if oldest.as_ref().is_none_or(|oldest| answer.round < oldest.round) {
                oldest = Some(answer);
            }
        }
        let Some(oldest) = oldest else { break };
        table.remove(oldest.query.as_str())?;
    }
    Ok(())
}

/// All entries of one round's log.
fn log_of((round, kind): (u32, u8)) -> RangeInclusive<(u32, u8, u32)> {
    (round, kind, 0)..=(round, kind, u32::MAX)
}

fn append_progress(
    transaction: &WriteTransaction,
    of: RoundKey,
    device: &DeviceId,
    progress: Progress,
) -> Result<(), StoreProblem> {
    let mut table = transaction.open_table(PROGRESS)?;
    let (round, kind) = key(of);
    let last = table.range(log_of((round, kind)))?.next_back().transpose()?;
    let last = last.map(|(key, _)| key.value().2);
    let number = last.map_or(Some(0), |last| last.checked_add(1));
    let number = number.ok_or(StoreProblem::Corrupt { record: "progress" })?;
    let bytes = encode("progress", &(device, progress))?;
    table.insert((round, kind, number), bytes.as_slice())?;
    Ok(())
}

/// The log of the round stays for late questions, and that of the last one of its kind goes.
fn close_round(transaction: &WriteTransaction, summary: &RoundSummary) -> Result<(), StoreProblem> {
    let (round, kind) = key(summary.key);
    transaction.open_table(ROUNDS)?.remove((round, kind))?;
    transaction.open_table(SUMS)?.remove((round, kind))?;
    let before = transaction.open_table(CLOSED)?.insert(kind, round)?.map(|old| old.value());
    if let Some(before) = before.filter(|before| *before != round) {
        let mut progress = transaction.open_table(PROGRESS)?;
        progress.retain_in(log_of((before, kind)), |_, _| false)?;
    }
    let mut history = transaction.open_table(HISTORY)?;
    let last = history.last()?.map_or(0, |(number, _)| number.value());
    let number = last.saturating_add(1);
    history.insert(number, encode("history", summary)?.as_slice())?;
    if let Some(old) = number.checked_sub(HISTORY_MAX) {
        history.remove(old)?;
    }
    Ok(())
}

fn load(database: &Database) -> Result<Option<Snapshot>, StoreProblem> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let Some(head) = meta.get("head")? else { return Ok(None) };
    let head: Head = decode("head", head.value())?;
    let task = meta.get("task")?.map(|task| decode("task", task.value())).transpose()?;
    let models = read_all(&transaction, MODELS, "model", ModelVersion)?;
    let rounds = read_rounds(&transaction, ROUNDS, "round")?;
    let sums = read_rounds(&transaction, SUMS, "sums")?;
    let mut devices = read_progress(&transaction)?;
    let mut closed = BTreeMap::new();
    for entry in transaction.open_table(CLOSED)?.iter()? {
        let (kind, round) = entry?;
        let key = round_key(round.value(), kind.value(), "closed")?;
        let accepted = round::accepted(devices.remove(&key).unwrap_or_default());
        closed.insert(key.kind, ClosedRound { key, accepted });
    }
    let mut answers = BTreeMap::new();
    for entry in transaction.open_table(ANSWERS)?.iter()? {
        let answer: QueryResult = decode("answer", entry?.1.value())?;
        answers.insert(answer.query.clone(), answer);
    }
    Ok(Some(Snapshot {
        head,
        task,
        models: models.into_iter().collect(),
        rounds: rounds.into_iter().collect(),
        devices,
        sums: sums.into_iter().collect(),
        closed,
        answers,
        adopted: false,
    }))
}

fn read_all<K, Id, T: DeserializeOwned>(
    transaction: &ReadTransaction,
    table: TableDefinition<K, &[u8]>,
    record: &'static str,
    id: impl Fn(K) -> Id,
) -> Result<Vec<(Id, T)>, StoreProblem>
where
    K: for<'a> redb::Key<SelfType<'a> = K> + 'static,
{
    let table = transaction.open_table(table)?;
    let mut all = Vec::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        all.push((id(key.value()), decode(record, value.value())?));
    }
    Ok(all)
}

fn read_rounds<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    table: TableDefinition<(u32, u8), &[u8]>,
    record: &'static str,
) -> Result<Vec<(RoundKey, T)>, StoreProblem> {
    let all = read_all(transaction, table, record, |key| key)?;
    let named = |((round, kind), value)| Ok((round_key(round, kind, record)?, value));
    all.into_iter().map(named).collect()
}

fn round_key(round: u32, kind: u8, record: &'static str) -> Result<RoundKey, StoreProblem> {
    let kind = WorkKind::from_number(kind).ok_or(StoreProblem::Corrupt { record })?;
    Ok(RoundKey { round: RoundId(round), kind })
}

/// How far the devices of each round with a log are.
fn read_progress(
    transaction: &ReadTransaction,
) -> Result<BTreeMap<RoundKey, BTreeMap<DeviceId, Progress>>, StoreProblem> {
    let mut rounds: BTreeMap<RoundKey, BTreeMap<DeviceId, Progress>> = BTreeMap::new();
    for entry in transaction.open_table(PROGRESS)?.iter()? {
        let (key, value) = entry?;
        let (round, kind, _) = key.value();
        let (device, progress) = decode("progress", value.value())?;
        rounds.entry(round_key(round, kind, "progress")?).or_default().insert(device, progress);
    }
    Ok(rounds)
}

#[cfg(test)]
pub(crate) mod tests;
