//! States as older versions kept them, and how each is brought up to date.

use alloc::vec::Vec;
use serde::Deserialize;

use dunlin_protocol::id::{LayoutHash, Lineage, ModelVersion};
use dunlin_protocol::limits::PARAMS_MAX;
use dunlin_protocol::lottery::LotteryKey;
use dunlin_protocol::task::Task;
use dunlin_protocol::wire;

use super::{CachedTask, DeviceState, LocalLayers, Pending, PlanMemory, Residual};

/// The oldest version that is brought up.
pub(super) const OLDEST: u8 = V2;

/// The version of [`StateV2`]; its objects speak wire schema 1.
pub(super) const V2: u8 = 2;

/// Version 2: own layers belonged to a layout, and plans had no order.
#[derive(Deserialize)]
pub(super) struct StateV2 {
    lottery: LotteryKey,
    boot: u32,
    pending: Option<Pending>,
    local: Option<LocalLayersV2>,
    task: Option<CachedTask>,
    residual: Option<ResidualV2>,
    spent: u64,
}

#[derive(Deserialize)]
struct LocalLayersV2 {
    layout: LayoutHash,
    #[serde(deserialize_with = "wire::take_list::<PARAMS_MAX, _, _>")]
    params: Vec<f32>,
}

#[derive(Deserialize)]
struct ResidualV2 {
    lineage: Lineage,
    layout: LayoutHash,
    version: ModelVersion,
    #[serde(deserialize_with = "wire::take_list::<PARAMS_MAX, _, _>")]
    values: Vec<f32>,
}

impl StateV2 {
    /// Who the device is, its own layers and what it has spent stay. The task is fetched again, and
    /// an update that was on its way is trained again if its round still waits: no aggregator reads
    /// the old objects any more.
    pub(super) fn upgrade(self) -> DeviceState {
        let Self { lottery, boot, pending, local, task, residual, spent } = self;
        let task = task.and_then(|cached| read_task(cached.object));
        let of = |layout| {
            let task = task.as_ref().filter(|task| task.layout().hash() == layout);
            task.map(Task::digest)
        };
        let local = local.and_then(|LocalLayersV2 { layout, params }| {
            Some(LocalLayers { task: of(layout)?, params })
        });
        // Whether an update on its way was counted is not known: what it lost, and what was to go out
        // with it, may not be added once more.
        let residual = residual.filter(|_| pending.is_none()).and_then(|residual| {
            let ResidualV2 { lineage, layout, version, values } = residual;
            Some(Residual { lineage, task: of(layout)?, version, values })
        });
        if pending.is_some() {
            log::info!(
                "an update of an older version is left out: no aggregator reads it any more"
            );
        }
        DeviceState {
            lottery,
            boot,
            local,
            task: None,
            residual,
            pending: None,
            spent,
            plans: PlanMemory::default(),
        }
    }
}

/// The task in an object of wire schema 1, which wrote it in the same bytes.
fn read_task(mut object: Vec<u8>) -> Option<Task> {
    let schema = object.first_mut().filter(|schema| **schema == 1)?;
    *schema = wire::SCHEMA;
    Task::decode(&object).ok()
}

#[cfg(test)]
impl StateV2 {
    pub(super) fn without_pending(self) -> Self {
        Self { pending: None, ..self }
    }

    pub(super) fn with_layout(self, layout: LayoutHash) -> Self {
        let local = self.local.map(|local| LocalLayersV2 { layout, ..local });
        Self { local, ..self }
    }
}
