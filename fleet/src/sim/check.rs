//! What must hold in every simulation. The first thing that does not ends the run.
//!
//! The watchers are told what crosses the borders of the cores: messages as they arrive, plans, what
//! is written, what is answered. They compute from that what must be so, on their own.

mod audit;
mod ledger;
mod progress;
mod reference;
mod rounds;

use std::sync::Arc;

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::Weighting;
use dunlin_aggregator::snapshot::Save;
use dunlin_protocol::id::DeviceId;
use dunlin_protocol::message::Verdict;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use serde::Serialize;

use audit::{Audit, Note};
use ledger::Ledger;

/// Events at one moment beyond which time no longer moves, and so many more for each device.
const STANDSTILL: u64 = 100_000;
const STANDSTILL_DEVICE: u64 = 50;

/// The rules, as a violation names them.
pub mod rule {
    /// An accepted update is neither added again nor forgotten.
    pub const ONCE: &str = "no update counts twice";
    /// Nothing is accepted after the end of its round.
    pub const IN_TIME: &str = "no update counts after its deadline";
    /// What is stored is the sum of the updates that were accepted.
    pub const SUMS: &str = "the sum is that of the accepted updates";
    /// Versions of the model count up.
    pub const VERSIONS: &str = "versions only grow";
    /// A device hears that its update counts once that is on the disk.
    pub const WRITTEN: &str = "verdicts follow the write";
    /// Rounds end at their deadline at the latest.
    pub const ROUNDS_END: &str = "rounds end";
    /// While enough devices are there, rounds open.
    pub const GOES_ON: &str = "the federation goes on";
    /// A device ends its work with a verdict or a timeout.
    pub const WORK_ENDS: &str = "every device's work ends";
    /// Events are finite at each moment.
    pub const TIME_MOVES: &str = "time moves";
    /// Devices that hold a version hold the same bits.
    pub const SAME_BITS: &str = "all devices have the same bits";
    /// A device reads back what it wrote last.
    pub const STORAGE: &str = "storage is never torn";
    /// Both ends of a link counted the same bytes.
    pub const BYTES: &str = "byte counters agree";
    /// An aggregator starts again from what it wrote.
    pub const RESTARTS: &str = "restarts work";
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which, one of [`rule`].
    pub rule: &'static str,
    /// What was seen: who, in which round, and what it should have been.
    pub what: String,
    /// When, in virtual milliseconds.
    pub at_ms: u64,
}

/// What the watchers know of the model and of the settings.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) task: Arc<Task>,
    pub(super) examples_max: u32,
    /// How much an update counts.
    pub(super) weighting: Weighting,
    /// Updates that a training round takes.
    pub(super) target: u32,
    pub(super) devices: u32,
    /// From the last sign of life of rounds to the next one, at the most.
    pub(super) patience_ms: u64,
    /// Devices with which rounds open.
    pub(super) min_online: u32,
}

/// The watchers: what is seen at once, and the ledger.
pub(super) struct Checks {
    known: Known,
    /// The present moment, and the events at it so far.
    at: Option<(Instant, u64)>,
    /// Payload bytes handed to the aggregator since it started, and taken from it.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    first: Option<Violation>,
    audit: Audit,
    /// Whether the ledger is to be asked what it found.
    unsettled: bool,
}

impl Checks {
    /// `threaded`: the ledger is kept on a thread of its own.
    pub(super) fn new(known: Known, threaded: bool) -> Self {
        let audit = Audit::new(Ledger::new(known.clone()), threaded);
        Self { known, at: None, bytes_in: 0, bytes_out: 0, first: None, audit, unsettled: false }
    }

    /// The first rule of those seen at once that was broken.
    pub(super) fn violation(&self) -> Option<&Violation> {
        self.first.as_ref()
    }

    /// Waits for the ledger if it has looked since, or the run is over; the first rule that was
    /// broken.
    pub(super) fn settle(&mut self, over: bool) -> Option<Violation> {
        if !std::mem::take(&mut self.unsettled) && !over {
            return None;
        }
        let found = self.audit.settle();
        self.first.clone().or(found)
    }

    pub(super) fn broken(&mut self, now: Instant, rule: &'static str, what: String) {
        let at_ms = now.0;
        self.first.get_or_insert(Violation { rule, what, at_ms });
    }

    /// Virtual time must move.
    pub(super) fn time(&mut self, now: Instant) {
        let before = self.at.filter(|(at, _)| *at == now);
        let events = before.map_or(0, |(_, events)| events) + 1;
        self.at = Some((now, events));
        let most = STANDSTILL + STANDSTILL_DEVICE * u64::from(self.known.devices);
        if events > most {
            self.broken(now, rule::TIME_MOVES, format!("over {most} events at one moment"));
        }
    }

    /// What the aggregator counted since it started.
    pub(super) fn counted(&mut self, now: Instant, bytes_in: u64, bytes_out: u64) {
        let (given, taken) = (self.bytes_in, self.bytes_out);
        if (bytes_in, bytes_out) != (given, taken) {
            let what = format!(
                "the aggregator was given {given} bytes and counted {bytes_in}; {taken} were \
                 taken from it and it counted {bytes_out}"
            );
            self.broken(now, rule::BYTES, what);
        }
    }

    /// A message of a device reached the aggregator.
    pub(super) fn up(&mut self, device: &DeviceId, payload: &[u8]) {
        self.audit.tell(Note::Up(device.clone(), payload.to_vec()));
    }

    /// What devices are told to do.
    pub(super) fn plan(&mut self, plan: &Plan) {
        self.audit.tell(Note::Plan(plan.work.clone()));
    }

    /// What the aggregator has written.
    pub(super) fn saved(&mut self, now: Instant, save: Save) {
        self.audit.tell(Note::Saved(now, Box::new(save)));
    }

    /// The aggregator runs again.
    pub(super) fn restarted(&mut self, now: Instant) {
        (self.bytes_in, self.bytes_out) = (0, 0);
        self.audit.tell(Note::Restarted(now));
    }

    /// What a device is told.
    pub(super) fn verdict(&mut self, now: Instant, device: &DeviceId, verdict: Verdict) {
        self.audit.tell(Note::Verdict(now, device.clone(), verdict));
    }

    /// What the aggregator reports.
    pub(super) fn event(&mut self, event: &RoundEvent) {
        if matches!(event, RoundEvent::RoundOpened { .. }) || event.ended().is_some() {
            self.audit.tell(Note::Moved);
        }
    }

    /// Looks whether rounds come and go; `here` are the devices that the broker knows to be online,
    /// `up_since` says since when the aggregator is connected, if it is and has anything left to do.
    pub(super) fn look(&mut self, now: Instant, up_since: Option<Instant>, here: u32) {
        self.audit.tell(Note::Look(now, up_since, here));
        self.unsettled = true;
    }
}
