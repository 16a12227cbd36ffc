//! `dunlin-agent doctor`: tries out everything that a device needs before it is left alone.
//!
//! Checks run in the order in which a connection comes about, so that the first failure is the one
//! to mend; what depends on it is skipped. Nothing is left behind: only where the agent has samples
//! already, those that come meanwhile are added.

pub mod cli;
mod federation;
mod fit;
mod machine;
mod network;
mod packets;
pub mod report;
mod sensor;
mod state;
mod talk;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use dunlin_protocol::task::Task;

use crate::config::AgentConfig;
use crate::session::Settings;
use report::{Finding, Report, Reporter, Style};
use sensor::Expected;

const CONFIGURATION: &str = "configuration";
const CLOCK: &str = "clock";
const AGENT: &str = "agent";
const NAME: &str = "name lookup";
const CONNECTION: &str = "connection";
const TLS: &str = "tls";
const LOGIN: &str = "login";
const TOPICS: &str = "topics";
const FEDERATION: &str = "federation";
const AGGREGATOR: &str = "aggregator";
const STATE: &str = "state";
const SENSOR: &str = "sensor";

/// Why most checks are skipped.
const EARLIER: &str = "an earlier check failed";

/// How thoroughly to look, and how to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long to watch the sensor.
    pub watch: Duration,
    /// How long to wait for each answer of the network.
    pub patience: Duration,
    /// Whether the connection of a running agent may be cut for the checks.
    pub while_running: bool,
    /// How to write the report.
    pub style: Style,
}

/// Checks the device that the file at `path` configures and writes what it finds to `out`.
pub fn run(path: &Path, options: &Options, out: &mut dyn Write) -> Report {
    let mut reporter = Reporter::new(out, options.style);
    let config = reporter.check(CONFIGURATION, || machine::configuration(path));
    // A configuration that was checked has settings and a link.
    let parts = config.and_then(|config| {
        let (settings, link) = (config.settings().ok()?, config.link().ok()?);
        Some((config, settings, link))
    });
    let Some((config, settings, link)) = parts else {
        let all = [CLOCK, AGENT, NAME, CONNECTION, TLS, LOGIN, TOPICS, FEDERATION, AGGREGATOR];
        for name in all.into_iter().chain([STATE, SENSOR]) {
            reporter.note(name, Finding::skipped(EARLIER));
        }
        return reporter.finish(true);
    };
    reporter.check(CLOCK, || (machine::clock(seconds_since_1970(), link.url.tls()), ()));
    let alone =
        reporter.check(AGENT, || machine::running_agent(&config.state_dir, options.while_running));
    let reached = reach(&mut reporter, &link, options);
    let task = match (reached, alone) {
        (Some(()), true) => speak(&mut reporter, &config, &settings, &link, options),
        (Some(()), false) => skip_talk(&mut reporter, "an agent is connected"),
        (None, _) => skip_talk(&mut reporter, EARLIER),
    };
    probe(&mut reporter, &config, task, options);
    reporter.finish(false)
}

/// The way to the broker, up to its certificate.
fn reach(
    reporter: &mut Reporter<'_>,
    link: &dunlin_link::LinkConfig,
    options: &Options,
) -> Option<()> {
    let limit = options.patience;
    let found = reporter.check(NAME, || network::look_up(&link.url, limit));
    let stream = match found {
        Some(found) => reporter.check(CONNECTION, || network::connect(&link.url, &found, limit)),
        None => {
            reporter.note(CONNECTION, Finding::skipped(EARLIER));
            None
        }
    };
    match stream {
        Some(stream) => reporter.check(TLS, || network::tls(link, stream, limit)),
        None => {
            reporter.note(TLS, Finding::skipped(EARLIER));
            None
        }
    }
}

/// What broker and aggregator say to this device: the task of its federation.
fn speak(
    reporter: &mut Reporter<'_>,
    config: &AgentConfig,
    settings: &Settings,
    link: &dunlin_link::LinkConfig,
    options: &Options,
) -> Option<Task> {
    let limit = options.patience;
    let Some(talk) = reporter.check(LOGIN, || federation::login(config, link, limit)) else {
        for name in [TOPICS, FEDERATION, AGGREGATOR] {
            reporter.note(name, Finding::skipped(EARLIER));
        }
        return None;
    };
    let heard = reporter.check(TOPICS, || {
        let heard = talk.exchange(settings, limit, options.while_running);
        (federation::topics(&heard, settings), heard)
    });
    reporter.note(FEDERATION, federation::plan(&heard, settings));
    reporter.note(AGGREGATOR, federation::aggregator(&heard, settings, limit));
    heard.task.and_then(Result::ok)
}

fn skip_talk(reporter: &mut Reporter<'_>, why: &str) -> Option<Task> {
    for name in [LOGIN, TOPICS, FEDERATION, AGGREGATOR] {
        reporter.note(name, Finding::skipped(why));
    }
    None
}

/// The device's own disk and sensor; `task`: what the federation learns.
fn probe(reporter: &mut Reporter<'_>, config: &AgentConfig, task: Option<Task>, options: &Options) {
    let dir = &config.state_dir;
    let ring_bytes = Expected::of(&config.source).ring_bytes;
    let Some(kept) = reporter.check(STATE, || state::check(dir, ring_bytes)) else {
        return reporter.note(SENSOR, Finding::skipped(EARLIER));
    };
    let busy = crate::instance::InstanceLock::holder(dir);
    let busy = busy.map(|_| "the running agent reads it".to_owned());
    if let Some(why) = busy.or(kept.hands_off) {
        return reporter.note(SENSOR, Finding::skipped(why));
    }
    let task = task.or(kept.task);
    reporter.check(SENSOR, || (sensor::check(config, task.as_deref(), options.watch), ()));
}

#[allow(clippy::disallowed_methods)] // waits of a program that a person watches
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)] // the subject of the check
fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
