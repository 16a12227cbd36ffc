//! Why a device does nothing now, for people: once, and then once an hour at the most.

use core::fmt;

use dunlin_protocol::presence::Ineligible;
use dunlin_protocol::time::Instant;
use log::{Level, info, log_enabled};

use super::Session;

/// The same reason is told so often at the most, in milliseconds.
const AGAIN_MS: u64 = 3_600_000;

/// Why a device does no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// It is not connected to the broker.
    Connection,
    /// It is connected, and no plan has come.
    Plan,
    /// It knows a plan, and its aggregator is not there.
    Aggregator,
    /// Its own rules hold it.
    Held(Ineligible),
    /// Its data cap is spent for now.
    Cap,
    /// It has the plan's task, and nothing has been counted for it yet.
    Survey,
    /// It has no windows for the plan's task.
    Windows,
    /// The plan's task does not fit its memory.
    Memory,
    /// The plan has no open work, or this device is done with it.
    Round,
    /// The plan has open work, and this device takes no part: the draw, or what it has.
    Selection,
}

impl Waiting {
    fn number(self) -> u16 {
        match self {
            Self::Connection => 0,
            Self::Plan => 1,
            Self::Aggregator => 2,
            Self::Held(_) => 3,
            Self::Cap => 4,
            Self::Survey => 5,
            Self::Windows => 6,
            Self::Round => 7,
            Self::Selection => 8,
            Self::Memory => 9,
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Connection => "waits for the broker",
            Self::Plan => "waits for the plan of its federation",
            Self::Aggregator => "waits for the aggregator, which is not there",
            Self::Held(held) => return write!(f, "held: {held}"),
            Self::Cap => "waits for its data cap",
            Self::Survey => "counts its windows",
            Self::Windows => "has no windows for the task",
            Self::Memory => "has too little memory for the task: see [training] memory_kib",
            Self::Round => "waits for the next round",
            Self::Selection => "not selected for the open round",
        };
        f.write_str(words)
    }
}

/// Which reasons were told, and until when that counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    reasons: u16,
    until: Instant,
}

impl Told {
    /// Whether `waiting` is worth a line now.
    fn tell(&mut self, now: Instant, waiting: Waiting) -> bool {
        if self.until <= now {
            *self = Self { reasons: 0, until: now.after(AGAIN_MS) };
        }
        let bit = 1 << waiting.number();
        let new = self.reasons & bit == 0;
        self.reasons |= bit;
        new
    }
}

impl Session {
    /// Why the device does no work now; `None` while it is at work.
    pub fn waiting(&self) -> Option<Waiting> {
        if !self.phase.is_idle() {
            return None;
        }
        if !self.uplink.is_connected() {
            return Some(Waiting::Connection);
        }
        let Some(plan) = self.planner.plan() else { return Some(Waiting::Plan) };
        let windows = self.survey.map(|survey| survey.windows);
        Some(match (self.eligibility.held(), windows) {
            _ if !self.can_talk() => Waiting::Aggregator,
            (Some(held), _) => Waiting::Held(held),
            _ if self.budget.room_at().is_some() => Waiting::Cap,
            (None, None) if self.holding.lacks_memory() => Waiting::Memory,
            (None, None) => Waiting::Survey,
            (None, Some(0)) => Waiting::Windows,
            (None, Some(_)) => {
                let open = |item| !self.planner.has_ended(&super::planner::work_of(plan, item));
                let any = plan.work.iter().any(open);
                if any { Waiting::Selection } else { Waiting::Round }
            }
        })
    }

    /// Says why nothing happens.
    pub(super) fn explain_waiting(&mut self, now: Instant) {
        if !log_enabled!(Level::Info) {
            return;
        }
        // The link says itself that it is not there, and a survey takes a moment.
        let worth = |waiting: &Waiting| !matches!(waiting, Waiting::Connection | Waiting::Survey);
        let Some(waiting) = self.waiting().filter(worth) else { return };
        if self.told.tell(now, waiting) {
            info!("{}: {waiting}", self.settings.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Input;
    use crate::session::tests::Bench;

    #[test]
    fn each_reason_is_told_once_an_hour() {
        let mut told = Told::default();
        let at = |ms| Instant(ms);
        assert!(told.tell(at(0), Waiting::Round) && told.tell(at(5), Waiting::Selection));
        assert!(!told.tell(at(AGAIN_MS - 1), Waiting::Round));
        assert!(told.tell(at(AGAIN_MS), Waiting::Round));
    }

    #[test]
    fn a_device_that_does_nothing_knows_why() {
        let mut bench = Bench::new(false);
        assert_eq!(bench.session.waiting(), Some(Waiting::Connection));
        bench.step(Input::Connected);
        assert_eq!(bench.session.waiting(), Some(Waiting::Plan));
        let mut bench = Bench::joined();
        assert_eq!(bench.session.waiting(), None, "it claims");
        let held = Some(Ineligible::Hot);
        bench.step(Input::Ineligible(held));
        assert_eq!(bench.session.waiting(), Some(Waiting::Held(Ineligible::Hot)));
        bench.step(Input::Disconnected);
        assert_eq!(bench.session.waiting(), Some(Waiting::Connection));
    }
}
