//! Leaving the broker: devices that connect only for work, and those whose data cap makes them wait.

use dunlin_protocol::presence::State;
use dunlin_protocol::time::Instant;

use super::phase::Phase;
use super::uplink::Uplink;
use super::{Output, PLAN_WAIT_MS, Session};

/// How long to sleep when nobody is there to say when to come back.
const SLEEP_MS: u64 = 15 * 60_000;

impl Session {
    /// Leaves the broker when there is nothing to do on a link that is not always up, or when the
    /// data cap holds back what there is to do: keep-alive messages and plans would cost on.
    pub(super) fn rest(&mut self, now: Instant) {
        let training = matches!(self.phase, Phase::Training { .. });
        if !matches!(self.uplink, Uplink::Up(_)) || training {
            return;
        }
        let room = self.budget.room_at().map_or(0, |at| at.since(now));
        let check_in = match &self.phase {
            _ if !self.settings.link.intermittent => None,
            Phase::Waiting => self.next_check_in(now),
            // What came last was spoiled, and is not asked for before that.
            Phase::FetchingTask(download) if download.rests(now) => {
                Some(download.retry.at.since(now))
            }
            Phase::FetchingTask(_)
            | Phase::Claiming { .. }
            | Phase::FetchingModel { .. }
            | Phase::Training { .. }
            | Phase::Sending { .. } => None,
        };
        // Not before the cap allows work, and not all devices at one moment.
        let Some(ms) = check_in.map(|ms| ms.max(room)).or(Some(room).filter(|ms| *ms > 0)) else {
            return;
        };
        let jitter = self.rng.below(usize::try_from(ms / 10).unwrap_or(0)) as u64;
        self.say_state(State::Asleep);
        self.push(Output::Sleep { ms: ms.saturating_add(jitter).max(1) });
        self.uplink.leave();
    }

    /// When to look for work again, in milliseconds; `None` while it is not known whether there is
    /// work now.
    fn next_check_in(&self, now: Instant) -> Option<u64> {
        let known = self.uplink.has_plan() && self.can_talk() && self.survey.is_some();
        let patience = self.uplink.since().is_some_and(|at| at.after(PLAN_WAIT_MS) > now);
        match self.planner.plan() {
            Some(plan) if known => Some(u64::from(plan.next_check_in_ms)),
            Some(_) | None if patience => None,
            Some(_) | None => Some(SLEEP_MS),
        }
    }
}
