//! The sensor: whether samples come in, and whether the task can be cut from them.

use std::env::temp_dir;
use std::io::IsTerminal;
use std::time::Duration;

use dunlin_protocol::task::TaskSpec;

use super::report::{Finding, Outcome};
use super::{fit, now};
use crate::config::AgentConfig;
use crate::data::config::Sampling;
use crate::data::{Loss, Losses, SourceConfig, SourceStatus, WindowSource};
use crate::instance::InstanceLock;

/// Wait between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Share by which a measured rate may be off: it is measured over seconds.
const RATE_SHARE: f64 = 0.2;
/// Looks at which samples had come: fewer give no rate.
const MOMENTS_MIN: usize = 3;

/// What is known of a source before it is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expected {
    /// Samples a second; `None` for data that lie there.
    pub(super) rate_hz: Option<f64>,
    /// Size of the ring on disk in bytes.
    pub(super) ring_bytes: u64,
    /// Whether it reads standard input.
    pub(super) stdin: bool,
}

impl Expected {
    /// What `config` says of its source.
    pub(super) fn of(config: &SourceConfig) -> Self {
        match config {
            SourceConfig::Har(_) => Self { rate_hz: None, ring_bytes: 0, stdin: false },
            SourceConfig::Csv(csv) => {
                Self { stdin: csv.input.path.as_os_str() == "-", ..Self::live(&csv.sampling) }
            }
            SourceConfig::Iio(iio) => Self::live(&iio.sampling),
            SourceConfig::Mqtt(mqtt) => Self::live(&mqtt.sampling),
        }
    }

    fn live<C>(sampling: &Sampling<C>) -> Self {
        let record = sampling.record_bytes() as u64;
        let ring_bytes = sampling.capacity().saturating_mul(record);
        Self { rate_hz: Some(sampling.rate_hz), ring_bytes, stdin: false }
    }
}

/// What to look at when no sample comes.
fn advice(config: &SourceConfig) -> &'static str {
    match config {
        SourceConfig::Har(_) | SourceConfig::Csv(_) => {
            "is the program that writes the samples running, and does it write to source.path?"
        }
        SourceConfig::Iio(_) => {
            "do what the text says; ls /sys/bus/iio/devices shows the sensors that have a driver"
        }
        SourceConfig::Mqtt(_) => {
            "does somebody publish on source.topic at source.url? mosquitto_sub -v -t TOPIC shows it"
        }
    }
}

/// Whether samples can get labels at all.
fn labels_are_set(config: &SourceConfig) -> bool {
    match config {
        SourceConfig::Har(_) => true,
        SourceConfig::Csv(csv) => {
            let by_row = csv.input.label.is_some() || csv.input.label_from.is_some();
            by_row || csv.sampling.labels_path.is_some() || csv.sampling.label_file.is_some()
        }
        SourceConfig::Iio(iio) => iio.sampling.labels_path.is_some(),
        SourceConfig::Mqtt(mqtt) => {
            mqtt.input.label.is_some() || mqtt.sampling.labels_path.is_some()
        }
    }
}

/// Opens the source as the agent would and watches it for `span`.
pub(super) fn check(config: &AgentConfig, task: Option<&TaskSpec>, span: Duration) -> Finding {
    let expected = Expected::of(&config.source);
    if expected.stdin && std::io::stdin().is_terminal() {
        return Finding::skipped(
            "samples come by standard input, which is this terminal; SENSOR | dunlin-agent doctor",
        );
    }
    // A device that has no samples yet begins with its agent: nothing of a trial stays.
    let known = config.source.has_samples(&config.state_dir);
    let scratch = match (!known).then(tempfile::tempdir).transpose() {
        Ok(scratch) => scratch,
        Err(error) => {
            let text = format!("no folder for the trial in {}: {error}", temp_dir().display());
            return Finding::failed(text, "make room there, or set TMPDIR");
        }
    };
    // An agent that starts meanwhile waits for its next start instead of finding its files taken.
    let lock = known.then(|| InstanceLock::take(&config.state_dir));
    let _lock = match lock.transpose() {
        Ok(lock) => lock,
        Err(error) => {
            return Finding::failed(error.to_string(), "try again once it has stopped");
        }
    };
    let state_dir = scratch.as_ref().map_or(&*config.state_dir, |scratch| scratch.path());
    let source = match crate::data::open(&config.source, state_dir) {
        Ok(source) => source,
        Err(error) => {
            let step = "mend the file or the key of [source] that the text names";
            return Finding::failed(error.to_string(), step);
        }
    };
    let flow = match expected.rate_hz {
        Some(rate_hz) => flow(&watch(&*source, span), rate_hz, span, advice(&config.source)),
        None => match source.status().samples {
            0 => Finding::failed("there are no samples", "is this the folder of the data set?"),
            samples => Finding::ok(format!("{samples} samples are there")),
        },
    };
    if flow.outcome == Outcome::Failed {
        return flow;
    }
    match task {
        Some(task) => both(flow, fit::check(&*source, task, labels_are_set(&config.source))),
        None => both(flow, Finding::ok("no task is known yet to compare with")),
    }
}

