//! The program itself: its exit codes, its files, and a round over a real Mosquitto.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // all of it is a test

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use dunlin_aggregator::store::Store;
use dunlin_link::LinkEvent;
use dunlin_link::testing::{Mosquitto, TestClient};
use dunlin_protocol::id::Name;
use dunlin_protocol::message::{Outcome, Verdict};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::report::{Report, ReportHeader};
use dunlin_protocol::task::Task;
use dunlin_protocol::topic::{Down, Topic, Topics};
use dunlin_protocol::wire;
use dunlin_protocol::work::{Score, TrainFigures, WorkKind};
use redb::{Database, TableDefinition};
use tempfile::TempDir;

const TASK: &str = r#"
name = "toy"
features = "Raw"

[input]
channels = [{ name = "acc_x", unit = "g", offset = 0.0, scale = 1.0 }]
rate_millihertz = 50000
window = 4
hop = 2

[[layers]]
op = { Dense = { out = 2 } }
share = "Shared"

[target]
Classes = ["rest", "walk"]
"#;
/// Parameters of the task: four inputs, two outputs, two biases.
const N: usize = 10;

fn folder(url: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("task.toml"), TASK).unwrap();
    let config = format!(
        r#"
federation = "gait"
instance = "agg-1"
task = "task.toml"
enrolled = ["d0", "d1"]
seed = 7
broker = {{ url = "{url}" }}
rounds = {{ count = 1, target = 2, quorum = 2, settle_s = 0.05, pause_s = 0.05, deadline_s = 600 }}
updates = {{ codec = "f32", chunk_kib = 4 }}
"#
    );
    fs::write(folder.path().join("aggregator.toml"), config).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin-aggregator"));
    command.arg("--config").arg(folder.join("aggregator.toml")).args(arguments);
    command
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = output(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_wrong_configuration_ends_with_78_and_names_the_keys() {
    let folder = folder("mqtt://localhost");
    assert!(stdout(folder.path(), &["config", "check"]).contains("is valid"));
    let path = folder.path().join("aggregator.toml");
    let wrong = fs::read_to_string(&path).unwrap().replace("quorum = 2", "quorum = 3");
    fs::write(&path, wrong).unwrap();
    for arguments in [&["config", "check"][..], &["run"], &[], &["status"]] {
        let output = output(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&output.stderr).contains("rounds.quorum"));
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(output(folder.path(), &[]).status.code(), Some(78));
}

#[test]
fn a_model_is_imported_and_exported_again() {
    let folder = folder("mqtt://localhost");
    let file = folder.path().join("a.safetensors").display().to_string();
    let other = folder.path().join("b.safetensors").display().to_string();
    assert!(stdout(folder.path(), &["status"]).contains("nothing has happened"));
    assert_eq!(output(folder.path(), &["export", &file]).status.code(), Some(1));
    let values: Vec<u8> = (0..N).flat_map(|_| 0.5_f32.to_le_bytes()).collect();
    let view = |shape, range| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &values[range])
    };
    let tensors = [
        ("layers.0.weight", view(vec![4, 2], 0..32).unwrap()),
        ("layers.0.bias", view(vec![2], 32..40).unwrap()),
    ];
    fs::write(&file, safetensors::serialize(tensors, None).unwrap()).unwrap();
    assert!(stdout(folder.path(), &["import", &file]).contains("is version 0 now"));
    assert!(stdout(folder.path(), &["import", &file]).contains("is version 1 now"));
    assert!(stdout(folder.path(), &["export", &other]).contains("version 1 written"));
    let bytes = fs::read(&other).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("layers.0.weight").unwrap().data(), &values[..32]);
    assert!(stdout(folder.path(), &["status"]).contains("version 1\nnot running"));
    let json: serde_json::Value =
        serde_json::from_str(&stdout(folder.path(), &["status", "--json"])).unwrap();
    assert_eq!(json["version"], 1);
    fs::write(&file, b"garbage").unwrap();
    assert_eq!(output(folder.path(), &["import", &file]).status.code(), Some(1));
    // Swapped labels need the operator's word, also for looking at the model.
    let swapped = TASK.replace(r#"["rest", "walk"]"#, r#"["walk", "rest"]"#);
    fs::write(folder.path().join("task.toml"), &swapped).unwrap();
    let digest = Task::new(toml::from_str(&swapped).unwrap()).unwrap().digest().to_string();
    for arguments in [&["run"] as &[&str], &["export", &other], &["config", "check"]] {
        let refused = output(folder.path(), arguments);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(78), "{text}");
        assert!(text.contains("labels:") && text.contains(&digest), "{text}");
    }
    let exported = output(folder.path(), &["export", "--adopt-task", &digest, &other]);
    assert_eq!(exported.status.code(), Some(0));
    assert!(stdout(folder.path(), &["config", "check", "--adopt-task", &digest]).contains("valid"));
    let empty = self::folder("mqtt://localhost");
    for (folder, command) in [(&folder, "export"), (&folder, "import"), (&empty, "import")] {
        let refused = output(folder.path(), &[command, "--adopt-task", "0123", &other]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(78), "{text}");
        assert!(text.contains("names another task"), "{text}");
    }
    // Another layout needs another store.
    fs::write(folder.path().join("task.toml"), TASK.replace("window = 4", "window = 6")).unwrap();
    for arguments in [&["run"] as &[&str], &["config", "check"]] {
        let refused = output(folder.path(), arguments);
        assert_eq!(refused.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("belongs to another task"));
    }
    fs::write(folder.path().join("task.toml"), TASK).unwrap();
    assert!(stdout(folder.path(), &["config", "check"]).contains("valid"));
}

