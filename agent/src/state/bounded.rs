//! Lists that are read as they come: a length that a damaged file claims reserves no memory.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Reads a list that grows with what is there, whatever its length says.
pub(super) fn grown<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    reader: D,
) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                list.push(element);
            }
            Ok(list)
        }
    }
    reader.deserialize_seq(List(PhantomData))
}

/// As [`grown`], for a list that may be absent.
pub(super) fn grown_if_any<'de, D: Deserializer<'de>>(
    reader: D,
) -> Result<Option<Vec<f32>>, D::Error> {
    #[derive(Serialize, Deserialize)]
    struct Values(#[serde(deserialize_with = "grown")] Vec<f32>);
    Ok(Option::<Values>::deserialize(reader)?.map(|Values(values)| values))
}
