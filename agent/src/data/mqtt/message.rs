//! One JSON message to its samples. Only what is wanted is kept, so that memory stays bounded
//! whatever is in a message.

mod found;
mod visit;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeSeed;

use self::found::Found;
use self::visit::{Collector, Visit};
use super::path::{JsonPath, Step};
use crate::data::Loss;
use crate::data::config::{MqttConfig, Where};
use crate::data::time::TimeReader;

/// Most samples of one message.
pub(super) const BATCH_MAX: usize = 4096;

/// A sample as a message has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Time in microseconds, where the message should bring one.
    pub(super) time_us: Option<i64>,
    /// Text of the label; empty for none.
    pub(super) label: String,
    /// `[channels]` in the order of their names; NaN where the message has none.
    pub(super) values: Vec<f32>,
}

/// What a message, or one item of its batch, is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A sample.
    Sample(Sample),
    /// What `where` leaves out.
    Filtered,
    /// No sample: why, at which place, and what stands there.
    Refused(Loss, String),
}

impl Item {
    /// Whether it is a sample in which no channel is missing.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Sample(sample) if !sample.values.iter().any(|value| value.is_nan()))
    }
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

/// The places that are wanted, by number.
#[derive(Debug, Default)]
struct Places {
    paths: Vec<JsonPath>,
    /// How many of them are in each sample; the others are in the message, once.
    of_sample: usize,
    /// The places in a sample.
    sample: Node,
    /// The place of the samples in a message, where it has several.
    batch: Option<(JsonPath, Node)>,
}

impl Places {
    /// Adds a place in each sample; its number.
    fn add(&mut self, path: &JsonPath) -> usize {
        let slot = self.paths.len();
        self.sample.at(path).slots.push(slot);
        self.paths.push(path.clone());
        self.of_sample = self.paths.len();
        slot
    }

    /// Adds a place in the message around the samples, after all others; its number.
    fn add_outer(&mut self, path: &JsonPath) -> usize {
        let slot = self.paths.len();
        if let Some((_, root)) = &mut self.batch {
            root.at(path).slots.push(slot);
        }
        self.paths.push(path.clone());
        slot
    }

    /// The place with this number, for people.
    fn name(&self, slot: usize) -> &str {
        self.paths.get(slot).map_or("", JsonPath::text)
    }
}

/// Reads messages: knows the places of a sample's parts.
#[derive(Debug)]
pub(super) struct MessageReader {
    places: Places,
    channels: usize,
    time: Option<(usize, TimeReader)>,
    label: Option<usize>,
    filter: Where<usize>,
    words: BTreeMap<String, f32>,
}

impl MessageReader {
    /// A reader of the messages that `config` describes, for channels in these places.
    pub(super) fn new<'c>(
        config: &MqttConfig,
        channels: impl Iterator<Item = &'c JsonPath>,
    ) -> Self {
        let input = &config.input;
        let mut places = Places {
            batch: input.batch.as_ref().map(|path| {
                let mut root = Node::default();
                root.at(path).batch = true;
                (path.clone(), root)
            }),
            ..Places::default()
        };
        let channels = channels.map(|path| places.add(path)).count();
        let time = input.time.as_ref().map(|time| {
            let reader = TimeReader::new(&time.format, config.sampling.time_unit);
            (places.add(&time.place), reader)
        });
        let label = input.label.as_ref().map(|path| places.add(path));
        // Places in the message come last, behind those in each sample.
        let is_outer = |path: &JsonPath| input.batch.is_some() && path.text().starts_with('$');
        let mut of_sample = BTreeMap::new();
        for path in input.filter.keys().filter(|path| !is_outer(path)) {
            of_sample.insert(path.text(), places.add(path));
        }
        let filter = input.filter.map(|path| {
            let known = of_sample.get(path.text()).copied();
            known.unwrap_or_else(|| places.add_outer(path))
        });
        Self { places, channels, time, label, filter, words: input.words.clone() }
    }

    /// What the items of `message` are, in order.
    ///
    /// # Errors
    /// Why the message as a whole cannot be used.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<Vec<Item>, String> {
        let mut collector = Collector::new(&self.places);
        let root = self.places.batch.as_ref().map_or(&self.places.sample, |(_, root)| root);
        let mut json = serde_json::Deserializer::from_slice(message);
        let visit = Visit { node: root, collector: &mut collector };
        visit
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|error| format!("{error} in {}", quoted(&String::from_utf8_lossy(message))))?;
        match &self.places.batch {
            None => collector.end_sample(),
            Some((path, _)) if !collector.batch_seen => {
                return Err(format!("{path} is no array"));
            }
            Some(_) => {}
        }
        let Collector { items, outer, .. } = collector;
        Ok(items.iter().map(|slots| self.item(slots, &outer)).collect())
    }

    /// What an item with these values in its places is, in a message with `outer` around it.
    fn item(&mut self, slots: &[Found], outer: &[Found]) -> Item {
        let of_sample = self.places.of_sample;
        let found = |slot: usize| match slot.checked_sub(of_sample) {
            None => slots.get(slot),
            Some(slot) => outer.get(slot),
        };
        if !self.filter.matches(|slot| found(*slot)?.text()) {
            return Item::Filtered;
        }
        self.sample(slots).unwrap_or_else(|(loss, detail)| Item::Refused(loss, detail))
    }

    fn sample(&mut self, slots: &[Found]) -> Result<Item, (Loss, String)> {
        let Self { places, time, words, .. } = self;
        let values: Vec<f32> = slots
            .iter()
            .take(self.channels)
            .enumerate()
            .map(|(slot, found)| {
                let problem = |problem| (Loss::Number, format!("{} {problem}", places.name(slot)));
                found.value(words).map_err(problem)
            })
            .collect::<Result<_, _>>()?;
        if values.iter().all(|value| value.is_nan()) {
            let names: BTreeSet<&str> = (0..self.channels).map(|slot| places.name(slot)).collect();
            let names = names.into_iter().take(4).collect::<Vec<_>>().join(", ");
            return Err((Loss::Missing, format!("{names} missing")));
        }
        let time_us = match time {
            None => None,
            Some((slot, reader)) => {
                let found = slots.get(*slot).unwrap_or(&Found::Nothing);
                let problem = |problem| (Loss::Time, format!("{} {problem}", places.name(*slot)));
                Some(found.time(reader).map_err(problem)?)
            }
        };
        let label = match self.label {
            None => String::new(),
            Some(slot) => {
                let problem = |problem| (Loss::Label, format!("{} {problem}", places.name(slot)));
                slots.get(slot).unwrap_or(&Found::Nothing).label().map_err(problem)?
            }
        };
        Ok(Item::Sample(Sample { time_us, label, values }))
    }
}

/// Somebody else's text in quotes, cut to what fits a message.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{:?}...", &text[..at]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
