//! What must hold in every simulation. The first thing that does not ends the run.
//!
//! The watchers are told what crosses the borders of the cores: messages as they arrive, what is
//! written, what is answered. They compute from that what must be so, on their own.

mod progress;
mod rounds;

use std::collections::BTreeMap;

use dunlin_aggregator::round::RoundKey;
use dunlin_protocol::id::{DeviceId, LayoutHash, ModelVersion, ShortDigest};
use dunlin_protocol::object::{Assembly, Chunk};
use dunlin_protocol::time::Instant;
use serde::Serialize;

use progress::Progress;
use rounds::{Closed, OpenRound};

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
    /// What was seen.
    pub what: String,
    /// When, in virtual milliseconds.
    pub at_ms: u64,
}

/// What the watchers know of the model and of the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) layout: LayoutHash,
    pub(super) n_update: usize,
    pub(super) examples_max: u32,
    pub(super) devices: u32,
    /// From the last sign of life of rounds to the next one, at the most.
    pub(super) patience_ms: u64,
    /// Devices with which rounds open.
    pub(super) min_online: u32,
    /// How much longer a round is by the slowest clock of a device.
    pub(super) drift_ms: u64,
}

/// The watchers.
pub(super) struct Checks {
    known: Known,
    version: Option<ModelVersion>,
    rounds: BTreeMap<RoundKey, OpenRound>,
    /// The rounds that ended last.
    closed: BTreeMap<RoundKey, Closed>,
    /// Whole updates that reached the aggregator, the newest of each device.
    arrived: BTreeMap<DeviceId, (ShortDigest, Vec<u8>)>,
    assemblies: BTreeMap<DeviceId, Assembly>,
    progress: Progress,
    /// Payload bytes handed to the aggregator since it started, and taken from it.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    first: Option<Violation>,
}

impl Checks {
    pub(super) fn new(known: Known) -> Self {
        Self {
            known,
            version: None,
            rounds: BTreeMap::new(),
            closed: BTreeMap::new(),
            arrived: BTreeMap::new(),
            assemblies: BTreeMap::new(),
            progress: Progress::default(),
            bytes_in: 0,
            bytes_out: 0,
            first: None,
        }
    }

    /// The first rule that was broken.
    pub(super) fn violation(&self) -> Option<&Violation> {
        self.first.as_ref()
    }

    pub(super) fn broken(&mut self, now: Instant, rule: &'static str, what: String) {
        let at_ms = now.0;
        self.first.get_or_insert(Violation { rule, what, at_ms });
    }

    /// A message of a device reached the aggregator: the watchers put updates together too.
    pub(super) fn up(&mut self, device: &DeviceId, payload: &[u8]) {
        let Ok(chunk) = Chunk::decode(payload) else { return };
        let object = chunk.object;
        if self.is_accepted(device, object) {
            return;
        }
        let fits = |assembly: &Assembly| assembly.object() == object;
        if !self.assemblies.get(device).is_some_and(fits) {
            self.assemblies.insert(device.clone(), Assembly::for_chunk(&chunk));
        }
        let Some(assembly) = self.assemblies.get_mut(device) else { return };
        let _ = assembly.take(&chunk);
        if assembly.is_complete() {
            let whole = self.assemblies.remove(device).map(Assembly::into_bytes);
            self.arrived.extend(whole.map(|bytes| (device.clone(), (object, bytes))));
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
}
