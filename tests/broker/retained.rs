//! What the broker keeps is not its owners' alone: somebody deletes, overwrites and replays retained
//! messages on a real Mosquitto. The federation goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dunlin_aggregator::io::RoundEvent;
use dunlin_link::LinkEvent;
use dunlin_link::testing::TestClient;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_tests::name;

use super::world::{AGGREGATOR, World, device_name, nap, settings};

/// More rounds than a test waits for.
const ENDLESS: u32 = 100_000;

/// A kind of retained message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Plan,
    Server,
    Device,
    Object,
}

const KINDS: [Kept; 4] = [Kept::Plan, Kept::Server, Kept::Device, Kept::Object];

/// What is made of a retained message.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Delete,
    Garbage,
    Replay,
    /// A presence that seems to be newer than the owner's; of plans and objects those of another.
    Outbid,
}

const DEEDS: [Deed; 4] = [Deed::Delete, Deed::Garbage, Deed::Replay, Deed::Outbid];

/// Somebody who may write everything, and has heard what was retained before.
struct Vandal {
    client: TestClient,
    /// All payloads of each topic, in order.
    heard: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Vandal {
    fn enter(world: &World) -> Self {
        let client = TestClient::open(world.broker.client("vandal"));
        client.wait_connected();
        for filter in ["dunlin/v1/fed/#", "dunlin/v1/srv/#", "dunlin/v1/dev/+/state"] {
            client.link.subscribe(filter.to_owned());
        }
        Self { client, heard: BTreeMap::new() }
    }

    /// Takes what has come in the meantime.
    fn listen(&mut self) {
        while let Some(event) = self.client.poll() {
            if let LinkEvent::Message { topic, payload } = event {
                self.heard.entry(topic).or_default().push(payload);
            }
        }
    }

    /// The topics of this kind that were heard of.
    fn topics(&self, kept: Kept) -> Vec<String> {
        let is = |topic: &Topic| match kept {
            Kept::Plan => matches!(topic, Topic::Plan(_)),
            Kept::Server => matches!(topic, Topic::ServerState(_)),
            Kept::Device => matches!(topic, Topic::DeviceState(_)),
            Kept::Object => matches!(topic, Topic::Object(..)),
        };
        let names = self.heard.keys();
        names
            .filter(|text| Topics::default().parse(text).is_some_and(|t| is(&t)))
            .cloned()
            .collect()
    }

    /// Does `deed` to all messages of this kind.
    fn spoil(&mut self, kept: Kept, deed: Deed) {
        self.listen();
        let topics = self.topics(kept);
        assert!(!topics.is_empty(), "nothing of {kept:?} is retained");
        for topic in topics {
            let payload = self.payload(kept, deed, &topic);
            self.client.link.publish(topic, payload, true);
        }
    }

    fn payload(&self, kept: Kept, deed: Deed, topic: &str) -> Vec<u8> {
        let old = || self.heard[topic].iter().find(|payload| !payload.is_empty()).cloned();
        match deed {
            Deed::Delete => Vec::new(),
            Deed::Garbage => b"not one of ours".to_vec(),
            Deed::Replay => old().unwrap_or_default(),
            Deed::Outbid => match kept {
                Kept::Server | Kept::Device => {
                    Presence::new(State::Lost, 9_000).encode().into_bytes()
                }
                // What another topic of its kind has: well formed, and wrong here.
                Kept::Plan | Kept::Object => {
                    let mut others = self.topics(kept).into_iter().filter(|other| other != topic);
                    let other = others.next_back().and_then(|other| self.heard[&other].last());
                    other.cloned().or_else(old).unwrap_or_default()
                }
            },
        }
    }
}

/// Rounds that have made a version so far.
fn published(world: &World) -> usize {
    world.events(|event| matches!(event, RoundEvent::RoundPublished { .. }).then_some(())).len()
}

/// Waits for so many versions more: those that were on their way when something happened, and one
/// that began afterwards.
fn wait_on(world: &World, more: usize) {
    let target = published(world) + more;
    world.wait_events(target, |event| matches!(event, RoundEvent::RoundPublished { .. }));
}

/// Three devices and many rounds with a moment between them.
fn world() -> Option<World> {
    let mut settings = settings(1000, 3, ENDLESS);
    settings.pause_ms = 300;
    World::new(settings)
}

/// Every deed to every message of one kind, one after the other, while rounds run.
fn goes_on_after_all_deeds_to(kept: Kept) {
    let Some(mut world) = world() else { return };
    let mut vandal = Vandal::enter(&world);
    world.start_aggregator();
    world.start_devices(3);
    wait_on(&world, 2);
    for deed in DEEDS {
        vandal.spoil(kept, deed);
        wait_on(&world, 2);
    }
    world.stop();
}

#[test]
fn a_federation_goes_on_whatever_is_made_of_its_plan() {
    goes_on_after_all_deeds_to(Kept::Plan);
}

#[test]
fn a_federation_goes_on_whatever_is_made_of_the_aggregators_state() {
    goes_on_after_all_deeds_to(Kept::Server);
}

#[test]
fn a_federation_goes_on_whatever_is_made_of_the_states_of_devices() {
    goes_on_after_all_deeds_to(Kept::Device);
}

#[test]
fn a_federation_goes_on_whatever_is_made_of_its_objects() {
    goes_on_after_all_deeds_to(Kept::Object);
}

#[test]
fn a_federation_begins_where_a_stranger_has_spoken_for_everybody() {
    let Some(mut world) = world() else { return };
    let vandal = Vandal::enter(&world);
    let lost = Presence::new(State::Lost, 9_000).encode().into_bytes();
    let topics = Topics::default();
    for place in 0..3 {
        let state = Topic::DeviceState(name(&device_name(place)));
        vandal.client.link.publish(topics.name(&state), lost.clone(), true);
    }
    let server = topics.name(&Topic::ServerState(name(AGGREGATOR)));
    vandal.client.link.publish(server, lost, true);
    let plan = topics.name(&Topic::Plan(world.settings.federation.clone()));
    vandal.client.link.publish(plan, b"not one of ours".to_vec(), true);
    world.start_devices(3);
    world.start_aggregator();
    wait_on(&world, 2);
    world.stop();
}

#[test]
fn a_federation_goes_on_within_two_minutes_after_deeds_in_any_order() {
    let Some(mut world) = world() else { return };
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    let mut vandal = Vandal::enter(&world);
    world.start_aggregator();
    world.start_devices(3);
    wait_on(&world, 1);
    let mut done = BTreeSet::new();
    for _ in 0..30 {
        let (kept, deed) = (KINDS[rng.below(4)], DEEDS[rng.below(4)]);
        done.insert(format!("{kept:?} {deed:?}"));
        vandal.spoil(kept, deed);
        nap(Duration::from_millis(200 + rng.below(400) as u64));
    }
    // `wait_on` has the patience of two minutes.
    println!("done: {done:?}; {} versions so far", published(&world));
    wait_on(&world, 3);
    world.stop();
}