/// What was seen of a source.
struct Seen {
    /// When samples had come: since the start, and how many in all.
    moments: Vec<(Duration, u64)>,
    status: SourceStatus,
}

fn watch(source: &dyn WindowSource, span: Duration) -> Seen {
    let start = now();
    let mut moments: Vec<(Duration, u64)> = Vec::new();
    loop {
        let (since, status) = (now().saturating_duration_since(start), source.status());
        if moments.last().map_or(0, |last| last.1) != status.accepted {
            moments.push((since, status.accepted));
        }
        if since >= span {
            return Seen { moments, status };
        }
        wait(LOOK);
    }
}

/// Nothing but looking again tells how a source is doing.
#[allow(clippy::disallowed_methods)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Samples a second in the second half of the time: a file begins with what lay in it.
#[allow(clippy::cast_precision_loss)] // counts of seconds
fn rate(moments: &[(Duration, u64)], span: Duration) -> Option<f64> {
    let late: Vec<_> = moments.iter().filter(|moment| moment.0 >= span / 2).collect();
    let (first, last) = (late.first()?, late.last()?);
    let enough = late.len() >= MOMENTS_MIN;
    enough.then(|| (last.1 - first.1) as f64 / (last.0 - first.0).as_secs_f64())
}

/// `advice`: what to look at when nothing comes.
fn flow(seen: &Seen, rate_hz: f64, span: Duration, advice: &str) -> Finding {
    let SourceStatus { accepted, losses, hints, problem, ended, samples, .. } = &seen.status;
    let seconds = span.as_secs_f64();
    // What was left out follows line by line, each with the last of its kind.
    let mut left_out = losses_of(losses);
    hints.values().for_each(|hint| left_out.extend(["\n", hint.as_str()]));
    let problem = problem.as_ref().map_or(String::new(), |problem| format!("; {problem}"));
    if *accepted == 0 {
        let text = format!("no sample in {seconds:.0} s{problem}{left_out}");
        let worst = losses.worst();
        if *samples > 0 && worst.is_none() && problem.is_empty() {
            let text = format!(
                "{samples} samples are held, and no new one came in {seconds:.0} s{left_out}"
            );
            let step = "nothing is wrong where that is a recording that is over; otherwise look \
                        whether the program that writes still runs";
            return Finding::warning(text, step);
        }
        if worst.is_none() && rate_hz * seconds < 2.0 {
            let step = format!("watch for longer: --seconds {:.0}", (3.0 / rate_hz).ceil());
            return Finding::warning(text, step);
        }
        let step = match worst {
            Some((loss, ..)) => remedy(loss),
            None if *ended => "the program that writes the samples has ended: start it again",
            None => advice,
        };
        return Finding::failed(text, step);
    }
    let measured = rate(&seen.moments, span);
    let shown = measured.map_or(String::new(), |hz| format!(", {hz:.1} a second"));
    let text = format!("{accepted} samples in {seconds:.0} s{shown}");
    let off = measured.is_some_and(|hz| (hz - rate_hz).abs() > rate_hz * RATE_SHARE);
    if let Some((loss, ..)) = losses.worst() {
        return Finding::warning(format!("{text}{problem}{left_out}"), remedy(loss));
    }
    if !problem.is_empty() {
        return Finding::warning(format!("{text}{problem}{left_out}"), advice);
    }
    if !hints.is_empty() {
        return Finding::warning(format!("{text}{left_out}"), "do what the lines say");
    }
    if off {
        let step = "do two sensors or topics come in one stream? Then choose one of them first \
                    (`where`, or another topic). Otherwise correct source.rate_hz or the sensor's \
                    rate; a program that writes in bursts should flush after each row";
        return Finding::warning(format!("{text}, but source.rate_hz is {rate_hz}"), step);
    }
    let text = format!("{text}{left_out}");
    if measured.is_none() && !ended {
        let step = "does the program still write? Watch for longer: --seconds 60";
        return Finding::warning(format!("{text}, too few of them new to tell a rate"), step);
    }
    Finding::ok(text)
}

