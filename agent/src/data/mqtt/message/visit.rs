//! Goes once through a message and notes what stands in the wanted places.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{BATCH_MAX, Found, MessageReader, Node, Refusal, Sample};

/// What has been found in a message so far.
pub(super) struct Collector<'a> {
    reader: &'a MessageReader,
    /// By the number of the wanted place, for the sample that is being read.
    slots: Vec<Found>,
    pub(super) samples: Vec<Result<Sample, Refusal>>,
    /// Whether there was an array where the samples should be.
    pub(super) batch_seen: bool,
}

impl<'a> Collector<'a> {
    /// A collector that has found nothing yet, of the places that `reader` wants.
    pub(super) fn new(reader: &'a MessageReader) -> Self {
        let slots = vec![Found::Nothing; reader.paths.len()];
        Self { reader, slots, samples: Vec::new(), batch_seen: false }
    }

    /// Makes a sample, or the reason why there is none, of what was found.
    pub(super) fn end_sample(&mut self) {
        self.samples.push(self.reader.sample(&self.slots));
        self.slots.fill(Found::Nothing);
    }
}

/// Goes through one value, below which `node` knows the wanted places.
pub(super) struct Visit<'n, 'c, 'a> {
    pub(super) node: &'n Node,
    pub(super) collector: &'c mut Collector<'a>,
}

impl Visit<'_, '_, '_> {
    fn found(self, found: &Found) {
        for &slot in &self.node.slots {
            self.collector.slots[slot].clone_from(found);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Visit<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Visit<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.found(&Found::Nothing);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.found(&Found::Other);
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)] // values are kept with 16 bits
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    #[allow(clippy::cast_precision_loss)] // values are kept with 16 bits
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.found(&Found::Number(number));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if !self.node.slots.is_empty() {
            self.found(&Found::Text(text.to_owned()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { node, collector } = self;
        Visit { node, collector }.found(&Found::Other);
        if node.batch {
            collector.batch_seen = true;
            collector.samples.clear();
            let reader = collector.reader;
            while items.next_element_seed(Visit { node: &reader.sample, collector })?.is_some() {
                if collector.samples.len() == BATCH_MAX {
                    return Err(A::Error::custom(format!("more than {BATCH_MAX} samples")));
                }
                collector.end_sample();
            }
            return Ok(());
        }
        for index in 0.. {
            let more = match node.items.get(&index) {
                Some(node) => items.next_element_seed(Visit { node, collector })?.is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { node, collector } = self;
        Visit { node, collector }.found(&Found::Other);
        while let Some(child) = entries.next_key_seed(Key(node))? {
            match child {
                Some(node) => entries.next_value_seed(Visit { node, collector })?,
                None => entries.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// Finds the node of a key without keeping the key.
struct Key<'n>(&'n Node);

impl<'de, 'n> DeserializeSeed<'de> for Key<'n> {
    type Value = Option<&'n Node>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Key<'n> {
    type Value = Option<&'n Node>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.keys.get(key))
    }
}
