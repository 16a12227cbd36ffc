//! Where each parameter lies in the flat vectors that cross the wire.

use alloc::vec::Vec;
use core::ops::Range;

use super::op::{Description, Slot};
use super::{ShapeError, Share, TaskSpec, shape};
use crate::id::{Digest, LayoutHash};
use crate::limits::PARAMS_MAX;
use crate::rng::Rng;

/// What a slot of parameters does in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotRole {
    /// `[kernel * in, out]` of a convolution (kernel position first), `[in, out]` of a dense layer.
    Weight,
    /// `[out]`: one number added to each output.
    Bias,
}

/// One block of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamSlot {
    /// The layer, from 0.
    pub layer: usize,
    /// Whether these are the layer's weights or its biases.
    pub role: SlotRole,
    /// Who holds and changes them: the same for all slots of a layer.
    pub share: Share,
    /// Inputs that one output sums over: rows of the weight.
    pub fan_in: usize,
    /// Outputs: columns of the weight.
    pub fan_out: usize,
    /// Place in the vector of all parameters.
    pub range: Range<usize>,
}

/// The order of a model's parameters: layer by layer, weight then bias, rows first.
///
/// Three flat vectors follow that order: *all* parameters (on a device), the *model* (shared and
/// frozen, what the aggregator publishes) and the *update* (shared only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamLayout {
    slots: Vec<ParamSlot>,
    hash: LayoutHash,
}

impl ParamLayout {
    /// Of the layers of `task`, as they were described.
    pub(super) fn new(task: &TaskSpec, layers: &[Description]) -> Result<Self, ShapeError> {
        let mut slots = Vec::new();
        let mut start = 0usize;
        for (layer, (spec, description)) in task.layers.iter().zip(layers).enumerate() {
            for &Slot { role, len, fan_in, fan_out } in &description.slots {
                let range = start..start.saturating_add(len);
                start = range.end;
                slots.push(ParamSlot { layer, role, share: spec.share, fan_in, fan_out, range });
            }
            if start > PARAMS_MAX {
                return Err(ShapeError::TooLarge { layer });
            }
        }
        let hash = hash(task, layers, slots.len());
        Ok(Self { slots, hash })
    }

    /// The blocks in order.
    pub fn slots(&self) -> &[ParamSlot] {
        &self.slots
    }

    /// What two sides compare before they exchange vectors.
    pub fn hash(&self) -> LayoutHash {
        self.hash
    }

    /// Length of the vector of *all* parameters, local ones included.
    pub fn n_params(&self) -> usize {
        self.slots.last().map_or(0, |slot| slot.range.end)
    }

    /// Parameters in the model object: shared and frozen.
    pub fn n_model(&self) -> usize {
        self.count(|share| share != Share::Local)
    }

    /// Parameters in an update: shared.
    pub fn n_update(&self) -> usize {
        self.count(|share| share == Share::Shared)
    }

    fn count(&self, takes: impl Fn(Share) -> bool) -> usize {
        self.slots.iter().filter(|slot| takes(slot.share)).map(|slot| slot.range.len()).sum()
    }

    /// Ranges of the *model* vector that updates change, in the order of the update vector.
    pub fn update_ranges(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut at = 0;
        for slot in self.slots.iter().filter(|slot| slot.share != Share::Local) {
            let range = at..at + slot.range.len();
            at = range.end;
            if slot.share == Share::Shared {
                ranges.push(range);
            }
        }
        ranges
    }

    /// Ranges of the vector of *all* parameters with this sharing, in order.
    pub fn ranges(&self, share: Share) -> impl Iterator<Item = Range<usize>> + '_ {
        self.slots.iter().filter(move |slot| slot.share == share).map(|slot| slot.range.clone())
    }

    /// Ranges of the vector of *all* parameters that the model object holds, in order.
    pub fn model_ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.slots.iter().filter(|s| s.share != Share::Local).map(|s| s.range.clone())
    }

    /// Fresh parameters `[n_params]`: weights uniform in +-sqrt(6 / fan_in) before a ReLU world
    /// (He et al. 2015, arXiv:1502.01852, eq. 10), biases zero. The last layer is uniform in
    /// +-1 / sqrt(fan_in), so that first predictions are close to even.
    #[allow(clippy::cast_precision_loss)]
    pub fn initial_params(&self, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        let last = self.slots.last().map(|slot| slot.layer);
        let mut params = Vec::with_capacity(self.n_params());
        for slot in &self.slots {
            let gain = if Some(slot.layer) == last { 1.0 } else { 6.0 };
            let bound = libm::sqrtf(gain / slot.fan_in as f32);
            params.extend(slot.range.clone().map(|_| match slot.role {
                SlotRole::Weight => rng.uniform(-bound, bound),
                SlotRole::Bias => 0.0,
            }));
        }
        params
    }

    /// The part of `params: [n_params]` that the model object holds, `[n_model]`.
    pub fn model_of(&self, params: &[f32]) -> Vec<f32> {
        let mut model = Vec::with_capacity(self.n_model());
        self.model_ranges().for_each(|range| model.extend_from_slice(&params[range]));
        model
    }

    /// Puts `model: [n_model]` into its places of `params: [n_params]`; local layers stay.
    pub fn load_model(&self, params: &mut [f32], model: &[f32]) {
        let mut at = 0;
        for range in self.model_ranges() {
            let len = range.len();
            params[range].copy_from_slice(&model[at..at + len]);
            at += len;
        }
    }

    /// The shared part of `after - before`, `[n_update]`; both are `[n_params]`.
    pub fn update_of(&self, before: &[f32], after: &[f32]) -> Vec<f32> {
        let mut update = Vec::with_capacity(self.n_update());
        for range in self.ranges(Share::Shared) {
            let pairs = before[range.clone()].iter().zip(&after[range]);
            update.extend(pairs.map(|(before, after)| after - before));
        }
        update
    }
}

fn hash(task: &TaskSpec, layers: &[Description], slots: usize) -> LayoutHash {
    let mut text = alloc::vec![1u8, task.features as u8];
    let word = |text: &mut Vec<u8>, n: usize| text.extend_from_slice(&(n as u64).to_le_bytes());
    let input = shape::input_shape(task).map_or((0, 0), |s| (s.time, s.channels));
    word(&mut text, input.0);
    word(&mut text, input.1);
    for (spec, description) in task.layers.iter().zip(layers) {
        text.extend_from_slice(&[description.code, spec.share as u8]);
        description.sizes.iter().for_each(|&size| word(&mut text, size.into()));
    }
    word(&mut text, slots);
    LayoutHash(Digest::of(&text).short().0)
}
