#![allow(clippy::cast_possible_truncation)]

use super::*;
use crate::data::config::HarConfig;
use crate::data::{WindowCounts, WindowSource};
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Rate, Target, TaskSpec};
use std::fs;

/// Two people with 2 and 1 windows in train, one with 1 in test; two channels of 3 samples.
fn tiny() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join("UCI HAR Dataset").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("activity_labels.txt", "1 WALKING\n2 SITTING\n");
    put("train/subject_train.txt", "1\n3\n1\n");
    put("train/y_train.txt", "1\n2\n2\n");
    put("train/Inertial Signals/acc_x_train.txt", "  1e+000  2 3\n  4 5 6\n 7 8 -9.5e-001\n");
    put("train/Inertial Signals/acc_y_train.txt", " 10 20 30\n 40 50 60\n 70 80 90\n");
    put("test/subject_test.txt", "2\n");
    put("test/y_test.txt", "1\n");
    put("test/Inertial Signals/acc_x_test.txt", "0 0 1\n");
    put("test/Inertial Signals/acc_y_test.txt", "0 0 2\n");
    dir
}

fn damage(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    fs::write(dir.path().join("UCI HAR Dataset").join(name), text).unwrap();
    HarDataset::load(dir.path()).unwrap_err().to_string()
}

fn task(channels: &[&str], labels: &[&str]) -> TaskSpec {
    let channel =
        |name: &&str| Channel { name: (*name).into(), unit: "g".into(), offset: 0.0, scale: 2.0 };
    TaskSpec {
        name: Name::new("test").unwrap(),
        input: Input {
            channels: channels.iter().map(channel).collect(),
            rate: Rate::from_millihertz(50_000),
            window: 3,
            hop: 3,
        },
        features: Features::Raw,
        layers: Vec::new(),
        target: Target::Classes(labels.iter().map(|label| (*label).into()).collect()),
    }
}

#[test]
fn people_and_their_splits_are_listed_wherever_the_folder_is_named() {
    let dir = tiny();
    for place in [dir.path().to_owned(), dir.path().join("UCI HAR Dataset")] {
        let dataset = HarDataset::open(&place).unwrap();
        let people: Vec<_> =
            dataset.persons().iter().map(|p| (p.id, p.split.name(), p.windows)).collect();
        assert_eq!(people, [(1, "train", 2), (2, "test", 1), (3, "train", 1)]);
        assert_eq!(dataset.channels(), ["acc_x", "acc_y"]);
        assert_eq!(dataset.labels(), ["WALKING", "SITTING"]);
    }
}

#[test]
fn windows_are_read_sample_by_sample_and_scaled_for_the_task() {
    let dir = tiny();
    let dataset = HarDataset::open(dir.path()).unwrap();
    let person = dataset.person(1).unwrap();
    assert_eq!(person.values[6..], [7.0, 70.0, 8.0, 80.0, -0.95, 90.0]);
    assert_eq!(person.labels, [0, 1]);
    let set = person.for_task(&task(&["acc_y", "acc_x"], &["sitting", "Walking"])).unwrap();
    assert_eq!(set.window(0), [20.0, 2.0, 40.0, 4.0, 60.0, 6.0]);
    assert_eq!(set.labels, [1, 0]);
    let set = person.for_task(&task(&["acc_y"], &["sitting", "running"])).unwrap();
    assert_eq!((set.values, set.labels), (vec![140.0, 160.0, 180.0], vec![0]));
}

#[test]
fn everybody_is_read_at_once() {
    let dir = tiny();
    let everybody = HarDataset::load(dir.path()).unwrap();
    let dataset = HarDataset::open(dir.path()).unwrap();
    assert_eq!(everybody.len(), 3);
    for person in &everybody {
        let alone = dataset.person(person.person.id).unwrap();
        assert_eq!((&alone.values, &alone.labels), (&person.values, &person.labels));
    }
}

#[test]
fn a_source_serves_one_person_and_says_who_else_there_is() {
    let dir = tiny();
    let config = |person| HarConfig { dir: dir.path().to_owned(), person };
    let source = HarSource::open(&config(3)).unwrap();
    for channels in [&["acc_x"][..], &["acc_x"], &["acc_y", "acc_x"]] {
        let set = source.windows(&task(channels, &["walking", "sitting"])).unwrap();
        assert_eq!((set.len(), set.window_values), (1, 3 * channels.len()));
        assert_eq!(set.labels, [1]);
    }
    let source = HarSource::open(&config(1)).unwrap();
    for labels in [&["walking", "sitting"][..], &["sitting", "lying"]] {
        let task = task(&["acc_x"], labels);
        let counts = source.count(&task, &|| false).unwrap();
        assert_eq!(counts, WindowCounts::of(&source.windows(&task).unwrap()), "{labels:?}");
    }
    let unlabelled = TaskSpec { target: Target::Reconstruct, ..task(&["acc_x"], &[]) };
    assert_eq!(source.count(&unlabelled, &|| false).unwrap().total(), 2);
    let error = HarSource::open(&config(9)).unwrap_err().to_string();
    assert!(error.contains("person 9") && error.contains("[1, 2, 3]"), "{error}");
}

