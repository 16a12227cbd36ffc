//! The program as people and scripts use it: exit codes, JSON, files.
#![allow(clippy::unwrap_used)] // a failed test may panic

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const EXIT_CONFIG: i32 = 78;

fn fleet(arguments: &[&str], folder: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_dunlin-fleet");
    Command::new(program).args(arguments).current_dir(folder).output().unwrap()
}

fn json(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_simulation_prints_its_report_and_writes_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["simulate", "hostile", "--seed", "7", "--json", "--report", "out"];
    let report = json(&fleet(&arguments, folder.path()));
    assert_eq!(report["scenario"]["seed"], 7);
    assert_eq!(report["outcome"]["finished"], true);
    assert_eq!(report["outcome"]["violation"], Value::Null);
    assert_eq!(report["outcome"]["rounds"].as_array().unwrap().len(), 6);
    assert!(report["final"]["client_rounds_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["final"]["peak_memory_bytes"].as_u64().unwrap() > 1_000_000);
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    assert!(page.contains("hostile"));
    let kept: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("out/report.json")).unwrap())
            .unwrap();
    assert_eq!(kept, report);

    let again = json(&fleet(&arguments, folder.path()));
    assert_eq!(again["outcome"], report["outcome"], "the same seed");
    let text = fleet(&["simulate", "hostile", "--profile"], folder.path());
    let text = String::from_utf8(text.stdout).unwrap();
    for part in ["client-rounds a second", "where the time", "report.html"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_scenario_that_cannot_be_used_exits_with_78_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = fleet(&["simulate", "watches"], folder.path());
    assert_eq!(unknown.status.code(), Some(EXIT_CONFIG));
    let text = String::from_utf8(unknown.stderr).unwrap();
    assert!(text.contains("watches") && text.contains("wearables"), "{text}");

    let file = "name = \"x\"\n[population]\ndevices = 0\n[rounds]\ncount = 0\ntarget = 1\n";
    std::fs::write(folder.path().join("x.toml"), file).unwrap();
    for command in ["simulate", "soak"] {
        let wrong = fleet(&[command, "x.toml"], folder.path());
        assert_eq!(wrong.status.code(), Some(EXIT_CONFIG));
        let text = String::from_utf8(wrong.stderr).unwrap();
        assert!(text.contains("x.toml"), "{text}");
        assert!(text.contains("population.devices") && text.contains("rounds.count"), "{text}");
    }
    let target = fleet(&["simulate", "hostile", "--target", "500"], folder.path());
    assert_eq!(target.status.code(), Some(EXIT_CONFIG));
    let report = fleet(&["simulate", "hostile", "--report", "x.toml"], folder.path());
    assert_eq!(report.status.code(), Some(EXIT_CONFIG), "a file where a folder should be");
}

#[test]
fn a_soak_counts_what_went_wrong_and_names_its_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["soak", "hostile", "--seeds", "4", "--seed", "11"];
    let text = fleet(&arguments, folder.path());
    assert!(text.status.success());
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("seeds 11 to 14") && text.contains("0 broke a rule"), "{text}");
    let found = json(&fleet(&[&arguments[..], &["--json"]].concat(), folder.path()));
    assert_eq!((&found["first_seed"], &found["last_seed"]), (&11.into(), &14.into()));
    assert_eq!(found["broken"], Value::Array(vec![]));
    assert!(found["power_cuts"].as_u64().unwrap() > 0);
}

#[test]
fn speed_and_scale_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let report = json(&fleet(&["bench", "--seconds", "0.2", "--json"], folder.path()));
    assert!(report["final"]["seconds"].as_f64().unwrap() >= 0.2);
    assert!(report["final"]["spent"]["aggregator"].as_f64().unwrap() > 0.0);
    let rows =
        json(&fleet(&["scale", "--devices", "200,400", "--rounds", "3", "--json"], folder.path()));
    let updates = |row: usize| rows[row]["device_rounds"].as_u64().unwrap();
    assert_eq!((updates(0), updates(1)), (6, 12));
    assert!(rows[1]["peak_memory_bytes"].as_u64().unwrap() > 1_000_000);
}
