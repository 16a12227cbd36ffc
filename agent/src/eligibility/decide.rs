//! Rules against readings.

use dunlin_protocol::presence::Ineligible;

use super::config::EligibilityConfig;
use super::power::Battery;
use super::readings::{LocalTime, Readings};

/// What a battery must gain beyond its limit before work begins again, in percent.
const BATTERY_MARGIN: f32 = 2.0;
/// What the temperature must fall below its limit, in degrees.
const HEAT_MARGIN_C: f32 = 5.0;
/// Share of their limits below which load and pressure must fall.
const CALM: f32 = 0.8;
/// What available memory must rise to, as a multiple of its limit.
const ROOM: f32 = 1.1;

/// The first reason to hold back, in the order of [`Ineligible`]; `previous` is the one that held until
/// now, whose limit must be cleared by a margin.
pub fn decide(
    rules: &EligibilityConfig,
    readings: &Readings,
    previous: Option<Ineligible>,
) -> Option<Ineligible> {
    let holds = |reason: Ineligible| {
        let margin = previous == Some(reason);
        match reason {
            Ineligible::Metered => rules.not_when_metered && readings.metered,
            Ineligible::Battery => battery(rules, readings, margin),
            Ineligible::Charging => rules.charging_only && !readings.power.external,
            Ineligible::Hot => {
                let below = if margin { HEAT_MARGIN_C } else { 0.0 };
                above(readings.temperature_c, rules.temperature_max_c.map(|most| most - below))
            }
            Ineligible::Memory => memory(rules, readings, margin),
            Ineligible::Busy => {
                let calm = calm(margin);
                above(readings.load, rules.load_max.map(calm))
                    || above(readings.cpu_pressure, rules.cpu_pressure_max_percent.map(calm))
            }
            Ineligible::Clock => has_no_time(rules, readings) && rules.hours_need_clock,
            Ineligible::Hours => match readings.time {
                LocalTime::Minute(minute) => {
                    !rules.hours.is_empty() && !rules.hours.iter().any(|span| span.contains(minute))
                }
                LocalTime::Unset => false,
            },
            Ineligible::Other => false,
        }
    };
    Ineligible::KNOWN.into_iter().find(|reason| holds(*reason))
}

fn has_no_time(rules: &EligibilityConfig, readings: &Readings) -> bool {
    !rules.hours.is_empty() && readings.time == LocalTime::Unset
}

/// Turns a limit into the one that counts now.
fn calm(margin: bool) -> impl Fn(f32) -> f32 + Copy {
    move |most| if margin { most * CALM } else { most }
}

/// Whether a reading that is there is above a limit that is set.
fn above(reading: Option<f32>, most: Option<f32>) -> bool {
    reading.zip(most).is_some_and(|(reading, most)| reading > most)
}

fn battery(rules: &EligibilityConfig, readings: &Readings, margin: bool) -> bool {
    let Some(least) = rules.battery_min_percent else { return false };
    let least = if margin { least + BATTERY_MARGIN } else { least };
    match readings.power.battery {
        Battery::None => false,
        Battery::Unreadable => !readings.power.external,
        Battery::Percent(charge) => !readings.power.external && charge < least,
    }
}

fn memory(rules: &EligibilityConfig, readings: &Readings, margin: bool) -> bool {
    let pressed =
        above(readings.memory_pressure, rules.memory_pressure_max_percent.map(calm(margin)));
    let least = least_mb(rules).map(|least| if margin { least * ROOM } else { least });
    let scarce = least.zip(readings.memory_available_mb).is_some_and(|(least, has)| has < least);
    pressed || scarce
}

/// Least memory that must be available in MB.
#[allow(clippy::cast_precision_loss)] // at most a million
fn least_mb(rules: &EligibilityConfig) -> Option<f32> {
    rules.memory_available_min_mb.map(|mb| mb as f32)
}

/// `held` in words for the log: what it is and what is waited for.
pub fn reason(held: Ineligible, rules: &EligibilityConfig, readings: &Readings) -> String {
    let Readings { power, .. } = readings;
    match held {
        Ineligible::Metered => {
            format!("the link is metered; waits for {} to go", rules.metered_flag.display())
        }
        Ineligible::Battery => match power.battery {
            Battery::Percent(charge) => {
                let least = rules.battery_min_percent.unwrap_or_default();
                format!("battery at {charge:.0} %; waits for {least} % or a charger")
            }
            Battery::None | Battery::Unreadable => {
                "the battery does not tell its charge; waits for a charger".into()
            }
        },
        Ineligible::Charging => "on battery; waits for external power".into(),
        Ineligible::Hot => {
            let (degrees, most) = (readings.temperature_c, rules.temperature_max_c);
            let below = most.unwrap_or_default() - HEAT_MARGIN_C;
            format!("{:.0} degrees; waits for {below} or less", degrees.unwrap_or_default())
        }
        Ineligible::Memory => {
            let limits = [
                shown("pressure", readings.memory_pressure, rules.memory_pressure_max_percent, "%"),
                shown("available", readings.memory_available_mb, least_mb(rules), "MB"),
            ];
            format!("memory is needed elsewhere: {}", joined(limits))
        }
        Ineligible::Busy => {
            let limits = [
                shown("load", readings.load, rules.load_max, "a core"),
                shown("pressure", readings.cpu_pressure, rules.cpu_pressure_max_percent, "%"),
            ];
            format!("the processor is needed elsewhere: {}", joined(limits))
        }
        Ineligible::Clock => "the clock is not set; waits for the time".into(),
        Ineligible::Hours => "outside of its hours".into(),
        Ineligible::Other => "a reason of its own".into(),
    }
}

/// A reading beside its limit, where both are there.
fn shown(what: &str, reading: Option<f32>, limit: Option<f32>, unit: &str) -> Option<String> {
    let (reading, limit) = reading.zip(limit)?;
    Some(format!("{what} {reading:.1} {unit}, limit {limit}"))
}

fn joined(limits: [Option<String>; 2]) -> String {
    limits.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