#[test]
fn tasks_that_do_not_fit_are_told_what_there_is() {
    let dir = tiny();
    let source = HarSource::open(&HarConfig { dir: dir.path().to_owned(), person: 1 }).unwrap();
    let ask = |task: &TaskSpec| source.windows(task).unwrap_err().to_string();
    let error = ask(&task(&["acc_x", "acc_z"], &["walking", "sitting"]));
    assert!(error.contains("acc_z") && error.contains("acc_x, acc_y"), "{error}");
    let mut other = task(&["acc_x"], &["walking", "sitting"]);
    other.input.window = 128;
    assert!(ask(&other).contains("128 samples"));
    other.input.window = 3;
    other.input.rate = Rate::from_millihertz(100_000);
    assert!(ask(&other).contains("100 Hz"));
    assert!(ask(&task(&["acc_x"], &["run", "jump"])).contains("WALKING"));
}

#[test]
fn errors_name_file_and_line() {
    let name = "train/Inertial Signals/acc_x_train.txt";
    let error = damage(&tiny(), name, "1 2 3\n4 x 6\n7 8 9\n");
    assert!(error.contains("acc_x_train.txt, line 2: value 2 is \"x\""), "{error}");
    let error = damage(&tiny(), name, "1 2 3\n4 inf 6\n7 8 9\n");
    assert!(error.contains("line 2: value 2 is \"inf\""), "{error}");
    let error = damage(&tiny(), name, "1 2 3\n4 5 6 7\n7 8 9\n");
    assert!(error.contains("line 2: has 4 values; windows have 3"), "{error}");
    let error = damage(&tiny(), name, "1 2 3\n4 5 6\n");
    assert!(error.contains("has 2 lines, but there are 3 subjects"), "{error}");
    let error = damage(&tiny(), name, "1 2 3\n4 5 6\n7 8 9\n1 2 3\n");
    assert!(error.contains("line 4: is one more than the 3 subjects"), "{error}");
    let error = damage(&tiny(), name, &"1 ".repeat(200_000));
    assert!(error.contains("line 1: has more than"), "{error}");
    let error = damage(&tiny(), "train/y_train.txt", "1\n9\n2\n");
    assert!(error.contains("y_train.txt, line 2: 9 is not in"), "{error}");
    let error = damage(&tiny(), "train/subject_train.txt", "1\ntwo\n1\n");
    assert!(error.contains("subject_train.txt, line 2: is \"two\""), "{error}");
    let error = damage(&tiny(), "test/subject_test.txt", "1\n");
    assert!(error.contains("subject_test.txt, line 1: person 1 is in the other split"), "{error}");
    let error = damage(&tiny(), "activity_labels.txt", "1 WALKING\n1 SITTING\n");
    assert!(error.contains("activity_labels.txt, line 2"), "{error}");
    let error = HarDataset::open(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(error.contains("/nowhere") && error.contains("unpack"), "{error}");
}

#[test]
fn noise_is_an_error_and_no_panic() {
    let mut rng = dunlin_protocol::rng::Rng::new(5);
    for name in ["train/Inertial Signals/acc_y_train.txt", "train/y_train.txt"] {
        for length in [1, 10, 1000, 300_000] {
            let dir = tiny();
            let noise: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
            fs::write(dir.path().join("UCI HAR Dataset").join(name), noise).unwrap();
            assert!(HarDataset::load(dir.path()).is_err());
        }
    }
}

#[test]
fn windows_of_the_person_are_replayed_one_after_the_other_over_and_over() {
    let dir = tiny();
    let source = HarSource::open(&HarConfig { dir: dir.path().to_owned(), person: 1 }).unwrap();
    let unknown = task(&["acc_x"], &["swimming", "flying"]);
    let replayed = || source.newest_window(&unknown).unwrap().unwrap();
    let windows = [replayed(), replayed(), replayed()];
    assert_eq!(windows[0].values, [2.0, 4.0, 6.0], "labels are not looked at");
    assert_eq!(windows[1].values, [14.0, 16.0, -1.9]);
    assert_eq!(windows[2].values, windows[0].values);
    assert_eq!(windows.map(|window| window.end_us), [60_000, 120_000, 180_000]);
    let mut longer = task(&["acc_x"], &["WALKING", "SITTING"]);
    longer.input.window = 4;
    assert!(source.newest_window(&longer).is_err());
}
