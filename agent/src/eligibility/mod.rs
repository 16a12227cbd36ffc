//! When the device may work: rules that the operator sets and the device enforces.
//!
//! [`EligibilityConfig`] holds the rules; none is set by default. [`Readings`] are what the kernel
//! says of power, heat, load, memory, link and time. [`decide`] compares the two and gives the first
//! reason to hold back, in the order of [`Ineligible`]; a limit that was passed must be cleared by a margin
//! before work begins again, so that nothing flaps:
//!
//! | rule | holds | holds no more | without a reading |
//! |---|---|---|---|
//! | `not_when_metered` | the flag file exists | it is gone, or says 0, no, false | no file: not metered |
//! | `battery_min_percent` | below, without external power | 2 percent above | no battery: passes; a battery that does not tell its charge: holds |
//! | `charging_only` | no external power | external power | no battery: passes |
//! | `temperature_max_c` | above | 5 degrees below | passes, said once in the log |
//! | `memory_available_min_mb` | below | 10 % above | passes, said once in the log |
//! | `memory_pressure_max_percent` | above | 20 % below the limit | passes, said once in the log |
//! | `load_max`, `cpu_pressure_max_percent` | above | 20 % below the limit | passes, said once in the log |
//! | `hours` | outside of them | inside | clock not set: holds, unless `hours_need_clock` is off |
//!
//! A gateway without a battery counts as on external power. The load that training itself makes is
//! taken off before it is compared.

pub mod config;
mod decide;
mod files;
mod hours;
mod local_time;
mod power;
mod readings;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use dunlin_protocol::presence::Ineligible;
use log::{info, warn};

use crate::ports::Conditions;
pub use config::EligibilityConfig;
pub use decide::{decide, reason};
pub use hours::{DaySpan, HoursError, UtcOffset};
pub use power::{Battery, Power};
pub use readings::{LocalTime, Readings, Roots};
use readings::{OwnLoad, Probe};

/// The rules of one device, and what they said last.
pub struct Eligibility {
    rules: EligibilityConfig,
    probe: Probe,
    own: OwnLoad,
    looked: Clock,
    held: Option<Ineligible>,
    /// Readings that the log has said to be missing.
    missed: BTreeSet<&'static str>,
}

impl Eligibility {
    /// The rules of `config` on this machine; `None` when it sets no rule.
    pub fn new(config: &EligibilityConfig) -> Option<Self> {
        config.has_rules().then(|| Self::on(config.clone(), Roots::default()))
    }

    /// The rules of `config` where the kernel's files lie under `roots`.
    pub fn on(config: EligibilityConfig, roots: Roots) -> Self {
        let probe = Probe::new(roots);
        let (own, looked, missed) = (OwnLoad::default(), monotonic(), BTreeSet::new());
        Self { rules: config, probe, own, looked, held: None, missed }
    }

    /// Looks at everything once. `span` has passed since the last look, all of it with the trainer
    /// at work or not; `unix` is the time in seconds since 1970.
    fn look(&mut self, unix: i64, span: Duration, training: bool) -> Option<Ineligible> {
        self.own.pass(span, training);
        let readings = self.probe.read(&self.rules, unix, self.own);
        for what in readings.missing(&self.rules) {
            if self.missed.insert(what) {
                warn!("eligibility: {what}; the rule is passed over");
            }
        }
        let held = decide(&self.rules, &readings, self.held);
        if held != self.held {
            match held {
                Some(why) => info!("held: {}", reason(why, &self.rules, &readings)),
                None => info!("held no more: every rule of [eligibility] is met"),
            }
            self.held = held;
        }
        held
    }
}

impl Conditions for Eligibility {
    fn held(&mut self, training: bool) -> Option<Ineligible> {
        let now = monotonic();
        let span = now.saturating_duration_since(self.looked);
        self.looked = now;
        self.look(wall_clock(), span, training)
    }
}

#[allow(clippy::disallowed_methods)] // part of the shell: the load fades by the machine's clock
fn monotonic() -> Clock {
    Clock::now()
}

/// Seconds since 1970 by the machine's clock, which may not be set.
#[allow(clippy::disallowed_methods)] // hours of the day are what this is for
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}
