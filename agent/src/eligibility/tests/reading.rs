//! Readings of fake trees.

use super::*;

fn power(machine: &Machine) -> Power {
    machine.read(&rules("charging_only = true")).power
}

const MAINS_ON: [(&str, &str); 2] = [("type", "Mains"), ("online", "1")];
const MAINS_OFF: [(&str, &str); 2] = [("type", "Mains"), ("online", "0")];

fn battery<'a>(status: &'a str, capacity: &'a str) -> [(&'static str, &'a str); 3] {
    [("type", "Battery"), ("status", status), ("capacity", capacity)]
}

#[test]
fn a_machine_without_a_battery_has_external_power() {
    let machine = Machine::new();
    assert_eq!(power(&machine), Power::MAINS);
    machine.supply("AC", &MAINS_OFF);
    assert_eq!(power(&machine), Power::MAINS, "it runs, so it has power");
}

#[test]
fn a_battery_that_discharges_or_charges_decides_and_else_the_line() {
    let cases = [
        ("Discharging", Some(&MAINS_ON), false),
        ("Charging", Some(&MAINS_OFF), true),
        ("Full", Some(&MAINS_ON), true),
        ("Full", Some(&MAINS_OFF), false),
        ("Not charging", Some(&MAINS_ON), true),
        ("Unknown", Some(&MAINS_ON), true),
        ("Unknown", Some(&MAINS_OFF), false),
        ("Full", None, true),
        ("Not charging", None, true),
        ("Unknown", None, false),
        ("\u{fffd}garbage", None, false),
    ];
    for (status, line, external) in cases {
        let machine = Machine::new();
        machine.supply("BAT0", &battery(status, "55"));
        line.into_iter().for_each(|line| _ = machine.supply("AC", line));
        let expected = Power { external, battery: Battery::Percent(55.0) };
        assert_eq!(power(&machine), expected, "{status}, {line:?}");
    }
}

#[test]
fn a_negotiated_usb_supply_is_external_power() {
    let machine = Machine::new();
    machine.supply("BAT0", &battery("Unknown", "55"));
    machine.supply("usb", &[("type", "USB"), ("online", "2")]);
    machine.supply("wireless", &[("type", "Wireless"), ("online", "0")]);
    assert!(power(&machine).external);
}

#[test]
fn several_batteries_have_their_mean_and_a_mouse_and_an_empty_bay_none() {
    let machine = Machine::new();
    machine.supply("BAT0", &battery("Discharging", "20"));
    machine.supply("BAT1", &battery("Not charging", "100"));
    machine.supply("hid-mouse", &battery("Discharging", "3"));
    machine.supply("hid-mouse", &[("scope", "Device")]);
    machine.supply("BAT2", &battery("Unknown", "0"));
    machine.supply("BAT2", &[("present", "0")]);
    machine.supply("odd", &[("type", "UPS-like")]);
    let expected = Power { external: false, battery: Battery::Percent(60.0) };
    assert_eq!(power(&machine), expected);
}

#[test]
fn a_charge_that_is_missing_or_garbage_is_unreadable() {
    for capacity in ["", "full", "-4", "101", "nan", "inf"] {
        let machine = Machine::new();
        machine.supply("BAT0", &battery("Discharging", capacity));
        let expected = Power { external: false, battery: Battery::Unreadable };
        assert_eq!(power(&machine), expected, "{capacity:?}");
    }
    let machine = Machine::new();
    machine.supply("BAT0", &[("type", "Battery")]);
    let readings = machine.read(&rules("battery_min_percent = 40"));
    let held = decide(&rules("battery_min_percent = 40"), &readings, None);
    assert_eq!(held, Some(Ineligible::Battery));
}

#[test]
fn the_hottest_zone_counts_or_the_hottest_of_those_named() {
    let machine = Machine::new();
    machine.zone(0, "cpu-thermal", "51234").zone(1, "gpu-thermal", "80000");
    machine.zone(2, "battery", "garbage").zone(3, "modem", "999999999");
    machine.write("sys/class/thermal/cooling_device0/type", "fan\n");
    let read = |text: &str| {
        let readings = machine.read(&rules(&format!("temperature_max_c = 70\n{text}")));
        (readings.temperature_c, readings.zone_lacks)
    };
    assert_eq!(read(""), (Some(80.0), false));
    assert_eq!(read("thermal_zones = [\"cpu-thermal\"]"), (Some(51.234), false));
    assert_eq!(read("thermal_zones = [\"cpu-thermal\", \"nvme\"]"), (Some(51.234), true));
    assert_eq!(read("thermal_zones = [\"battery\"]"), (None, true));
}

#[test]
fn load_is_for_each_processor_that_is_online() {
    let machine = Machine::new();
    machine.write("proc/loadavg", "3.00 2.00 1.00 2/345 6789\n");
    let load = || machine.read(&rules("load_max = 1")).load;
    assert_eq!(load(), Some(3.0));
    for (list, expected) in [("0-3", 0.75), ("0,2-3", 1.0), ("0", 3.0), ("3-0", 3.0), ("x", 3.0)] {
        machine.write("sys/devices/system/cpu/online", list);
        assert_eq!(load(), Some(expected), "{list}");
    }
    for garbage in ["", "-1 0 0", "NaN", "\u{0}\u{1}"] {
        machine.write("proc/loadavg", garbage);
        assert_eq!(load(), None, "{garbage:?}");
    }
}

