//! One source that several threads ask.

mod kept;

use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Rate, Target, TaskSpec};

use crate::data::{DataError, Loss, SourceConfig, WindowSource, open, reset};

/// Windows of four samples of one channel, one behind the other, at 50 Hz.
fn task() -> TaskSpec {
    let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    TaskSpec {
        name: Name::new("test").unwrap(),
        input: Input {
            channels: vec![channel],
            rate: Rate::from_millihertz(50_000),
            window: 4,
            hop: 4,
        },
        features: Features::Raw,
        layers: Vec::new(),
        target: Target::Reconstruct,
    }
}

/// A source that has taken in `rows` samples.
fn source(dir: &Path, rows: u64) -> Arc<dyn WindowSource> {
    let text = format!(
        "kind = 'csv'\npath = '{}/imu.csv'\nrate_hz = 50\nquantum = 1.0\n[channels]\nx = 'x'\n",
        dir.display()
    );
    let config: SourceConfig = toml::from_str(&text).unwrap();
    let numbers: String = (0..rows).map(|row| format!("{row}\n")).collect();
    std::fs::write(dir.join("imu.csv"), format!("x\n{numbers}")).unwrap();
    let source: Arc<dyn WindowSource> = open(&config, &dir.join("state")).unwrap().into();
    wait(&*source, rows);
    source
}

fn wait(source: &dyn WindowSource, samples: u64) {
    while source.status().samples < samples {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_classifier_gets_its_window_while_a_training_cuts_the_ring() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), 6_000);
    let found = Cell::new(0);
    // Asked before each of the blocks that are cut.
    let meanwhile = || {
        let (sender, window) = channel();
        let classifier = Arc::clone(&source);
        std::thread::spawn(move || sender.send(classifier.newest_window(&task()).unwrap()));
        let window = window.recv_timeout(Duration::from_secs(30));
        assert!(window.expect("it waits for the whole cut").is_some());
        found.set(found.get() + 1);
        false
    };
    let set = source.windows_unless(&task(), &meanwhile).unwrap();
    assert_eq!(set.len(), 1_500);
    assert!(found.get() > 2, "in the midst of it: {}", found.get());
}

#[test]
fn a_count_is_that_of_the_windows_and_reads_no_sample_twice() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), 6_000);
    let count = |task: &TaskSpec| source.count(task, &|| false).unwrap().total();
    assert_eq!(count(&task()), 1_500);
    // Everything that was counted goes bad on the disk.
    let ring = dir.path().join("state/samples.ring");
    let mut bytes = std::fs::read(&ring).unwrap();
    bytes[4096..].fill(0xff);
    std::fs::write(&ring, bytes).unwrap();
    let file = std::fs::OpenOptions::new().append(true).open(dir.path().join("imu.csv"));
    file.unwrap().write_all(b"1\n2\n3\n4\n5\n").unwrap();
    wait(&*source, 6_005);
    assert_eq!(count(&task()), 1_501);
    assert_eq!(source.windows(&task()).unwrap().len(), 1, "that one is there to cut");
    let stopped = source.count(&task(), &|| true);
    assert!(matches!(stopped, Err(DataError::Stopped)));
    assert_eq!(count(&task()), 1, "it begins again after that");
}
