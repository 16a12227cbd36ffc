//! Pure rules.

use super::*;

/// A machine that everything is well with.
fn well() -> Readings {
    Readings {
        power: Power { external: true, battery: Battery::Percent(90.0) },
        temperature_c: Some(40.0),
        zone_lacks: false,
        load: Some(0.1),
        cpu_pressure: Some(0.0),
        memory_pressure: Some(0.0),
        memory_available_mb: Some(500.0),
        metered: false,
        time: LocalTime::Minute(0),
    }
}

/// Every rule at once.
fn all() -> EligibilityConfig {
    rules(
        "battery_min_percent = 40\ncharging_only = true\ntemperature_max_c = 75\nload_max = 0.5\n\
         cpu_pressure_max_percent = 20\nmemory_pressure_max_percent = 10\n\
         memory_available_min_mb = 100\nnot_when_metered = true\nhours = [\"22:00-06:00\"]",
    )
}

fn battery(charge: f32) -> Power {
    Power { external: false, battery: Battery::Percent(charge) }
}

#[test]
fn each_rule_gives_its_reason_and_none_of_them_holds_a_device_that_is_well() {
    let at = |readings: Readings| decide(&all(), &readings, None);
    assert_eq!(at(well()), None);
    assert_eq!(at(Readings { metered: true, ..well() }), Some(Ineligible::Metered));
    assert_eq!(at(Readings { power: battery(39.0), ..well() }), Some(Ineligible::Battery));
    assert_eq!(at(Readings { power: battery(40.0), ..well() }), Some(Ineligible::Charging));
    assert_eq!(at(Readings { temperature_c: Some(75.1), ..well() }), Some(Ineligible::Hot));
    assert_eq!(at(Readings { memory_pressure: Some(11.0), ..well() }), Some(Ineligible::Memory));
    assert_eq!(
        at(Readings { memory_available_mb: Some(99.0), ..well() }),
        Some(Ineligible::Memory)
    );
    assert_eq!(at(Readings { load: Some(0.6), ..well() }), Some(Ineligible::Busy));
    assert_eq!(at(Readings { cpu_pressure: Some(21.0), ..well() }), Some(Ineligible::Busy));
    assert_eq!(at(Readings { time: LocalTime::Unset, ..well() }), Some(Ineligible::Clock));
    assert_eq!(at(Readings { time: LocalTime::Minute(720), ..well() }), Some(Ineligible::Hours));
}

#[test]
fn rules_that_are_not_set_hold_nothing() {
    let worst = Readings {
        power: battery(1.0),
        temperature_c: Some(120.0),
        zone_lacks: true,
        load: Some(9.0),
        cpu_pressure: Some(99.0),
        memory_pressure: Some(99.0),
        memory_available_mb: Some(1.0),
        metered: true,
        time: LocalTime::Unset,
    };
    assert_eq!(decide(&EligibilityConfig::default(), &worst, None), None);
    assert_eq!(
        decide(&all(), &worst, None),
        Some(Ineligible::Metered),
        "the first of all that hold"
    );
}

#[test]
fn a_limit_must_be_cleared_by_its_margin_and_only_by_the_reason_that_held() {
    let cases = [
        (Ineligible::Battery, Readings { power: battery(41.0), ..well() }),
        (Ineligible::Hot, Readings { temperature_c: Some(71.0), ..well() }),
        (Ineligible::Memory, Readings { memory_pressure: Some(9.0), ..well() }),
        (Ineligible::Memory, Readings { memory_available_mb: Some(109.0), ..well() }),
        (Ineligible::Busy, Readings { load: Some(0.45), ..well() }),
        (Ineligible::Busy, Readings { cpu_pressure: Some(17.0), ..well() }),
    ];
    let rules = EligibilityConfig { charging_only: false, ..all() };
    for (reason, readings) in cases {
        assert_eq!(decide(&rules, &readings, Some(reason)), Some(reason));
        assert_eq!(decide(&rules, &readings, None), None);
        assert_eq!(decide(&rules, &readings, Some(Ineligible::Hours)), None);
    }
    let clear = Readings { temperature_c: Some(70.0), power: battery(42.0), ..well() };
    assert_eq!(decide(&rules, &clear, Some(Ineligible::Hot)), None);
    assert_eq!(decide(&rules, &clear, Some(Ineligible::Battery)), None);
}

#[test]
fn a_battery_that_hides_its_charge_holds_only_while_it_is_drained() {
    let hidden =
        |external| Readings { power: Power { external, battery: Battery::Unreadable }, ..well() };
    assert_eq!(decide(&all(), &hidden(false), None), Some(Ineligible::Battery));
    assert_eq!(decide(&all(), &hidden(true), None), None);
    assert_eq!(decide(&all(), &Readings { power: Power::MAINS, ..well() }, None), None);
}

#[test]
fn a_clock_that_is_not_set_can_be_let_pass() {
    let rules = EligibilityConfig { hours_need_clock: false, ..all() };
    assert_eq!(decide(&rules, &Readings { time: LocalTime::Unset, ..well() }, None), None);
}

#[test]
fn the_log_says_what_is_waited_for() {
    let hot = Readings { temperature_c: Some(81.4), ..well() };
    assert_eq!(reason(Ineligible::Hot, &all(), &hot), "81 degrees; waits for 70 or less");
    let low = Readings { power: battery(33.0), ..well() };
    let text = reason(Ineligible::Battery, &all(), &low);
    assert_eq!(text, "battery at 33 %; waits for 40 % or a charger");
    for held in Ineligible::KNOWN {
        assert!(!reason(held, &all(), &well()).is_empty());
    }
}
