//! The aggregator: its inputs, its outputs, its restarts.

use std::sync::Arc;

use dunlin_aggregator::aggregator::{Aggregator, Initial, Start, StartError};
use dunlin_aggregator::control::Command;
use dunlin_aggregator::io::{Input as ServerInput, Output as ServerOutput, RoundEvent};
use dunlin_aggregator::query::Query;
use dunlin_aggregator::snapshot::{Record, Save, Snapshot};
use dunlin_protocol::id::Lineage;
use dunlin_protocol::message::Verdict;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire;
use dunlin_protocol::work::WorkKind;

use super::event::{Event, Heard};
use super::population::Body;
use super::{LINEAGE, World};
use crate::sim::breakage::Breakage;
use crate::sim::broker::Shared;
use crate::sim::profile::Part;

impl World {
    pub(super) fn start_server(&mut self) -> Result<(), StartError> {
        let backup = self.backup.clone().filter(|_| self.breakage == Some(Breakage::OldBackup));
        let start = match backup.as_ref().or(self.snapshot.as_ref()) {
            Some(snapshot) => Start::Restored(Box::new(self.stored(snapshot.clone()))),
            None => Start::Fresh { lineage: Lineage(LINEAGE), initial: Initial::Seed(self.seed) },
        };
        let now = self.queue.now();
        self.checks.restarted(now);
        self.server_booted = now;
        self.server_epoch += 1;
        let at = self.server_time(now);
        self.server = Some(Aggregator::new(self.told_settings(), start, at, now.0 / 1000)?);
        self.server_connected = true;
        self.server_since = now;
        self.tell_server(ServerInput::Connected);
        self.ask();
        Ok(())
    }

    /// Asks every query whose time has come; one that was asked before changes nothing.
    pub(super) fn ask(&mut self) {
        let now = self.queue.now();
        let due = self.queries.iter().filter(|(at, _)| *at <= now).map(|(_, query)| query.clone());
        let due: Vec<Query> = due.collect();
        if !due.is_empty() {
            self.tell_server(ServerInput::Command(Command::Ask(due)));
        }
    }

    /// The aggregator's clock: it counts from its start.
    fn server_time(&self, now: Instant) -> Instant {
        let ran = now.since(self.server_booted);
        match self.breakage {
            Some(Breakage::SlowClock) => Instant(ran - ran / 30),
            Some(_) | None => Instant(ran),
        }
    }

    pub(super) fn tell_server_message(&mut self, topic: Topic, payload: &[u8]) {
        self.checks.bytes_in += payload.len() as u64;
        let lost = usize::from(self.breakage == Some(Breakage::ShortMessages));
        let payload = &payload[..payload.len().saturating_sub(lost)];
        self.tell_server(ServerInput::Message { topic, payload });
    }

    pub(super) fn tell_server(&mut self, input: ServerInput<'_>) {
        let now = self.queue.now();
        let at = self.server_time(now);
        let Some(server) = &mut self.server else { return };
        let hangs = self.breakage == Some(Breakage::HungAggregator) && now.0 > 60_000;
        if hangs && server.rounds().next().is_some() {
            return;
        }
        let before = self.profile.enter(Part::Aggregator);
        server.handle(at, input);
        let mut outputs = Vec::new();
        while let Some(output) = server.poll_output() {
            if let ServerOutput::Publish { payload, .. } = &output {
                self.checks.bytes_out += payload.len() as u64;
            }
            outputs.push(output);
        }
        self.profile.enter(before);
        let due = server.next_deadline();
        let counted = server.counters();
        self.checks.counted(now, counted.bytes_in, counted.bytes_out);
        if self.breakage == Some(Breakage::EarlyVerdicts) {
            let verdict = |output: &ServerOutput| {
                matches!(output, ServerOutput::Publish { topic: Topic::Down(_, Down::Verdict), .. })
            };
            outputs.sort_by_key(|output| !verdict(output));
        }
        self.perform(outputs);
        self.schedule_server(due);
    }

    fn schedule_server(&mut self, due: Option<Instant>) {
        let (now, booted) = (self.queue.now(), self.server_booted);
        let Some(Instant(ran)) = due else { return };
        let due = match self.breakage {
            Some(Breakage::SlowClock) => booted.after(ran + ran / 29 + 1),
            Some(_) | None => booted.after(ran),
        };
        if self.server_tick.is_none_or(|tick| due < tick) {
            let busy = self.breakage == Some(Breakage::BusyTimer);
            let due = if busy { now } else { due.max(now.after(1)) };
            self.server_tick = Some(due);
            self.queue.at(due, Event::ServerTick);
        }
    }

    fn perform(&mut self, outputs: Vec<ServerOutput>) {
        let now = self.queue.now();
        let mut outputs = outputs.into_iter();
        while let Some(output) = outputs.next() {
            match output {
                ServerOutput::Subscribe(filter) => self.server_listens(&filter),
                ServerOutput::Publish { topic, payload, .. } => {
                    if let Topic::Down(device, Down::Verdict) = &topic
                        && let Ok(verdict) = wire::decode::<Verdict>(&payload)
                    {
                        self.checks.verdict(now, device, verdict);
                    }
                    if self.server_connected {
                        self.publish(topic, payload);
                    }
                }
                ServerOutput::Save(save) => match self.server_doom.take() {
                    None => self.write(*save),
                    Some(written) => {
                        if written {
                            self.write(*save);
                            self.last_events(outputs);
                        }
                        return self.end_server();
                    }
                },
                ServerOutput::Event(event) => self.server_event(event),
            }
        }
    }

