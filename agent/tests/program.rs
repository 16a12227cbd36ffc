//! The program itself: what it prints, how it ends, and who may read its files.
#![allow(clippy::unwrap_used)] // all of it is a test

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dunlin-agent");
const TASK: &str = r#"
name = "sugar"
features = "Raw"
target = { Classes = ["low", "high"] }
layers = [{ op = { Dense = { out = 2 } }, share = "Shared" }]
[input]
rate_millihertz = 1000
window = 4
hop = 2
channels = [{ name = "glucose", unit = "mg/dL", offset = 120.0, scale = 0.02 }]
"#;

/// An agent that finds no broker, and a file of forty samples.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let config = format!(
        "device = 'w1'\nfederation = 'sugar'\nstate_dir = '{dir}/state'\n\
         broker = {{ url = 'mqtt://127.0.0.1:1' }}\n[source]\nkind = 'csv'\npath = '{dir}/a.csv'\n\
         rate_hz = 1.0\ntime = 't'\nlabel = 'l'\nchannels = {{ glucose = 'gl' }}\n"
    );
    fs::write(folder.path().join("agent.toml"), config).unwrap();
    fs::write(folder.path().join("task.toml"), TASK).unwrap();
    let row = |n: i32| format!("{n},{},{}\n", 100 + n, if n < 20 { "low" } else { "high" });
    let rows: String = (0..40).map(row).collect();
    fs::write(folder.path().join("a.csv"), format!("t,gl,l\n{rows}")).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    // Whoever runs the tests may ignore hangups, and a program inherits that.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", PROGRAM]);
    command.arg("--config").arg(folder.join("agent.toml")).args(arguments);
    command.env("RUST_LOG", "info").current_dir(folder);
    command
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until `child` has saved its first state in the folder `state`: then it listens to signals.
#[allow(clippy::disallowed_methods)] // nothing tells of a file of another program
fn runs(child: &mut Child, state: &Path) {
    while !state.join("state.b").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// The exit code and the log of a program that was told to end.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    (child.wait().unwrap().code(), log)
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let folder = folder();
    let commands: [&[&str]; 5] = [
        &["config", "check"],
        &["data", "show"],
        &["data", "show", "--json"],
        &["doctor", "--seconds", "1", "--timeout", "1"],
        &["bench", "task.toml", "--windows", "8"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(folder.path(), arguments);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        // It holds the writing end too.
        drop(command);
        let (code, log) = ended(child);
        assert!(!log.contains("panicked"), "{arguments:?}: {log}");
        // The doctor's exit code tells what it found.
        let expected = if arguments[0] == "doctor" { Some(1) } else { Some(0) };
        assert_eq!(code, expected, "{arguments:?}: {log}");
    }
}

#[test]
fn data_are_shown_as_text_json_and_page_and_nothing_is_made_but_the_page() {
    let folder = folder();
    let shown = output(folder.path(), &["data", "show", "--task", "task.toml"]);
    let printed = text(&shown.stdout);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    for part in ["40 samples", "1970-01-01T00:00:00Z", "task sugar: 18 windows (low 9, high 9)"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let shown = output(folder.path(), &["data", "show", "a.csv", "--json", "--rows", "2"]);
    let value: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(value["rows"][1]["values"][0], 101.0);
    assert_eq!(value["labels"]["low"], 20);
    assert!(output(folder.path(), &["data", "show", "--html", "o.html"]).status.success());
    let page = folder.path().join("o.html");
    assert!(fs::read_to_string(&page).unwrap().contains("<svg"));
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o077, 0);
    assert!(!folder.path().join("state").exists());
    let missing = output(folder.path(), &["data", "show", "none.csv"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("none.csv"), "{}", text(&missing.stderr));
}

#[test]
fn what_an_agent_makes_is_private_and_a_hangup_ends_it_in_order() {
    let folder = folder();
    let state = folder.path().join("state");
    let mut child = command(folder.path(), &[]).stderr(Stdio::piped()).spawn().unwrap();
    runs(&mut child, &state);
    signal(&child, "-HUP");
    let (code, log) = ended(child);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("SIGHUP"), "{log}");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    for file in fs::read_dir(&state).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
    }
}

#[test]
fn a_hangup_that_was_ignored_at_the_start_changes_nothing() {
    let folder = folder();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", PROGRAM, "--config"]);
    shell.arg(folder.path().join("agent.toml")).env("RUST_LOG", "info").stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    runs(&mut child, &folder.path().join("state"));
    signal(&child, "-HUP");
    signal(&child, "-TERM");
    let (code, log) = ended(child);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("SIGTERM") && !log.contains("SIGHUP"), "{log}");
}

#[test]
fn a_ring_of_other_channels_is_a_wrong_configuration_until_it_is_reset() {
    let folder = folder();
    let state = folder.path().join("state");
    let mut child = command(folder.path(), &[]).stderr(Stdio::piped()).spawn().unwrap();
    runs(&mut child, &state);
    let running = output(folder.path(), &["data", "reset", "--yes"]);
    assert_eq!(running.status.code(), Some(1));
    assert!(text(&running.stderr).contains("another agent"), "{}", text(&running.stderr));
    signal(&child, "-TERM");
    ended(child);
    let path = folder.path().join("agent.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("'w1'", "'w2'").replace("a.csv", "b.csv")).unwrap();
    let checked = output(folder.path(), &["config", "check"]);
    let log = text(&checked.stderr);
    assert!(checked.status.success(), "{log}");
    assert!(log.contains("state of w1 until now") && log.contains("b.csv are added"), "{log}");
    fs::write(&path, config.replace("glucose = 'gl'", "sugar = 'gl'")).unwrap();
    for arguments in [&["config", "check"] as &[&str], &[]] {
        let refused = output(folder.path(), arguments);
        let log = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(78), "{arguments:?}: {log}");
        assert!(log.contains("glucose") && log.contains("data reset"), "{log}");
    }
    let asked = output(folder.path(), &["data", "reset"]);
    assert_eq!(asked.status.code(), Some(1), "nobody is there to ask");
    assert!(state.join("samples.ring").exists());
    assert!(output(folder.path(), &["data", "reset", "--yes"]).status.success());
    assert!(!state.join("samples.ring").exists() && !state.join("samples.position").exists());
    assert!(output(folder.path(), &["config", "check"]).status.success());
}
