//! The data cap of a metered link: what may be spent now, and when what it holds back fits.

use dunlin_protocol::time::Instant;

use crate::meter::{FORGETS_MS, Meter};

/// What the device's link costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkPolicy {
    /// Most bytes on the wire, both ways, in any 24 hours.
    pub cap_per_day: Option<u64>,
    /// Time between keep-alive messages of the connection, in milliseconds; 0 when there are none.
    pub keep_alive_ms: u64,
    /// Whether the device connects only to look for work and to do it.
    pub intermittent: bool,
}

/// Bytes that do not fit under the cap now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeldBack {
    /// When they fit; `None` when they are more than the cap of a day.
    pub(super) until: Option<Instant>,
    /// Whether nothing was held back before.
    pub(super) is_first: bool,
}

/// What is left of the cap. Without a cap everything fits.
#[derive(Debug)]
pub(super) struct DataBudget {
    meter: Option<Meter>,
    /// When what is held back fits.
    room_at: Option<Instant>,
}

impl DataBudget {
    /// The budget of `policy`, of which `spent` bytes are gone.
    pub(super) fn new(policy: LinkPolicy, spent: u64) -> Self {
        let meter = policy.cap_per_day.map(|cap| Meter::new(cap, policy.keep_alive_ms, spent));
        Self { meter, room_at: None }
    }

    /// Whether there is a cap.
    pub(super) fn is_capped(&self) -> bool {
        self.meter.is_some()
    }

    /// Bytes of the last 24 hours, for the next start.
    pub(super) fn spent(&self) -> u64 {
        self.meter.as_ref().map_or(0, Meter::spent)
    }

    /// Counts the keep-alive messages of the connection, which goes on (`up`) or is gone.
    pub(super) fn connection(&mut self, now: Instant, up: bool) {
        if let Some(meter) = &mut self.meter {
            meter.connection(now, up);
        }
    }

    /// Counts bytes that were said or heard.
    pub(super) fn spend(&mut self, now: Instant, bytes: u64) {
        if let Some(meter) = &mut self.meter {
            meter.spend(now, bytes);
        }
    }

    /// Whether `bytes` could be spent now, without holding anything back for them.
    pub(super) fn leaves(&mut self, now: Instant, bytes: u64) -> bool {
        self.meter.as_mut().is_none_or(|meter| meter.room(now) >= bytes)
    }

    /// Asks for `bytes`; what does not fit is held back.
    ///
    /// # Errors
    /// [`HeldBack`].
    pub(super) fn ask(&mut self, now: Instant, bytes: u64) -> Result<(), HeldBack> {
        let Some(meter) = &mut self.meter else { return Ok(()) };
        let until = meter.fits_at(now, bytes);
        if until == Some(now) {
            return Ok(());
        }
        let later = until.unwrap_or_else(|| now.after(FORGETS_MS));
        let is_first = self.room_at.is_none();
        self.room_at = Some(self.room_at.map_or(later, |at| at.min(later)));
        Err(HeldBack { until, is_first })
    }

    /// When what is held back fits; `None` when nothing is.
    pub(super) fn room_at(&self) -> Option<Instant> {
        self.room_at
    }

    /// Whether what was held back fits now; says so once.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        let fits = self.room_at.is_some_and(|at| at <= now);
        if fits {
            self.room_at = None;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_cap_everything_fits() {
        let mut budget = DataBudget::new(LinkPolicy::default(), 7);
        assert_eq!(budget.ask(Instant(0), u64::MAX), Ok(()));
        assert!(budget.leaves(Instant(0), u64::MAX) && !budget.is_capped());
        assert_eq!((budget.spent(), budget.room_at()), (0, None));
    }

    #[test]
    fn what_does_not_fit_waits_for_the_earliest_moment_and_is_told_once() {
        let policy = LinkPolicy { cap_per_day: Some(1_000), ..LinkPolicy::default() };
        let mut budget = DataBudget::new(policy, 900);
        assert_eq!(budget.ask(Instant(0), 100), Ok(()));
        assert!(budget.leaves(Instant(0), 100) && !budget.leaves(Instant(0), 101));
        let held = budget.ask(Instant(0), 200).unwrap_err();
        assert!(held.is_first && held.until.is_some_and(|until| until > Instant(0)));
        let never = budget.ask(Instant(0), 2_000).unwrap_err();
        assert_eq!(never, HeldBack { until: None, is_first: false });
        assert_eq!(budget.room_at(), held.until, "the earlier of the two");
        assert!(!budget.has_room(Instant(0)));
        let later = held.until.unwrap();
        assert!(budget.has_room(later) && !budget.has_room(later));
        assert_eq!(budget.ask(later, 200), Ok(()));
    }
}
