//! How each record is written, in one transaction with the others of its save.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use dunlin_protocol::id::DeviceId;
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::{
    ANSWERS, CLOSED, HISTORY, HISTORY_MAX, META, MODELS, PROGRESS, ROUNDS, SUMS, StoreProblem,
    decode, encode, key,
};
use crate::query::{ANSWERS_MAX, QueryResult};
use crate::round::{Progress, RoundKey};
use crate::snapshot::Record;
use crate::summary::RoundSummary;

pub(super) fn write_record(
    transaction: &WriteTransaction,
    record: &Record,
) -> Result<(), StoreProblem> {
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

/// From so many entries on, a round's log is compacted each time that it has doubled.
const LOG_COMPACTED: u32 = 1 << 16;

/// All entries of one round's log.
fn log_of((round, kind): (u32, u8)) -> RangeInclusive<(u32, u8, u32)> {
    (round, kind, 0)..=(round, kind, u32::MAX)
}

pub(super) fn append_progress(
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
    let mut number = number.ok_or(StoreProblem::Corrupt { record: "progress" })?;
    if number >= LOG_COMPACTED && number.is_power_of_two() {
        number = compact(&mut table, (round, kind))?;
    }
    let bytes = encode("progress", &(device, progress))?;
    table.insert((round, kind, number), bytes.as_slice())?;
    Ok(())
}

/// Leaves only the last entry of each device in a round's log; how many that are. A device that comes
/// and goes all the time would else let it grow as long as the round is open.
fn compact(
    table: &mut redb::Table<'_, (u32, u8, u32), &'static [u8]>,
    (round, kind): (u32, u8),
) -> Result<u32, StoreProblem> {
    let mut last: BTreeMap<DeviceId, Vec<u8>> = BTreeMap::new();
    for entry in table.range(log_of((round, kind)))? {
        let bytes = entry?.1.value().to_vec();
        let (device, _): (DeviceId, Progress) = decode("progress", &bytes)?;
        last.insert(device, bytes);
    }
    table.retain_in(log_of((round, kind)), |_, _| false)?;
    let mut number = 0;
    for bytes in last.values() {
        table.insert((round, kind, number), bytes.as_slice())?;
        number += 1;
    }
    Ok(number)
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
