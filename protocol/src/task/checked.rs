//! A task as a program uses it: checked once, with what follows from its description at hand.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;
use serde::{Deserialize, Serialize};

use super::{Cost, ParamLayout, TaskSpec};
use crate::id::Digest;
use crate::wire::{self, WireError};

/// What a model's numbers mean: SHA-256 over everything in a task that gives inputs and outputs
/// their meaning. Two tasks of equal layout hash and different digest share no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskDigest(pub Digest);

impl TaskDigest {
    /// The first four bytes, by which an update names its task.
    pub fn tag(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0.0;
        [a, b, c, d]
    }
}

impl fmt::Display for TaskDigest {
    /// The first eight bytes as 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.short().fmt(f)
    }
}

/// A task whose rules hold, with its layout, cost and digest.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    spec: TaskSpec,
    layout: ParamLayout,
    cost: Cost,
    digest: TaskDigest,
}

impl Task {
    /// Checks `spec` and works out what follows from it.
    ///
    /// # Errors
    /// [`WireError::Invalid`] names the rule that it breaks.
    pub fn new(spec: TaskSpec) -> Result<Self, WireError> {
        spec.check_rules()?;
        let worked_out = spec.layout_and_cost();
        let (layout, cost) =
            worked_out.map_err(|_| WireError::Invalid("the layers do not fit together"))?;
        let digest = digest(&spec)?;
        Ok(Self { spec, layout, cost, digest })
    }

    /// Reads a task object.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(object: &[u8]) -> Result<Self, WireError> {
        Self::new(wire::read(object)?)
    }

    /// The task object.
    ///
    /// # Errors
    /// [`WireError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        wire::encode(&self.spec)
    }

    /// The description that was checked; [`Task`] dereferences to it.
    pub fn spec(&self) -> &TaskSpec {
        &self.spec
    }

    /// Where each parameter lies in the flat vectors.
    pub fn layout(&self) -> &ParamLayout {
        &self.layout
    }

    /// What training it costs.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What the numbers mean.
    pub fn digest(&self) -> TaskDigest {
        self.digest
    }
}

impl Deref for Task {
    type Target = TaskSpec;

    fn deref(&self) -> &TaskSpec {
        &self.spec
    }
}

/// SHA-256 over `dunlin task`, a zero byte, and in postcard: channels, rate in millihertz, window,
/// features, layers, target. Name and hop give no number another meaning. A rate that is no whole
/// number of millihertz stands as 0 there, and as its ratio behind the target.
fn digest(spec: &TaskSpec) -> Result<TaskDigest, WireError> {
    let input = &spec.input;
    let (millihertz, exact) = spec.rate_on_wire();
    let meaning = (&input.channels, millihertz, input.window, spec.features, &spec.layers);
    let text = postcard::to_extend(&meaning, b"dunlin task\0".to_vec());
    let text = text.and_then(|text| postcard::to_extend(&spec.target, text));
    let text = text.and_then(|text| match exact {
        None => Ok(text),
        Some(exact) => postcard::to_extend(&exact, text),
    });
    text.map(|text| TaskDigest(Digest::of(&text))).map_err(|_| WireError::Malformed)
}
