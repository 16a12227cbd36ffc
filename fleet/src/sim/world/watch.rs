//! Looks at the whole that the checks ask for.

use dunlin_aggregator::round::RoundKey;
use dunlin_protocol::id::Lineage;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::time::Instant;

use super::event::Event;
use super::population::Body;
use super::{LINEAGE, World};
use crate::sim::check::rule;

/// How often it is looked whether rounds come and go.
const LOOK_MS: u64 = 30_000;
/// How long a device and an aggregator that can hear each other take to end a work that is over,
/// beside what the links take.
const HEARD_MS: u64 = 60_000;

impl World {
    pub(super) fn look(&mut self) {
        let now = self.queue.now();
        let up = self.server.as_ref().is_some_and(|server| !server.is_finished());
        let since = (up && self.server_connected).then_some(self.server_since);
        self.checks.look(now, since, self.present);
        self.unsettled = true;
        self.queue.after(LOOK_MS, Event::Look);
    }

    /// Whether the aggregator has been there for long enough to be heard by everybody.
    fn settled(&self, now: Instant) -> bool {
        self.server_connected && now.since(self.server_since) >= self.patience_ms()
    }

    /// A conversation of some messages, each as slow as the slowest so far.
    fn patience_ms(&self) -> u64 {
        HEARD_MS + 6 * self.slowest_ms
    }

    /// Lets it be looked, in good time, whether the work of a round that has ended has ended.
    pub(super) fn work_will_be_over(&mut self, key: RoundKey) {
        let now = self.queue.now();
        // Devices measure the deadline by clocks of their own, from an answer that took its time.
        let deadline_ms = self.server_settings.deadline_ms;
        let at = now.after(deadline_ms + self.drift_ms + HEARD_MS + self.slowest_ms);
        let work = key.work_ref(Lineage(LINEAGE));
        self.watched += 1;
        self.queue.at(at, Event::WorkOver { work, left: None });
    }

    /// No device may still be at the work of a round that ended, unless it could not hear of it.
    pub(super) fn work_over(&mut self, work: WorkRef, left: Option<Vec<u32>>) {
        let now = self.queue.now();
        self.watched -= 1;
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
                && now.since(slot.connected_at) >= self.patience_ms()
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
            self.watched += 1;
            self.queue.after(HEARD_MS, Event::WorkOver { work, left: Some(later) });
        }
    }
}
