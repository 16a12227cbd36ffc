//! `dunlin-agent doctor` against real brokers and a real aggregator: what it says to each mistake.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dunlin_agent::doctor::report::{Line, Outcome, Report, Style};
use dunlin_agent::doctor::{Options, run};
use dunlin_agent::instance::InstanceLock;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::Enrolment;
use dunlin_link::testing::{Mosquitto, installed, new_folder};
use dunlin_tests::name;

use super::accounts::{guarded, shipped};
use super::world::{World, settings};

/// What the broker's log has when the plan is out.
const PLAN_SAID: &str = "'dunlin/v1/fed/gait/plan'";

/// What a device is told in a test.
struct Device<'a> {
    folder: &'a Path,
    name: &'a str,
    federation: &'a str,
    /// The lines of `[broker]`.
    broker: String,
    patience: u64,
    while_running: bool,
}

impl<'a> Device<'a> {
    /// Device `device` of `world` with the password of `account`.
    fn of(world: &'a World, device: &'a str, account: &str) -> Self {
        let password = world.passwords.get(account).map_or("", String::as_str);
        let url = world.broker.url();
        let broker =
            format!("url = \"{url}\"\nusername = \"{account}\"\npassword = \"{password}\"");
        let folder = world.folder();
        Self { folder, name: device, federation: "gait", broker, patience: 5, while_running: false }
    }

    fn examine(&self) -> Report {
        let Self { name, federation, broker, .. } = self;
        let folder = self.folder.join(format!("doctor of {name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let rows: String = (0..300).map(|row| format!("{}.5,class 3\n", row % 7)).collect();
        std::fs::write(folder.join("imu.csv"), format!("ax,activity\n{rows}")).unwrap();
        let text = format!(
            "device = \"{name}\"\nfederation = \"{federation}\"\nstate_dir = \"{0}/state\"\n\
             [broker]\n{broker}\n[source]\nkind = \"csv\"\npath = \"{0}/imu.csv\"\n\
             rate_hz = 50.0\nlabel = \"activity\"\nchannels = {{ x = \"ax\" }}\n",
            folder.display()
        );
        std::fs::write(folder.join("agent.toml"), text).unwrap();
        let options = Options {
            watch: Duration::from_secs(1),
            patience: Duration::from_secs(self.patience),
            while_running: self.while_running,
            style: Style::Text { color: false },
        };
        let mut out = Vec::new();
        let report = run(&folder.join("agent.toml"), &options, &mut out);
        eprintln!("{}", String::from_utf8(out).unwrap());
        report
    }
}

fn line<'a>(report: &'a Report, check: &str) -> &'a Line {
    report.lines.iter().find(|line| line.check == check).unwrap()
}

/// The finding and the next step of a check that failed.
fn failure(report: &Report, check: &str) -> String {
    let line = line(report, check);
    assert_eq!(line.outcome, Outcome::Failed, "{report:#?}");
    assert_eq!(report.exit_code(), 1);
    format!("{}\n{}", line.finding, line.next_step.as_deref().unwrap())
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing:\n{text}");
    }
}

/// A federation of two that waits for its devices, on the shipped configuration.
fn waiting() -> Option<World> {
    let mut world = guarded(settings(100, 2, 1), 2)?;
    world.start_aggregator();
    world.broker.wait_log(PLAN_SAID, 1);
    Some(world)
}

#[test]
fn a_device_that_is_set_up_well_has_nothing_to_mend() {
    let Some(world) = waiting() else { return };
    let report = Device::of(&world, "device-0", "device-0").examine();
    for check in ["login", "topics", "federation", "aggregator"] {
        assert_eq!(line(&report, check).outcome, Outcome::Ok, "{report:#?}");
    }
    assert_eq!(report.exit_code(), 0);
    assert_says(&line(&report, "topics").finding, &["device-0 hears"]);
    assert_says(&line(&report, "federation").finding, &["gait learns the task toy"]);
    assert_says(
        &line(&report, "aggregator").finding,
        &["dunlin-aggregator answers", "is enrolled"],
    );
    // 300 samples with label `class 3`, windows of 100 every 50.
    assert_says(&line(&report, "sensor").finding, &["300 samples", "5 windows", "class 3 5"]);
    assert!(!world.broker.log().contains("Denied"), "{}", world.broker.log());
}

