//! When a round invites more devices, and when it ends.

use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::WorkKind;
use serde::{Deserialize, Serialize};

/// How many times more devices are invited in one step at the most.
const RAISED_MAX: u32 = 8;

/// How many devices a round deals with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Updates that it wants; with them it closes at once.
    pub target: u32,
    /// Devices that it lets work at one time.
    pub invited: u32,
    /// Fewest updates that make a result.
    pub quorum: u32,
}

/// Why a round stops taking updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has what it wants.
    Target,
    /// All devices have ended, and the quorum is there.
    AllEnded,
    /// Devices gave up, and all others that could take part have ended too.
    NobodyLeft,
    /// Its time is over.
    Deadline,
}

/// How far a round is, as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Updates in the sum.
    pub accepted: u32,
    /// Devices that are at work.
    pub working: u32,
    /// Share of devices invited so far.
    pub fraction: Fraction,
    /// Until when claims of the devices invited so far are waited for.
    pub claims_until: Instant,
    /// When it ends at the latest.
    pub deadline: Instant,
    /// Whether somebody was there to invite when that was tried last.
    pub reachable: bool,
    /// When it ends because all devices that could take part have ended, some by giving up; `None`
    /// while others are left.
    pub nobody_left: Option<Instant>,
}

/// How long a round goes on below its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundPolicy {
    /// Until those who came have ended, with a quorum (Bonawitz et al. 2019, arXiv:1902.01046,
    /// section 2.2).
    Synchronous,
    /// To the deadline: devices that are at other work, or asleep, answer as long as there is time.
    UntilDeadline,
}

impl RoundPolicy {
    /// The policy of rounds of this kind.
    pub fn of(kind: WorkKind) -> Self {
        match kind {
            WorkKind::Train | WorkKind::Evaluate => Self::Synchronous,
            WorkKind::Sums => Self::UntilDeadline,
        }
    }

    /// Whether more devices should be invited: the claims waited for did not come. With a quorum and
    /// nobody there, not.
    pub fn wants_more(self, bounds: Bounds, standing: Standing, now: Instant) -> bool {
        let takes_part = standing.accepted.saturating_add(standing.working);
        now >= standing.claims_until
            && takes_part < bounds.target
            && standing.fraction < Fraction::ALL
            && (standing.reachable || standing.accepted < bounds.quorum)
    }

    /// The share of devices that is invited after `fraction` brought too few: twice that, or what
    /// the devices that are `available` now call for, but no more than eight times the
    /// share. After an outage few are known, and all that come back would claim at once. With nobody
    /// there, the share stays.
    pub fn raised(self, bounds: Bounds, fraction: Fraction, available: u32) -> Fraction {
        if available == 0 {
            return fraction;
        }
        let called_for = Fraction::of(bounds.invited, available);
        times(fraction, 2).max(called_for.min(times(fraction, RAISED_MAX)))
    }

    /// Whether the round stops taking updates now, and why.
    pub fn ending(self, bounds: Bounds, standing: Standing, now: Instant) -> Option<Ending> {
        if standing.accepted >= bounds.target {
            return Some(Ending::Target);
        }
        if now >= standing.deadline {
            return Some(Ending::Deadline);
        }
        if standing.nobody_left.is_some_and(|at| now >= at) {
            return Some(Ending::NobodyLeft);
        }
        match self {
            Self::UntilDeadline => None,
            Self::Synchronous => {
                let waited =
                    now >= standing.claims_until && !self.wants_more(bounds, standing, now);
                let enough = standing.accepted >= bounds.quorum && standing.working == 0;
                (waited && enough).then_some(Ending::AllEnded)
            }
        }
    }
}

