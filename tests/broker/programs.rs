//! The device's program as an operator meets it first.

use std::process::{Command, Output};

use dunlin_link::testing::{new_folder, required};

use super::program::beside_the_tests;

fn agent(arguments: &[&str]) -> Option<Output> {
    let Some(program) = beside_the_tests("dunlin-agent") else {
        let message = "no dunlin-agent beside the tests (cargo build --bin dunlin-agent)";
        assert!(!required(), "{message}, and CI=true says that nothing may be skipped");
        eprintln!("skipped: {message}");
        return None;
    };
    Some(Command::new(program).args(arguments).env_remove("DUNLIN_PASSWORD").output().unwrap())
}

#[test]
fn the_agent_says_what_it_does_and_where_its_configuration_is() {
    let Some(output) = agent(&["--help"]) else { return };
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for word in ["--config", "config", "Exit codes", "78"] {
        assert!(help.contains(word), "{word} is missing:\n{help}");
    }
}

#[test]
fn the_agent_names_every_problem_of_its_configuration_and_ends_with_78() {
    let folder = new_folder();
    let path = folder.path().join("agent.toml");
    let text = r#"
device = "a/b"
federation = ""
state_dir = "state"
broker = { url = "http://localhost" }
training = { held_back = 1.5, backend = "abacus" }
source = { kind = "har", dir = "nowhere", person = 1 }
"#;
    std::fs::write(&path, text).unwrap();
    let Some(output) = agent(&["--config", path.to_str().unwrap(), "config", "check"]) else {
        return;
    };
    let problems = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{problems}");
    for key in ["device", "federation", "broker.url", "held_back", "backend"] {
        assert!(problems.contains(key), "{key} is not named:\n{problems}");
    }
}
