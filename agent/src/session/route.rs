//! The cheapest way to a version: by the deltas that the device lacks, or from an anchor.

use alloc::collections::VecDeque;

use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::object::{CHUNK_HEADER_BYTES, ObjectRef};
use dunlin_protocol::plan::{ModelEntry, Plan};

/// Bytes of topic and MQTT framing that each chunk costs besides its header: near enough to compare
/// ways.
const CHUNK_FRAMING_BYTES: u64 = 64;

/// Bytes that fetching an object costs.
fn cost(object: &ObjectRef) -> u64 {
    let framing = CHUNK_HEADER_BYTES as u64 + CHUNK_FRAMING_BYTES;
    u64::from(object.bytes) + u64::from(object.chunks()) * framing
}

/// The objects that lead to `wanted` in the order in which they are applied, the fewest bytes in
/// all; none when `held` is that version. `None` when the plan knows no way.
///
/// Deltas lead from version to version, so all ways share their end: walking back from `wanted`,
/// each anchor met, and the version held, is where one of them begins.
pub(super) fn route(
    plan: &Plan,
    held: Option<ModelVersion>,
    wanted: ModelVersion,
) -> Option<VecDeque<ObjectRef>> {
    let entry = |version, anchor: bool| {
        let fits = |entry: &&ModelEntry| entry.version == version && entry.base.is_none() == anchor;
        plan.models.iter().find(fits)
    };
    let mut best: Option<(u64, VecDeque<ObjectRef>)> = None;
    let (mut version, mut deltas, mut spent) = (wanted, VecDeque::new(), 0);
    // A plan that goes in circles ends with its number of entries.
    for _ in 0..=plan.models.len() {
        let cheaper = |cost: u64, best: &Option<(u64, _)>| {
            best.as_ref().is_none_or(|(least, _)| cost < *least)
        };
        if held == Some(version) {
            if cheaper(spent, &best) {
                best = Some((spent, deltas.clone()));
            }
            break;
        }
        if let Some(anchor) = entry(version, true) {
            let cost = spent + cost(&anchor.object);
            if cheaper(cost, &best) {
                let mut path = deltas.clone();
                path.push_front(anchor.object);
                best = Some((cost, path));
            }
        }
        let Some((delta, base)) = entry(version, false).and_then(|e| Some((e, e.base?))) else {
            break;
        };
        spent += cost(&delta.object);
        deltas.push_front(delta.object);
        version = base;
    }
    best.map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use dunlin_protocol::id::{Digest, LayoutHash, Lineage, Name};

    fn entry(version: u32, base: Option<u32>, bytes: u32) -> ModelEntry {
        let digest = Digest([u8::try_from(version).unwrap() + base.map_or(100, |_| 0); 32]);
        let object = ObjectRef { digest, bytes, chunk_bytes: 4096 };
        ModelEntry { version: ModelVersion(version), base: base.map(ModelVersion), object }
    }

    /// An anchor at 5 and deltas from 3 to 7.
    fn plan() -> Plan {
        use dunlin_protocol::extension::Extensions;
        let mut models = Vec::from([4, 5, 6, 7].map(|v| entry(v, Some(v - 1), 1000)));
        models.push(entry(5, None, 1500));
        Plan {
            instance: Name::new("agg").unwrap(),
            lineage: Lineage([9; 16]),
            sequence: 1,
            layout: LayoutHash([9; 8]),
            shards: 1,
            chunk_bytes: 4096,
            task: entry(0, None, 100).object,
            models,
            work: Vec::new(),
            next_check_in_ms: 60_000,
            extensions: Extensions::NONE,
        }
    }

    fn path(held: Option<u32>, wanted: u32) -> Option<Vec<(u32, u8)>> {
        let path = route(&plan(), held.map(ModelVersion), ModelVersion(wanted))?;
        Some(path.iter().map(|object| (object.bytes, object.digest.0[0])).collect())
    }

    #[test]
    fn a_device_that_was_here_takes_the_deltas_that_it_lacks() {
        assert_eq!(path(Some(7), 7), Some(Vec::new()));
        assert_eq!(path(Some(6), 7), Some(Vec::from([(1000, 7)])));
        assert_eq!(path(Some(5), 7), Some(Vec::from([(1000, 6), (1000, 7)])));
    }

    #[test]
    fn the_anchor_wins_when_it_is_the_smaller_way() {
        let from_anchor = Some(Vec::from([(1500, 105), (1000, 6), (1000, 7)]));
        assert_eq!(path(Some(4), 7).unwrap().len(), 3, "three deltas of 1000");
        assert_eq!(path(Some(3), 7), from_anchor, "two deltas more are dearer than 1500");
        assert_eq!(path(None, 7), from_anchor);
        assert_eq!(path(Some(99), 7), from_anchor);
    }

    #[test]
    fn without_a_way_there_is_none_and_circles_end() {
        assert_eq!(path(None, 4), None);
        assert_eq!(path(None, 8), None);
        let mut plan = plan();
        plan.models = Vec::from([entry(1, Some(2), 10), entry(2, Some(1), 10)]);
        assert_eq!(route(&plan, None, ModelVersion(1)), None);
    }
}