#[test]
fn a_wrong_password_is_told_with_the_command_for_a_new_one() {
    let Some(world) = waiting() else { return };
    let mut device = Device::of(&world, "device-0", "device-0");
    device.broker = device.broker.replace("password = \"", "password = \"x");
    let report = device.examine();
    assert_says(&failure(&report, "login"), &["not accepted", "device-0", "add-account.sh"]);
    assert_eq!(line(&report, "topics").outcome, Outcome::Skipped);
    device.broker = format!("url = \"{}\"", world.broker.url());
    assert_says(&failure(&device.examine(), "login"), &["no password", "DUNLIN_PASSWORD"]);
}

#[test]
fn a_federation_that_is_not_there_is_told_with_those_that_are() {
    let Some(world) = waiting() else { return };
    let mut device = Device::of(&world, "device-0", "device-0");
    device.federation = "gate";
    let report = device.examine();
    assert_says(&failure(&report, "federation"), &["no federation gate", "there are gait"]);
    assert_eq!(line(&report, "topics").outcome, Outcome::Ok);
    assert_eq!(line(&report, "aggregator").outcome, Outcome::Skipped);
}

#[test]
fn what_the_broker_drops_without_a_word_is_told_although_it_was_acknowledged() {
    let Some(world) = waiting() else { return };
    // The account of another device: its topics are not this one's.
    let report = Device::of(&world, "device-1", "device-0").examine();
    assert_eq!(line(&report, "login").outcome, Outcome::Ok);
    let topics = ["dev/device-1/out/doctor does not come back", "must be device-1", "dunlin.acl"];
    assert_says(&failure(&report, "topics"), &topics);
    let aggregator = failure(&report, "aggregator");
    assert_says(&aggregator, &["although it is online", "dev/device-1/up/gait/0", "Denied"]);
    assert!(world.broker.log().contains("Denied PUBLISH"), "{}", world.broker.log());
}