/// So many times the share, at most everybody.
fn times(fraction: Fraction, factor: u32) -> Fraction {
    const WHOLE: u32 = 1 << 24;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^27
    let part = libm::ceil(fraction.as_f64() * f64::from(factor) * f64::from(WHOLE)) as u32;
    Fraction::of(part, WHOLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { target: 4, invited: 5, quorum: 2 };

    fn standing(accepted: u32, working: u32) -> Standing {
        let (claims_until, deadline) = (Instant(100), Instant(1000));
        let (fraction, reachable) = (Fraction::ALL, true);
        let nobody_left = None;
        #[rustfmt::skip]
        let standing = Standing {
            accepted, working, fraction, claims_until, deadline, reachable, nobody_left,
        };
        standing
    }

    #[test]
    fn a_round_ends_with_its_target_or_its_time_whatever_its_policy() {
        for policy in [RoundPolicy::Synchronous, RoundPolicy::UntilDeadline] {
            let ending = |standing, now| policy.ending(BOUNDS, standing, Instant(now));
            assert_eq!(ending(standing(4, 1), 1), Some(Ending::Target));
            assert_eq!(ending(standing(3, 1), 999), None);
            assert_eq!(ending(standing(0, 1), 1000), Some(Ending::Deadline));
        }
    }

    #[test]
    fn a_round_that_all_gave_up_ends_at_once_whatever_its_policy() {
        let alone = Standing { nobody_left: Some(Instant(1)), ..standing(1, 0) };
        for policy in [RoundPolicy::Synchronous, RoundPolicy::UntilDeadline] {
            assert_eq!(policy.ending(BOUNDS, alone, Instant(0)), None);
            assert_eq!(policy.ending(BOUNDS, alone, Instant(1)), Some(Ending::NobodyLeft));
            let late = policy.ending(BOUNDS, alone, Instant(1000));
            assert_eq!(late, Some(Ending::Deadline));
        }
    }

    #[test]
    fn a_synchronous_round_ends_when_all_have_ended_with_a_quorum() {
        let (sync, query) = (RoundPolicy::Synchronous, RoundPolicy::UntilDeadline);
        assert_eq!(sync.ending(BOUNDS, standing(2, 0), Instant(99)), None, "claims may come");
        assert_eq!(sync.ending(BOUNDS, standing(2, 0), Instant(100)), Some(Ending::AllEnded));
        assert_eq!(sync.ending(BOUNDS, standing(2, 1), Instant(100)), None, "one is at work");
        assert_eq!(sync.ending(BOUNDS, standing(1, 0), Instant(100)), None, "no quorum");
        let few = Standing { fraction: Fraction::of(1, 2), ..standing(2, 0) };
        assert!(sync.wants_more(BOUNDS, few, Instant(100)));
        assert_eq!(sync.ending(BOUNDS, few, Instant(100)), None, "more are to be invited");
        let alone = Standing { reachable: false, ..few };
        assert_eq!(sync.ending(BOUNDS, alone, Instant(100)), Some(Ending::AllEnded));
        let alone = Standing { accepted: 1, ..alone };
        assert!(sync.wants_more(BOUNDS, alone, Instant(100)), "without a quorum it waits");
        assert_eq!(query.ending(BOUNDS, standing(2, 0), Instant(100)), None, "others may come");
    }

    #[test]
    fn a_share_that_brought_too_few_at_least_doubles() {
        let raised =
            |fraction, available| RoundPolicy::Synchronous.raised(BOUNDS, fraction, available);
        assert_eq!(raised(Fraction::of(1, 8), 1000), Fraction::of(1, 4));
        assert_eq!(raised(Fraction::of(1, 8), 10), Fraction::of(1, 2));
        assert_eq!(raised(Fraction::of(3, 4), 1000), Fraction::ALL);
    }

    #[test]
    fn an_outage_does_not_invite_everybody() {
        let raised =
            |available| RoundPolicy::Synchronous.raised(BOUNDS, Fraction::of(1, 128), available);
        assert_eq!(raised(0), Fraction::of(1, 128), "there is nobody to ask");
        assert_eq!(raised(3), Fraction::of(1, 16), "the first that are back call for everybody");
    }
}
