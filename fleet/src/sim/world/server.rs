//! The aggregator: its inputs, its outputs, its restarts.

use std::sync::Arc;

use dunlin_aggregator::aggregator::{Aggregator, Initial, Start, StartError};
use dunlin_aggregator::combine::Accumulator;
use dunlin_aggregator::io::{Input as ServerInput, Output as ServerOutput};
use dunlin_aggregator::round::RoundKey;
use dunlin_aggregator::snapshot::{Record, Snapshot};
use dunlin_protocol::id::Lineage;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::topic::Topic;
use dunlin_protocol::wire;

use super::event::{Event, Heard};
use super::population::Body;
use super::{LINEAGE, World};
use crate::sim::broker::Shared;

impl World {
    pub(super) fn start_server(&mut self) -> Result<(), StartError> {
        let start = match &self.snapshot {
            Some(snapshot) => Start::Restored(Box::new(snapshot.clone())),
            None => Start::Fresh { lineage: Lineage(LINEAGE), initial: Initial::Seed(self.seed) },
        };
        let now = self.queue.now();
        self.checks.bytes_in = 0;
        self.server = Some(Aggregator::new(self.server_settings.clone(), start, now)?);
        self.server_connected = true;
        self.tell_server(ServerInput::Connected);
        Ok(())
    }

    pub(super) fn tell_server_message(&mut self, topic: Topic, payload: &[u8]) {
        self.checks.bytes_in += payload.len() as u64;
        self.tell_server(ServerInput::Message { topic, payload });
    }

    pub(super) fn tell_server(&mut self, input: ServerInput<'_>) {
        let now = self.queue.now();
        let Some(server) = &mut self.server else { return };
        server.handle(now, input);
        let mut outputs = Vec::new();
        while let Some(output) = server.poll_output() {
            outputs.push(output);
        }
        let due = server.next_deadline();
        let counted = server.counters().bytes_in;
        if counted != self.checks.bytes_in {
            let what = format!("{} bytes handed over, {counted} counted", self.checks.bytes_in);
            self.checks.broken(now, "byte counters agree", what);
        }
        self.perform(outputs);
        if let Some(due) = due
            && self.server_tick.is_none_or(|tick| due < tick)
        {
            let due = due.max(now.after(1));
            self.server_tick = Some(due);
            self.queue.at(due, Event::ServerTick);
        }
    }

    pub(super) fn perform(&mut self, outputs: Vec<ServerOutput>) {
        let now = self.queue.now();
        let mut written: Vec<(RoundKey, Accumulator)> = Vec::new();
        for output in outputs {
            match output {
                ServerOutput::Subscribe(filter) => {
                    self.broker.hears_updates |= filter.contains("/up/");
                    if filter.ends_with("/state") {
                        self.broker.hears_states = true;
                        self.tell_presences();
                    }
                }
                ServerOutput::Publish { topic, payload, .. } => self.publish(topic, payload),
                ServerOutput::Save(save) => {
                    self.checks.saved(now, &save);
                    for record in &save.records {
                        if let Record::Sums(key, sums) = record {
                            written.push((*key, sums.clone()));
                        }
                    }
                    self.snapshot = Snapshot::after(self.snapshot.take(), &save);
                }
                ServerOutput::Event(event) => {
                    self.checks.event(now, &event);
                    self.reported.push_back((now, event));
                }
            }
        }
        for (key, sums) in written {
            self.checks.sums(now, key, &sums);
        }
    }

    /// The aggregator hears every presence that the broker keeps.
    pub(super) fn tell_presences(&mut self) {
        for device in 0..self.scenario.population.devices {
            if let Some(presence) = self.slots[device as usize].presence.clone() {
                let payload = presence.encode().into_bytes();
                self.tell_server_message(Topic::DeviceState(Self::name(device)), &payload);
            }
        }
    }

    /// A message of the aggregator at the broker.
    pub(super) fn publish(&mut self, topic: Topic, payload: Vec<u8>) {
        let payload: Arc<[u8]> = payload.into();
        match topic {
            Topic::Plan(_) => self.publish_plan(payload),
            Topic::ServerState(_) => {
                let online = Presence::decode(&payload).is_some_and(|p| p.state == State::Online);
                if let Some(common) = &mut self.common {
                    common.server_online = online;
                }
                self.server_heard = Some(payload.clone());
                self.broker.retain(Shared::Server, payload.clone());
                for device in self.broker.listeners(Shared::Server) {
                    self.deliver(device, Heard::Server(payload.clone()));
                }
            }
            Topic::Object(_, digest, index) => {
                let shared = Shared::Object(digest, index);
                self.broker.retain(shared, payload.clone());
                for device in self.broker.listeners(shared) {
                    self.deliver(device, Heard::Object(topic.clone(), payload.clone()));
                }
            }
            Topic::Down(device, down) => {
                let number = Self::number(&device);
                let hears = |number: &u32| {
                    self.slots.get(*number as usize).is_some_and(|slot| slot.hears_down)
                };
                if let Some(number) = number.filter(hears) {
                    self.deliver(number, Heard::Down(down, payload));
                }
            }
            Topic::DeviceState(_) | Topic::Up(..) => {}
        }
    }

    /// A plan: devices that rest and that it does not concern hear it without waking.
    pub(super) fn publish_plan(&mut self, payload: Arc<[u8]>) {
        self.broker.retain(Shared::Plan, payload.clone());
        let Ok(plan) = wire::decode::<Plan>(&payload) else { return };
        // Versions that nobody can fetch any more are held by few.
        let oldest = plan.models.iter().map(|entry| entry.version).min();
        if let Some(oldest) = oldest {
            self.models
                .retain(|version, params| *version >= oldest || Arc::strong_count(params) > 1);
        }
        let (now, federation) = (self.queue.now(), self.device_settings.federation.clone());
        for device in self.broker.listeners(Shared::Plan) {
            let slot = &self.slots[device as usize];
            // What is on its way may wake it, and then the plan comes after that.
            let quiet = slot.down_pipe.is_quiet(now);
            let concerned = match (&slot.body, &self.common) {
                (Body::Resting(resting), Some(common)) if quiet => {
                    resting.concerns(&federation, common, &plan)
                }
                _ => true,
            };
            if concerned {
                self.deliver(device, Heard::Plan(payload.clone()));
            } else {
                self.tally.bytes_down += payload.len() as u64;
            }
        }
        if let Some(common) = &mut self.common {
            common.plan = plan;
        }
    }

    pub(super) fn server_kill(&mut self) {
        self.later(self.scenario.faults.aggregator_kills_per_h, Event::ServerKill);
        if self.server.take().is_none() {
            return;
        }
        self.tally.server_kills += 1;
        self.lose_server();
        let back = 2_000 + self.rng.below(30_000) as u64;
        self.queue.after(back, Event::ServerStart);
    }

    pub(super) fn lose_server(&mut self) {
        self.server_connected = false;
        self.broker.forget_aggregator();
        let boot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.head.boot);
        let lost = Presence { state: State::Lost, boot }.encode().into_bytes();
        self.publish(Topic::ServerState(self.server_settings.instance.clone()), lost);
    }
}
