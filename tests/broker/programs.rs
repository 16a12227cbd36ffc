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

/// Runs the agent on a folder whose state is damaged, until `text` is in its log or it ends.
fn start_on(folder: &std::path::Path, reset: bool, text: &str) -> Option<(Option<i32>, String)> {
    let program = beside_the_tests("dunlin-agent")?;
    let config = folder.join("agent.toml");
    let settings = "device = 'wrist-1'\nfederation = 'gait'\nstate_dir = 'STATE'\n\
        broker = { url = 'mqtt://localhost:1' }\n\
        source = { kind = 'csv', path = 'none.csv', rate_hz = 50, channels = { x = 'x' } }\n";
    let state = folder.join("state");
    std::fs::write(&config, settings.replace("STATE", state.to_str().unwrap())).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(config).args(reset.then_some("--reset-state"));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    let lines = std::io::BufReader::new(child.stderr.take().unwrap());
    for line in std::io::BufRead::lines(lines).map_while(Result::ok) {
        said.push_str(&line);
        said.push('\n');
        if line.contains(text) {
            let _ = child.kill();
        }
    }
    Some((child.wait().unwrap().code(), said))
}

#[test]
fn a_damaged_or_newer_state_stops_the_agent_untouched_until_it_is_told_to_start_anew() {
    let folder = new_folder();
    let state = folder.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let newer = dunlin_agent::ab_slots::seal(7, &[99, 1, 2, 3]);
    let kinds = [("damaged", b"rubbish".to_vec()), ("schema 99", newer)];
    for (what, bytes) in kinds {
        for slot in ["state.a", "state.b"] {
            std::fs::write(state.join(slot), &bytes).unwrap();
        }
        let Some((code, said)) = start_on(folder.path(), false, "no such line") else { return };
        assert_eq!(code, Some(78), "{said}");
        for part in [what, "own layers", "--reset-state"] {
            assert!(said.contains(part), "{part} is not said:\n{said}");
        }
        for slot in ["state.a", "state.b"] {
            assert_eq!(std::fs::read(state.join(slot)).unwrap(), bytes, "{what}");
        }
    }
    let text = "starts as a new device";
    let (code, said) = start_on(folder.path(), true, text).unwrap();
    assert!(code.is_none() && said.contains(text), "{said}");
    assert!(state.join("state.b.unused").exists());
}
