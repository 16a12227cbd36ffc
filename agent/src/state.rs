//! What a device must not forget when its power is cut.
//!
//! The first byte of what is kept is the version of the rest. A state of an older version is brought
//! up to this one when it is read; one of a newer version is refused and stays as it is.

mod old;
mod plans;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize};

use dunlin_protocol::id::{Digest, Lineage, ModelVersion};
use dunlin_protocol::limits::{OBJECT_BYTES_MAX, PARAMS_MAX, TASK_BYTES_MAX};
use dunlin_protocol::lottery::LotteryKey;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::TaskDigest;
use dunlin_protocol::wire;

pub use plans::PlanMemory;

/// Version of the bytes that [`DeviceState::encode`] writes.
pub const STATE_SCHEMA: u8 = 3;

/// Longest encoded state in bytes: an update and what it lost, what the last one lost, local layers,
/// each as long as a model, and a task.
pub const STATE_BYTES_MAX: usize = 4 * OBJECT_BYTES_MAX as usize + TASK_BYTES_MAX;

/// A device's memory across restarts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceState {
    /// The secret of the draw.
    pub lottery: LotteryKey,
    /// How often the device has started; presence messages carry it.
    pub boot: u32,
    /// The update that is on its way, if any.
    pub pending: Option<Pending>,
    /// Layers that stay on this device, if the task has any.
    pub local: Option<LocalLayers>,
    /// The task object last used, so that a restart does not fetch it again.
    pub task: Option<CachedTask>,
    /// What a sparse codec left of the last counted update, to be added to the next.
    pub residual: Option<Residual>,
    /// Bytes spent on the link in the last 24 hours, where they are capped.
    pub spent: u64,
    /// How far the plans of each history have come.
    pub plans: PlanMemory,
}

/// What was lost of an update that was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// The history that it belongs to.
    pub lineage: Lineage,
    /// The task that gives its coordinates their meaning.
    pub task: TaskDigest,
    /// The version that the update started from.
    pub version: ModelVersion,
    /// `[n_update]`: four bytes a coordinate.
    #[serde(deserialize_with = "wire::take_list::<PARAMS_MAX, _, _>")]
    pub values: Vec<f32>,
}

/// A finished update that no verdict has come for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The work that it answers.
    pub work: WorkRef,
    /// The version that it starts from.
    pub base_version: ModelVersion,
    /// The update object, of which chunks are cut as they are sent.
    #[serde(with = "serde_bytes")]
    pub object: Vec<u8>,
    /// What it lost, `[n_update]`, if that is to be made up for once it is counted.
    #[serde(deserialize_with = "take_values_if_any")]
    pub lost: Option<Vec<f32>>,
}

/// As [`wire::take_list`], for values that may be absent.
fn take_values_if_any<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Vec<f32>>, D::Error> {
    #[derive(Deserialize)]
    struct Values(#[serde(deserialize_with = "wire::take_list::<PARAMS_MAX, _, _>")] Vec<f32>);
    Ok(Option::<Values>::deserialize(reader)?.map(|Values(values)| values))
}

/// Parameters of local layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalLayers {
    /// The task that they belong to.
    pub task: TaskDigest,
    /// Parameters of all of them, `[n_params - n_model]`.
    #[serde(deserialize_with = "wire::take_list::<PARAMS_MAX, _, _>")]
    pub params: Vec<f32>,
}

/// A task object as it was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedTask {
    /// Digest of the object, by which a plan names it.
    pub digest: Digest,
    /// The bytes of the object.
    #[serde(with = "serde_bytes")]
    pub object: Vec<u8>,
}

/// Why a state cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A newer version of this program wrote it, or one that is too old to be brought up.
    #[error(
        "the state has schema {found}, this program reads schemas {oldest} to {STATE_SCHEMA}; \
         install the program that wrote it, or {RESET}",
        oldest = old::OLDEST
    )]
    Schema {
        /// Version of the state that was found.
        found: u8,
    },
    /// The bytes are not a state.
    #[error("the state cannot be read; restore a copy, or {RESET}")]
    Malformed,
}

/// What starting anew costs, and how it is done.
pub(crate) const RESET: &str = "start as a new device (dunlin-agent --reset-state), which loses the update that \
    waits to be sent, this device's own layers, what its data cap has counted and the secret of its \
    draw";

impl DeviceState {
    /// The state of a device that never ran, with 32 secret random bytes.
    pub fn fresh(lottery: [u8; 32]) -> Self {
        let lottery = LotteryKey(lottery);
        let plans = PlanMemory::default();
        Self {
            lottery,
            boot: 0,
            pending: None,
            local: None,
            task: None,
            residual: None,
            spent: 0,
            plans,
        }
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.likely_bytes());
        bytes.push(STATE_SCHEMA);
        // Postcard fails only on types without a known length, which this has none of.
        postcard::to_extend(self, bytes).unwrap_or_default()
    }

    /// Bytes that the encoded state takes at the most, but for very long plan memories: a buffer that
    /// grows by itself would take up to three times as many for a moment.
    fn likely_bytes(&self) -> usize {
        /// Everything of a fixed length, and the lengths of the rest.
        const OTHERS: usize = 256;
        let floats = |values: &Vec<f32>| 4 * values.len();
        let pending = self
            .pending
            .as_ref()
            .map_or(0, |pending| pending.object.len() + pending.lost.as_ref().map_or(0, floats));
        let local = self.local.as_ref().map_or(0, |local| floats(&local.params));
        let task = self.task.as_ref().map_or(0, |task| task.object.len());
        let residual = self.residual.as_ref().map_or(0, |residual| floats(&residual.values));
        OTHERS + pending + local + task + residual
    }

    /// Reads kept bytes.
    ///
    /// # Errors
    /// [`StateError`] when they are of a version that this program does not know, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (schema, body) = bytes.split_first().ok_or(StateError::Malformed)?;
        match *schema {
            STATE_SCHEMA => read(body),
            old::V2 => read::<old::StateV2>(body).map(old::StateV2::upgrade),
            found => Err(StateError::Schema { found }),
        }
    }
}

fn read<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, StateError> {
    match postcard::take_from_bytes(body) {
        Ok((state, [])) => Ok(state),
        Ok(_) | Err(_) => Err(StateError::Malformed),
    }
}