#[test]
fn pressure_is_that_of_some_over_ten_seconds() {
    let machine = Machine::new();
    let text = "some avg10=12.50 avg60=1.00 avg300=0.10 total=1\nfull avg10=3.00 avg60=0.00\n";
    machine.write("proc/pressure/cpu", text);
    machine.write("proc/pressure/memory", "full avg10=3.00\n");
    let read = machine.read(&rules("cpu_pressure_max_percent=1\nmemory_pressure_max_percent=1"));
    assert_eq!((read.cpu_pressure, read.memory_pressure), (Some(12.5), None));
}

#[test]
fn available_memory_is_read_in_kib_and_given_in_mb() {
    let machine = Machine::new();
    let mb = || machine.read(&rules("memory_available_min_mb = 1")).memory_available_mb;
    assert_eq!(mb(), None);
    machine.write("proc/meminfo", "MemTotal: 900000 kB\nMemAvailable:   250000 kB\n");
    assert_eq!(mb(), Some(256.0));
    machine.write("proc/meminfo", "MemAvailable: lots kB\n");
    assert_eq!(mb(), None);
}

#[test]
fn the_link_is_metered_while_the_flag_is_there_and_does_not_say_no() {
    let machine = Machine::new();
    let mut rules = rules("not_when_metered = true");
    rules.metered_flag = machine.path().join("run/metered");
    let metered = |rules: &EligibilityConfig| machine.read(rules).metered;
    assert!(!metered(&rules));
    for (content, expected) in [("", true), ("1\n", true), ("yes", true), ("0\n", false)] {
        machine.write("run/metered", content);
        assert_eq!(metered(&rules), expected, "{content:?}");
    }
    for content in ["no\n", "False\n", " 0 "] {
        machine.write("run/metered", content);
        assert!(!metered(&rules), "{content:?}");
    }
    machine.write("run/metered", vec![b'x'; 5_000_000]);
    assert!(metered(&rules));
    rules.metered_flag = machine.path().into();
    assert!(metered(&rules), "a folder is there too");
}

#[test]
fn huge_files_are_read_in_part_and_folders_in_place_of_files_not_at_all() {
    let machine = Machine::new();
    machine.zone(0, "cpu-thermal", &"9".repeat(1_000_000));
    machine.write("proc/loadavg", vec![0xff; 1_000_000]);
    machine.write("proc/pressure/cpu", "some ".repeat(1_000_000));
    machine.write("proc/meminfo/x", "a folder");
    machine.supply("BAT0", &battery("Discharging", &"1".repeat(1_000_000)));
    let rules = rules(
        "temperature_max_c = 70\nload_max = 1\ncpu_pressure_max_percent = 1\n\
         memory_available_min_mb = 1\ncharging_only = true",
    );
    let read = machine.read(&rules);
    assert_eq!((read.temperature_c, read.load, read.cpu_pressure), (None, None, None));
    assert_eq!(read.memory_available_mb, None);
    assert_eq!(read.power.battery, Battery::Unreadable);
}

#[test]
fn local_time_follows_the_zone_file_and_its_summer_time() {
    let machine = Machine::new();
    let rules = rules("hours = [\"22:00-06:00\"]");
    assert_eq!(machine.read(&rules).time, LocalTime::Minute(720), "UTC without a file");
    machine.write("localtime", "garbage");
    assert_eq!(machine.read(&rules).time, LocalTime::Minute(720));
    machine.write("localtime", zone_file("CET-1CEST,M3.5.0,M10.5.0/3"));
    assert_eq!(machine.read(&rules).time, LocalTime::Minute(720 + 120));
    let winter = NOON + 180 * 86_400;
    assert_eq!(machine.read_at(&rules, winter).time, LocalTime::Minute(720 + 60));
}

#[test]
fn an_offset_in_the_configuration_wins_over_the_zone_file() {
    let machine = Machine::new();
    machine.write("localtime", zone_file("CET-1CEST,M3.5.0,M10.5.0/3"));
    let rules = rules("hours = [\"22:00-06:00\"]\nutc_offset = \"-13:00\"");
    assert_eq!(machine.read(&rules).time, LocalTime::Minute(23 * 60));
}

#[test]
fn a_board_that_thinks_it_is_1970_has_no_time_of_day() {
    let rules = rules("hours = [\"00:00-24:00\"]");
    let machine = Machine::new();
    for unix in [0, 4000, 1_700_000_000, i64::MIN] {
        let readings = machine.read_at(&rules, unix);
        assert_eq!(readings.time, LocalTime::Unset);
        assert_eq!(decide(&rules, &readings, None), Some(Ineligible::Clock));
    }
    assert_eq!(decide(&rules, &machine.read_at(&rules, NOON), None), None);
    assert!(matches!(machine.read_at(&rules, i64::MAX).time, LocalTime::Minute(_)));
}

/// A time zone file without transitions, whose rule is in its footer.
fn zone_file(rule: &str) -> Vec<u8> {
    let header = |version: u8| {
        let mut bytes = b"TZif".to_vec();
        bytes.push(version);
        bytes.extend([0; 15]);
        for count in [0, 0, 0, 0, 1, 4_u32] {
            bytes.extend(count.to_be_bytes());
        }
        bytes
    };
    let types = [0, 0, 0x0e, 0x10, 0, 0, b'C', b'E', b'T', 0];
    let mut bytes = [header(b'2'), types.to_vec(), header(b'2'), types.to_vec()].concat();
    bytes.extend(format!("\n{rule}\n").bytes());
    bytes
}
