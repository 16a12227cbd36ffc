//! Versions that go down as deltas: all devices train from the same bits, whatever way they took.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use dunlin_agent::job::{Job, JobFailure, Outcome, Survey};
use dunlin_agent::ports::Executor;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::{Downlink, Enrolment, Settings};
use dunlin_fleet::memory::{Client, Direction, MemoryFleet};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::ShortDigest;
use dunlin_protocol::object::Chunk;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_tests::{ToyTrainer, name, toy_task};

const ANCHOR_EVERY: u32 = 3;

type Bits = Vec<u32>;

/// The models that devices trained from: by round, then by device.
type Seen = Rc<RefCell<BTreeMap<u32, BTreeMap<u8, Bits>>>>;

fn bits(params: &[f32]) -> Bits {
    params.iter().map(|value| value.to_bits()).collect()
}

/// Learns something different in each round, and notes where it started from.
struct Noting {
    place: u8,
    seen: Seen,
}

impl Executor for Noting {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        ToyTrainer::of(self.place).survey(task, stop)
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        let mut outcome = ToyTrainer::of(self.place).run(job, stop)?;
        let mut rng = Rng::for_stream(job.work.round.0.into(), self.place.into());
        if let Outcome::Trained(trained) = &mut outcome {
            trained.delta.iter_mut().for_each(|value| *value = 0.01 * rng.normal());
        }
        if job.training().is_some() {
            let mut seen = self.seen.borrow_mut();
            let round = seen.entry(job.work.round.0).or_default();
            round.insert(self.place, bits(&job.model));
        }
        Ok(outcome)
    }
}

struct World {
    fleet: MemoryFleet<Noting>,
    seen: Seen,
    /// Objects whose chunks device 0 got, with their sizes, in order.
    fetched: Rc<RefCell<Vec<(ShortDigest, u32)>>>,
}

impl World {
    fn new(downlink: &str, rounds: u32) -> Self {
        let mut settings = Settings::new(name("gait"), name("agg"), toy_task(200));
        settings.downlink = Downlink::new(downlink.parse().unwrap(), ANCHOR_EVERY).unwrap();
        settings.codec = Codec::F32;
        settings.enrolled = Enrolment::Any;
        (settings.target, settings.quorum, settings.min_online) = (3, 2, 2);
        settings.rounds = rounds;
        (settings.chunk_bytes, settings.deadline_ms) = (4096, 30_000);
        let (seen, mut fleet) = (Seen::default(), MemoryFleet::new(settings));
        let fetched: Rc<RefCell<Vec<(ShortDigest, u32)>>> = Rc::default();
        let (notes, topics) = (fetched.clone(), Topics::default());
        fleet.watch(move |_, client, way, topic, payload| {
            let object = matches!(topics.parse(topic), Some(Topic::Object(..)));
            if client == Client::Device(0)
                && way == Direction::Down
                && object
                && !payload.is_empty()
            {
                let chunk = Chunk::decode(payload).unwrap();
                let one = (chunk.object, chunk.object_bytes);
                if !notes.borrow().contains(&one) {
                    notes.borrow_mut().push(one);
                }
            }
        });
        for place in 0..3 {
            let trainer = Noting { place, seen: seen.clone() };
            fleet.add_device(name(&format!("device-{place}")), trainer, 400);
        }
        fleet.start_aggregator(1).unwrap();
        Self { fleet, seen, fetched }
    }

    /// Runs until version `version` is out.
    fn until(&mut self, version: u32) {
        let there = self.fleet.run(Instant(10_000_000), |fleet| {
            fleet.aggregator().is_some_and(|agg| agg.head().version.0 >= version)
        });
        assert!(there, "{:?}", self.fleet.log.last());
    }

    fn finish(&mut self) {
        let end = |fleet: &MemoryFleet<Noting>| {
            fleet.log.iter().any(|(_, event)| matches!(event, RoundEvent::Finished { .. }))
        };
        assert!(self.fleet.run(Instant(10_000_000), end), "{:?}", self.fleet.log.last());
    }

