//! Records as older versions kept them, and how each is brought up to the next, in the transaction
//! that opens the store.

use dunlin_protocol::id::{LayoutHash, Lineage, ModelVersion, RoundId};
use dunlin_protocol::object::ObjectRef;
use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{SCHEMA, SUMS, StoreProblem, decode, encode};
use crate::collect::Collector;
use crate::combine::Accumulator;
use crate::snapshot::Head;

/// The oldest version that is brought up.
pub(super) const OLDEST: u32 = 2;

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

/// Brings the records of version `found` up to this one.
///
/// # Errors
/// [`StoreProblem::Schema`] when there is no way from there; then nothing is changed.
pub(super) fn bring_up(
    found: u32,
    transaction: &WriteTransaction,
    meta: &mut Meta<'_>,
) -> Result<(), StoreProblem> {
    match found {
        2 => from_v2(transaction, meta)?,
        found => return Err(StoreProblem::Schema { found }),
    }
    log::info!("the store was of schema {found} and is of schema {SCHEMA} now");
    meta.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
    Ok(())
}

/// Every sum was one of real vectors; a sum says of which kind it is now.
fn from_v2(transaction: &WriteTransaction, meta: &mut Meta<'_>) -> Result<(), StoreProblem> {
    let mut table = transaction.open_table(SUMS)?;
    let mut sums = Vec::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let sum: Accumulator = decode("sums", value.value())?;
        sums.push((key.value(), encode("sums", &Collector::Mean(sum))?));
    }
    for (key, sum) in sums {
        table.insert(key, sum.as_slice())?;
    }
    let head = meta.get("head")?.map(|head| head.value().to_vec());
    let Some(head) = head else { return Ok(()) };
    let HeadV2 { lineage, layout, boot, version, published, next_round, retired } =
        decode("head", &head)?;
    let plan_epoch = 0;
    let head = Head { lineage, layout, boot, version, published, next_round, retired, plan_epoch };
    meta.insert("head", encode("head", &head)?.as_slice())?;
    Ok(())
}