#[test]
fn an_access_list_without_the_echo_is_no_failure_when_the_aggregator_answers() {
    let Some(world) = waiting() else { return };
    let acl = world.broker.folder().join("dunlin.acl");
    let text = std::fs::read_to_string(&acl).unwrap();
    let older = text.replace("pattern read dunlin/v1/dev/%u/out/doctor\n", "");
    assert_ne!(text, older);
    let mut world = world;
    std::fs::write(&acl, older).unwrap();
    world.stop_aggregator();
    world.broker.restart();
    world.start_aggregator();
    world.broker.wait_log(PLAN_SAID, 2);
    let report = Device::of(&world, "device-0", "device-0").examine();
    assert_eq!(line(&report, "topics").outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn a_device_that_is_not_enrolled_is_told_so() {
    let mut settings = settings(100, 1, 1);
    settings.enrolled = Enrolment::Only(BTreeSet::from([name("device-1")]));
    let Some(mut world) = guarded(settings, 1) else { return };
    world.start_aggregator();
    world.broker.wait_log(PLAN_SAID, 1);
    let report = Device::of(&world, "device-0", "device-0").examine();
    assert_says(&failure(&report, "aggregator"), &["device-0 is not enrolled", "add device-0"]);
}

#[test]
fn an_aggregator_that_was_stopped_and_one_that_never_ran_are_told_apart() {
    let Some(mut world) = waiting() else { return };
    world.stop_aggregator();
    let mut device = Device::of(&world, "device-0", "device-0");
    device.patience = 2;
    let report = device.examine();
    assert_says(&failure(&report, "aggregator"), &["it was stopped", "systemctl start"]);
    let Some(world) = guarded(settings(100, 2, 1), 1) else { return };
    let mut device = Device::of(&world, "device-0", "device-0");
    device.patience = 2;
    let report = device.examine();
    assert_says(&failure(&report, "federation"), &["no plan on dunlin/v1/fed/gait/plan", "start"]);
    assert_eq!(line(&report, "topics").outcome, Outcome::Ok);
}

#[test]
fn a_running_agent_is_left_alone_or_comes_back_after_a_cut() {
    let Some(mut world) = waiting() else { return };
    world.start_device(0);
    world.broker.wait_log("Received SUBSCRIBE from device-0", 1);
    let state = world.folder().join("doctor of device-0/state");
    std::fs::create_dir_all(&state).unwrap();
    let lock = InstanceLock::take(&state).unwrap();
    let report = Device::of(&world, "device-0", "device-0").examine();
    assert_eq!(line(&report, "agent").outcome, Outcome::Warning);
    for check in ["login", "topics", "federation", "aggregator", "sensor"] {
        assert_eq!(line(&report, check).outcome, Outcome::Skipped, "{report:#?}");
    }
    assert_eq!(report.exit_code(), 0);
    assert!(!world.broker.log().contains("already connected"), "{}", world.broker.log());

    let mut device = Device::of(&world, "device-0", "device-0");
    device.while_running = true;
    let report = device.examine();
    for check in ["login", "topics", "federation", "aggregator"] {
        assert_eq!(line(&report, check).outcome, Outcome::Ok, "{report:#?}");
    }
    assert_eq!(line(&report, "sensor").outcome, Outcome::Skipped);
    drop(lock);
    // The agent goes on: its federation learns with it.
    world.start_device(1);
    world.wait_event(|event| matches!(event, RoundEvent::RoundPublished { .. }).then_some(()));
    world.wait_finished();
    world.assert_each_counted_once(&[0, 1], 1);
}

fn certificates(folder: &Path, arguments: &[&str]) {
    let script = shipped("make-certs.sh");
    let output = Command::new("sh").arg(script).args(arguments).env("CERTS", folder).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A device on a TLS broker that asks for client certificates, with one of its own.
fn with_tls<'a>(broker: &Mosquitto, folder: &'a Path, host: &str) -> Device<'a> {
    let file = |name: &str| broker.folder().join(name).display().to_string();
    let lines = format!(
        "url = \"mqtts://{host}:{}\"\nca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"",
        broker.port(),
        file("ca.crt"),
        file("wrist-1.crt"),
        file("wrist-1.key")
    );
    let (name, federation) = ("wrist-1", "gait");
    Device { folder, name, federation, broker: lines, patience: 3, while_running: false }
}

#[test]
fn each_way_for_tls_to_fail_has_its_own_words() {
    if installed("openssl").is_none() {
        return;
    }
    let (folder, foreign, scratch) = (new_folder(), new_folder(), new_folder());
    for arguments in [["ca", ""].as_slice(), &["server", "localhost"], &["device", "wrist-1"]] {
        certificates(folder.path(), arguments);
    }
    for arguments in [["ca", ""].as_slice(), &["device", "wrist-1"]] {
        certificates(foreign.path(), arguments);
    }
    let settings = "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {dir}/ca.crt\n\
                    certfile {dir}/server.crt\nkeyfile {dir}/server.key\nrequire_certificate true\n\
                    use_identity_as_username true\n";
    let Some(broker) = Mosquitto::start_in(folder, settings) else { return };
    let tls = |change: &dyn Fn(String) -> String, host: &str| {
        let mut device = with_tls(&broker, scratch.path(), host);
        device.broker = change(device.broker);
        device.examine()
    };
    let foreign = foreign.path().display().to_string();
    let ours = broker.folder().display().to_string();

    let report = tls(&|lines| lines, "localhost");
    assert_eq!(line(&report, "tls").outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(line(&report, "login").outcome, Outcome::Ok, "{report:#?}");
    let other_ca =
        |lines: String| lines.replace(&format!("{ours}/ca.crt"), &format!("{foreign}/ca.crt"));
    assert_says(&failure(&tls(&other_ca, "localhost"), "tls"), &["no trusted authority", "ca.crt"]);
    let wrong_name = failure(&tls(&|lines| lines, "127.0.0.1"), "tls");
    assert_says(&wrong_name, &["is for", "localhost", "make-certs.sh server"]);
    let nameless = |lines: String| lines.lines().take(2).collect::<Vec<_>>().join("\n");
    let nameless = failure(&tls(&nameless, "localhost"), "tls");
    assert_says(&nameless, &["does not accept this device's certificate", "broker.cert"]);
    let stranger =
        |lines: String| lines.replace(&format!("{ours}/wrist-1"), &format!("{foreign}/wrist-1"));
    let stranger = failure(&tls(&stranger, "localhost"), "tls");
    assert_says(&stranger, &["does not accept this device's certificate", "signed by"]);
    let missing = |lines: String| lines.replace("wrist-1.key", "nowhere.key");
    assert_says(&failure(&tls(&missing, "localhost"), "tls"), &["nowhere.key", "[broker]"]);
    let plain = |lines: String| lines.lines().take(1).collect::<String>().replace("mqtts", "mqtt");
    let plain = failure(&tls(&plain, "localhost"), "login");
    assert_says(&plain, &["this port speaks TLS", "mqtts://localhost"]);
}

#[test]
fn tls_on_a_plain_port_is_told() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let scratch = new_folder();
    if installed("openssl").is_none() {
        return;
    }
    certificates(broker.folder(), &["ca"]);
    certificates(broker.folder(), &["device", "wrist-1"]);
    let report = with_tls(&broker, scratch.path(), "localhost").examine();
    assert_says(&failure(&report, "tls"), &["does not speak TLS", "8883", "mqtt://"]);
}
