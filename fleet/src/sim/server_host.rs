//! The aggregator's machine: its power, its clock, its disk and its connection.

mod broken;
#[cfg(test)]
mod tests;

use dunlin_aggregator::aggregator::{Aggregator, Initial, Start, StartError};
use dunlin_aggregator::io::{Input, Output};
use dunlin_aggregator::query::Query;
use dunlin_aggregator::settings::Settings;
use dunlin_aggregator::snapshot::{Save, Snapshot};
use dunlin_protocol::id::{InstanceId, Lineage, ModelVersion};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic};

use super::LINEAGE;
use super::breakage::Breakage;
use super::setup::Prepared;

/// The aggregator and what it runs on.
pub(super) struct ServerHost {
    /// What its operator means it to be told.
    settings: Settings,
    /// What its operator asks, and when.
    queries: Vec<(Instant, Query)>,
    seed: u64,
    breakage: Option<Breakage>,
    process: Option<Aggregator>,
    /// What is on the disk.
    snapshot: Option<Snapshot>,
    /// An old copy of that, which only a broken machine goes back to.
    backup: Option<Snapshot>,
    /// When the process was started; its clock counts from there.
    booted: Instant,
    /// Since when it is connected, if it is.
    connected_since: Option<Instant>,
    /// Number of its starts and of the connections that it lost.
    epoch: u32,
    /// When it is to be called next.
    tick: Option<Instant>,
    /// Whether it dies at its next write: before it (false), or after it.
    doom: Option<bool>,
    /// The last will of its connection.
    will: Presence,
}

/// What came of an input.
pub(super) struct Turn {
    pub(super) outputs: Vec<Output>,
    /// When it must be called again, by its own clock.
    pub(super) due: Option<Instant>,
    /// Payload bytes that it counted since its start.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl ServerHost {
    /// A machine with an empty disk on which nothing runs.
    pub(super) fn new(prepared: &Prepared, breakage: Option<Breakage>) -> Self {
        Self {
            settings: prepared.settings.clone(),
            queries: prepared.queries.clone(),
            seed: prepared.scenario.seed,
            breakage,
            process: None,
            snapshot: None,
            backup: None,
            booted: Instant(0),
            connected_since: None,
            epoch: 0,
            tick: None,
            doom: None,
            will: Presence::new(State::Lost, 0),
        }
    }

    /// Starts the aggregator from the disk, and connects it.
    ///
    /// # Errors
    /// When it cannot be started from that.
    pub(super) fn start(&mut self, now: Instant) -> Result<(), StartError> {
        let start = match self.backup.as_ref().or(self.snapshot.as_ref()) {
            Some(snapshot) => Start::Restored(Box::new(self.stored(snapshot.clone()))),
            None => Start::Fresh { lineage: Lineage(LINEAGE), initial: Initial::Seed(self.seed) },
        };
        self.booted = now;
        self.epoch += 1;
        let at = self.local(now);
        self.process = Some(Aggregator::new(self.told_settings(), start, at, now.0 / 1000)?);
        self.connected_since = Some(now);
        self.set_will();
        Ok(())
    }

    /// Gives the broker the last will of the connection that is about to be made.
    fn set_will(&mut self) {
        let will = self.process.as_ref().map(|process| process.last_will().1);
        if let Some(will) = will.and_then(|will| Presence::decode(&will)) {
            self.will = will;
        }
    }

    /// The numbers of its start and its connection, as its last will names them.
    pub(super) fn voice(&self) -> (u32, u32) {
        self.will.order()
    }

