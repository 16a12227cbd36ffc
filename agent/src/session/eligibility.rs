//! What the device's own rules allow: why it is held back, and what it gave up because of that.

use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::Ineligible;

/// Holds after which a round is not begun again: training that needs too much memory, say, would be
/// begun and cancelled until the round's deadline.
const LEAVES_MAX: u8 = 3;

/// Why the device must not work, and what others know of it.
#[derive(Debug, Default)]
pub(super) struct Eligibility {
    /// Why it must not work now.
    held: Option<Ineligible>,
    /// The work that was given up because of that last, and how often.
    left: Option<(WorkRef, u8)>,
    /// What the last presence message said.
    last_reported: Option<Ineligible>,
}

impl Eligibility {
    /// Takes a reason, another one, or that there is none; the reason before if that is a change.
    pub(super) fn change(&mut self, held: Option<Ineligible>) -> Option<Option<Ineligible>> {
        let before = core::mem::replace(&mut self.held, held);
        (before != held).then_some(before)
    }

    /// Why the device must not work now.
    pub(super) fn held(&self) -> Option<Ineligible> {
        self.held
    }

    /// Whether the device is held.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether bytes must wait because the link costs by the byte now.
    pub(super) fn spares_link(&self) -> bool {
        self.held == Some(Ineligible::Metered)
    }

    /// Whether work may be begun: a held device may only send what it has finished.
    pub(super) fn allows(&self, is_finished: bool) -> bool {
        match self.held {
            None => true,
            Some(Ineligible::Metered) => false,
            Some(_) => is_finished,
        }
    }

    /// `work` is given up because of a hold; whether it may be begun again.
    pub(super) fn leave(&mut self, work: WorkRef) -> bool {
        let before = self.left.filter(|(left, _)| *left == work).map_or(0, |(_, times)| times);
        self.left = Some((work, before.saturating_add(1)));
        before + 1 < LEAVES_MAX
    }

    /// The reason that others are told: none while the device still works on a round, so that the
    /// aggregator waits for its update.
    fn for_others(&self, is_at_work: bool) -> Option<Ineligible> {
        self.held.filter(|_| self.spares_link() || !is_at_work)
    }

    /// The reason that is said now.
    pub(super) fn say(&mut self, is_at_work: bool) -> Option<Ineligible> {
        self.last_reported = self.for_others(is_at_work);
        self.last_reported
    }

    /// Whether others know another reason than they should.
    pub(super) fn has_news(&self, is_at_work: bool) -> bool {
        self.last_reported != self.for_others(is_at_work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::id::{Lineage, RoundId};

    fn work(round: u32) -> WorkRef {
        WorkRef { lineage: Lineage([1; 16]), round: RoundId(round), kind: 1 }
    }

    #[test]
    fn a_held_device_may_send_what_it_has_unless_the_link_costs() {
        let mut rules = Eligibility::default();
        assert!(rules.allows(false) && !rules.is_held());
        assert_eq!(rules.change(Some(Ineligible::Battery)), Some(None));
        assert_eq!(rules.change(Some(Ineligible::Battery)), None);
        assert!(rules.allows(true) && !rules.allows(false) && !rules.spares_link());
        assert_eq!(rules.change(Some(Ineligible::Metered)), Some(Some(Ineligible::Battery)));
        assert!(!rules.allows(true) && rules.spares_link());
    }

    #[test]
    fn others_hear_of_a_hold_once_the_work_is_over_or_the_link_costs() {
        let mut rules = Eligibility::default();
        rules.change(Some(Ineligible::Hot));
        assert!(!rules.has_news(true) && rules.has_news(false));
        assert_eq!((rules.say(false), rules.has_news(false)), (Some(Ineligible::Hot), false));
        rules.change(Some(Ineligible::Metered));
        assert!(rules.has_news(true));
    }

    #[test]
    fn work_that_is_left_three_times_is_not_begun_again() {
        let mut rules = Eligibility::default();
        assert!(rules.leave(work(1)) && rules.leave(work(1)) && !rules.leave(work(1)));
        assert!(rules.leave(work(2)) && rules.leave(work(1)), "only the last one is counted");
    }
}
