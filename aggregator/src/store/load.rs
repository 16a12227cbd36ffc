//! How everything that is stored becomes a snapshot again.

use std::collections::BTreeMap;

use dunlin_protocol::id::{DeviceId, LayoutHash, ModelVersion, RoundId};
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::WorkKind;
use redb::{
    Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
};
use serde::de::DeserializeOwned;

use super::{ANSWERS, CLOSED, META, MODELS, PROGRESS, ROUNDS, SCHEMA, SUMS, StoreProblem, decode};
use crate::query::QueryResult;
use crate::round::{self, Progress, RoundKey};
use crate::snapshot::{ClosedRound, Head, Snapshot};

pub(super) fn load(database: &Database) -> Result<Option<Snapshot>, StoreProblem> {
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

/// Layout and task of the model that is kept; `None` in a store of an older version, whose records
/// are brought up before they are read.
pub(super) fn peek(
    database: &ReadOnlyDatabase,
) -> Result<Option<(LayoutHash, Option<TaskSpec>)>, StoreProblem> {
    let meta = database.begin_read()?.open_table(META).map_err(|_| StoreProblem::NotOurs)?;
    let schema = meta.get("schema")?.is_some_and(|schema| schema.value() == SCHEMA.to_le_bytes());
    let Some(head) = meta.get("head")?.filter(|_| schema) else { return Ok(None) };
    let head: Head = decode("head", head.value())?;
    let task = meta.get("task")?.map(|task| decode("task", task.value())).transpose()?;
    Ok(Some((head.layout, task)))
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
pub(super) fn read_progress(
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
