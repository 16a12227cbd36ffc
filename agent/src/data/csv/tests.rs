//! The whole way from rows to samples, without a thread where none is needed.

mod folder;
mod inputs;
mod label_files;
mod odd;
mod resume;
mod rewritten;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::data::live::{save, settle};
use crate::data::ring::{NO_LABEL, Record};
use crate::data::{Loss, SourceConfig, SourceStatus, open};
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};

/// A folder with an input, a label file and a state folder, at 50 Hz.
struct Bench {
    dir: tempfile::TempDir,
    config: CsvConfig,
}

/// What a running agent holds.
struct Running {
    store: Mutex<SampleStore>,
    reader: CsvReader,
    labels: Option<LabelReader>,
}

impl Bench {
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "kind = 'csv'\npath = '{0}/imu.csv'\nlabels_path = '{0}/labels.csv'\nrate_hz = 50.0\n\
             {more}\n[channels]\nx = 'x'\ny = 'y'\n",
            dir.path().display()
        );
        let SourceConfig::Csv(config) = toml::from_str(&text).unwrap() else { panic!() };
        Self { dir, config }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn append(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Appends rows of these numbers, a period apart, to the input.
    fn rows(&self, numbers: std::ops::Range<u32>) {
        let row = |n: u32| format!("{:.2},{n},-{n}\n", f64::from(n) * 0.02);
        self.append("imu.csv", &numbers.map(row).collect::<String>());
    }

    fn run(&self) -> Running {
        let store = SampleStore::open(&self.state(), self.config.sampling.header()).unwrap();
        let mut store = store.with_intake(self.config.sampling.intake());
        store.set_label_names(self.config.sampling.label_names());
        let reader = CsvReader::open(&self.config, position_path(&self.state()), &store).unwrap();
        let sampling = &self.config.sampling;
        let labels = sampling.label_file(self.config.input.text.delimiter);
        let labels = labels.filter(|(_, form)| !form.is_index()).map(|(path, form)| {
            LabelReader::new(&path, &form, sampling.time_unit, sampling.period_ns())
        });
        let mut running = Running { store: Mutex::new(store), reader, labels };
        running.settle();
        running
    }
}

impl Running {
    /// Reads all that there is.
    fn settle(&mut self) {
        while self.reader.poll(&self.store)
            || self.labels.as_mut().is_some_and(|labels| labels.poll(&self.store))
        {}
        settle(&self.store);
    }

    fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        lock(&self.store).scan(|record| records.push(record.clone())).unwrap();
        records
    }

    /// First value of each sample, as the integer that the rows count with.
    fn numbers(&self) -> Vec<u32> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and whole
        let number = |record: &Record| record.values[0].abs() as u32;
        self.records().iter().map(number).collect()
    }

    /// Label of each sample as text.
    fn texts(&self) -> Vec<String> {
        let records = self.records();
        let store = lock(&self.store);
        let text = |r: &Record| store.label_texts().get(usize::from(r.label)).cloned();
        records.iter().map(|record| text(record).unwrap_or_default()).collect()
    }

    fn save(&mut self) {
        save(&self.store, &mut self.reader);
    }

    fn status(&self) -> SourceStatus {
        lock(&self.store).status()
    }
}

const TIMED: &str = "time = 't'";

#[test]
fn rows_come_in_as_the_file_grows_and_partial_lines_wait() {
    let bench = Bench::new(TIMED);
    let mut running = bench.run();
    assert!(running.records().is_empty());
    assert!(running.status().problem.unwrap().contains("imu.csv: not there yet"));
    bench.append("imu.csv", "t,x,y\n0.00,0,0\n0.02,1,-1\n0.0");
    running.settle();
    assert_eq!(running.numbers(), [0, 1]);
    bench.append("imu.csv", "4,2,-2\n");
    running.settle();
    let last = running.records().pop().unwrap();
    assert_eq!((last.time_us, &last.values[..], last.label), (40_000, &[2.0, -2.0][..], NO_LABEL));
    let status = running.status();
    assert_eq!((status.accepted, status.losses.faults(), status.problem), (3, 0, None));
}

#[test]
fn garbage_is_counted_and_skipped() {
    let bench = Bench::new(TIMED);
    bench.append("imu.csv", "t,x,y\n0,0,0\nnonsense\n0.02,inf,1\n\n0.04,2\n");
    bench.append("imu.csv", &format!("{}\n0.06,3,3\n", "9".repeat(40_000)));
    let running = bench.run();
    assert_eq!(running.numbers(), [0, 3]);
    assert_eq!(running.status().losses.faults(), 4);
}

