//! A model and an update of a megabyte in chunks of 4 KiB, over links that are cut at every chunk.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::{Enrolment, Settings};
use dunlin_fleet::memory::{Client, Direction, HOP_MS, MemoryFleet};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::ShortDigest;
use dunlin_protocol::message::Ack;
use dunlin_protocol::object::{CHUNK_HEADER_BYTES, Chunk};
use dunlin_protocol::report::{FRAMING_BYTES, Report};
use dunlin_protocol::task::{Layer, Op, Share, Target};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic, Topics};
use dunlin_protocol::wire;
use dunlin_tests::{ToyTrainer, name, toy_task};

const DEVICE: Client = Client::Device(0);
const CHUNKS: usize = 257;

/// One device, one round, 262,144 parameters: a mebibyte each way and 257 chunks with the header.
fn settings() -> Settings {
    let mut task = toy_task(8191);
    task.layers = vec![Layer { op: Op::Dense { out: 32 }, share: Share::Shared }];
    task.target = Target::Classes((0..32).map(|class| format!("class {class}")).collect());
    let mut settings = Settings::new(name("gait"), name("agg"), task);
    settings.codec = Codec::F32;
    settings.enrolled = Enrolment::Any;
    (settings.target, settings.quorum, settings.min_online, settings.rounds) = (1, 1, 1, 1);
    settings.clip_norm = 1000.0;
    settings.chunk_bytes = 4096;
    settings.deadline_ms = 86_400_000;
    settings
}

/// What has passed, and what should not have.
#[derive(Default)]
struct Seen {
    /// Chunks of the model that the device has.
    fetched: BTreeSet<(ShortDigest, u16)>,
    /// Chunks of the update that were acknowledged to the device, and when it heard so first.
    acknowledged: BTreeMap<(ShortDigest, u16), Instant>,
    /// Chunks of the update that have reached the broker.
    sent: BTreeSet<(ShortDigest, u16)>,
    /// Chunks that passed although the receiver had them and the sender knew.
    wasted: Vec<String>,
    /// New chunks since the last look.
    news: u32,
}

impl Seen {
    fn note(&mut self, now: Instant, way: Direction, topic: Option<Topic>, payload: &[u8]) {
        match (way, topic) {
            (Direction::Down, Some(Topic::Object(..))) if !payload.is_empty() => {
                let chunk = Chunk::decode(payload).unwrap();
                if self.fetched.insert((chunk.object, chunk.index)) {
                    self.news += 1;
                } else {
                    self.wasted.push(format!("chunk {} of the model", chunk.index));
                }
            }
            (Direction::Down, Some(Topic::Down(_, Down::Ack))) => {
                let ack: Ack = wire::decode(payload).unwrap();
                for index in (0..ack.chunks).filter(|&index| ack.has(index)) {
                    self.acknowledged.entry((ack.object, index)).or_insert(now);
                }
            }
            (Direction::Up, Some(Topic::Up(..))) => {
                let Ok(chunk) = Chunk::decode(payload) else { return };
                // It was sent one hop ago.
                let known = self.acknowledged.get(&(chunk.object, chunk.index));
                if known.is_some_and(|heard| heard.after(HOP_MS) < now) {
                    self.wasted.push(format!("chunk {} of the update", chunk.index));
                }
                self.news += u32::from(self.sent.insert((chunk.object, chunk.index)));
            }
            _ => {}
        }
    }
}

fn is_finished(fleet: &MemoryFleet<ToyTrainer>) -> bool {
    fleet.log.iter().any(|(_, event)| matches!(event, RoundEvent::Finished { .. }))
}

/// Runs the round; after each new chunk, in either direction, cuts the links that `cut` names.
fn cut_at_every_chunk(cut: &[Client]) {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut fleet = MemoryFleet::new(settings());
    let (notes, topics) = (seen.clone(), Topics::default());
    fleet.watch(move |now, client, way, topic, payload| {
        if client == DEVICE {
            notes.borrow_mut().note(now, way, topics.parse(topic), payload);
        }
    });
    fleet.add_device(name("device-0"), ToyTrainer::of(0), 1000);
    fleet.start_aggregator(1).unwrap();
    let mut cuts = 0;
    loop {
        let look = seen.clone();
        let stopped =
            fleet.run(Instant(80_000_000), |fleet| look.borrow().news > 0 || is_finished(fleet));
        assert!(stopped, "stands still after {cuts} cuts: {:?}", fleet.log.last());
        if is_finished(&fleet) {
            break;
        }
        seen.borrow_mut().news = 0;
        cut.iter().for_each(|&client| fleet.cut(client));
        cuts += 1;
    }
    let mut seen = seen.borrow_mut();
    if cut.contains(&Client::Aggregator) {
        // After each connection an aggregator publishes its objects again, since a broker may have
        // forgotten them: chunks that a device just asks for come twice.
        seen.wasted.retain(|chunk| chunk.ends_with("update"));
    }
    assert_eq!(seen.wasted, Vec::<String>::new());
    // The task, two versions, the update, and at the end the figures of an evaluation.
    assert_eq!((seen.fetched.len(), seen.sent.len()), (1 + 2 * CHUNKS, CHUNKS + 1));
    assert_eq!(cuts, seen.fetched.len() + seen.sent.len());
    assert_eq!(fleet.aggregator().unwrap().counters().accepted, 2);
}

#[test]
fn a_megabyte_survives_a_cut_of_the_devices_link_at_every_chunk_both_ways() {
    cut_at_every_chunk(&[DEVICE]);
}

#[test]
fn a_megabyte_survives_a_cut_of_the_aggregators_link_at_every_chunk_both_ways() {
    cut_at_every_chunk(&[Client::Aggregator]);
}

#[test]
fn a_megabyte_survives_a_cut_of_both_links_at_every_chunk_both_ways() {
    cut_at_every_chunk(&[DEVICE, Client::Aggregator]);
}

#[test]
fn the_framing_of_an_update_of_one_chunk_has_at_most_64_bytes() {
    let mut settings = settings();
    settings.task = toy_task(100);
    settings.rounds = 3;
    let framing = Rc::new(RefCell::new(Vec::new()));
    let mut fleet = MemoryFleet::new(settings);
    let (notes, topics) = (framing.clone(), Topics::default());
    fleet.watch(move |_, _, way, topic, payload| {
        let up = way == Direction::Up && matches!(topics.parse(topic), Some(Topic::Up(..)));
        let Some(chunk) = Chunk::decode(payload).ok().filter(|_| up) else { return };
        let update = Report::decode(chunk.data).unwrap();
        notes.borrow_mut().push(CHUNK_HEADER_BYTES + chunk.data.len() - update.payload.len());
    });
    let trainer = ToyTrainer { windows: 1_000_000, ..ToyTrainer::of(0) };
    fleet.add_device(name("device-0"), trainer, 1000);
    fleet.start_aggregator(1).unwrap();
    assert!(fleet.run(Instant(10_000_000), is_finished));
    let framing = framing.borrow();
    assert!(framing.len() >= 3);
    assert!(framing.iter().all(|&bytes| bytes <= FRAMING_BYTES as usize), "{framing:?}");
}
