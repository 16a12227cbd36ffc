//! Goes once through a message and notes what stands in the wanted places.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::found::Found;
use super::{BATCH_MAX, Node, Places};

/// What has been found in a message so far.
pub(super) struct Collector<'a> {
    places: &'a Places,
    /// By the number of the wanted place, for the sample that is being read.
    slots: Vec<Found>,
    /// The same for each sample that has been read.
    pub(super) items: Vec<Vec<Found>>,
    /// What stands in the wanted places around the samples.
    pub(super) outer: Vec<Found>,
    /// Whether there was an array where the samples should be.
    pub(super) batch_seen: bool,
}

impl<'a> Collector<'a> {
    /// A collector that has found nothing yet, of the wanted `places`.
    pub(super) fn new(places: &'a Places) -> Self {
        let slots = vec![Found::Nothing; places.of_sample];
        let outer = vec![Found::Nothing; places.paths.len() - places.of_sample];
        Self { places, slots, items: Vec::new(), outer, batch_seen: false }
    }

    /// Notes what was found as that of one sample.
    pub(super) fn end_sample(&mut self) {
        let blank = vec![Found::Nothing; self.places.of_sample];
        self.items.push(std::mem::replace(&mut self.slots, blank));
    }

    fn slot(&mut self, slot: usize) -> Option<&mut Found> {
        match slot.checked_sub(self.places.of_sample) {
            None => self.slots.get_mut(slot),
            Some(slot) => self.outer.get_mut(slot),
        }
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
            if let Some(place) = self.collector.slot(slot) {
                place.clone_from(found);
            }
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

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.found(&Found::Flag(flag));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.found(&Found::Integer(number.into()));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.found(&Found::Integer(number.into()));
        Ok(())
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
            collector.items.clear();
            let places = collector.places;
            while items.next_element_seed(Visit { node: &places.sample, collector })?.is_some() {
                if collector.items.len() == BATCH_MAX {
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