    /// Checks that in each round all devices trained from the bits that the aggregator published,
    /// and that devices learned in all rounds.
    fn assert_same_bits(&self, rounds: u32) {
        let mut published = BTreeMap::new();
        for (_, event) in &self.fleet.log {
            if let RoundEvent::RoundPublished { params, version, .. } = event {
                published.insert(version.0, bits(params));
            }
        }
        let seen = self.seen.borrow();
        assert_eq!(seen.len(), rounds as usize);
        for (round, devices) in seen.iter() {
            let different: BTreeSet<&Bits> = devices.values().collect();
            assert_eq!(different.len(), 1, "round {round}: devices have different weights");
            // Without failed rounds, round `r` starts from version `r - 1`.
            if let Some(params) = published.get(&(round - 1)) {
                assert!(devices.values().all(|found| found == params), "round {round}");
            }
        }
    }

    /// What device 0 fetches after it was away from version `from` to version `to`.
    fn fetched_after_absence(from: u32, to: u32) -> Vec<u32> {
        let mut world = Self::new("ecdq=1", to + 1);
        world.until(from);
        // Let it fetch that version and train on it.
        world.fleet.run(world.fleet.now().after(3_000), |_| false);
        world.fleet.break_link(Client::Device(0));
        world.until(to);
        world.fetched.borrow_mut().clear();
        world.fleet.mend(Client::Device(0));
        world.finish();
        world.assert_same_bits(to + 1);
        let took_part = world.seen.borrow()[&(to + 1)].contains_key(&0);
        assert!(took_part, "the device is back in round {}", to + 1);
        world.fetched.borrow().iter().map(|(_, bytes)| *bytes).collect()
    }
}

#[test]
fn with_every_codec_all_devices_train_from_the_bits_that_the_aggregator_has() {
    for codec in ["ecdq=0.5", "ecdq=3", "sparse=2", "eden=4", "int8", "f32"] {
        let mut world = World::new(codec, 8);
        world.finish();
        world.assert_same_bits(8);
    }
}

#[test]
fn a_device_that_stays_fetches_a_seed_and_small_deltas_only() {
    let mut world = World::new("ecdq=1", 8);
    world.finish();
    let fetched = world.fetched.borrow();
    let anchor = 2 * 2010;
    assert_eq!(fetched.len(), 1 + 1 + 8, "task, seed, deltas: {fetched:?}");
    assert!(fetched.iter().all(|(_, bytes)| *bytes < anchor / 4), "{fetched:?}");
}

#[test]
fn a_device_that_was_away_takes_the_deltas_that_it_lacks() {
    let sizes = World::fetched_after_absence(4, 6);
    // Versions 5 to 7 by deltas; the last is evaluated.
    assert!(sizes.len() >= 2 && sizes.iter().all(|bytes| *bytes < 1000), "{sizes:?}");
}

#[test]
fn a_device_that_was_away_for_long_takes_an_anchor() {
    let sizes = World::fetched_after_absence(1, 10);
    let anchors = sizes.iter().filter(|bytes| **bytes > 4000).count();
    assert_eq!(anchors, 1, "{sizes:?}");
}

#[test]
fn an_aggregator_that_restarts_publishes_the_same_objects() {
    let objects = |fleet: &MemoryFleet<Noting>| fleet.retained_objects();
    for version in 1..=7 {
        let mut world = World::new("ecdq=2", 8);
        world.until(version);
        world.fleet.run(world.fleet.now().after(100), |_| false);
        let before = objects(&world.fleet);
        world.fleet.kill_aggregator();
        world.fleet.restart_broker(false);
        assert!(objects(&world.fleet).is_empty());
        world.fleet.start_aggregator(1).unwrap();
        world.fleet.run(world.fleet.now().after(100), |_| false);
        assert_eq!(objects(&world.fleet), before, "version {version}");
        world.finish();
        world.assert_same_bits(8);
    }
}
