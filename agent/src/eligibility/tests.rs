//! Rules, readings of fake trees, and both together.

mod deciding;
mod reading;
mod watching;

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// 2026-06-15 12:00:00 UTC in seconds since 1970.
const NOON: i64 = 1_781_524_800;

/// A fake `/sys`, `/proc`, `/etc/localtime` and `/run`.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn supply(&self, name: &str, files: &[(&str, &str)]) -> &Self {
        for (file, content) in files {
            self.write(&format!("sys/class/power_supply/{name}/{file}"), format!("{content}\n"));
        }
        self
    }

    fn zone(&self, number: u32, name: &str, temp: &str) -> &Self {
        let folder = format!("sys/class/thermal/thermal_zone{number}");
        self.write(&format!("{folder}/type"), format!("{name}\n"));
        self.write(&format!("{folder}/temp"), format!("{temp}\n"))
    }

    fn roots(&self) -> Roots {
        let at = |name: &str| self.path().join(name);
        Roots { sys: at("sys"), proc: at("proc"), localtime: at("localtime") }
    }

    fn read(&self, rules: &EligibilityConfig) -> Readings {
        self.read_at(rules, NOON)
    }

    fn read_at(&self, rules: &EligibilityConfig, unix: i64) -> Readings {
        Probe::new(self.roots()).read(rules, unix, OwnLoad::default())
    }

    fn device(&self, rules: EligibilityConfig) -> Eligibility {
        Eligibility::on(rules, self.roots())
    }
}

fn rules(text: &str) -> EligibilityConfig {
    toml::from_str(text).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_device_without_rules_has_nothing_to_watch() {
    assert!(Eligibility::new(&EligibilityConfig::default()).is_none());
    assert!(Eligibility::new(&rules("temperature_max_c = 70")).is_some());
}

#[test]
fn a_hot_device_is_held_until_it_has_cooled_by_the_margin() {
    let machine = Machine::new();
    let mut device = machine.device(rules("temperature_max_c = 70"));
    let mut at = |temp: &str| {
        machine.zone(0, "cpu-thermal", temp);
        device.look(NOON, SECOND, true)
    };
    assert_eq!(at("70000"), None);
    assert_eq!(at("70100"), Some(Ineligible::Hot));
    assert_eq!(at("65500"), Some(Ineligible::Hot));
    assert_eq!(at("64900"), None);
    assert_eq!(at("69000"), None);
}

#[test]
fn the_load_of_its_own_training_does_not_hold_a_device() {
    let machine = Machine::new();
    machine.write("sys/devices/system/cpu/online", "0\n");
    let mut device = machine.device(rules("load_max = 0.5"));
    let mut pass = |load: f32, seconds, training| {
        machine.write("proc/loadavg", format!("{load} 0.40 0.30 1/90 1234\n"));
        device.look(NOON, Duration::from_secs(seconds), training)
    };
    assert_eq!(pass(0.1, 1, false), None);
    assert_eq!(pass(0.73, 60, true), None, "training for a minute makes 0.63");
    assert_eq!(pass(1.1, 600, true), None);
    assert_eq!(pass(0.37, 60, false), None, "it fades with the average");
    assert_eq!(pass(0.7, 600, false), Some(Ineligible::Busy), "now it is somebody else");
    assert_eq!(pass(0.45, 1, false), Some(Ineligible::Busy), "not yet below by the margin");
    assert_eq!(pass(0.39, 1, false), None);
}

#[test]
fn a_missing_reading_is_said_once_and_its_rule_is_passed_over() {
    let machine = Machine::new();
    let mut device = machine.device(rules(
        "temperature_max_c = 70\nload_max = 0.5\ncpu_pressure_max_percent = 20\n\
         memory_pressure_max_percent = 10\nmemory_available_min_mb = 64",
    ));
    assert_eq!(device.look(NOON, SECOND, false), None);
    assert_eq!(device.missed.len(), 5);
    assert_eq!(device.look(NOON, SECOND, false), None);
    assert_eq!(device.missed.len(), 5);
}

#[test]
fn wrong_values_are_named_with_their_key_and_a_value_that_works() {
    let wrong = rules(
        "battery_min_percent = 100\ntemperature_max_c = -3\nload_max = 0\n\
         cpu_pressure_max_percent = 101\nmemory_pressure_max_percent = nan\n\
         memory_available_min_mb = 0\nmetered_flag = \"metered\"\nutc_offset = \"+01:00\"",
    );
    let problems: Vec<String> = wrong.check().0.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 8, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.starts_with("eligibility.")));
    assert_eq!(
        problems[0],
        "eligibility.battery_min_percent: is not in 1 to 98; write a charge such as 40"
    );
    let zones = rules("thermal_zones = [\"cpu-thermal\"]").check();
    assert_eq!(zones.0[0].key, "eligibility.thermal_zones");
    assert!(EligibilityConfig::default().check().is_empty());
}

#[test]
fn every_rule_of_the_example_can_be_set_as_it_stands() {
    let example = include_str!("../../agent.example.toml");
    let section = example.split_once("# [eligibility]\n").unwrap().1;
    let lines = section.lines().take_while(|line| line.starts_with('#'));
    let is_key = |line: &&str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let keys: Vec<&str> = lines.filter_map(|line| line.strip_prefix("# ")).filter(is_key).collect();
    assert_eq!(keys.len(), 13, "{keys:?}");
    assert_eq!(rules(&keys.join("\n")).check().0, []);
}

#[test]
fn unknown_keys_and_impossible_hours_are_refused_where_they_stand() {
    let error = |text: &str| toml::from_str::<EligibilityConfig>(text).unwrap_err().to_string();
    assert!(error("batery_min_percent = 3").contains("batery_min_percent"));
    assert!(error("hours = [\"22-6\"]").contains("write it as \"22:00-06:00\""));
    assert!(error("utc_offset = \"CET\"").contains("+01:00"));
}
