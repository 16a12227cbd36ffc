//! Holds: the device's own rules say that it must not work now.
//!
//! A held session begins nothing and gives up what it has begun. A finished update is sent all the
//! same, since that costs no more training, unless the link is what must be spared. A round that was
//! given up because of a hold may be begun again as long as it is open.

use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::presence::Ineligible;
use dunlin_protocol::time::Instant;
use log::info;

use super::phase::{Item, Phase};
use super::{Output, Session};

impl Session {
    /// Takes a reason to hold back, another one, or that there is none any more.
    pub(super) fn on_held(&mut self, now: Instant, held: Option<Ineligible>) {
        let Some(before) = self.eligibility.change(held) else { return };
        match held {
            Some(reason) => {
                self.counters.holds += u32::from(before.is_none());
                if !self.may_go_on() {
                    self.leave_work(reason);
                }
            }
            None => info!("{}: not held any more", self.settings.device),
        }
        if before == Some(Ineligible::Metered) && self.can_talk() {
            self.speak_again(now);
            self.restart_download();
        }
    }

    /// Whether what is under way may go on.
    fn may_go_on(&self) -> bool {
        match &self.phase {
            Phase::Waiting | Phase::FetchingTask(_) | Phase::Sending { .. } => true,
            Phase::Claiming { item, .. } => self.may_begin(item),
            // A model to classify with costs no training.
            Phase::FetchingModel { item, .. } => item.is_none(),
            Phase::Training { .. } => false,
        }
    }

    /// Whether `item` may be begun: a held device may only send an update that it has.
    pub(super) fn may_begin(&self, item: &Item) -> bool {
        self.eligibility.allows(self.finished(item).is_some())
    }

    /// Gives the current work up without counting it as ended, unless it was left before: what holds
    /// the device may be the work itself.
    fn leave_work(&mut self, reason: Ineligible) {
        let Some(work) = self.phase.work() else { return };
        info!("{}: gives up round {}: held, {reason}", self.settings.device, work.round);
        self.counters.abandoned += 1;
        self.counters.held_rounds += 1;
        self.give_up(work, GiveUp::Held, reason.word());
        self.abandon_download();
        if matches!(self.phase, Phase::Training { .. }) {
            self.push(Output::Cancel(work));
        }
        if self.eligibility.leave(work) {
            self.enter(Phase::Waiting);
        } else {
            info!("{}: round {} is not begun again", self.settings.device, work.round);
            self.end_work(work);
        }
    }

    /// Whether bytes must wait because the link costs by the byte now.
    pub(super) fn spares_link(&self) -> bool {
        self.eligibility.spares_link()
    }
}
