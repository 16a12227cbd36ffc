//! A device that says exactly what a test wants it to say.

use dunlin_link::LinkEvent;
use dunlin_link::testing::{Draft, TestClient};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::id::{Name, ShortDigest};
use dunlin_protocol::message::{Answer, Claim, Go, Outcome, Verdict, WorkRef};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::report::ReportHeader;
use dunlin_protocol::task::Task;
use dunlin_protocol::topic::{Down, Topic, Topics, shard_of};
use dunlin_protocol::wire;
use dunlin_protocol::work::{Score, TrainFigures, WorkKind};
use dunlin_tests::name;

use super::world::World;

/// The device and its connection.
pub(super) struct DeviceByHand {
    pub(super) client: TestClient,
    device: Name,
    federation: Name,
}

impl DeviceByHand {
    /// Connects, subscribes to what a device hears and says that it is online.
    pub(super) fn open(world: &World, device: &str) -> Self {
        let client = TestClient::open(world.broker.client(device));
        client.wait_connected();
        let federation = world.settings.federation.clone();
        let this = Self { client, device: name(device), federation };
        for down in Down::ALL {
            this.subscribe(&Topic::Down(this.device.clone(), down));
        }
        this.subscribe(&Topic::Plan(this.federation.clone()));
        this.say(State::Online);
        this
    }

    /// Leaves in an orderly way.
    pub(super) fn close(self) {
        self.say(State::Offline);
        assert!(self.client.link.close(Vec::new()), "the broker heard the good-bye");
    }

    fn topic(topic: &Topic) -> String {
        Topics::default().name(topic)
    }

    fn subscribe(&self, topic: &Topic) {
        self.client.link.subscribe(Self::topic(topic));
    }

    fn say(&self, state: State) {
        let topic = Self::topic(&Topic::DeviceState(self.device.clone()));
        let presence = Presence::new(state, 1).encode().into_bytes();
        self.client.link.publish(topic, presence, true);
    }

    /// Publishes to the topic that the aggregator hears.
    pub(super) fn up(&self, payload: Vec<u8>) {
        let shard = shard_of(&self.device, 1);
        let topic = Topic::Up(self.device.clone(), self.federation.clone(), shard);
        self.client.link.publish(Self::topic(&topic), payload, false);
    }

    /// Waits for a message on `topic` for which `choose` gives something.
    fn hear<T>(&self, topic: &Topic, choose: impl Fn(&[u8]) -> Option<T>) -> T {
        let wanted = Self::topic(topic);
        self.client.wait(|event| match event {
            LinkEvent::Message { topic, payload } if *topic == wanted => choose(payload),
            _ => None,
        })
    }

    /// Waits for a plan with open training: the plan and its work.
    pub(super) fn wait_work(&self) -> (Plan, WorkItem) {
        self.hear(&Topic::Plan(self.federation.clone()), |payload| {
            let plan: Plan = wire::decode(payload).unwrap();
            let item = plan.work.iter().find(|item| item.kind == WorkKind::Train as u8)?.clone();
            Some((plan, item))
        })
    }

    /// Claims the open training and waits for its go.
    pub(super) fn claim(&self) -> (Plan, WorkItem) {
        let (plan, item) = self.wait_work();
        assert_eq!(self.ask(&plan, &item), Answer::Go);
        (plan, item)
    }

    /// Claims this work: the answer.
    pub(super) fn ask(&self, plan: &Plan, item: &WorkItem) -> Answer {
        let work = WorkRef { lineage: plan.lineage, round: item.round, kind: item.kind };
        let claim = Claim {
            work,
            boot: 1,
            codecs: Codec::KNOWN,
            memory_kib: 0,
            windows: 1,
            extensions: Extensions::NONE,
        };
        self.up(wire::encode(&claim).unwrap());
        let go = self.hear(&Topic::Down(self.device.clone(), Down::Go), |payload| {
            wire::decode::<Go>(payload).ok()
        });
        go.answer
    }

    /// Sends every chunk of `object`.
    pub(super) fn send(&self, object: &[u8]) -> ShortDigest {
        self.send_chunks(object, u16::MAX)
    }

    /// Sends the first chunks of `object`.
    pub(super) fn send_chunks(&self, object: &[u8], most: u16) -> ShortDigest {
        let reference = ObjectRef::of(object, 4096).unwrap();
        for index in 0..reference.chunks().min(most) {
            self.up(Chunk::cut(&reference, object, index).unwrap().encode());
        }
        reference.digest.short()
    }

    /// Waits for the verdict on an object.
    pub(super) fn verdict(&self, object: ShortDigest) -> Outcome {
        self.hear(&Topic::Down(self.device.clone(), Down::Verdict), |payload| {
            let verdict: Verdict = wire::decode(payload).unwrap();
            (verdict.object == object).then_some(verdict.outcome)
        })
    }
}

/// A report that the round of `item` takes.
pub(super) fn header(world: &World, plan: &Plan, item: &WorkItem) -> Draft {
    let work = WorkRef { lineage: plan.lineage, round: item.round, kind: item.kind };
    let score = Score { windows: 10, correct: 5, loss_sum: 7.0 };
    let task = Task::new(world.settings.task.clone()).unwrap();
    let header = ReportHeader::new(work, item.base_version, task.digest(), 0);
    let figures = TrainFigures { examples: 1, train_loss: 0.5, before: score, after: score };
    Draft { header, figures }
}

/// The object of an update whose `n` coordinates are all `step`.
pub(super) fn object(draft: Draft, step: f32, n: usize) -> Vec<u8> {
    let payload: Vec<u8> = std::iter::repeat_n(step.to_le_bytes(), n).flatten().collect();
    draft.object(&payload)
}
