//! Records as older versions kept them, and how each is brought up to the next, in the transaction
//! that opens the store.

use std::collections::BTreeMap;

use dunlin_protocol::id::{DeviceId, LayoutHash, Lineage, ModelVersion, RoundId, ShortDigest};
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::object::ObjectRef;
use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::write::append_progress;
use super::{CLOSED, MODELS, ROUNDS, SCHEMA, SUMS, StoreProblem, decode, encode};
use crate::collect::Collector;
use crate::combine::Accumulator;
use crate::round::{Bounds, Job, Progress, RoundKey};
use crate::server_optimizer::OptimizerState;
use crate::snapshot::{Head, ModelRecord, RoundRecord, Written};
use crate::summary::Tally;

/// The oldest version that is brought up.
pub(super) const OLDEST: u32 = 2;

/// The last closed round of each kind, up to version 3.
const CLOSED_V3: TableDefinition<u8, &[u8]> = TableDefinition::new("closed");

type Meta<'a> = redb::Table<'a, &'static str, &'static [u8]>;

/// Version 2: plans had no order, and the store did not know its task.
#[derive(Serialize, Deserialize)]
pub(super) struct HeadV2 {
    lineage: Lineage,
    layout: LayoutHash,
    boot: u32,
    version: ModelVersion,
    published: u32,
    next_round: RoundId,
    retired: Vec<ObjectRef>,
}

/// Up to version 3 an open round held its devices, ...
#[derive(Serialize, Deserialize)]
struct RoundV3 {
    key: RoundKey,
    base: ModelVersion,
    job: Job,
    bounds: Bounds,
    fraction: Fraction,
    remaining_ms: u64,
    elapsed_ms: u64,
    devices: BTreeMap<DeviceId, Progress>,
    tally: Tally,
}

/// ... a closed one what it had accepted, ...
#[derive(Serialize, Deserialize)]
struct ClosedV3 {
    key: RoundKey,
    accepted: BTreeMap<DeviceId, ShortDigest>,
}

/// ... and a model the momentum, the only optimizer that there was.
#[derive(Serialize, Deserialize)]
struct ModelV3 {
    version: ModelVersion,
    params: Vec<f32>,
    given: Vec<f32>,
    momentum: Vec<f32>,
    written: Written,
}

/// Brings the records of version `found` up to this one.
///
/// # Errors
/// [`StoreProblem::Schema`] when there is no way from there; then nothing is changed.
pub(super) fn bring_up(
    found: u32,
    transaction: &WriteTransaction,
    meta: &mut Meta<'_>,
) -> Result<(), StoreProblem> {
    if !(OLDEST..SCHEMA).contains(&found) {
        return Err(StoreProblem::Schema { found });
    }
    if found < 3 {
        from_v2(transaction, meta)?;
    }
    from_v3(transaction)?;
    log::info!("the store was of schema {found} and is of schema {SCHEMA} now");
    meta.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
    Ok(())
}

/// Every sum was one of real vectors; a sum says of which kind it is now.
fn from_v2(transaction: &WriteTransaction, meta: &mut Meta<'_>) -> Result<(), StoreProblem> {
    rewrite(transaction, SUMS, "sums", |_, sum: Accumulator| Ok(Collector::Mean(sum)))?;
    let head = meta.get("head")?.map(|head| head.value().to_vec());
    let Some(head) = head else { return Ok(()) };
    let HeadV2 { lineage, layout, boot, version, published, next_round, retired } =
        decode("head", &head)?;
    let plan_epoch = 0;
    let head = Head { lineage, layout, boot, version, published, next_round, retired, plan_epoch };
    meta.insert("head", encode("head", &head)?.as_slice())?;
    Ok(())
}

/// Devices have a log of their own, and an optimizer's state has names.
fn from_v3(transaction: &WriteTransaction) -> Result<(), StoreProblem> {
    rewrite(transaction, ROUNDS, "round", |transaction, round: RoundV3| {
        let RoundV3 { key, base, job, bounds, fraction, remaining_ms, elapsed_ms, .. } = round;
        for (device, progress) in &round.devices {
            append_progress(transaction, key, device, *progress)?;
        }
        let tally = round.tally;
        #[rustfmt::skip]
        let round = RoundRecord {
            key, base, job, bounds, fraction, remaining_ms, elapsed_ms, tally,
        };
        Ok(round)
    })?;
    rewrite(transaction, MODELS, "model", |_, model: ModelV3| {
        let ModelV3 { version, params, given, momentum, written } = model;
        let optimizer = OptimizerState::of_momentum(momentum);
        let (master_params, published_params) = (params, given);
        Ok(ModelRecord { version, master_params, published_params, optimizer, written })
    })?;
    let old = transaction.open_table(CLOSED_V3)?;
    let mut closed = transaction.open_table(CLOSED)?;
    for entry in old.iter()? {
        let ClosedV3 { key, accepted } = decode("closed", entry?.1.value())?;
        for (device, object) in &accepted {
            append_progress(transaction, key, device, Progress::Accepted(*object))?;
        }
        closed.insert(key.kind as u8, key.round.0)?;
    }
    drop(old);
    transaction.delete_table(CLOSED_V3)?;
    Ok(())
}

/// Replaces each record of `table` by what `new` makes of it.
fn rewrite<K, Old: DeserializeOwned, New: Serialize>(
    transaction: &WriteTransaction,
    table: TableDefinition<K, &'static [u8]>,
    record: &'static str,
    new: impl Fn(&WriteTransaction, Old) -> Result<New, StoreProblem>,
) -> Result<(), StoreProblem>
where
    K: for<'a> redb::Key<SelfType<'a> = K> + Copy + 'static,
{
    let mut table = transaction.open_table(table)?;
    let mut rewritten = Vec::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let old = decode(record, value.value())?;
        rewritten.push((key.value(), encode(record, &new(transaction, old)?)?));
    }
    for (key, bytes) in rewritten {
        table.insert(key, bytes.as_slice())?;
    }
    Ok(())
}
