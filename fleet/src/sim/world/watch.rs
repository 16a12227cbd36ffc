//! Looks at the whole that the checks ask for.

use dunlin_protocol::message::WorkRef;
use dunlin_protocol::time::Instant;

use super::World;
use super::event::Event;
use super::population::Body;
use crate::sim::check::rule;

/// How often it is looked whether rounds come and go.
const LOOK_MS: u64 = 10_000;
/// How long after it reached a device that has a connection, the end of a round ends its work.
const HEARD_MS: u64 = 60_000;

impl World {
    pub(super) fn look(&mut self) {
        let now = self.queue.now();
        let up = self.server.as_ref().is_some_and(|server| !server.is_finished());
        self.checks.look(now, up && self.server_connected, self.connected);
        self.queue.after(LOOK_MS, Event::Look);
    }

    /// Whether the aggregator has been there for long enough to be heard by everybody.
    fn settled(&self, now: Instant) -> bool {
        self.server_connected && now.since(self.server_since) >= HEARD_MS
    }

    /// No device may still be at the work of a round that ended, unless it could not hear of it.
    pub(super) fn work_over(&mut self, work: WorkRef, left: Option<Vec<u32>>) {
        let now = self.queue.now();
        let all = left.unwrap_or_else(|| (0..self.scenario.population.devices).collect());
        let mut later = Vec::new();
        for device in all {
            let slot = &self.slots[device as usize];
            let Body::Awake(session) = &slot.body else { continue };
            if session.current_work() != Some(work) {
                continue;
            }
            // Only a device that asks to take part waits without a deadline of its own.
            let asks = session.phase_name() == "claiming";
            let heard = slot.connected
                && now.since(slot.connected_at) >= HEARD_MS
                && slot.down_pipe.is_quiet(now)
                && self.settled(now);
            if asks && !heard {
                later.push(device);
                continue;
            }
            let what = format!("d{device} is {} for {}", session.phase_name(), work.round);
            return self.checks.broken(now, rule::WORK_ENDS, what);
        }
        if !later.is_empty() {
            self.queue.after(HEARD_MS, Event::WorkOver { work, left: Some(later) });
        }
    }
}
