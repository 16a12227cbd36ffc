//! The real aggregator is killed with SIGKILL around every step of a round.

use std::collections::BTreeSet;

use dunlin_link::LinkEvent;
use dunlin_link::testing::TestClient;
use dunlin_protocol::id::{ModelVersion, ShortDigest};
use dunlin_protocol::message::{Outcome, Verdict};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::topic::{Down, Topic, Topics};
use dunlin_protocol::wire;

use super::program::Program;
use super::world::{World, settings};

/// What has to be seen on MQTT before the kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The first go.
    Go,
    /// So many verdicts that an update is accepted; with the third the round is complete.
    Verdicts(u32),
    /// The first chunk of an object that was never seen before; after the task and version 0
    /// these are new versions.
    NewModel,
    /// A plan that names a version never named before.
    NewPlan,
}

struct Watcher {
    client: TestClient,
    objects: BTreeSet<ShortDigest>,
    version: ModelVersion,
}

impl Watcher {
    fn open(world: &World) -> Self {
        let client = TestClient::open(world.broker.client("watcher"));
        client.wait_connected();
        client.subscribe_and_wait("dunlin/#", "dunlin/proof");
        Self { client, objects: BTreeSet::new(), version: ModelVersion(0) }
    }

    fn wait(&mut self, moment: Moment) {
        let topics = Topics::default();
        let mut verdicts = 0;
        let (objects, newest) = (&mut self.objects, &mut self.version);
        self.client.wait(|event| {
            let LinkEvent::Message { topic, payload } = event else { return None };
            let there = match topics.parse(topic)? {
                Topic::Down(_, Down::Go) => matches!(moment, Moment::Go),
                Topic::Down(_, Down::Verdict) => {
                    let verdict: Verdict = wire::decode(payload).unwrap();
                    verdicts += u32::from(verdict.outcome == Outcome::Accepted);
                    matches!(moment, Moment::Verdicts(wanted) if verdicts == wanted)
                }
                Topic::Object(_, object, _) if !payload.is_empty() => {
                    objects.insert(object) && matches!(moment, Moment::NewModel)
                }
                Topic::Plan(_) => {
                    let plan: Plan = wire::decode(payload).unwrap();
                    let version = plan.models.iter().map(|entry| entry.version).max()?;
                    let new = version > *newest;
                    *newest = version.max(*newest);
                    new && matches!(moment, Moment::NewPlan)
                }
                _ => false,
            };
            there.then_some(())
        });
    }
}

/// Kills the aggregator at each moment in turn and checks the model that it ends with.
fn killed_at(moments: &[Moment], rounds: u32) {
    // 313 KiB, so that combining, saving and publishing take a few milliseconds.
    let Some(mut world) = World::new(settings(8000, 3, rounds)) else { return };
    let mut watcher = Watcher::open(&world);
    world.start_devices(3);
    let mut program = Program::start(&world);
    for &moment in moments {
        watcher.wait(moment);
        program.kill9();
        program = Program::start(&world);
        program.wait_log("open round(s) resumed");
    }
    program.wait_log("all rounds are done");
    program.stop();
    world.assert_each_counted_once(&[0, 1, 2], rounds);
}

#[test]
fn an_aggregator_killed_while_updates_come_in_counts_each_once() {
    killed_at(&[Moment::Go, Moment::Verdicts(1), Moment::Verdicts(2), Moment::Verdicts(1)], 6);
}

#[test]
fn an_aggregator_killed_between_the_last_update_and_the_new_version_counts_each_once() {
    killed_at(&[Moment::Verdicts(3); 10], 14);
}

#[test]
fn an_aggregator_killed_while_it_publishes_a_version_says_it_again_and_goes_on() {
    let (model, plan) = (Moment::NewModel, Moment::NewPlan);
    killed_at(&[model, model, model, plan, model, plan, model], 10);
}
