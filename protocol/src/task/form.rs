//! How a task is written: in files with names, on the wire and in stores as postcard.
//!
//! The bytes of a task that schema 2 of the wire can say are those of schema 2. Others begin with
//! schema 3, so that an older program refuses them by name, and have a rate of 0 mHz with the ratio
//! behind the target where the rate is no whole number of millihertz.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::rate::{Hertz, Rate, RateKeys};
use super::{Channel, Features, Input, Layer, Target, TaskSpec};
use crate::id::Name;
use crate::wire::SCHEMA;

/// Schema of a task object that says what schema 2 cannot: an exact rate, or one of the targets
/// behind [`Target::Forecast`].
pub const TASK_SCHEMA: u8 = 3;

impl TaskSpec {
    /// The schema byte of its object.
    pub(super) fn schema_on_wire(&self) -> u8 {
        let newer = match self.target {
            Target::Classes(_) | Target::Reconstruct | Target::Forecast => false,
            Target::Values(_) | Target::ForecastSteps { .. } => true,
        };
        if newer || self.input.rate.millihertz().is_none() { TASK_SCHEMA } else { SCHEMA }
    }

    /// What goes into the place of the rate in millihertz, and what behind the target.
    pub(super) fn rate_on_wire(&self) -> (u32, Option<(u64, u64)>) {
        let rate = self.input.rate;
        match rate.millihertz() {
            Some(millihertz) => (millihertz, None),
            None => (0, Some((rate.samples(), rate.ns()))),
        }
    }
}

/// A task file.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    name: Name,
    features: Features,
    target: Target,
    layers: Vec<Layer>,
    input: InputFile,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct InputFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_millihertz: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_hz: Option<Hertz>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    period: Option<String>,
    window: u16,
    hop: u16,
    channels: Vec<Channel>,
}

impl From<&TaskSpec> for TaskFile {
    fn from(task: &TaskSpec) -> Self {
        let (rate_millihertz, rate_hz, period) = RateKeys::of(task.input.rate).parts();
        let (window, hop) = (task.input.window, task.input.hop);
        let channels = task.input.channels.clone();
        Self {
            name: task.name.clone(),
            features: task.features,
            target: task.target.clone(),
            layers: task.layers.clone(),
            input: InputFile { rate_millihertz, rate_hz, period, window, hop, channels },
        }
    }
}

impl TryFrom<TaskFile> for TaskSpec {
    type Error = String;

    fn try_from(file: TaskFile) -> Result<Self, String> {
        let TaskFile { name, features, target, layers, input } = file;
        let InputFile { rate_millihertz, rate_hz, period, window, hop, channels } = input;
        let rate = RateKeys::new(rate_millihertz, rate_hz, period).read()?;
        let input = Input { channels, rate, window, hop };
        Ok(Self { name, input, features, layers, target })
    }
}

impl Serialize for TaskSpec {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        if writer.is_human_readable() {
            return TaskFile::from(self).serialize(writer);
        }
        let (millihertz, exact) = self.rate_on_wire();
        let Input { channels, window, hop, .. } = &self.input;
        let (name, features, layers, target) =
            (&self.name, self.features, &self.layers, &self.target);
        let body = (name, channels, millihertz, window, hop, features, layers, target);
        match exact {
            None => body.serialize(writer),
            Some(exact) => (body, exact).serialize(writer),
        }
    }
}

impl<'de> Deserialize<'de> for TaskSpec {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        if reader.is_human_readable() {
            return TaskFile::deserialize(reader)?.try_into().map_err(D::Error::custom);
        }
        reader.deserialize_tuple(9, Parts)
    }
}

/// Reads the parts of a task one after another; the last is there where the rate is 0.
struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = TaskSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<TaskSpec, A::Error> {
        fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(parts: &mut A) -> Result<T, A::Error> {
            parts.next_element()?.ok_or_else(|| A::Error::custom("a task has eight parts or more"))
        }
        let name = next(&mut parts)?;
        let channels = next(&mut parts)?;
        let millihertz = next(&mut parts)?;
        let (window, hop) = (next(&mut parts)?, next(&mut parts)?);
        let (features, layers) = (next(&mut parts)?, next(&mut parts)?);
        let target = next(&mut parts)?;
        let rate = match millihertz {
            0 => {
                let (samples, ns) = next(&mut parts)?;
                let written = Rate::new(samples, ns).filter(|rate| {
                    // One spelling: lowest terms, and millihertz where they can say it.
                    (rate.samples(), rate.ns()) == (samples, ns) && rate.millihertz().is_none()
                });
                written.ok_or_else(|| A::Error::custom("a rate in lowest terms"))?
            }
            millihertz => Rate::from_millihertz(millihertz),
        };
        let input = Input { channels, rate, window, hop };
        Ok(TaskSpec { name, input, features, layers, target })
    }
}

#[cfg(test)]
mod tests;
