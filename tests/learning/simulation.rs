//! Simulations that train by Burn: invented and recorded data, one thread and two.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use dunlin_fleet::sim::figures::Outcome;
use dunlin_fleet::sim::run::{Options, run};
use dunlin_fleet::sim::scenario::Scenario;
use dunlin_fleet::sim::setup::{prepare, preset};
use dunlin_protocol::rng::Rng;

fn simulate(scenario: &Scenario, threads: usize) -> Outcome {
    let (outcome, _) = run(&prepare(scenario).unwrap(), Options::threads(threads), |_| {}).unwrap();
    assert_eq!(outcome.violation, None, "{} --seed {}", scenario.name, scenario.seed);
    assert!(outcome.finished, "{} came to no end", scenario.name);
    outcome
}

/// A preset with fewer devices and rounds.
fn small(name: &str, devices: u32, target: u32, rounds: u32) -> Scenario {
    let mut scenario = preset(name).unwrap();
    scenario.population.devices = devices;
    (scenario.rounds.target, scenario.rounds.count) = (target, rounds);
    scenario
}

#[test]
fn training_on_two_threads_changes_no_bit() {
    for scenario in [small("flute-lr", 100, 10, 5), small("wearables", 200, 12, 2)] {
        assert_eq!(simulate(&scenario, 1), simulate(&scenario, 2), "{}", scenario.name);
    }
}

#[test]
fn watches_that_come_and_go_learn() {
    let outcome = simulate(&small("wearables", 300, 30, 6), 2);
    let accuracy = outcome.accuracy.unwrap();
    assert!(accuracy > 0.6, "{accuracy}");
    assert!(outcome.rounds.iter().any(|round| round.online < 300), "not all are there at a time");
}

#[test]
fn few_hospitals_with_much_data_learn_what_gateways_learn() {
    for (scenario, least) in
        [(small("hospitals", 6, 6, 5), 0.55), (small("pi-gateways", 40, 16, 5), 0.4)]
    {
        let outcome = simulate(&scenario, 2);
        let accuracy = outcome.accuracy.unwrap();
        assert!(accuracy > least, "{}: {accuracy}", scenario.name);
        let first = outcome.rounds[0].accuracy.unwrap();
        assert!(accuracy > first, "{}: {first} -> {accuracy}", scenario.name);
        let fairness = outcome.fairness.unwrap();
        let devices = usize::try_from(scenario.population.devices).unwrap();
        assert_eq!(fairness.values.len(), devices);
        assert!(fairness.mean > least && fairness.lowest_tenth <= fairness.mean);
    }
}

/// Two classes that differ by their mean, in CSV files of six devices and a judge.
fn write_shards(folder: &Path) {
    for device in 0..7_u16 {
        let mut rng = Rng::for_stream(5, u64::from(device));
        let mut text = String::from("t,signal,what\n");
        for sample in 0..400_u32 {
            let high = sample / 20 % 2 == 1;
            let value = rng.uniform(-0.6, 0.6) + if high { 0.5 } else { -0.5 };
            let label = if high { "high" } else { "low" };
            writeln!(text, "{},{value:.4},{label}", f64::from(sample) / 10.0).unwrap();
        }
        fs::write(folder.join(format!("device-{device}.csv")), text).unwrap();
    }
}

const TASK: &str = r#"
name = "levels"
features = "Raw"
target = { Classes = ["low", "high"] }
layers = [{ op = { Dense = { out = 2 } }, share = "Shared" }]
[input]
rate_millihertz = 10000
window = 10
hop = 10
channels = [{ name = "x", unit = "1", offset = 0.0, scale = 1.0 }]
"#;

#[test]
fn devices_learn_from_csv_files_and_are_judged_by_those_held_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("shards")).unwrap();
    write_shards(&folder.path().join("shards"));
    fs::write(folder.path().join("task.toml"), TASK).unwrap();
    let path = folder.path().join("scenario.toml");
    let text = r#"
        name = "shards"
        [population]
        devices = 20
        join_s = 1.0
        [rounds]
        count = 6
        target = 10
        [learning]
        task = "task.toml"
        windows = 0
        epochs = 2
        learning_rate = 0.2
        [learning.data]
        kind = "csv"
        dir = "shards"
        held_out = 1
        repeat = true
        rate_hz = 10.0
        time = "t"
        label = "what"
        [learning.data.channels]
        x = "signal"
    "#;
    fs::write(&path, text).unwrap();
    let mut scenario = Scenario::load(&path).unwrap();
    let outcome = simulate(&scenario, 1);
    assert!(outcome.accuracy.unwrap() > 0.9, "{:?}", outcome.accuracy);
    scenario.learning.windows = 12;
    scenario.learning.dirichlet = 0.3;
    let drawn = simulate(&scenario, 1);
    assert!(drawn.accuracy.unwrap() > 0.7, "{:?}", drawn.accuracy);
    fs::remove_dir_all(folder.path().join("shards")).unwrap();
    assert!(prepare(&scenario).err().unwrap().contains("shards"));
}

