//! The `[eligibility]` section of the agent's configuration.

use std::path::PathBuf;

use dunlin_service::config::Problems;
use serde::Deserialize;

use super::hours::{DaySpan, UtcOffset};

/// Spans of the day at the most.
const SPANS_MAX: usize = 24;

/// When the device may work. Every rule is off until it is set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EligibilityConfig {
    /// Least charge in percent while there is no external power.
    pub battery_min_percent: Option<f32>,
    /// Whether to work with external power only.
    pub charging_only: bool,
    /// Highest temperature in degrees Celsius.
    pub temperature_max_c: Option<f32>,
    /// The thermal zones that count, by their type; all when empty.
    pub thermal_zones: Vec<String>,
    /// Highest load of other programs: average of one minute for each core.
    pub load_max: Option<f32>,
    /// Highest share of ten seconds, in percent, in which some program waited for a processor.
    pub cpu_pressure_max_percent: Option<f32>,
    /// Highest share of ten seconds, in percent, in which some program waited for memory.
    pub memory_pressure_max_percent: Option<f32>,
    /// Least memory in MB that must be available.
    pub memory_available_min_mb: Option<u32>,
    /// Whether to spare a link that costs by the byte.
    pub not_when_metered: bool,
    /// The file that is there while the link costs by the byte.
    pub metered_flag: PathBuf,
    /// When the device may work, by the time of day where it is; always when empty.
    pub hours: Vec<DaySpan>,
    /// What local time is ahead of UTC; by default what `/etc/localtime` says.
    pub utc_offset: Option<UtcOffset>,
    /// Whether a clock that is not set holds a device that has `hours`.
    pub hours_need_clock: bool,
}

impl Default for EligibilityConfig {
    fn default() -> Self {
        Self {
            battery_min_percent: None,
            charging_only: false,
            temperature_max_c: None,
            thermal_zones: Vec::new(),
            load_max: None,
            cpu_pressure_max_percent: None,
            memory_pressure_max_percent: None,
            memory_available_min_mb: None,
            not_when_metered: false,
            metered_flag: "/run/dunlin-agent/metered".into(),
            hours: Vec::new(),
            utc_offset: None,
            hours_need_clock: true,
        }
    }
}

impl EligibilityConfig {
    /// Whether any rule is set.
    pub fn has_rules(&self) -> bool {
        self.asks_power()
            || self.temperature_max_c.is_some()
            || self.load_max.is_some()
            || self.cpu_pressure_max_percent.is_some()
            || self.memory_pressure_max_percent.is_some()
            || self.memory_available_min_mb.is_some()
            || self.not_when_metered
            || !self.hours.is_empty()
    }

    /// Whether a rule asks where the power comes from.
    pub(super) fn asks_power(&self) -> bool {
        self.battery_min_percent.is_some() || self.charging_only
    }

    /// Everything that is wrong in the values, with key and next step; empty when all is well.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        let mut add = |wrong: bool, key: &str, problem: &str| problems.add_if(wrong, key, problem);
        let outside = |value: Option<f32>, least: f32, most: f32| {
            value.is_some_and(|value| !(least..=most).contains(&value))
        };
        let battery = outside(self.battery_min_percent, 1.0, 98.0);
        add(battery, "battery_min_percent", "is not in 1 to 98; write a charge such as 40");
        let heat = outside(self.temperature_max_c, 0.0, 150.0);
        add(heat, "temperature_max_c", "is not in 0 to 150 degrees; write one such as 75");
        let zones = !self.thermal_zones.is_empty() && self.temperature_max_c.is_none();
        add(zones, "thermal_zones", "needs temperature_max_c beside it; set it, such as to 75");
        let load = outside(self.load_max, 0.05, 100.0);
        add(load, "load_max", "is not in 0.05 to 100 for each core; write one such as 0.5");
        let advice = "is not in 0.1 to 100 percent; write one such as 20";
        let cpu = outside(self.cpu_pressure_max_percent, 0.1, 100.0);
        add(cpu, "cpu_pressure_max_percent", advice);
        let memory = outside(self.memory_pressure_max_percent, 0.1, 100.0);
        add(memory, "memory_pressure_max_percent", advice);
        let available = self.memory_available_min_mb.is_some_and(|mb| mb == 0 || mb > 1_000_000);
        add(available, "memory_available_min_mb", "is not in 1 to 1000000; write one such as 64");
        let relative = !self.metered_flag.is_absolute();
        add(relative, "metered_flag", "is not an absolute path; write one below /run");
        let many = self.hours.len() > SPANS_MAX;
        add(many, "hours", "has more than 24 spans; join those that touch");
        let no_hours = self.hours.is_empty();
        let idle = no_hours && self.utc_offset.is_some();
        add(idle, "utc_offset", "does nothing without hours; set hours or remove it");
        let idle = no_hours && !self.hours_need_clock;
        add(idle, "hours_need_clock", "does nothing without hours; set hours or remove it");
        problems.under("eligibility")
    }
}