    /// The aggregator dies; whether it was connected.
    pub(super) fn end(&mut self) -> bool {
        self.process = None;
        self.doom = None;
        self.connected_since.take().is_some()
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The number of its starts and connections.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether its connection of this number stands.
    pub(super) fn is_connection(&self, epoch: u32) -> bool {
        self.epoch == epoch && self.is_connected()
    }

    /// Whether it is connected.
    pub(super) fn is_connected(&self) -> bool {
        self.connected_since.is_some()
    }

    /// Since when it is connected, if it is.
    pub(super) fn connected_since(&self) -> Option<Instant> {
        self.connected_since
    }

    /// Since when it is connected, if it is and has anything left to do.
    pub(super) fn at_work_since(&self) -> Option<Instant> {
        let process = self.process.as_ref().filter(|process| !process.is_finished());
        process.and(self.connected_since)
    }

    /// Its connection breaks, if it has one; the number by which it may come back.
    pub(super) fn disconnect(&mut self) -> Option<u32> {
        if !self.is_running() {
            return None;
        }
        self.connected_since.take()?;
        self.epoch += 1;
        Some(self.epoch)
    }

    /// It is connected again, unless it has died since; whether it is.
    pub(super) fn reconnect(&mut self, now: Instant, epoch: u32) -> bool {
        let comes = self.epoch == epoch && self.is_running();
        if comes {
            self.set_will();
            self.connected_since = Some(now);
        }
        comes
    }

    /// Its clock at `now`: it counts from its start.
    fn local(&self, now: Instant) -> Instant {
        let ran = now.since(self.booted);
        match self.breakage {
            Some(Breakage::SlowClock) => Instant(ran - ran / 30),
            Some(_) | None => Instant(ran),
        }
    }

    /// When its clock says `at`.
    fn global(&self, Instant(ran): Instant) -> Instant {
        match self.breakage {
            Some(Breakage::SlowClock) => self.booted.after(ran + ran / 29 + 1),
            Some(_) | None => self.booted.after(ran),
        }
    }

    /// Gives the aggregator an input, if it runs.
    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) -> Option<Turn> {
        let at = self.local(now);
        let hangs = self.breakage == Some(Breakage::HungAggregator) && now.0 > 60_000;
        let process = self.process.as_mut()?;
        if hangs && process.rounds().next().is_some() {
            return None;
        }
        process.handle(at, input);
        let mut outputs = Vec::new();
        while let Some(output) = process.poll_output() {
            outputs.push(output);
        }
        if self.breakage == Some(Breakage::EarlyVerdicts) {
            let verdict = |output: &Output| {
                matches!(output, Output::Publish { topic: Topic::Down(_, Down::Verdict), .. })
            };
            outputs.sort_by_key(|output| !verdict(output));
        }
        let counters = process.counters();
        let (bytes_in, bytes_out) = (counters.bytes_in, counters.bytes_out);
        Some(Turn { outputs, due: process.next_deadline(), bytes_in, bytes_out })
    }

    /// It must be called when its clock says `due`. The moment for that, unless it is to be called no
    /// later anyway.
    pub(super) fn set_tick(&mut self, now: Instant, due: Instant) -> Option<Instant> {
        let due = self.global(due);
        if self.tick.is_some_and(|tick| tick <= due) {
            return None;
        }
        let busy = self.breakage == Some(Breakage::BusyTimer);
        self.tick = Some(if busy { now } else { due.max(now.after(1)) });
        self.tick
    }

    /// Whether it is to be called now. A timer that was set anew for an earlier moment still fires at
    /// the later one.
    pub(super) fn take_tick(&mut self, now: Instant) -> bool {
        self.tick.take_if(|tick| *tick == now).is_some()
    }

    /// Lets it die at its next write: before it, or after it.
    pub(super) fn doom(&mut self, after: bool) {
        self.doom = Some(after);
    }

    /// Whether it dies at this write, and then whether after it.
    pub(super) fn take_doom(&mut self) -> Option<bool> {
        self.doom.take()
    }

    /// Writes to the disk; what was written.
    pub(super) fn write(&mut self, save: Save) -> Save {
        let save = self.stale(save);
        self.snapshot = Snapshot::after(self.snapshot.take(), &save);
        if self.backup.is_none() && self.breakage == Some(Breakage::OldBackup) {
            self.backup.clone_from(&self.snapshot);
        }
        save
    }

    /// The parameters of a version on the disk as devices get them, `[n_model]`.
    pub(super) fn published(&self, version: ModelVersion) -> Option<&[f32]> {
        let model = self.snapshot.as_ref()?.models.get(&version)?;
        Some(model.published_params())
    }

    /// The parameters of the last version on the disk, `[n_model]`.
    pub(super) fn params(&self) -> &[f32] {
        let last = self.snapshot.as_ref().map(|snapshot| snapshot.head.version);
        last.and_then(|version| self.published(version)).unwrap_or(&[])
    }

    /// What the broker publishes when its connection is lost.
    pub(super) fn last_will(&self) -> (Topic, Vec<u8>) {
        let lost = self.will.encode().into_bytes();
        (Topic::ServerState(self.instance().clone()), lost)
    }

    /// The name by which devices know the aggregator.
    pub(super) fn instance(&self) -> &InstanceId {
        &self.settings.instance
    }

    /// When its operator asks something.
    pub(super) fn queries_at(&self) -> Vec<Instant> {
        self.queries.iter().map(|(at, _)| *at).collect()
    }

    /// The queries whose time has come.
    pub(super) fn queries_due(&self, now: Instant) -> Vec<Query> {
        let due = self.queries.iter().filter(|(at, _)| *at <= now);
        due.map(|(_, query)| query.clone()).collect()
    }
}
