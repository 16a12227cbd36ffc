//! Each check sees the fault that it is for: one thing at a time is broken on purpose.

use dunlin_fleet::sim::run::{Options, run};
use dunlin_fleet::sim::scenario::{Faults, Scenario};
use dunlin_fleet::sim::setup::{prepare, preset};
use dunlin_fleet::sim::{Breakage, Violation, rule};

/// Seeds that are tried at the most until the fault shows.
const SEEDS: u64 = 20;

fn assert_seen(breakage: Breakage, expected: &str) {
    assert_seen_in(&preset("hostile").unwrap(), breakage, expected);
}

fn assert_seen_in(scenario: &Scenario, breakage: Breakage, expected: &str) {
    let (seed, violation) = seen_in(scenario, breakage);
    assert_eq!(violation.rule, expected, "seed {seed}: {violation:?}");
}

/// The stored sum is found to differ in this way from what the reports make.
fn assert_other_sum(scenario: &Scenario, breakage: Breakage, how: &str) {
    let (seed, violation) = seen_in(scenario, breakage);
    assert_eq!(violation.rule, rule::SUMS, "seed {seed}: {violation:?}");
    let expected = format!("another sum is stored: {how}");
    assert!(violation.what.contains(&expected), "seed {seed}: {violation:?}");
}

/// The first violation, and the seed that shows it.
fn seen_in(scenario: &Scenario, breakage: Breakage) -> (u64, Violation) {
    let hostile = prepare(scenario).unwrap();
    let broken = Options { breakage: Some(breakage), ..Options::threads(1) };
    for seed in 0..SEEDS {
        let (outcome, _) = run(&hostile.with_seed(seed), broken, |_| {}).unwrap();
        if let Some(violation) = outcome.violation {
            return (seed, violation);
        }
    }
    panic!("{breakage:?} was not seen with {SEEDS} seeds");
}

/// The hostile world with another codec for updates.
fn hostile(codec: &str) -> Scenario {
    let mut scenario = preset("hostile").unwrap();
    scenario.rounds.codec = codec.into();
    scenario
}

#[test]
fn a_store_that_forgets_who_was_accepted_is_seen() {
    assert_seen(Breakage::ForgottenAccepted, rule::ONCE);
}

#[test]
fn an_update_after_its_deadline_is_seen() {
    // Rounds that end by their deadline, with devices that would like a little more.
    let mut short = preset("hostile").unwrap();
    short.rounds.deadline_s = 60.0;
    assert_seen_in(&short, Breakage::SlowClock, rule::IN_TIME);
}

#[test]
fn a_sum_that_is_not_that_of_the_accepted_updates_is_seen() {
    assert_seen(Breakage::StaleSums, rule::SUMS);
}

#[test]
fn an_update_with_another_weight_is_seen() {
    assert_other_sum(&hostile("f32"), Breakage::OtherWeight, "number");
}

#[test]
fn an_update_longer_than_devices_were_told_is_seen() {
    let (seed, violation) = seen_in(&hostile("f32"), Breakage::OtherClip);
    assert_eq!(violation.rule, rule::SUMS, "seed {seed}: {violation:?}");
    assert!(violation.what.contains("is not admissible"), "seed {seed}: {violation:?}");
}

#[test]
fn values_cut_to_another_magnitude_are_seen() {
    // Values in f32 that are too large would be refused, not cut.
    assert_other_sum(&hostile("uniform=8"), Breakage::OtherLargest, "number");
}

#[test]
fn an_update_read_by_another_step_is_seen() {
    assert_other_sum(&hostile("uniform=8"), Breakage::OtherStep, "number");
}

#[test]
fn a_sum_in_another_scale_is_seen() {
    assert_other_sum(&hostile("f32"), Breakage::OtherScale, "43 fraction bits, not 41");
}

#[test]
fn an_aggregator_that_cannot_start_again_is_seen() {
    assert_seen(Breakage::LostSums, rule::RESTARTS);
}

#[test]
fn a_version_that_goes_back_is_seen() {
    assert_seen(Breakage::OldBackup, rule::VERSIONS);
}

#[test]
fn a_verdict_before_the_write_is_seen() {
    assert_seen(Breakage::EarlyVerdicts, rule::WRITTEN);
}

#[test]
fn a_round_that_does_not_end_is_seen() {
    assert_seen(Breakage::HungAggregator, rule::ROUNDS_END);
}

#[test]
fn time_that_stands_still_is_seen() {
    assert_seen(Breakage::BusyTimer, rule::TIME_MOVES);
}

#[test]
fn an_aggregator_that_hears_of_nobody_is_seen() {
    assert_seen(Breakage::DeafAggregator, rule::GOES_ON);
}

#[test]
fn a_device_that_never_ends_its_work_is_seen() {
    assert_seen(Breakage::StuckDevices, rule::WORK_ENDS);
}

#[test]
fn a_device_with_other_bits_is_seen() {
    assert_seen(Breakage::OtherBits, rule::SAME_BITS);
}

#[test]
fn a_torn_state_is_seen() {
    assert_seen(Breakage::OneSlot, rule::STORAGE);
}

#[test]
fn bytes_that_a_link_loses_are_seen() {
    assert_seen(Breakage::ShortUpdates, rule::BYTES);
}

#[test]
fn bytes_that_the_aggregator_is_not_given_are_seen() {
    assert_seen(Breakage::ShortMessages, rule::BYTES);
}

#[test]
fn devices_that_say_their_state_once_are_seen_when_a_stranger_changes_it() {
    // Nothing else happens, as connections and work would tell of devices too; and nearly all are
    // wanted.
    let mut calm = preset("hostile").unwrap();
    calm.faults = Faults { retained_per_h: 600.0, ..Faults::default() };
    calm.classes.truncate(1);
    (calm.classes[0].share, calm.classes[0].drop_out) = (1.0, 0.0);
    calm.population.devices = 40;
    (calm.rounds.target, calm.rounds.min_online, calm.rounds.pause_s) = (20, 0.95, 300.0);
    let (outcome, _) = run(&prepare(&calm).unwrap(), Options::threads(1), |_| {}).unwrap();
    assert!(outcome.violation.is_none() && outcome.finished, "{:?}", outcome.violation);
    assert_seen_in(&calm, Breakage::SaidOnce, rule::GOES_ON);
}