    /// What the aggregator did with its last write, which nobody hears of any more: for the report.
    fn last_events(&mut self, outputs: impl Iterator<Item = ServerOutput>) {
        let unwritten = |output: &ServerOutput| matches!(output, ServerOutput::Save(_));
        for output in outputs.take_while(|output| !unwritten(output)) {
            if let ServerOutput::Event(event) = output {
                self.server_event(event);
            }
        }
    }

    fn write(&mut self, mut save: Save) {
        if self.breakage == Some(Breakage::StaleSums) {
            let stale = self.snapshot.as_ref().map(|snapshot| &snapshot.sums);
            for record in &mut save.records {
                if let (Record::Sums(key, sums), Some(stale)) = (record, stale)
                    && let Some(old) = stale.get(key)
                {
                    *sums = old.clone();
                }
            }
        }
        self.snapshot = Snapshot::after(self.snapshot.take(), &save);
        let before = self.profile.enter(Part::Checks);
        self.checks.saved(self.queue.now(), save);
        self.profile.enter(before);
        if self.backup.is_none() && self.breakage == Some(Breakage::OldBackup) {
            self.backup.clone_from(&self.snapshot);
        }
    }

    fn server_event(&mut self, event: RoundEvent) {
        let now = self.queue.now();
        self.checks.event(&event);
        if let RoundEvent::UpdateAccepted { device, key, .. } = &event
            && key.kind == WorkKind::Train
            && let Some(slot) = Self::number(device).and_then(|n| self.slots.get_mut(n as usize))
        {
            slot.counted += 1;
            self.tally.counted_ms = self.tally.counted_ms.saturating_add(slot.trained_ms);
        }
        if let Some(summary) = event.ended() {
            self.work_will_be_over(summary.key);
        }
        self.reported.push_back((now, event));
    }

    /// The aggregator hears every presence that the broker keeps.
    pub(super) fn tell_presences(&mut self) {
        if !self.server_connected || self.breakage == Some(Breakage::DeafAggregator) {
            return;
        }
        for device in 0..self.scenario.population.devices {
            if let Some(presence) = self.slots[device as usize].presence.clone() {
                let payload = presence.encode().into_bytes();
                self.tell_server_message(Topic::DeviceState(Self::name(device)), &payload);
            }
        }
    }

    /// A message of the aggregator at the broker.
    fn publish(&mut self, topic: Topic, payload: Vec<u8>) {
        let payload: Arc<[u8]> = payload.into();
        match topic {
            Topic::Plan(_) => self.publish_plan(payload),
            Topic::ServerState(_) => {
                self.broker.retain(Shared::Server, payload.clone());
                for device in self.broker.listeners(Shared::Server) {
                    self.deliver(device, Heard::Server(payload.clone()));
                }
                self.echo(payload);
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
            Topic::DeviceState(_) | Topic::Up(..) | Topic::Out(..) => {}
        }
    }

    /// A plan: devices that rest and that it does not concern hear it without waking.
    fn publish_plan(&mut self, payload: Arc<[u8]>) {
        self.broker.retain(Shared::Plan, payload.clone());
        let Ok(plan) = wire::decode::<Plan>(&payload) else { return };
        let before = self.profile.enter(Part::Checks);
        self.checks.plan(&plan);
        self.profile.enter(before);
        // Versions that nobody can fetch any more are held by few.
        let oldest = plan.models.iter().map(|entry| entry.version).min();
        if let Some(oldest) = oldest {
            self.models.retain(|version, _| *version >= oldest);
        }
        let (now, federation) = (self.queue.now(), self.device_settings.federation.clone());
        let news = self.common.as_ref().map(|common| common.news(&plan));
        for device in self.broker.listeners(Shared::Plan) {
            let slot = &mut self.slots[device as usize];
            // What is on its way may wake it, and then the plan comes after that.
            let quiet = slot.down_pipe.is_quiet(now);
            let concerned = match (&mut slot.body, &news) {
                (Body::Hibernating(hibernating), Some(news)) if quiet => {
                    hibernating.concerns(&federation, news)
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
            common.plan = plan.clone();
        }
        self.plan = Some(plan);
    }

    pub(super) fn end_server(&mut self) {
        self.server = None;
        self.server_doom = None;
        if self.server_connected {
            self.lose_server();
        }
        self.server_connected = false;
        let back = 2_000 + self.rng.below(30_000) as u64;
        self.queue.after(back, Event::ServerStart);
    }

    /// The broker's side of the aggregator's lost connection: its last will.
    pub(super) fn lose_server(&mut self) {
        self.broker.forget_aggregator();
        let boot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.head.boot);
        let lost = Presence::new(State::Lost, boot).encode().into_bytes();
        self.publish(Topic::ServerState(self.server_settings.instance.clone()), lost);
    }
}