#[test]
fn noise_never_panics_and_memory_stays_bounded() {
    let bench = Bench::new("time = 't'\nlabel = 'l'\ncapacity_samples = 1024");
    bench.append("imu.csv", "t,x,y,l\n");
    let mut running = bench.run();
    let mut rng = dunlin_protocol::rng::Rng::new(7);
    let alphabet = b"0123456789.,,,,,\n\n\"-abc\xff\x00";
    for round in 0..200 {
        let noise: Vec<u8> =
            (0..rng.below(20_000)).map(|_| alphabet[rng.below(alphabet.len())]).collect();
        let name = if round % 5 == 0 { "labels.csv" } else { "imu.csv" };
        let path = bench.dir.path().join(name);
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(&noise).unwrap();
        running.settle();
    }
    let status = running.status();
    assert!(status.samples <= 1024 && status.losses.faults() > 1000, "{status}");
    assert!(lock(&running.store).label_texts().len() <= 256);
    let length = fs::metadata(bench.state().join("samples.ring")).unwrap().len();
    assert!(length <= 4096 + 1024 * 26);
}

#[test]
fn a_restart_neither_repeats_nor_skips_rows() {
    for times in [TIMED, "fill = false"] {
        let bench = Bench::new(times);
        bench.append("imu.csv", "t,x,y\n");
        bench.rows(0..10);
        let mut running = bench.run();
        running.save();
        bench.append("imu.csv", "a bad row\n");
        bench.rows(10..15);
        running.settle();
        drop(running); // Killed: the position of a minute ago is on disk, the samples are, too.
        bench.rows(15..20);
        let mut running = bench.run();
        assert_eq!(running.numbers(), (0..20).collect::<Vec<_>>());
        bench.rows(20..22);
        running.settle();
        running.save();
        drop(running);
        let running = bench.run();
        assert_eq!(running.numbers(), (0..22).collect::<Vec<_>>());
        assert_eq!(running.status().accepted, 0, "everything was known already");
    }
}

#[test]
fn without_a_time_column_samples_are_a_period_apart_and_bad_rows_leave_a_gap() {
    let bench = Bench::new("fill = false");
    bench.append("imu.csv", "x,y\n1,1\n2,2\n?,?\n3,3\n");
    let mut running = bench.run();
    let times = |running: &Running| -> Vec<i64> {
        running.records().iter().map(|record| record.time_us / 1000).collect()
    };
    assert_eq!(times(&running), [0, 20, 60]);
    running.save();
    drop(running);
    bench.append("imu.csv", "4,4\n");
    let mut running = bench.run();
    assert_eq!(times(&running), [0, 20, 60, 80], "a restart is no gap in a file");
    fs::rename(bench.dir.path().join("imu.csv"), bench.dir.path().join("old")).unwrap();
    bench.append("imu.csv", "x,y\n5,5\n6,6\n");
    running.settle();
    assert_eq!(times(&running), [0, 20, 60, 80, 1080, 1100], "a rotation may be one");
}

