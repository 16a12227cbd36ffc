//! Fake trees of sysfs, from attributes to windows.

mod buffered;
mod devices;
mod inputs;
mod polled;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::watch::{Device, Now};
use super::*;
use crate::data::config::SourceConfig;
use crate::data::live::lock;
use crate::data::log_limit::clock;
use crate::data::ring::Record;
use crate::data::store::SampleStore;
use crate::data::{Loss, SourceStatus};
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Target, TaskSpec};

/// A fake `/sys` and `/dev` with one accelerometer, `iio:device0`.
struct Tree(tempfile::TempDir);

impl Tree {
    fn empty() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.devices()).unwrap();
        tree
    }

    /// With values to poll.
    fn polled() -> Self {
        let tree = Self::empty();
        tree.plug_in();
        tree
    }

    fn plug_in(&self) {
        self.write("name", "imu_accel\n");
        self.write("in_accel_x_raw", "100\n");
        self.write("in_accel_y_raw", "-200\n");
        self.write("in_accel_scale", "0.01\n");
    }

    /// With a buffer that has x, y and z of 12 bits in 16, a temperature and the time.
    fn buffered() -> Self {
        let tree = Self::polled();
        for (at, axis) in ["accel_x", "accel_y", "accel_z"].into_iter().enumerate() {
            tree.scan_element(axis, at, "le:s12/16>>4");
        }
        tree.scan_element("temp", 3, "be:s12/16>>0");
        tree.scan_element("timestamp", 4, "le:s64/64>>0");
        tree.write("buffer/enable", "0\n");
        tree.write("buffer/length", "2\n");
        tree.write("sampling_frequency", "104\n");
        tree.write("in_temp_offset", "5\n");
        tree.write("in_temp_scale", "2\n");
        fs::create_dir_all(tree.0.path().join("dev")).unwrap();
        fs::write(tree.node(), b"").unwrap();
        tree
    }

    fn scan_element(&self, name: &str, index: usize, kind: &str) {
        self.write(&format!("scan_elements/in_{name}_en"), "0\n");
        self.write(&format!("scan_elements/in_{name}_index"), &format!("{index}\n"));
        self.write(&format!("scan_elements/in_{name}_type"), &format!("{kind}\n"));
    }

    /// With what a file of `agent/tests/inputs` describes: `file: content` in each line.
    fn of(text: &str) -> Self {
        let tree = Self::empty();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (file, content) = line.split_once(": ").unwrap();
            let path = tree.devices().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{content}\n")).unwrap();
        }
        tree
    }

    fn devices(&self) -> PathBuf {
        self.0.path().join("sys/bus/iio/devices")
    }

    fn path(&self, attribute: &str) -> PathBuf {
        self.devices().join("iio:device0").join(attribute)
    }

    fn write(&self, attribute: &str, text: &str) {
        let path = self.path(attribute);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, attribute: &str) -> String {
        fs::read_to_string(self.path(attribute)).unwrap().trim().to_owned()
    }

    /// Makes an attribute that refuses whatever is written.
    fn refuse_writes(&self, attribute: &str) {
        fs::remove_file(self.path(attribute)).unwrap();
        symlink("/dev/full", self.path(attribute)).unwrap();
    }

    fn node(&self) -> PathBuf {
        self.0.path().join("dev/iio:device0")
    }

    fn config(&self, more: &str) -> IioConfig {
        let root = self.0.path().display();
        let text = format!(
            "kind = 'iio'\nsysfs = '{root}/sys'\ndev = '{root}/dev'\nrate_hz = 50\n{more}\n"
        );
        let config: SourceConfig = toml::from_str(&text).unwrap();
        assert_eq!(config.check().0, []);
        let SourceConfig::Iio(config) = config else { panic!("another kind") };
        config
    }
}

/// A source without its thread.
struct Bench<D> {
    store: Mutex<SampleStore>,
    watch: Watch<D>,
    now: Now,
    _dir: tempfile::TempDir,
}

impl<D: Device> Bench<D> {
    fn new(config: &IioConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SampleStore::open(dir.path(), config.sampling.header()).unwrap();
        let store = store.with_intake(config.sampling.intake());
        Self {
            store: Mutex::new(store),
            watch: Watch::new(config),
            now: Now { steady: clock(), wall_us: 1_000_000_000 },
            _dir: dir,
        }
    }

    /// Polls until there is nothing more, and lets the time of a sample pass.
    fn poll(&mut self) {
        while self.watch.poll_at(self.now, &self.store) {}
        self.wait(Duration::from_millis(20));
    }

    fn wait(&mut self, time: Duration) {
        self.now.steady += time;
        self.now.wall_us += i64::try_from(time.as_micros()).unwrap();
    }

    fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        lock(&self.store).scan(|record| records.push(record.clone())).unwrap();
        records
    }

    fn values(&self) -> Vec<Vec<f32>> {
        self.records().into_iter().map(|record| record.values).collect()
    }

    /// Values of the first sample, rounded to `digits` decimals.
    fn rounded(&self, digits: i32) -> Vec<f64> {
        let size = 10_f64.powi(digits);
        let first = self.values().remove(0);
        first.iter().map(|value| (f64::from(*value) * size).round() / size).collect()
    }

    fn lost(&self, loss: Loss) -> (u64, String) {
        let losses = self.status().losses;
        (losses.count(loss), losses.last(loss).unwrap_or_default().to_owned())
    }

    fn status(&self) -> SourceStatus {
        lock(&self.store).status()
    }

    fn problem(&self) -> String {
        self.status().problem.unwrap_or_default()
    }
}
