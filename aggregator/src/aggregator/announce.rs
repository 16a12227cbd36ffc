//! What the broker holds for devices: presence, objects and the plan, all retained.

use alloc::vec::Vec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::id::{ModelVersion, ShortDigest};
use dunlin_protocol::limits::{MODELS_MAX, WORK_ITEMS_MAX};
use dunlin_protocol::object::ObjectRef;
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::presence::State;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;
use dunlin_protocol::wire::{self, WireError};

use super::{Aggregator, Connection};
use crate::io::Output;
use crate::model_store::Object;

/// Chunks that are listened to at the most. A broker keeps about a thousand messages for one client, and
/// those of devices must find room; of larger models, chunks that are missed are said again when a device
/// gives up for them.
const WATCHED_MAX: usize = 500;

impl Aggregator {
    /// Subscribes and publishes everything: a broker without persistence has forgotten it.
    pub(super) fn connected(&mut self, now: Instant) {
        let settled = now.after(self.settings.settle_ms);
        self.connection = Connection::Up { settled };
        self.registry.clear(now);
        self.own.begin();
        // Devices could not reach us: what is open waits for their claims anew.
        let claims_until = settled.after(self.settings.claim_wait_ms);
        for round in self.rounds.iter_mut() {
            round.wait_for_claims(claims_until);
        }
        self.outputs.push_back(Output::Subscribe(self.topics.all_device_states()));
        for shard in self.shards.clone() {
            let filter = self.topics.all_up(&self.settings.federation, shard);
            self.outputs.push_back(Output::Subscribe(filter));
        }
        self.say(State::Online);
        // Behind its own word, so that the broker gives that back and not one of before.
        let own = self.topics.name(&self.own_state());
        self.outputs.push_back(Output::Subscribe(own));
        self.publish_objects(now);
        self.listen_to_own();
        // Earlier removals may have been lost with the connection.
        self.models.remove_again();
        self.remove_retired();
    }

    /// Publishes a new version: its chunks, then the plan, then the removal of what it replaces.
    pub(super) fn announce_version(&mut self, now: Instant, version: ModelVersion) {
        self.publish_model(version);
        self.publish_plan(now);
        self.remove_retired();
    }

    /// Tells devices that this aggregator leaves on purpose.
    pub(super) fn say_goodbye(&mut self) {
        self.say(State::Offline);
    }

    /// The topic of its own presence.
    pub(super) fn own_state(&self) -> Topic {
        Topic::ServerState(self.settings.instance.clone())
    }

    /// Listens to what the broker keeps of this aggregator; behind its own words, as above.
    fn listen_to_own(&mut self) {
        let federation = &self.settings.federation;
        let plan = self.topics.name(&Topic::Plan(federation.clone()));
        let objects = self.topics.all_objects(federation);
        self.outputs.push_back(Output::Subscribe(plan));
        if self.all_chunks().len() <= WATCHED_MAX {
            self.outputs.push_back(Output::Subscribe(objects));
        }
    }

    pub(super) fn say(&mut self, state: State) {
        let presence = self.own_presence(state);
        self.publish(self.own_state(), presence.encode().into_bytes(), true);
    }

    pub(super) fn publish_chunk(&mut self, object: ShortDigest, index: u16, payload: Vec<u8>) {
        let topic = Topic::Object(self.settings.federation.clone(), object, index);
        self.publish(topic, payload, true);
    }

    pub(super) fn publish_model(&mut self, version: ModelVersion) {
        let objects = self.models.objects(version);
        let named = |object: &Object| {
            let digest = object.reference.digest.short();
            object.chunks().map(|(index, chunk)| (digest, index, chunk)).collect::<Vec<_>>()
        };
        for (digest, index, chunk) in objects.flat_map(named).collect::<Vec<_>>() {
            self.publish_chunk(digest, index, chunk);
        }
    }

    /// All objects that devices may fetch.
    fn all_objects(&self) -> impl Iterator<Item = &Object> {
        let versions = self.models.versions().flat_map(|version| self.models.objects(version));
        core::iter::once(&self.task_object).chain(versions)
    }

    /// The chunk of one of our objects as it must stand on the broker; `None` when it is not ours.
    pub(super) fn own_chunk(&self, digest: ShortDigest, index: u16) -> Option<Vec<u8>> {
        let mut all = self.all_objects();
        let object = all.find(|object| object.reference.digest.short() == digest)?;
        object.chunk(index)
    }

    /// Every chunk of every object that devices may fetch.
    pub(super) fn all_chunks(&self) -> Vec<(ShortDigest, u16)> {
        let chunks = |object: &Object| {
            let digest = object.reference.digest.short();
            (0..object.reference.chunks()).map(move |index| (digest, index))
        };
        self.all_objects().flat_map(chunks).collect()
    }

    /// Removes the chunks of retired objects from the broker.
    fn remove_retired(&mut self) {
        for reference in self.models.take_unremoved() {
            let ObjectRef { digest, .. } = reference;
            for index in 0..reference.chunks() {
                self.publish_chunk(digest.short(), index, Vec::new());
            }
        }
    }

    /// Publishes the plan as it is now.
    pub(super) fn publish_plan(&mut self, now: Instant) {
        match self.plan(now).and_then(|plan| wire::encode(&self.plans.numbered(plan))) {
            Ok(bytes) => {
                let topic = Topic::Plan(self.settings.federation.clone());
                self.publish(topic, bytes, true);
            }
            // Queries have a bound of their own, and the rest is short.
            Err(error) => log::error!("the plan cannot be written: {error}"),
        }
    }

    /// When a device that is not always connected should look again, in milliseconds from `now`.
    pub(super) fn check_in(&self, now: Instant) -> u64 {
        let end = self.rounds.iter().map(|round| round.deadline().since(now)).min();
        let next = end.map(|ms| ms.saturating_add(self.settings.pause_ms));
        next.map_or(self.settings.check_in_ms, |ms| ms.min(self.settings.check_in_ms))
    }

    fn plan(&self, now: Instant) -> Result<Plan, WireError> {
        let mut work = Vec::new();
        // More are open for a moment at the most: evaluations that take turns after a crash.
        for round in self.rounds.plan_order(self.settings.paused).take(WORK_ITEMS_MAX) {
            let job = round.job().work();
            work.push(WorkItem {
                round: round.key().round,
                base_version: round.base(),
                fraction: round.fraction(),
                deadline: round.deadline(),
                kind: job.number(),
                body: job.body()?,
                extensions: Extensions::NONE,
            });
        }
        let bases: Vec<ModelVersion> = work.iter().map(|item| item.base_version).collect();
        let mut models = self.models.entries(&bases);
        // The newest say how to get to the current version.
        models.drain(..models.len().saturating_sub(MODELS_MAX));
        let check_in = self.check_in(now);
        Ok(Plan {
            instance: self.settings.instance.clone(),
            lineage: self.lineage,
            sequence: 0,
            layout: self.task.layout().hash(),
            shards: self.settings.shards,
            chunk_bytes: self.settings.chunk_bytes,
            task: self.task_object.reference,
            models,
            work,
            next_check_in_ms: u32::try_from(check_in).unwrap_or(u32::MAX),
            extensions: Extensions::NONE,
        })
    }
}
