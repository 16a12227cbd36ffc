//! Live sources against a process that is killed, and the published data set where it is at hand.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dunlin_agent::data::har::{HarDataset, Split};
use dunlin_agent::data::{SourceConfig, WindowSource, open};
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Rate, Target, TaskSpec};

/// Says to this program, run as a child, in which folder to read until it is killed.
const CHILD: &str = "DUNLIN_TEST_SOURCE";

fn task(channels: &[&str], window: u16, target: Target) -> TaskSpec {
    let channel =
        |name: &&str| Channel { name: (*name).into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    let channels = channels.iter().map(channel).collect();
    TaskSpec {
        name: Name::new("test").unwrap(),
        input: Input { channels, rate: Rate::from_millihertz(50_000), window, hop: window },
        features: Features::Raw,
        layers: Vec::new(),
        target,
    }
}

fn source(dir: &Path) -> Box<dyn WindowSource> {
    let text = format!(
        "kind = 'csv'\npath = '{}/imu.csv'\nrate_hz = 50\nquantum = 1.0\n[channels]\nx = 'x'\n",
        dir.display()
    );
    let config: SourceConfig = toml::from_str(&text).unwrap();
    open(&config, &dir.join("state")).unwrap()
}

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn spawn_child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_at_any_moment_no_row_is_lost_or_repeated"])
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment_no_row_is_lost_or_repeated() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let _source = source(Path::new(&dir));
        loop {
            std::thread::park();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("imu.csv");
    append(&input, "x\n");
    let mut rows = 0;
    for round in 0..8u64 {
        let mut child = spawn_child(dir.path());
        for _ in 0..10 {
            append(&input, &(rows..rows + 37).map(|row| format!("{row}\n")).collect::<String>());
            rows += 37;
            std::thread::park_timeout(Duration::from_millis(10 + 5 * round));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let source = source(dir.path());
    let task = task(&["x"], 10, Target::Reconstruct);
    while source.status().samples < rows {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let found: Vec<u64> = source.windows(&task).unwrap().values.iter().map(|&x| x as u64).collect();
    assert_eq!(found, (0..rows / 10 * 10).collect::<Vec<_>>());
    assert_eq!(source.status().samples, rows);
}

/// The data set where `DUNLIN_HAR_DIR` names it, or where it is usually unpacked.
fn data_set() -> Option<PathBuf> {
    let named = std::env::var_os("DUNLIN_HAR_DIR").map(PathBuf::from);
    let places = named.into_iter().chain([PathBuf::from("/tmp/har")]);
    places.into_iter().find(|place| place.join("UCI HAR Dataset/activity_labels.txt").is_file())
}

/// The counts that the authors published. Passes without looking where the data set is not at hand.
#[test]
fn the_published_data_set_has_its_published_counts() {
    let Some(dir) = data_set() else {
        println!("not checked: set DUNLIN_HAR_DIR to the folder that holds `UCI HAR Dataset`");
        return;
    };
    let people = HarDataset::load(&dir).unwrap();
    let of = |split| people.iter().filter(move |person| person.person.split == split);
    let windows = |split| of(split).map(|person| person.labels.len()).sum::<usize>();
    assert_eq!((of(Split::Train).count(), windows(Split::Train)), (21, 7352));
    assert_eq!((of(Split::Test).count(), windows(Split::Test)), (9, 2947));
    let mut activities = [0; 6];
    people.iter().flat_map(|p| &p.labels).for_each(|&label| activities[usize::from(label)] += 1);
    assert_eq!(activities, [1722, 1544, 1406, 1777, 1906, 1944]);

    let labels = ["laying", "sitting", "standing", "walking"].map(str::to_owned).to_vec();
    let task = task(&["total_acc_x", "body_gyro_z"], 128, Target::Classes(labels));
    let first = people[0].for_task(&task).unwrap();
    let alone = HarDataset::open(&dir).unwrap().person(people[0].person.id).unwrap();
    assert_eq!(alone.for_task(&task).unwrap(), first);
    assert_eq!(first.window_values, 256);
    // A person lies, sits, stands and walks; stairs are not in this task.
    assert!(first.len() < 347 && (0..4).all(|label| first.labels.contains(&label)));
    let mean = first.values.iter().step_by(2).sum::<f32>() / (first.len() * 128) as f32;
    assert!((0.3..1.1).contains(&mean), "gravity is in total_acc_x: {mean} g");
}

#[test]
fn state_files_stay_inside_the_state_folder() {
    let dir = tempfile::tempdir().unwrap();
    append(&dir.path().join("imu.csv"), "x\n1\n");
    let source = source(dir.path());
    while source.status().samples < 1 {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    drop(source);
    let list = |place: &Path| -> Vec<String> {
        let names = fs::read_dir(place).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<String> = names.map(|n| n.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(list(dir.path()), ["imu.csv", "state"]);
    assert_eq!(
        list(&dir.path().join("state")),
        ["samples.position", "samples.ring", "samples.source"]
    );
}