/// A line for each kind of loss, with the last of it; what `where` leaves out among them.
fn losses_of(losses: &Losses) -> String {
    let line = |(loss, count, last): (Loss, u64, &str)| {
        let last = if last.is_empty() { String::new() } else { format!(" ({last})") };
        format!("\n{count} {}{last}", loss.describe())
    };
    losses.iter().map(line).collect()
}

/// What to do about the kind of loss that occurs most often.
fn remedy(loss: Loss) -> &'static str {
    match loss {
        Loss::Cut => {
            "remove source.quantum, then values are kept as they are; samples that were cut stay \
             cut until dunlin-agent data reset"
        }
        Loss::Columns => {
            "compare delimiter, header and the names of columns in [source] with the file"
        }
        Loss::Number => {
            "does [source.channels] name columns of numbers? Words such as Low can be given values, \
             other rows left out by `where`"
        }
        Loss::Time => "say in source.time what times look like: format, unit and zone",
        Loss::Missing => {
            "a channel that comes more rarely than the others can be held: source.missing"
        }
        Loss::Filtered => "nothing is left: compare source.where with the file",
        Loss::Message => "compare [source] with a message: mosquitto_sub -v -t TOPIC shows them",
        Loss::Topic => {
            "name the topic that is meant in source.topic; by_topic = \"channel\" joins several"
        }
        Loss::Dropped => {
            "samples come faster than they are taken: send fewer at a time, or more slowly"
        }
        Loss::Reading => {
            "do what the text says; is the sensor connected, and not too slow for rate_hz?"
        }
        Loss::Label => {
            "do what the text says: ranges need a start before their end, on the clock of the samples \
             (time_unit, label_file.time, zone), and labels 1 to 32 characters, at most 256 of them; \
             source.labels names them as the task does"
        }
        Loss::Order => "is one clock used by all who write, and was it set back?",
        Loss::Disk => "look after the disk of the state folder; nothing else brings samples back",
    }
}