/// A day of glucose every five minutes, slow waves of its own with noise.
fn glucose(seed: u64) -> String {
    let mut rng = Rng::new(seed);
    let (phase, level) = (rng.uniform(0.0, 6.0), rng.uniform(110.0, 170.0));
    let row = |step: u16| {
        let wave = (f32::from(step) * 0.11 + phase).sin();
        let value = level + 45.0 * wave + 2.0 * rng.normal();
        format!("{},{value:.1}\n", u32::from(step) * 300)
    };
    "time,gl\n".to_owned() + &(0..288).map(row).collect::<String>()
}

#[test]
fn a_forecast_of_half_an_hour_beats_the_last_value_and_is_told_in_its_unit() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("shards")).unwrap();
    for person in 0..7 {
        let file = folder.path().join(format!("shards/{person}.csv"));
        fs::write(file, glucose(person)).unwrap();
    }
    let task = include_str!("../../models/tasks/glucose-forecast.toml");
    fs::write(folder.path().join("task.toml"), task).unwrap();
    let path = folder.path().join("scenario.toml");
    let text = r#"
        name = "glucose"
        [population]
        devices = 6
        join_s = 1.0
        [rounds]
        count = 20
        target = 6
        [learning]
        task = "task.toml"
        windows = 0
        epochs = 2
        batch = 16
        learning_rate = 0.05
        [learning.data]
        kind = "csv"
        dir = "shards"
        held_out = 1
        period = "5 min"
        time = "time"
        [learning.data.channels]
        glucose = "gl"
    "#;
    fs::write(&path, text).unwrap();
    let scenario = Scenario::load(&path).unwrap();
    let outcome = simulate(&scenario, 1);
    assert_eq!(outcome.accuracy, None);
    let [fit] = &outcome.fit[..] else { panic!("{:?}", outcome.fit) };
    assert_eq!((fit.name.as_str(), fit.unit.as_str()), ("glucose", "mg/dL"));
    assert_eq!(fit.values, 6 * (288 - 17));
    // In mg/dL: half an hour moves a wave of 45 by about 20.
    assert!(fit.repeated_mse.unwrap() > 100.0 && fit.skill().unwrap() > 0.5, "{fit}");
    assert!(fit.r2.unwrap() > 0.8, "{fit}");
    let fairness = outcome.fairness.clone().unwrap();
    assert_eq!(fairness.of, "mean absolute error of glucose in mg/dL");
    assert_eq!(fairness.values.len(), 6);
}

/// The UCI HAR layout with invented signals: three persons to learn from, one to judge.
fn write_har(root: &Path) {
    let channels = ["body_acc", "body_gyro", "total_acc"]
        .iter()
        .flat_map(|kind| ["x", "y", "z"].map(|axis| format!("{kind}_{axis}")));
    let channels: Vec<String> = channels.collect();
    let labels =
        ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"];
    let rows = (1..).zip(labels).map(|(number, label)| format!("{number} {label}\n"));
    fs::create_dir_all(root).unwrap();
    fs::write(root.join("activity_labels.txt"), rows.collect::<String>()).unwrap();
    let mut rng = Rng::new(9);
    for (split, persons) in [("train", &[1, 3, 5][..]), ("test", &[2][..])] {
        let folder = root.join(split);
        fs::create_dir_all(folder.join("Inertial Signals")).unwrap();
        let (mut subjects, mut activities) = (String::new(), String::new());
        let mut signals = vec![String::new(); channels.len()];
        for person in persons {
            for window in 0..18_u16 {
                let activity = window % 6;
                writeln!(subjects, "{person}").unwrap();
                writeln!(activities, "{}", activity + 1).unwrap();
                for (signal, channel) in signals.iter_mut().zip(0_u16..) {
                    let level = if channel % 6 == activity { 0.8 } else { 0.0 };
                    for _ in 0..128 {
                        write!(signal, " {:.4e}", level + rng.uniform(-0.2, 0.2)).unwrap();
                    }
                    signal.push('\n');
                }
            }
        }
        fs::write(folder.join(format!("subject_{split}.txt")), subjects).unwrap();
        fs::write(folder.join(format!("y_{split}.txt")), activities).unwrap();
        for (channel, signal) in channels.iter().zip(signals) {
            let path = folder.join("Inertial Signals").join(format!("{channel}_{split}.txt"));
            fs::write(path, signal).unwrap();
        }
    }
}

#[test]
fn devices_are_persons_of_the_har_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("UCI HAR Dataset");
    write_har(&root);
    let text = format!(
        r#"
        name = "persons"
        [population]
        devices = 3
        join_s = 1.0
        [rounds]
        count = 3
        target = 3
        overselect = 1.0
        [[class]]
        drop_out = 0.0
        [learning]
        task = "har-cnn"
        windows = 0
        [learning.data]
        kind = "har"
        dir = '{}'
        "#,
        root.display()
    );
    let scenario = Scenario::parse(&text).unwrap();
    let outcome = simulate(&scenario, 1);
    assert!(outcome.rounds.iter().all(|round| round.accepted == 3));
    assert!(outcome.accuracy.is_some(), "the person of the test split judges");
    assert_eq!(outcome.fairness.unwrap().values.len(), 3);
}
