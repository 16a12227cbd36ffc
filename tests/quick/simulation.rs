//! Simulations with the exact learner: checks that never fire, and the same bytes twice.

use dunlin_fleet::sim::run::{Outcome, run};
use dunlin_fleet::sim::scenario::Scenario;
use dunlin_fleet::sim::setup::{PRESETS, preset};

fn simulate(scenario: &Scenario, threads: usize) -> Outcome {
    run(scenario, threads, &mut |_| None, |_| {}).unwrap()
}

/// Runs `hostile` with this seed; panics with the line that repeats it.
fn hostile(seed: u64) -> Outcome {
    let scenario = Scenario { seed, ..preset("hostile").unwrap() };
    let outcome = simulate(&scenario, 1);
    if let Some(violation) = &outcome.violation {
        panic!("dunlin-fleet simulate hostile --seed {seed}: {violation:?}");
    }
    outcome
}

#[test]
fn every_preset_reads_and_keeps_its_rules() {
    for (name, _) in PRESETS {
        assert_eq!(preset(name).unwrap().name, name);
    }
    assert!(preset("nothing").unwrap_err().to_string().contains("wearables"));
}

#[test]
fn no_check_fires_in_a_hostile_world_of_any_of_these_seeds() {
    let (mut done, mut worst) = (0, (0, 0, 0));
    for seed in 0..60 {
        let outcome = hostile(seed);
        done += u32::from(outcome.finished);
        let tally = &outcome.tally;
        assert!(tally.power_cuts > 20 && tally.cuts > 50, "{tally:?}");
        worst.0 += tally.broker_restarts;
        worst.1 += tally.server_kills;
        worst.2 += tally.partitions;
    }
    assert!(done >= 55, "{done} of 60 came to their end");
    assert!(worst.0 > 60 && worst.1 > 60 && worst.2 > 60, "{worst:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_one_thread_and_with_two() {
    let scenario = preset("hostile").unwrap();
    let (one, two) = (simulate(&scenario, 1), simulate(&scenario, 2));
    assert_eq!(one, two);
    let other = simulate(&Scenario { seed: 2, ..scenario }, 1);
    assert_ne!(one.model_digest, other.model_digest);
}

#[test]
fn a_calm_federation_takes_everybody_and_loses_nothing() {
    let text = r#"
        name = "calm"
        [population]
        devices = 300
        [rounds]
        count = 5
        target = 50
        overselect = 1.0
        [learning]
        windows = 20
    "#;
    let outcome = simulate(&Scenario::parse(text).unwrap(), 1);
    assert_eq!(outcome.violation, None);
    assert!(outcome.finished);
    assert!(outcome.rounds.iter().all(|round| round.accepted == 50), "{:?}", outcome.rounds);
    assert_eq!(outcome.accepted, 250);
}

#[test]
fn a_wrong_scenario_names_every_problem() {
    let text = r#"
        name = "wrong"
        [population]
        devices = 0
        [rounds]
        count = 0
        target = 5
        codec = "zip"
    "#;
    let error = Scenario::parse(text).unwrap_err().to_string();
    for part in ["population.devices", "rounds.count", "rounds.target", "rounds.codec"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}
