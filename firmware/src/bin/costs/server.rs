//! The aggregator of one device: two rounds, from the first version and from a delta on it.

use alloc::vec;
use alloc::vec::Vec;

use dunlin_protocol::codec::Codec;
use dunlin_protocol::delta::Delta;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::id::{FederationId, InstanceId, Lineage, ModelVersion, RoundId};
use dunlin_protocol::limits::CHUNK_BYTES_MIN;
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::message::{Answer, Claim, Go, Outcome, Verdict, WorkRef};
use dunlin_protocol::object::{Assembly, Chunk, ObjectRef};
use dunlin_protocol::plan::{ModelEntry, Plan, WorkItem};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::seeded::Seeded;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic, Topics};
use dunlin_protocol::wire::{self, Kind, WireError};
use dunlin_protocol::work::{TrainWork, Work, WorkKind};

use crate::training::training;

const KIND: WorkKind = WorkKind::Train;
const LINEAGE: Lineage = Lineage([7; 16]);
/// Far behind all times of the run.
const DEADLINE: Instant = Instant(3_600_000);

/// Says a message on a topic.
pub(crate) type Say<'a> = dyn Fn(&str, &[u8]) + 'a;

pub(crate) struct Server {
    federation: FederationId,
    instance: InstanceId,
    topics: Topics,
    /// The task, the first version and the delta to the second.
    objects: [Vec<u8>; 3],
    references: [ObjectRef; 3],
    plan: Plan,
    upload: Option<Assembly>,
    rounds: u32,
}

impl Server {
    /// Serves `task`; updates come as `codec` writes them.
    pub(crate) fn new(
        task: &TaskSpec,
        federation: FederationId,
        codec: Codec,
    ) -> Result<Self, WireError> {
        let misfit = |_| WireError::Invalid("the task has no layout");
        let layout = task.layout().map_err(misfit)?;
        let (first, params) = Seeded::make(ModelVersion(0), &layout, 1);
        let target: Vec<f32> = params.iter().map(|value| value * 1.01 + 0.001).collect();
        let delta =
            Delta::make(Codec::INT8, layout.hash(), ModelVersion(0), &params, &target)?.object;
        let objects = [wire::encode(task)?, wire::encode(&first)?, delta];
        let references = [
            ObjectRef::of(&objects[0], CHUNK_BYTES_MIN)?,
            ObjectRef::of(&objects[1], CHUNK_BYTES_MIN)?,
            ObjectRef::of(&objects[2], CHUNK_BYTES_MIN)?,
        ];
        let instance: InstanceId =
            InstanceId::new("agg").map_err(|_| WireError::Invalid("no name"))?;
        let train =
            TrainWork { training: training(), codec: codec.spec(), clip_norm: 4.0, max_abs: 4.0 };
        let entry = |version, base, object| ModelEntry { version, base, object };
        let plan = Plan {
            instance: instance.clone(),
            lineage: LINEAGE,
            sequence: 1,
            layout: layout.hash(),
            shards: 1,
            chunk_bytes: CHUNK_BYTES_MIN,
            task: references[0],
            models: vec![
                entry(ModelVersion(0), None, references[1]),
                entry(ModelVersion(1), Some(ModelVersion(0)), references[2]),
            ],
            work: vec![WorkItem {
                round: RoundId(1),
                base_version: ModelVersion(0),
                fraction: Fraction::ALL,
                deadline: DEADLINE,
                kind: KIND as u8,
                body: Work::Train(train).body()?,
                extensions: Extensions::NONE,
            }],
            next_check_in_ms: 60_000,
            extensions: Extensions::NONE,
        };
        let topics = Topics::default();
        let this = Self {
            federation,
            instance,
            topics,
            objects,
            references,
            plan,
            upload: None,
            rounds: 0,
        };
        Ok(this)
    }

    /// Rounds that ended with an accepted update.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    fn say_plan(&self, say: &Say<'_>) {
        let topic = self.topics.name(&Topic::Plan(self.federation.clone()));
        say(&topic, &wire::encode(&self.plan).unwrap_or_default());
    }

    /// Gives a new subscriber what is retained on its topic.
    pub(crate) fn on_subscription(&self, topic: &str, say: &Say<'_>) {
        match self.topics.parse(topic) {
            Some(Topic::Plan(_)) => self.say_plan(say),
            Some(Topic::ServerState(instance)) if instance == self.instance => {
                say(topic, Presence::new(State::Online, 1).encode().as_bytes());
            }
            Some(Topic::Object(_, digest, index)) => {
                let place = self.references.iter().position(|one| one.digest.short() == digest);
                let cut = |at: usize| Chunk::cut(&self.references[at], &self.objects[at], index);
                if let Some(chunk) = place.and_then(cut) {
                    say(topic, &chunk.encode());
                }
            }
            Some(
                Topic::ServerState(_)
                | Topic::DeviceState(_)
                | Topic::Up(..)
                | Topic::Down(..)
                | Topic::Out(..),
            )
            | None => {}
        }
    }

    /// Answers what the device says: a claim, or a chunk of an update.
    pub(crate) fn on_message(&mut self, topic: &str, payload: &[u8], say: &Say<'_>) {
        let Some(Topic::Up(device, ..)) = self.topics.parse(topic) else { return };
        let tell = |down, payload: Result<Vec<u8>, WireError>| {
            let topic = self.topics.name(&Topic::Down(device.clone(), down));
            say(&topic, &payload.unwrap_or_default());
        };
        if wire::peek_kind(payload) == Ok(Kind::Claim as u8) {
            let Ok(Claim { work, .. }) = wire::decode(payload) else { return };
            let extensions = Extensions::NONE;
            let go =
                Go { work, answer: Answer::Go, now: Instant(0), deadline: DEADLINE, extensions };
            return tell(Down::Go, wire::encode(&go));
        }
        let Ok(chunk) = Chunk::decode(payload) else { return };
        let upload = self.upload.get_or_insert_with(|| Assembly::for_chunk(&chunk));
        if upload.take(&chunk).is_err() {
            return;
        }
        tell(Down::Ack, wire::encode(&upload.ack()));
        if !upload.is_complete() {
            return;
        }
        self.upload = None;
        let round = RoundId(self.rounds + 1);
        let work = WorkRef { lineage: LINEAGE, round, kind: KIND as u8 };
        let verdict = Verdict { work, object: chunk.object, outcome: Outcome::Accepted };
        tell(Down::Verdict, wire::encode(&verdict));
        self.rounds += 1;
        let item = &mut self.plan.work[0];
        (item.round, item.base_version) = (RoundId(self.rounds + 1), ModelVersion(1));
        if self.rounds < crate::rounds::ROUNDS {
            self.say_plan(say);
        }
    }
}
