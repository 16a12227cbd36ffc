//! The aggregator: its inputs, its outputs, its restarts.

use dunlin_aggregator::aggregator::StartError;
use dunlin_aggregator::control::Command;
use dunlin_aggregator::io::{Input as ServerInput, Output as ServerOutput, RoundEvent};
use dunlin_aggregator::snapshot::Save;
use dunlin_protocol::message::Verdict;
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire;
use dunlin_protocol::work::WorkKind;

use super::event::Event;
use super::{RECONNECT_MS, Simulation};
use crate::sim::breakage::Breakage;
use crate::sim::check::rule;
use crate::sim::profile::Part;

impl Simulation {
    pub(super) fn start_server(&mut self) -> Result<(), StartError> {
        let now = self.queue.now();
        self.checks.restarted(now);
        self.server.start(now)?;
        self.tell_server(ServerInput::Connected);
        self.ask();
        Ok(())
    }

    /// Starts the aggregator again, if it does not run.
    pub(super) fn restart_server(&mut self) {
        if !self.server.is_running()
            && let Err(error) = self.start_server()
        {
            self.checks.broken(self.queue.now(), rule::RESTARTS, error.to_string());
        }
    }

    /// Asks every query whose time has come; one that was asked before changes nothing.
    pub(super) fn ask(&mut self) {
        let due = self.server.queries_due(self.queue.now());
        if !due.is_empty() {
            self.tell_server(ServerInput::Command(Command::Ask(due)));
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
        let before = self.profile.enter(Part::Aggregator);
        let turn = self.server.handle(now, input);
        self.profile.enter(before);
        let Some(turn) = turn else { return };
        for output in &turn.outputs {
            if let ServerOutput::Publish { payload, .. } = output {
                self.checks.bytes_out += payload.len() as u64;
            }
        }
        self.checks.counted(now, turn.bytes_in, turn.bytes_out);
        self.perform(turn.outputs);
        if let Some(due) = turn.due.and_then(|due| self.server.set_tick(now, due)) {
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
                    if self.server.is_connected() {
                        self.publish(topic, payload);
                    }
                }
                ServerOutput::Save(save) => match self.server.take_doom() {
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

    fn write(&mut self, save: Save) {
        let save = self.server.write(save);
        let before = self.profile.enter(Part::Checks);
        self.checks.saved(self.queue.now(), save);
        self.profile.enter(before);
    }

    fn server_event(&mut self, event: RoundEvent) {
        self.checks.event(&event);
        if let RoundEvent::UpdateAccepted { device, key, .. } = &event
            && key.kind == WorkKind::Train
            && let Some(device) = self.devices.number(device)
        {
            let trained_ms = self.devices[device].count_update();
            self.tally.counted_ms = self.tally.counted_ms.saturating_add(trained_ms);
        }
        if let Some(summary) = event.ended() {
            self.work_will_be_over(summary.key);
        }
        self.reports.push(self.queue.now(), event);
    }

    /// The aggregator dies, now or in the middle of its next write.
    pub(super) fn server_kill(&mut self) {
        self.later(self.scenario.faults.aggregator_kills_per_h, Event::ServerKill);
        if !self.server.is_running() {
            return;
        }
        self.tally.server_kills += 1;
        if self.chance.happens(self.scenario.faults.killed_writing) {
            self.server.doom(self.chance.happens(0.5));
        } else {
            self.end_server();
        }
    }

    fn end_server(&mut self) {
        if self.server.end() {
            self.lose_server();
        }
        let back = 2_000 + self.chance.below(30_000);
        self.queue.after(back, Event::ServerStart);
    }

    /// The aggregator's connection breaks; the broker publishes its last will.
    pub(super) fn server_cut(&mut self) {
        self.later(self.scenario.faults.aggregator_cuts_per_h, Event::ServerCut);
        if self.server.is_connected() {
            self.tally.server_cuts += 1;
            self.lose_server();
            self.disconnect_server();
        }
    }

    /// The aggregator has no connection for a while; it may come back before the devices or after.
    pub(super) fn disconnect_server(&mut self) {
        let Some(epoch) = self.server.disconnect() else { return };
        self.broker.forget_aggregator();
        let back = RECONNECT_MS + self.chance.below(20_000);
        self.queue.after(back, Event::ServerConnect { epoch });
        self.tell_server(ServerInput::Disconnected);
    }

    /// The aggregator is connected again, unless it was killed meanwhile.
    pub(super) fn server_connects(&mut self, epoch: u32) {
        if self.server.reconnect(self.queue.now(), epoch) {
            self.tell_server(ServerInput::Connected);
        }
    }
}
