//! A query by the operator's command, answered by the real programs: exactly what their files hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::program::{Program, beside_the_tests};
use super::world::{World, device_name, settings};

/// Samples of a window; windows do not overlap.
const WINDOW: usize = 10;

/// An agent process that does not outlive its test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a device measured: a label, if any, and a window's values in steps of 1/8.
type Windows = Vec<(Option<u8>, [i32; WINDOW])>;

/// Windows of one device, the same in each run.
fn windows(place: u8, count: usize, labelled: bool) -> Windows {
    let value = |at: usize| (i32::try_from(at).unwrap() * 37 + i32::from(place) * 11) % 41 - 20;
    let window = |number: usize| {
        let label = u8::try_from(number % 3).unwrap();
        (labelled.then_some(label), std::array::from_fn(|at| value(number * WINDOW + at)))
    };
    (0..count).map(window).collect()
}

fn start_agent(world: &World, program: &Path, place: u8, windows: &Windows) -> Agent {
    let folder = world.folder().join(device_name(place));
    std::fs::create_dir_all(&folder).unwrap();
    let mut rows = String::from("x,activity\n");
    for (label, values) in windows {
        let label = label.map(|label| format!("class {label}")).unwrap_or_default();
        for value in values {
            writeln!(rows, "{},{label}", f64::from(*value) / 8.0).unwrap();
        }
    }
    std::fs::write(folder.join("imu.csv"), rows).unwrap();
    let config = folder.join("agent.toml");
    let text = format!(
        "device = '{}'\nfederation = 'gait'\nstate_dir = '{}'\nbroker = {{ url = '{}' }}\n\
         [source]\nkind = 'csv'\npath = '{}'\nrate_hz = 50\nquantum = 0.125\nlabel = 'activity'\n\
         [source.channels]\nx = 'x'\n",
        device_name(place),
        folder.join("state").display(),
        world.broker.url(),
        folder.join("imu.csv").display(),
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    Agent(command.spawn().unwrap())
}

/// `dunlin-aggregator query` on the federation of `world`.
fn ask(world: &World, query: &str) -> Output {
    let file = world.folder().join("question.toml");
    std::fs::write(&file, query).unwrap();
    let mut command = Command::new(beside_the_tests("dunlin-aggregator").unwrap());
    command.arg("--config").arg(world.folder().join("aggregator.toml"));
    command.args(["query", "--json"]).arg(file).output().unwrap()
}

/// The answer once it has all windows: a device that has just started may have read less.
fn answer(world: &World, query: &str, windows: usize) -> Value {
    let mut last = Value::Null;
    for _ in 0..40 {
        let output = ask(world, query);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        if answer["windows"] == windows {
            return answer;
        }
        last = answer;
    }
    panic!("never {windows} windows: {last}");
}

/// What NumPy would say of all devices' windows together: `len`, `sum`, `sum of squares`, `histogram`.
fn assert_is_of(answer: &Value, all: &[&Windows]) {
    let windows = || all.iter().copied().flatten();
    let values: Vec<i64> =
        windows().flat_map(|(_, values)| values).map(|v| i64::from(*v)).collect();
    let channel = &answer["channels"][0];
    assert_eq!(channel["samples"], values.len());
    // Steps of the answer are 2^-4, those of the files 2^-3.
    assert_eq!(channel["sum"], values.iter().map(|value| 2 * value).sum::<i64>());
    let squares = values.iter().map(|value| 4 * value * value).sum::<i64>();
    assert_eq!(channel["sum_of_squares"], squares);
    let edges = [-8, 0, 8];
    let bin = |value: &i64| edges.iter().filter(|edge| *edge <= value).count();
    let count = |wanted| values.iter().filter(|value| bin(value) == wanted).count();
    let bins: Vec<usize> = (0..4).map(count).collect();
    assert_eq!(channel["histogram"], serde_json::json!(bins));
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    for label in windows().filter_map(|(label, _)| *label) {
        *labels.entry(format!("class {label}")).or_default() += 1;
    }
    for count in answer["labels"].as_array().unwrap() {
        let expected = labels.get(count["label"].as_str().unwrap()).copied().unwrap_or(0);
        assert_eq!(count["windows"], expected, "{count}");
    }
}

const QUERY: &str = "labels = true\nquorum = 3\ndeadline_s = 60\n\
    [[channels]]\nname = 'x'\nfraction_bits = 4\nmax_abs = 100\nedges = [-1, 0, 1]\n";

fn program(name: &str) -> Option<PathBuf> {
    let found = beside_the_tests(name);
    let message = format!("no {name} beside the tests (cargo build --bin {name})");
    assert!(found.is_some() || !dunlin_link::testing::required(), "{message}");
    found
}

#[test]
fn an_operators_query_gives_exactly_what_the_devices_files_hold_with_and_without_an_aggregator() {
    let Some(program) = program("dunlin-agent") else { return };
    let mut settings = settings(u16::try_from(WINDOW).unwrap(), 3, 1);
    settings.task.input.hop = settings.task.input.window;
    // Nothing is trained: too few devices come.
    settings.min_online = 50;
    let Some(world) = World::new(settings) else { return };
    let mut aggregator = Program::start(&world);
    let all = [windows(0, 7, true), windows(1, 4, false), windows(2, 0, false)];
    let _agents: Vec<Agent> = (0..3_u8)
        .zip(&all)
        .map(|(place, windows)| start_agent(&world, &program, place, windows))
        .collect();
    aggregator.wait_log("connected");
    let first = answer(&world, QUERY, 11);
    assert_eq!(first["devices"], 3, "also without labels, and without windows");
    assert_is_of(&first, &all.each_ref());
    let wrong = ask(&world, "[[channels]]\nname = 'y'\n");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(78) && said.contains("no channel \"y\""), "{said}");
    let few = ask(&world, &QUERY.replace("deadline_s = 60", "deadline_s = 1"));
    assert!(few.status.success(), "three devices answer within a second");
    aggregator.stop();
    let alone = answer(&world, QUERY, 11);
    assert_is_of(&alone, &all.each_ref());
    assert!(alone["round"].as_u64() > first["round"].as_u64());
}
