//! The configuration, the clock, and whether an agent runs already.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::report::Finding;
use dunlin_service::machine::CLOCK_SET_S;

use crate::config::{AgentConfig, PASSWORD_VARIABLE};
use crate::instance::InstanceLock;

/// Mean length of a year in seconds.
const YEAR_S: u64 = 31_556_952;
/// The right of everybody to read a file.
const OTHERS_READ: u32 = 0o004;

/// Reads the configuration at `path`.
pub(super) fn configuration(path: &Path) -> (Finding, Option<AgentConfig>) {
    let config = match AgentConfig::load(path) {
        Ok(config) => config,
        Err(problems) => {
            let step = "correct the file; agent.example.toml explains every key";
            return (Finding::failed(problems.to_string(), step), None);
        }
    };
    let AgentConfig { device, federation, .. } = &config;
    let text = format!("{}: device {device} of federation {federation}", path.display());
    let open: Vec<String> =
        open_secrets(path, &config).iter().map(|path| path.display().to_string()).collect();
    let finding = if open.is_empty() {
        Finding::ok(text)
    } else {
        let files = open.join(" ");
        let step = format!("chmod o-r {files}; the agent's user must still read it");
        Finding::warning(format!("{text}\neverybody on this machine can read {files}"), step)
    };
    (finding, Some(config))
}

/// Files with a secret in them that everybody can read.
fn open_secrets(path: &Path, config: &AgentConfig) -> Vec<PathBuf> {
    let AgentConfig { broker, .. } = config;
    let mut secret: Vec<PathBuf> =
        broker.key.iter().chain(&broker.password_file).cloned().collect();
    if has_password(path) {
        secret.push(path.to_owned());
    }
    let is_open = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|data| data.permissions().mode() & OTHERS_READ != 0)
    };
    secret.retain(is_open);
    secret
}

/// Whether the file itself has the password; the environment may have put one over it.
fn has_password(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    table.get("broker").is_some_and(|broker| broker.get("password").is_some())
}

/// Looks at the time of day in seconds since 1970; `tls`: whether certificates are checked by it.
pub(super) fn clock(now_s: u64, tls: bool) -> Finding {
    let year = 1970 + now_s / YEAR_S;
    if now_s >= CLOCK_SET_S {
        return Finding::ok(format!("set (year {year})"));
    }
    let text = format!("this machine's clock says year {year}");
    let step = "set it: timedatectl set-ntp true, or let the network give the time";
    if tls {
        let why = "certificates will be refused as not yet valid";
        Finding::warning(format!("{text}; {why}"), step)
    } else {
        Finding::warning(text, step)
    }
}

/// Looks for a running agent; whether the connection may be tried out.
pub(super) fn running_agent(state_dir: &Path, while_running: bool) -> (Finding, bool) {
    let Some(holder) = InstanceLock::holder(state_dir) else {
        return (Finding::ok("no agent runs on this state directory"), true);
    };
    let text = format!("an agent runs on this state directory ({holder})");
    if while_running {
        let step = "nothing; it connects again by itself";
        return (
            Finding::warning(format!("{text}; its connection is cut for seconds"), step),
            true,
        );
    }
    let step = "for all checks stop it first: systemctl stop dunlin-agent\n\
                or let its connection be cut for some seconds: --while-running";
    (Finding::warning(text, step), false)
}

/// What to do about a refused login.
pub(super) fn credentials_advice(config: &AgentConfig) -> String {
    let broker = &config.broker;
    let user = broker.username.as_ref().unwrap_or(&config.device);
    let mut advice = match (broker.has_password(), &broker.cert) {
        (false, None) => format!(
            "no password is set: write broker.password or broker.password_file, or set \
             {PASSWORD_VARIABLE}; if the service gets it from its unit, give it to this command \
             too\n"
        ),
        (true, _) => format!("compare user {user} and its password with the broker's list\n"),
        (false, Some(cert)) => {
            format!("compare the name in {} with the broker's list\n", cert.display())
        }
    };
    advice.push_str(&format!(
        "a new password, on the broker: add-account.sh {user}; then systemctl reload mosquitto"
    ));
    advice
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    const TEXT: &str = "device = 'wrist-1'\nfederation = 'gait'\nstate_dir = 'state'\n\
        source = { kind = 'har', dir = 'x', person = 1 }\n[broker]\nurl = 'mqtt://localhost'\n";

    fn write(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn every_problem_of_the_configuration_is_told() {
        let (_dir, path) = write(&TEXT.replace("gait", "a/b").replace("mqtt:", "http:"), 0o600);
        let (finding, config) = configuration(&path);
        assert!(config.is_none() && finding.outcome == Outcome::Failed);
        assert!(finding.text.contains("federation") && finding.text.contains("broker.url"));
        let (finding, _) = configuration(Path::new("/nowhere/agent.toml"));
        assert!(finding.text.contains("/nowhere/agent.toml"), "{}", finding.text);
    }

    #[test]
    fn a_password_or_key_that_everybody_can_read_is_a_warning() {
        let with_password = format!("{TEXT}password = 'hush'\n");
        for (text, mode, outcome) in [
            (TEXT, 0o644, Outcome::Ok),
            (&with_password, 0o640, Outcome::Ok),
            (&with_password, 0o644, Outcome::Warning),
        ] {
            let (_dir, path) = write(text, mode);
            let (finding, config) = configuration(&path);
            assert!(config.is_some());
            assert_eq!(finding.outcome, outcome, "{mode:o}: {finding:?}");
            assert!(!format!("{finding:?}").contains("hush"));
        }
        let (_dir, key) = write("key", 0o644);
        let tls = format!("cert = 'c'\nkey = '{}'\n", key.display());
        let (_dir, path) = write(&(TEXT.replace("mqtt:", "mqtts:") + &tls), 0o644);
        let (finding, _) = configuration(&path);
        assert!(finding.text.contains(&key.display().to_string()), "{finding:?}");
        let (_dir, secret) = write("hush\n", 0o644);
        let with_file = format!("{TEXT}password_file = '{}'\n", secret.display());
        let (_dir, path) = write(&with_file, 0o644);
        let (finding, _) = configuration(&path);
        assert!(finding.text.contains(&secret.display().to_string()), "{finding:?}");
    }

    #[test]
    fn a_clock_that_was_never_set_is_told_with_what_follows() {
        assert_eq!(clock(CLOCK_SET_S, true).outcome, Outcome::Ok);
        let finding = clock(1000, true);
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.text.contains("1970") && finding.text.contains("certificates"));
        assert!(!clock(1000, false).text.contains("certificates"));
    }

    #[test]
    fn a_running_agent_keeps_its_connection_unless_the_operator_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let (finding, free) = running_agent(dir.path(), false);
        assert!(free && finding.outcome == Outcome::Ok);
        let _lock = InstanceLock::take(dir.path()).unwrap();
        let (finding, free) = running_agent(dir.path(), false);
        assert!(!free && finding.outcome == Outcome::Warning);
        let step = finding.next_step.unwrap();
        assert!(step.contains("systemctl stop") && step.contains("--while-running"), "{step}");
        assert!(running_agent(dir.path(), true).1);
    }
}