/// Two findings as one: the worse outcome, both texts.
fn both(a: Finding, b: Finding) -> Finding {
    let rank = |finding: &Finding| match finding.outcome {
        Outcome::Failed => 2,
        Outcome::Warning => 1,
        Outcome::Ok | Outcome::Skipped => 0,
    };
    let outcome = if rank(&b) > rank(&a) { b.outcome } else { a.outcome };
    let steps: Vec<String> = [a.next_step, b.next_step].into_iter().flatten().collect();
    let next_step = (!steps.is_empty()).then(|| steps.join("\n"));
    Finding { outcome, text: format!("{}\n{}", a.text, b.text), next_step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const SPAN: Duration = Duration::from_millis(1200);

    fn config(dir: &std::path::Path, path: &str, more: &str) -> AgentConfig {
        let text = format!(
            "device = 'wrist-1'\nfederation = 'gait'\nstate_dir = '{0}/state'\n\
             broker = {{ url = 'mqtt://localhost' }}\n[source]\nkind = 'csv'\n\
             path = '{0}/{path}'\nrate_hz = 50.0\nchannels = {{ x = 'ax' }}\n{more}",
            dir.display()
        );
        AgentConfig::parse(&text).unwrap()
    }

    fn rows(dir: &std::path::Path, rows: usize) -> PathBuf {
        let path = dir.join("imu.csv");
        let rows: String = (0..rows).map(|row| format!("{}.5\n", row % 7)).collect();
        std::fs::write(&path, format!("ax\n{rows}")).unwrap();
        path
    }

    fn task(channel: &str, rate_millihertz: u32) -> TaskSpec {
        use dunlin_protocol::id::Name;
        use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};
        let channel = Channel { name: channel.into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
        TaskSpec {
            name: Name::new("walk").unwrap(),
            input: Input {
                channels: vec![channel],
                rate: Rate::from_millihertz(rate_millihertz),
                window: 10,
                hop: 5,
            },
            features: Features::Raw,
            layers: vec![],
            target: Target::Reconstruct,
        }
    }

    #[test]
    fn a_sensor_that_is_not_there_is_told_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let finding = check(&config(dir.path(), "imu.fifo", ""), None, SPAN);
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(finding.text.contains("imu.fifo: not there yet"), "{finding:?}");
        assert!(finding.next_step.unwrap().contains("source.path"));
    }

    #[test]
    fn rows_that_are_no_samples_are_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("imu.csv"), "ax\nhello\nworld\n").unwrap();
        let finding = check(&config(dir.path(), "imu.csv", ""), None, SPAN);
        assert_eq!(finding.outcome, Outcome::Failed);
        for part in ["2 samples with a value that is no number", "line 3", "world"] {
            assert!(finding.text.contains(part), "{part}: {finding:?}");
        }
        assert!(finding.next_step.unwrap().contains("columns of numbers"));
    }

    #[test]
    fn a_first_trial_leaves_nothing_and_a_later_one_goes_on_with_the_samples_there() {
        let dir = tempfile::tempdir().unwrap();
        rows(dir.path(), 100);
        let config = config(dir.path(), "imu.csv", "");
        std::fs::create_dir(&config.state_dir).unwrap();
        for _ in 0..2 {
            let finding = check(&config, None, SPAN);
            assert!(finding.text.contains("100 samples in 1 s"), "{finding:?}");
            assert_eq!(std::fs::read_dir(&config.state_dir).unwrap().count(), 0);
        }
        drop(crate::data::open(&config.source, &config.state_dir).unwrap());
        let before = std::fs::read_dir(&config.state_dir).unwrap().count();
        assert!(check(&config, None, SPAN).text.contains("samples"), "those of the agent");
        assert!(before > 0 && config.source.has_samples(&config.state_dir));
    }

    #[test]
    fn samples_are_held_against_the_task_before_any_round() {
        let dir = tempfile::tempdir().unwrap();
        rows(dir.path(), 100);
        let config = config(dir.path(), "imu.csv", "");
        let finding = check(&config, Some(&task("x", 50_000)), SPAN);
        assert!(finding.text.contains("100 samples in 1 s"), "{finding:?}");
        assert!(finding.text.contains("task walk: 19 windows"), "{finding:?}");
        // It does not grow, which is worth a look.
        assert_eq!(finding.outcome, Outcome::Warning);
        rows(dir.path(), 200);
        let finding = check(&config, Some(&task("y", 50_000)), SPAN);
        assert_eq!(finding.outcome, Outcome::Failed, "{finding:?}");
        assert!(finding.text.contains("channels that the source lacks: y"), "{finding:?}");
        rows(dir.path(), 300);
        let finding = check(&config, Some(&task("x", 100_000)), SPAN);
        assert!(finding.text.contains("the task wants 100 Hz"), "{finding:?}");
    }

    #[test]
    fn the_rate_is_that_of_the_second_half() {
        let moments: Vec<(Duration, u64)> =
            (0..=20).map(|n| (Duration::from_millis(n * 200), 5000 + n * 10)).collect();
        let seen = |moments: &[(Duration, u64)]| {
            let accepted = moments.last().map_or(0, |last| last.1);
            let status = SourceStatus { accepted, ..SourceStatus::default() };
            Seen { moments: moments.to_vec(), status }
        };
        let span = Duration::from_secs(4);
        let finding = flow(&seen(&moments), 50.0, span, "look");
        assert_eq!(finding.outcome, Outcome::Ok);
        assert!(finding.text.contains("50.0 a second"), "{finding:?}");
        let finding = flow(&seen(&moments), 100.0, span, "look");
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.text.contains("source.rate_hz is 100"), "{finding:?}");
        // A recording that was read before.
        let mut held = seen(&[]);
        held.status.samples = 3000;
        let finding = flow(&held, 50.0, span, "look");
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.text.contains("3000 samples are held"), "{finding:?}");
        // One sample in ten seconds cannot be missed in four.
        assert_eq!(flow(&seen(&[]), 0.1, span, "look").outcome, Outcome::Warning);
        assert_eq!(flow(&seen(&[]), 10.0, span, "look").outcome, Outcome::Failed);
    }

    #[test]
    fn a_data_set_that_is_not_there_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), "imu.csv", "");
        config.source = SourceConfig::Har(crate::data::config::HarConfig {
            dir: dir.path().join("nowhere"),
            person: 1,
        });
        let finding = check(&config, None, SPAN);
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(finding.text.contains("nowhere"), "{finding:?}");
    }
}
