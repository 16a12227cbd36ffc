//! One JSON message to its samples. Only what is wanted is kept, so that memory stays bounded
//! whatever is in a message.

mod visit;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeSeed;

use self::visit::{Collector, Visit};
use super::path::{JsonPath, Step};
use crate::data::config::{MqttConfig, TimeUnit};

/// Most samples of one message.
pub(super) const BATCH_MAX: usize = 4096;

/// A sample as a message has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Time in microseconds, where the message should bring one.
    pub(super) time_us: Option<i64>,
    /// Text of the label; empty for none.
    pub(super) label: String,
    /// `[channels]` in the order of their names.
    pub(super) values: Vec<f32>,
}

/// Why there is no sample: at which place, and what is there instead.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    path: JsonPath,
    problem: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.problem)
    }
}

/// What stands in a wanted place.
#[derive(Clone, Debug, Default)]
enum Found {
    #[default]
    Nothing,
    Number(f64),
    Text(String),
    /// An object, an array, true or false.
    Other,
}

/// Wanted places below one place, by the next step.
#[derive(Debug, Default)]
struct Node {
    /// Numbers of the wanted places that are this place.
    slots: Vec<usize>,
    keys: BTreeMap<String, Node>,
    items: BTreeMap<usize, Node>,
    /// Whether this is the array of samples.
    batch: bool,
}

impl Node {
    /// The node at `path` below this one.
    fn at(&mut self, path: &JsonPath) -> &mut Self {
        path.steps().iter().fold(self, |node, step| match step {
            Step::Key(key) => node.keys.entry(key.clone()).or_default(),
            Step::Index(index) => node.items.entry(*index).or_default(),
        })
    }
}

/// Reads messages: knows the places of a sample's parts.
#[derive(Debug)]
pub(super) struct MessageReader {
    /// Wanted places by number: the channels in the order of their names, then time and label.
    paths: Vec<JsonPath>,
    channels: usize,
    time: Option<usize>,
    label: Option<usize>,
    unit: TimeUnit,
    /// The places in a sample.
    sample: Node,
    /// The place of the samples in a message, where it has several.
    batch: Option<(JsonPath, Node)>,
}

impl MessageReader {
    /// A reader of the messages that `config` describes.
    pub(super) fn new(config: &MqttConfig) -> Self {
        let input = &config.input;
        let mut paths: Vec<JsonPath> = config.sampling.channels.values().cloned().collect();
        let channels = paths.len();
        let mut add = |path: &Option<JsonPath>| {
            path.as_ref().map(|path| {
                paths.push(path.clone());
                paths.len() - 1
            })
        };
        let (time, label) = (add(&input.time), add(&input.label));
        let mut sample = Node::default();
        for (slot, path) in paths.iter().enumerate() {
            sample.at(path).slots.push(slot);
        }
        let batch = input.batch.as_ref().map(|path| {
            let mut root = Node::default();
            root.at(path).batch = true;
            (path.clone(), root)
        });
        let unit = config.sampling.time_unit;
        Self { paths, channels, time, label, unit, sample, batch }
    }

    /// The samples of `message` in order, and in their places why there is none.
    ///
    /// # Errors
    /// Why the message as a whole cannot be used.
    pub(super) fn read(&self, message: &[u8]) -> Result<Vec<Result<Sample, Refusal>>, String> {
        let mut collector = Collector::new(self);
        let root = self.batch.as_ref().map_or(&self.sample, |(_, root)| root);
        let mut json = serde_json::Deserializer::from_slice(message);
        let visit = Visit { node: root, collector: &mut collector };
        visit
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|error| error.to_string())?;
        match &self.batch {
            None => collector.end_sample(),
            Some((path, _)) if !collector.batch_seen => return Err(format!("{path} is no array")),
            Some(_) => {}
        }
        Ok(collector.samples)
    }

    fn sample(&self, slots: &[Found]) -> Result<Sample, Refusal> {
        let refuse = |slot: usize, problem| Refusal { path: self.paths[slot].clone(), problem };
        let number = |slot: usize| match &slots[slot] {
            Found::Number(number) => Ok(*number),
            // Some programs write numbers as text.
            Found::Text(text) => {
                text.trim().parse().map_err(|_| refuse(slot, "is text and no number"))
            }
            Found::Nothing => Err(refuse(slot, "is missing")),
            Found::Other => Err(refuse(slot, "is no number")),
        };
        #[allow(clippy::cast_possible_truncation)] // to infinity, which is refused
        let value = |slot| {
            let value = number(slot)? as f32;
            if value.is_finite() { Ok(value) } else { Err(refuse(slot, "is not a finite number")) }
        };
        let values = (0..self.channels).map(value).collect::<Result<_, _>>()?;
        let time =
            |slot| self.unit.to_us(number(slot)?).ok_or_else(|| refuse(slot, "is not a time"));
        let label = |slot: usize| match &slots[slot] {
            Found::Nothing => Ok(String::new()),
            Found::Text(text) => Ok(text.clone()),
            Found::Number(number) => Ok(number.to_string()),
            Found::Other => Err(refuse(slot, "is no label")),
        };
        let label = self.label.map(label).transpose()?.unwrap_or_default();
        Ok(Sample { time_us: self.time.map(time).transpose()?, label, values })
    }
}

#[cfg(test)]
mod tests;
