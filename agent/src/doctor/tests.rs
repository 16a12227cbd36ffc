use super::report::Outcome;
use super::*;

const CHECKS: usize = 12;

fn options(style: Style) -> Options {
    let (watch, patience) = (Duration::from_secs(1), Duration::from_secs(20));
    Options { watch, patience, while_running: false, style }
}

fn write(dir: &Path, broker: &str) -> std::path::PathBuf {
    let path = dir.join("agent.toml");
    let text = format!(
        "device = 'wrist-1'\nfederation = 'gait'\nstate_dir = '{0}/state'\n\
         broker = {{ url = '{broker}' }}\n[source]\nkind = 'csv'\npath = '{0}/imu.csv'\n\
         rate_hz = 50.0\nchannels = {{ x = 'ax' }}\n",
        dir.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn outcomes(report: &Report) -> Vec<(&'static str, Outcome)> {
    report.lines.iter().map(|line| (line.check, line.outcome)).collect()
}

#[test]
fn a_wrong_configuration_ends_everything_with_78_and_its_problems() {
    let dir = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let report = run(&write(dir.path(), "http://x"), &options(Style::Json), &mut out);
    assert_eq!((report.exit_code(), report.lines.len()), (78, CHECKS));
    let lines: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(lines[0]["outcome"], "failed");
    assert!(lines[0]["finding"].as_str().unwrap().contains("broker.url"), "{lines}");
    assert!(report.lines[1..].iter().all(|line| line.outcome == Outcome::Skipped));
}

#[test]
fn behind_a_dead_port_the_device_itself_is_looked_at_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", socket.local_addr().unwrap());
    drop(socket);
    let mut out = Vec::new();
    let style = Style::Text { color: false };
    let report = run(&write(dir.path(), &url), &options(style), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!((report.exit_code(), report.lines.len()), (1, CHECKS), "{text}");
    let found = outcomes(&report);
    assert_eq!(found[3], (NAME, Outcome::Ok));
    assert_eq!(found[4], (CONNECTION, Outcome::Failed));
    for (_, outcome) in &found[5..10] {
        assert_eq!(*outcome, Outcome::Skipped);
    }
    assert_eq!(found[10], (STATE, Outcome::Ok), "{text}");
    assert_eq!(found[11], (SENSOR, Outcome::Failed), "{text}");
    assert!(text.contains("connection      FAILED"), "{text}");
}

#[test]
fn a_name_that_nobody_knows_stops_the_way_to_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "mqtt://nonexistent.invalid");
    let report = run(&path, &options(Style::Json), &mut Vec::new());
    let found = outcomes(&report);
    assert_eq!(found[3], (NAME, Outcome::Failed));
    assert!(found[4..10].iter().all(|(_, outcome)| *outcome == Outcome::Skipped), "{found:?}");
}

#[test]
fn a_broker_that_says_nothing_is_told_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let path = write(dir.path(), &format!("mqtt://{}", socket.local_addr().unwrap()));
    let mut options = options(Style::Json);
    options.patience = Duration::from_secs(1);
    let report = run(&path, &options, &mut Vec::new());
    let login = &report.lines[6];
    assert_eq!((login.check, login.outcome), (LOGIN, Outcome::Failed), "{report:?}");
    assert!(login.finding.contains("no answer to MQTT"), "{login:?}");
}

#[test]
fn the_sensor_of_a_running_agent_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let _lock = crate::instance::InstanceLock::take(&state).unwrap();
    let path = write(dir.path(), "mqtt://nonexistent.invalid");
    let report = run(&path, &options(Style::Json), &mut Vec::new());
    let found = outcomes(&report);
    assert_eq!(found[2], (AGENT, Outcome::Warning));
    assert_eq!(found[11], (SENSOR, Outcome::Skipped), "{report:?}");
}
