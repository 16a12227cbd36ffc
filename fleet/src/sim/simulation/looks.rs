//! Looks at the whole that the checks ask for.

use dunlin_aggregator::round::RoundKey;
use dunlin_protocol::id::Lineage;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;

use super::Simulation;
use super::event::Event;
use crate::sim::LINEAGE;
use crate::sim::check::rule;

/// How often it is looked whether rounds come and go.
const LOOK_MS: u64 = 30_000;

impl Simulation {
    pub(super) fn look(&mut self) {
        let now = self.queue.now();
        self.checks.look(now, self.server.at_work_since(), self.here());
        self.queue.after(LOOK_MS, Event::Look);
    }

    /// Devices that are there and take work.
    fn here(&self) -> u32 {
        if self.scenario.faults.retained_per_h == 0.0 {
            return self.broker.online();
        }
        // What the broker keeps of a device may be a stranger's word.
        let is_here = |device: &u32| {
            let device = &self.devices[*device];
            let takes = |said: Presence| said.state == State::Online && said.held.is_none();
            device.link.connected_since().is_some() && device.said().is_some_and(takes)
        };
        u32::try_from(self.devices.numbers().filter(is_here).count()).unwrap_or(u32::MAX)
    }

    /// Lets it be looked, in good time, whether the work of a round that has ended has ended.
    pub(super) fn work_will_be_over(&mut self, key: RoundKey) {
        let work = key.work_ref(Lineage(LINEAGE));
        self.queue.after(self.watch.begin(), Event::WorkOver { work, left: None });
    }

    /// No device may still be at the work of a round that ended, unless it could not hear of it.
    pub(super) fn work_over(&mut self, work: WorkRef, left: Option<Vec<u32>>) {
        let now = self.queue.now();
        self.watch.end();
        let all = left.unwrap_or_else(|| self.devices.numbers().collect());
        let mut later = Vec::new();
        for device in all {
            let session = self.devices[device].session();
            let Some(session) = session.filter(|one| one.current_work() == Some(work)) else {
                continue;
            };
            // Only a device that asks to take part waits without a deadline of its own.
            if session.phase_name() == "claiming" && !self.has_heard(device, now) {
                later.push(device);
                continue;
            }
            let what = format!("d{device} is {} for {}", session.phase_name(), work.round);
            return self.checks.broken(now, rule::WORK_ENDS, what);
        }
        if !later.is_empty() {
            let wait_ms = self.watch.begin_again();
            self.queue.after(wait_ms, Event::WorkOver { work, left: Some(later) });
        }
    }

    /// Whether a device and the aggregator have been there for long enough to hear each other, and
    /// the device has heard everything.
    fn has_heard(&self, device: u32, now: Instant) -> bool {
        let patience_ms = self.watch.patience_ms();
        let long = |since: Option<Instant>| since.is_some_and(|at| now.since(at) >= patience_ms);
        let link = &self.devices[device].link;
        long(link.connected_since()) && link.is_quiet(now) && long(self.server.connected_since())
    }
}
