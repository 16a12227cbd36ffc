//! When devices are there.

use std::sync::Arc;

use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;

use crate::sim::scenario::{Availability, Population};
use crate::sim::setup::milliseconds;
use crate::sim::trace::Trace;
use crate::sim::{DAY_MS, HOUR_MS};

/// When devices join, leave and come back.
#[derive(Clone, Debug)]
pub(super) struct Attendance {
    availability: Availability,
    stay_h: f64,
    join_ms: u64,
    trace: Option<Arc<Trace>>,
}

impl Attendance {
    pub(super) fn new(population: &Population, trace: Option<Arc<Trace>>) -> Self {
        let join_ms = milliseconds(population.join_s);
        let Population { availability, stay_h, .. } = *population;
        Self { availability, stay_h, join_ms, trace }
    }

    /// When `device` comes first.
    pub(super) fn joins(&self, device: u32, rng: &mut Rng) -> Instant {
        let joins = rng.below(usize::try_from(self.join_ms).unwrap_or(0) + 1) as u64;
        Instant(match (self.availability, &self.trace) {
            (Availability::Diurnal, _) => next_day_start(rng, 0, self.stay_h),
            (Availability::Trace, Some(trace)) => joins.max(trace.stay(device, joins).0),
            (Availability::Always | Availability::Trace, _) => joins,
        })
    }

    /// Until when `device` is away at `now`, where that was recorded.
    pub(super) fn away_until(&self, device: u32, now: Instant) -> Option<Instant> {
        let comes = Instant(self.trace.as_ref()?.stay(device, now.0).0);
        Some(comes).filter(|comes| *comes > now)
    }

    /// When `device`, which comes at `now`, leaves again; `None` when it stays.
    pub(super) fn leaves(&self, device: u32, now: Instant, rng: &mut Rng) -> Option<Instant> {
        match (self.availability, &self.trace) {
            (Availability::Always, _) | (Availability::Trace, None) => None,
            (Availability::Diurnal, _) => {
                let hours = -libm::log(1.0 - f64::from(rng.unit_f32())) * self.stay_h;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                Some(now.after(60_000 + (hours * HOUR_MS) as u64))
            }
            (Availability::Trace, Some(trace)) => {
                Some(Instant(trace.stay(device, now.0).1)).filter(|leaves| leaves.0 < u64::MAX)
            }
        }
    }

    /// When `device`, which leaves at `now`, comes back; `day` is that on which it came last, where it
    /// comes once a day.
    pub(super) fn comes(&self, device: u32, now: Instant, day: &mut u32, rng: &mut Rng) -> Instant {
        if let Some(trace) = &self.trace {
            return Instant(trace.stay(device, now.0).0).max(now);
        }
        loop {
            // Once a day, however long the last stay was.
            *day += 1;
            let comes = next_day_start(rng, u64::from(*day), self.stay_h);
            if comes > now.0 {
                return Instant(comes);
            }
        }
    }
}

/// When a device comes on day `day`, so that four times as many are there at two at night as twelve
/// hours later.
///
/// Stays of the mean length `stay_h` smooth and delay the swing of arrivals as a low-pass of first
/// order does; arrivals swing so much more and so much earlier, as far as they can.
fn next_day_start(rng: &mut Rng, day: u64, stay_h: f64) -> u64 {
    const MEAN: f64 = 2.5;
    const SWING: f64 = 1.5;
    const NIGHT_H: f64 = 2.0;
    let turn = core::f64::consts::TAU / 24.0;
    let lag = turn * stay_h;
    let swing = (SWING * libm::sqrt(1.0 + lag * lag)).min(MEAN);
    let peak_h = NIGHT_H - libm::atan(lag) / turn;
    loop {
        let hour = f64::from(rng.unit_f32()) * 24.0;
        let weight = MEAN + swing * libm::cos((hour - peak_h) * turn);
        if f64::from(rng.unit_f32()) * (MEAN + swing) < weight {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below 24 hours
            return day * DAY_MS + (hour * HOUR_MS) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attendance(availability: Availability) -> Attendance {
        let population =
            Population { devices: 1, join_s: 60.0, availability, stay_h: 30.0, trace: None };
        Attendance::new(&population, None)
    }

    #[test]
    fn devices_that_stay_join_within_the_time_for_it() {
        let (always, mut rng) = (attendance(Availability::Always), Rng::new(1));
        for device in 0..100 {
            let joins = always.joins(device, &mut rng);
            assert!(joins <= Instant(60_000));
            assert_eq!(always.away_until(device, joins), None);
            assert_eq!(always.leaves(device, joins, &mut rng), None);
        }
    }

    #[test]
    fn other_devices_come_at_most_once_a_day_however_long_they_stay() {
        let (diurnal, mut rng, mut day) = (attendance(Availability::Diurnal), Rng::new(1), 0);
        let mut comes = diurnal.joins(0, &mut rng);
        assert!(comes.0 < DAY_MS);
        for _ in 0..100 {
            let leaves = diurnal.leaves(0, comes, &mut rng).unwrap();
            assert!(leaves >= comes.after(60_000));
            comes = diurnal.comes(0, leaves, &mut day, &mut rng);
            assert!(comes > leaves);
            assert_eq!(comes.0 / DAY_MS, u64::from(day));
        }
    }
}