/// A new store with this entry beside or in place of its own.
fn store_with(path: &Path, key: &'static str, value: &[u8]) {
    let _ = fs::remove_file(path);
    drop(Store::open(path).unwrap());
    let meta: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(meta).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_store_that_no_start_mends_ends_with_78_so_that_no_start_is_tried_again() {
    let folder = folder("mqtt://localhost");
    let path = folder.path().join("aggregator.redb");
    let refused = |text: &str| {
        let export = ["export", "model.safetensors"];
        for arguments in [&["run"][..], &export, &["status"], &["config", "check"]] {
            let output = output(folder.path(), arguments);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(78), "{said}");
            assert!(said.contains(text), "{said}");
        }
    };
    fs::write(&path, [7_u8; 3]).unwrap();
    refused("not an aggregator's store");
    store_with(&path, "schema", &99_u32.to_le_bytes());
    refused("schema 99");
    store_with(&path, "head", &[1, 2, 3]);
    refused("\"head\" cannot be read");
    // A disk that refuses may be mended without this program.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(output(folder.path(), &["run"]).status.code(), Some(1));
}

/// An aggregator process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(folder: &Path) -> Self {
        Self(command(folder, &["run"]).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill9(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn terminate(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(sent.success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two devices in one client.
struct Devices {
    client: TestClient,
    topics: Topics,
}

impl Devices {
    fn connect(broker: &Mosquitto) -> Self {
        let this =
            Self { client: TestClient::open(broker.client("d0")), topics: Topics::default() };
        this.client.wait_connected();
        for filter in ["fed/gait/plan", "dev/+/down/+", "srv/+/state"] {
            this.client.link.subscribe(format!("dunlin/v1/{filter}"));
        }
        for device in ["d0", "d1"] {
            let topic = this.topics.name(&Topic::DeviceState(Name::new(device).unwrap()));
            let presence = Presence::new(State::Online, 1);
            this.client.link.publish(topic, presence.encode().into_bytes(), true);
        }
        this
    }

    fn wait<T>(&self, mut choose: impl FnMut(Topic, &[u8]) -> Option<T>) -> T {
        self.client.wait(|event| match event {
            LinkEvent::Message { topic, payload } => choose(self.topics.parse(topic)?, payload),
            LinkEvent::Connected
            | LinkEvent::Disconnected { .. }
            | LinkEvent::Refused { .. }
            | LinkEvent::SubscribeRefused { .. } => None,
        })
    }

    fn wait_plan(&self, fits: impl Fn(&Plan) -> bool) -> Plan {
        self.wait(|topic, payload| match topic {
            Topic::Plan(_) => wire::decode::<Plan>(payload).ok().filter(|plan| fits(plan)),
            _ => None,
        })
    }

    fn wait_server(&self, state: State) -> u32 {
        self.wait(|topic, payload| match topic {
            Topic::ServerState(_) => {
                Presence::decode(payload).filter(|p| p.state == state).map(|p| p.boot)
            }
            _ => None,
        })
    }

    /// Sends the figures, and for training an update of `value` everywhere; waits for the verdict.
    fn send(&self, device: &str, plan: &Plan, kind: WorkKind, value: f32) -> Outcome {
        let item = plan.work.iter().find(|item| item.kind == kind as u8).unwrap();
        let n = if kind == WorkKind::Train { N } else { 0 };
        let payload = value.to_le_bytes().repeat(n);
        let work = dunlin_protocol::message::WorkRef {
            lineage: plan.lineage,
            round: item.round,
            kind: item.kind,
        };
        let task = Task::new(toml::from_str(TASK).unwrap()).unwrap();
        let header = ReportHeader::new(work, item.base_version, task.digest(), 0);
        let before = Score { windows: 10, correct: 5, loss_sum: 1.0 };
        let figures =
            TrainFigures { examples: 10, train_loss: 0.1, before, ..TrainFigures::default() };
        let metrics = if n > 0 { figures.metrics() } else { before.metrics() };
        let object = Report::new(header, metrics, &payload).encode().unwrap();
        let reference = ObjectRef::of(&object, plan.chunk_bytes).unwrap();
        let chunk = Chunk::cut(&reference, &object, 0).unwrap().encode();
        let device = Name::new(device).unwrap();
        let up = Topic::Up(device.clone(), Name::new("gait").unwrap(), 0);
        self.client.link.publish(self.topics.name(&up), chunk, false);
        self.wait(|topic, payload| {
            let down = topic == Topic::Down(device.clone(), Down::Verdict);
            down.then(|| wire::decode::<Verdict>(payload).unwrap().outcome)
        })
    }
}

fn has(plan: &Plan, kind: WorkKind) -> bool {
    plan.work.iter().any(|item| item.kind == kind as u8)
}

#[test]
fn a_round_over_a_real_broker_survives_kill_9_and_sigterm_says_goodbye() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let folder = folder(&broker.url());
    let devices = Devices::connect(&broker);
    let aggregator = Running::start(folder.path());
    let plan = devices.wait_plan(|plan| has(plan, WorkKind::Train));
    assert_eq!(devices.send("d0", &plan, WorkKind::Train, 1.0), Outcome::Accepted);
    assert!(stdout(folder.path(), &["status"]).contains("running"));
    aggregator.kill9();
    assert_eq!(devices.wait_server(State::Lost), 1);

    let aggregator = Running::start(folder.path());
    assert_eq!(devices.wait_server(State::Online), 2);
    let again = devices.wait_plan(|plan| has(plan, WorkKind::Train));
    assert_eq!(again.work[0].round, plan.work[0].round);
    assert_eq!(again.lineage, plan.lineage);
    assert_eq!(devices.send("d0", &again, WorkKind::Train, 1.0), Outcome::Accepted);
    assert_eq!(devices.send("d1", &again, WorkKind::Train, 2.0), Outcome::Accepted);
    let last = devices.wait_plan(|plan| has(plan, WorkKind::Evaluate));
    assert_eq!(last.work[0].base_version.0, 1);
    assert_eq!(devices.send("d1", &last, WorkKind::Evaluate, 0.0), Outcome::Accepted);
    assert_eq!(aggregator.terminate(), Some(0));
    assert_eq!(devices.wait_server(State::Offline), 2);

    let status = stdout(folder.path(), &["status"]);
    assert!(status.contains("version 1"), "{status}");
    assert!(status.contains("round 1 made version 1: 2 device(s)"), "{status}");
    assert!(status.contains("evaluation 2 is open on version 1: 1 of"), "{status}");
    let file = folder.path().join("m.safetensors").display().to_string();
    assert!(stdout(folder.path(), &["export", &file]).contains("version 1"));
}

/// An aggregator that finds no broker, when it has its store.
#[allow(clippy::disallowed_methods)] // nothing tells of a file of another program
fn started(folder: &Path, ignoring_hangups: bool) -> Child {
    let trap = if ignoring_hangups { "trap '' HUP; " } else { "" };
    // Whoever runs the tests may ignore hangups, and a program inherits that.
    let mut shell = Command::new("env");
    shell.args(["--default-signal=HUP", "sh", "-c", &format!("{trap}exec \"$0\" \"$@\"")]);
    shell.arg(env!("CARGO_BIN_EXE_dunlin-aggregator"));
    shell.arg("--config").arg(folder.join("aggregator.toml"));
    let mut child = shell.env("RUST_LOG", "info").stderr(Stdio::piped()).spawn().unwrap();
    // The status file comes after the first write of the store.
    while !has_status(folder) {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child
}

fn has_status(folder: &Path) -> bool {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().ends_with(".status.json"))
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[test]
fn a_hangup_ends_it_in_order_unless_that_was_ignored_at_the_start() {
    let ended = |signals: &[&str], ignoring| {
        let folder = folder("mqtt://127.0.0.1:1");
        let child = started(folder.path(), ignoring);
        signals.iter().for_each(|name| signal(&child, name));
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, log) = ended(&["-HUP"], false);
    assert!(code == Some(0) && log.contains("SIGHUP"), "{code:?}: {log}");
    let (code, log) = ended(&["-HUP", "-TERM"], true);
    assert!(code == Some(0) && log.contains("SIGTERM") && !log.contains("SIGHUP"), "{log}");
}

#[cfg(unix)]
#[test]
fn its_files_are_private_and_a_closed_pipe_is_no_failure() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("mqtt://127.0.0.1:1");
    let child = started(folder.path(), false);
    for arguments in [&["status"] as &[&str], &["status", "--json"], &["config", "check"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = command(folder.path(), arguments).stdout(writer).output().unwrap();
        let log = String::from_utf8_lossy(&closed.stderr).into_owned();
        // The store of a program that runs is its own.
        let told = log.lines().filter(|line| !line.contains("was not compared")).count();
        assert!(closed.status.success() && told == 0, "{arguments:?}: {log}");
    }
    signal(&child, "-TERM");
    child.wait_with_output().unwrap();
    let made = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    let made: Vec<_> =
        made.filter(|entry| !entry.file_name().to_string_lossy().ends_with(".toml")).collect();
    assert!(made.len() >= 2, "{made:?}");
    for entry in made {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}