#[test]
fn rotated_and_truncated_files_are_followed() {
    let bench = Bench::new(TIMED);
    bench.append("imu.csv", "t,x,y\n");
    bench.rows(0..3);
    let mut running = bench.run();
    fs::rename(bench.dir.path().join("imu.csv"), bench.dir.path().join("imu.csv.1")).unwrap();
    bench.append("imu.csv", "y,x,t\n-3,3,0.06\n0.");
    running.settle();
    assert_eq!(running.numbers(), [0, 1, 2, 3], "the new header holds");
    fs::write(bench.dir.path().join("imu.csv"), "t,x,y\n").unwrap();
    running.settle();
    bench.rows(4..6);
    running.settle();
    assert_eq!(running.numbers(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(running.status().losses.faults(), 1, "the row that broke off");
    drop(running);
    assert_eq!(bench.run().numbers(), [0, 1, 2, 3, 4, 5], "also after a kill");
}

#[test]
fn a_fifo_is_read_from_one_writer_after_the_other() {
    let mut bench = Bench::new(TIMED);
    bench.config.input.path = bench.dir.path().join("imu.fifo");
    let made = std::process::Command::new("mkfifo").arg(&bench.config.input.path).status().unwrap();
    assert!(made.success());
    let mut running = bench.run();
    for number in 0..3 {
        let mut writer = OpenOptions::new().write(true).open(&bench.config.input.path).unwrap();
        writeln!(writer, "t,x,y\n{number},{number},0").unwrap();
        write!(writer, "{number},7").unwrap();
        running.settle();
        assert_eq!(running.status().problem, None);
        drop(writer);
        running.settle();
        assert!(running.status().problem.unwrap().contains("nobody writes"), "{number}");
    }
    assert_eq!(running.numbers(), [0, 1, 2]);
    assert_eq!(running.status().losses.faults(), 3, "rows that broke off are not guessed");
}

#[test]
fn labels_may_come_late_early_or_be_corrected() {
    let bench = Bench::new(TIMED);
    bench.append("imu.csv", "t,x,y\n");
    bench.rows(0..4);
    bench.append("labels.csv", "start,end,label\n0.02,0.05,walk\n0.09,0.13,sit\n");
    let mut running = bench.run();
    assert_eq!(running.texts(), ["", "walk", "walk", ""]);
    bench.rows(4..8);
    running.settle();
    assert_eq!(running.texts(), ["", "walk", "walk", "", "", "sit", "sit", ""]);
    bench.append("labels.csv", "0.04,0.1,run\n0.12,0.14,\nbad,row,x\n3,2,x\n");
    running.settle();
    let expected = ["", "walk", "run", "run", "run", "sit", "", ""];
    assert_eq!(running.texts(), expected);
    assert_eq!(running.status().losses.count(Loss::Label), 2);
    drop(running);
    assert_eq!(bench.run().texts(), expected, "reading them again changes nothing");
}

#[test]
fn a_label_column_is_kept_and_a_lost_label_table_clears_what_it_named() {
    let bench = Bench::new("time = 't'\nlabel = 'l'");
    bench.append("imu.csv", "t,x,y,l\n0,0,0,walk\n0.02,1,1,\n0.04,2,2,Sit\n");
    let mut running = bench.run();
    assert_eq!(running.texts(), ["walk", "", "Sit"]);
    running.save();
    drop(running);
    assert_eq!(bench.run().texts(), ["walk", "", "Sit"]);
    fs::remove_file(bench.state().join("samples.labels")).unwrap();
    bench.append("labels.csv", "0,0.03,stand\n");
    assert_eq!(bench.run().texts(), ["stand", "stand", ""]);
}

#[test]
fn a_header_without_the_columns_is_a_problem_until_it_is_mended() {
    let bench = Bench::new(TIMED);
    bench.append("imu.csv", "time,x,y\n0,1,1\n");
    let mut running = bench.run();
    let problem = running.status().problem.unwrap();
    assert!(problem.contains("imu.csv") && problem.contains("no column for t"), "{problem}");
    assert!(running.records().is_empty());
    fs::write(bench.dir.path().join("imu.csv"), "").unwrap();
    running.settle();
    bench.append("imu.csv", "t,x,y\n0,1,1\n");
    running.settle();
    assert_eq!((running.numbers(), running.status().problem), (vec![1], None));
}

fn task() -> TaskSpec {
    let channel = |name: &str| Channel {
        name: name.to_owned(),
        unit: "g".to_owned(),
        offset: 0.0,
        scale: 1.0,
    };
    TaskSpec {
        name: Name::new("test").unwrap(),
        input: Input {
            channels: vec![channel("y"), channel("x")],
            rate: Rate::from_millihertz(50_000),
            window: 4,
            hop: 4,
        },
        features: Features::Raw,
        layers: Vec::new(),
        target: Target::Classes(vec!["sit".to_owned(), "walk".to_owned()]),
    }
}

#[test]
fn an_opened_source_reads_in_its_own_thread_and_gives_windows() {
    let bench = Bench::new("time = 't'\nquantum = 0.25");
    bench.append("imu.csv", "t,x,y\n");
    bench.rows(0..9);
    bench.append("labels.csv", "0,0.08,WALK\n0.08,9,sit\n");
    let config = SourceConfig::Csv(bench.config.clone());
    let source = open(&config, &bench.state()).unwrap();
    while source.windows(&task()).map_or(0, |set| set.len()) < 2 {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let set = source.windows(&task()).unwrap();
    assert_eq!(set.labels, [1, 0]);
    assert_eq!(set.window(1), [-4.0, 4.0, -5.0, 5.0, -6.0, 6.0, -7.0, 7.0]);
    let newest = source.newest_window(&task()).unwrap().unwrap();
    assert_eq!(newest.end_us, 160_000, "the ninth row, that no window for training ends with");
    assert_eq!(newest.values[..2], [-5.0, 5.0]);
    assert!(open(&config, &bench.state()).is_err(), "the ring is in use");
    drop(source);
    let source = open(&config, &bench.state()).unwrap();
    assert_eq!(source.windows(&task()).unwrap().len(), 2, "the ring is all that is needed");
    assert_eq!(source.status().samples, 9);
}

#[test]
fn a_configuration_with_problems_opens_nothing() {
    let mut bench = Bench::new(TIMED);
    bench.config.sampling.rate_hz = f64::NAN;
    let error = open(&SourceConfig::Csv(bench.config.clone()), &bench.state()).err().unwrap();
    assert!(error.to_string().contains("source.rate_hz"), "{error}");
    assert!(!bench.state().exists());
}
