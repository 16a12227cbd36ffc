use dunlin_protocol::rng::Rng;

use dunlin_protocol::delta::Delta;
use dunlin_protocol::model::Model;

use super::*;
use crate::example::task;

const CHUNK: u32 = 4096;

fn downlink(codec: &str) -> Downlink {
    Downlink::new(codec.parse().unwrap(), 3).unwrap()
}

/// A history of `count` versions after the first, whose exact parameters drift at random; the
/// exact parameters and the publisheds, nothing retired.
fn history(downlink: Downlink, count: u32) -> (Vec<f32>, Versions) {
    let layout = task(400).layout().unwrap();
    let (mut versions, mut rng) = (Versions::new(), Rng::new(1));
    let mut keep = |draft: VersionDraft, version: u32| {
        let published = PublishedVersion::new(draft.params, draft.written, CHUNK).unwrap();
        versions.insert(ModelVersion(version), published);
        versions.clone()
    };
    let mut known = keep(VersionDraft::of_seed(downlink, &layout, 7), 0);
    let mut exact = known[&ModelVersion(0)].params.to_vec();
    for version in 1..=count {
        exact.iter_mut().for_each(|value| *value += rng.normal() * 0.01);
        let draft = VersionDraft::next(downlink, layout.hash(), &known, exact.clone()).unwrap();
        known = keep(draft, version);
    }
    (exact, known)
}

fn listed(versions: &Versions, bases: &[u32]) -> Vec<(u32, Option<u32>)> {
    let bases: Vec<ModelVersion> = bases.iter().copied().map(ModelVersion).collect();
    let entries = entries(versions, &bases);
    entries.iter().map(|e| (e.version.0, e.base.map(|base| base.0))).collect()
}

#[test]
fn whole_versions_are_exact_and_only_the_newest_is_listed() {
    let (exact, versions) = history(Downlink::Plain, 3);
    assert_eq!(versions[&ModelVersion(3)].params.to_vec(), exact);
    assert_eq!(listed(&versions, &[3]), [(3, None)]);
    assert_eq!(listed(&versions, &[2, 3]), [(2, None), (3, None)]);
    assert_eq!(oldest_needed(&versions), ModelVersion(2));
}

#[test]
fn deltas_lead_from_a_seed_over_anchors_to_the_newest_version() {
    let (_, versions) = history(downlink("ecdq=1"), 7);
    let deltas = |from: u32| (from..=7).map(|v| (v, Some(v - 1)));
    let anchors: Vec<u32> = anchors(&versions).map(|version| version.0).collect();
    assert_eq!(anchors, [6, 3, 0]);
    let mut expected: Vec<_> = deltas(1).collect();
    expected.insert(5, (6, None));
    assert_eq!(listed(&versions, &[7]), expected);
    assert_eq!(oldest_needed(&versions), ModelVersion(3));
    assert!(listed(&versions, &[5]).contains(&(3, None)), "a round on version 5 needs anchor 3");
}

#[test]
fn a_seed_and_a_delta_are_a_fraction_of_an_anchor() {
    let (_, versions) = history(downlink("ecdq=1"), 3);
    let bytes = |version| -> Vec<u32> {
        let published = &versions[&ModelVersion(version)];
        published.objects().map(|object| object.reference.bytes).collect()
    };
    assert!(bytes(0)[0] < 64, "{:?}", bytes(0));
    assert!(bytes(1)[0] < 400, "{:?} for 802 parameters", bytes(1));
    assert_eq!(bytes(3).len(), 2, "an anchor and a delta");
}

#[test]
fn every_version_can_be_had_as_an_anchor_bit_for_bit() {
    let (_, versions) = history(downlink("ecdq=2"), 3);
    let published = &versions[&ModelVersion(3)];
    let model = Model::decode(&published.anchor.as_ref().unwrap().bytes).unwrap();
    assert_eq!(model.params, published.params.to_vec());
    let before = &versions[&ModelVersion(2)].params;
    let delta = Delta::decode(&published.delta.as_ref().unwrap().bytes).unwrap().apply(before);
    assert_eq!(delta.unwrap(), published.params.to_vec());
}

#[test]
fn what_deltas_lose_does_not_add_up() {
    let distance = |count| {
        let (exact, versions) = history(downlink("sparse=2"), count);
        let published = &versions[&ModelVersion(count)].params;
        exact.iter().zip(published.iter()).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    };
    let (early, late) = (distance(3), distance(40));
    assert!(late < 2.0 * early, "{early} after 3 versions, {late} after 40");
}

#[test]
fn after_other_settings_an_anchor_comes_first() {
    let (exact, plain) = history(Downlink::Plain, 2);
    let layout = task(400).layout().unwrap().hash();
    let draft = VersionDraft::next(downlink("ecdq=1"), layout, &plain, exact).unwrap();
    assert!(draft.written.delta.is_none() && draft.written.anchor.is_some());
}
