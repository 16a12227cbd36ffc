//! A counter beside a ring that goes on, against a cut of the whole ring.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use super::*;
use crate::data::cut::windows;
use crate::data::ring::{Header, NO_LABEL, RingChannel, record_bytes};
use dunlin_protocol::id::Name;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};

const CAPACITY: u64 = 1024;

/// A task at 50 Hz with two channels. Counting looks at no layers.
fn task(window: u16, hop: u16, labels: &[&str]) -> TaskSpec {
    let channel =
        |name: &str| Channel { name: name.into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    let channels = ["a", "b"].map(channel).to_vec();
    let target = match labels {
        [] => Target::Reconstruct,
        labels => Target::Classes(labels.iter().map(|label| (*label).into()).collect()),
    };
    TaskSpec {
        name: Name::new("test").unwrap(),
        input: Input { channels, rate: Rate::from_millihertz(50_000), window, hop },
        features: Features::Raw,
        layers: Vec::new(),
        target,
    }
}

/// A ring at 50 Hz that is written on at random.
struct Bench {
    dir: tempfile::TempDir,
    ring: Ring,
    texts: Vec<String>,
    rng: Rng,
    time_us: i64,
    label: u16,
    /// Samples that are still to come too fast.
    hurried: usize,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let channels = vec![RingChannel::new("b", 1.0), RingChannel::new("a", 0.0)];
        let header = Header { channels, period_ns: 20_000_000, capacity: CAPACITY };
        let ring = Ring::open(&dir.path().join("ring"), header).unwrap();
        let texts = ["walk", "sit", "lie"].map(str::to_owned).to_vec();
        let (rng, label) = (Rng::new(seed), NO_LABEL);
        Self { dir, ring, texts, rng, time_us: 0, label, hurried: 0 }
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.rng.below(count) == 0
    }

    /// Appends samples: labels change, gaps open, the clock is set back, the sensor runs too fast
    /// for a while, values leave the range.
    fn append(&mut self, count: usize) {
        for _ in 0..count {
            if self.one_in(40) {
                self.label = [0, 0, 1, 2, NO_LABEL][self.rng.below(5)];
            }
            if self.one_in(90) {
                self.time_us += 150_000;
            }
            if self.one_in(400) {
                self.time_us -= 5_000_000;
            }
            if self.one_in(150) {
                self.hurried = 60;
            }
            self.time_us += if self.hurried > 0 { 11_000 } else { 20_000 };
            self.hurried = self.hurried.saturating_sub(1);
            let beyond = self.one_in(200);
            let values = [if beyond { 1e6 } else { 1.0 }, 2.0];
            self.ring.append(self.time_us, self.label, &values).unwrap();
        }
    }

    /// Damages one of the last few samples on the disk, which nobody has read yet.
    fn tear(&mut self) {
        self.ring.flush().unwrap();
        let file = OpenOptions::new().write(true).open(self.dir.path().join("ring"));
        let place = (self.ring.next_sequence() - 3) % CAPACITY;
        let at = 4096 + place * record_bytes([1.0, 0.0]) as u64;
        let mut file = file.unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xff; 4]).unwrap();
    }

    /// Gives a stretch of samples another label, as a label that comes late.
    fn relabel(&mut self) {
        let from = self.time_us - 4_000_000;
        let label = [1, 2, NO_LABEL][self.rng.below(3)];
        let late = |record: &Record| (from..from + 2_000_000).contains(&record.time_us);
        self.ring.relabel(|record| late(record).then_some(label)).unwrap();
    }

    fn count(
        &mut self,
        kept: &mut Option<Counter>,
        task: &TaskSpec,
        values_max: usize,
    ) -> Result<WindowCounts, DataError> {
        let mut counter = Counter::begin(kept.take(), &self.ring, &self.texts, task)?;
        counter.catch_up(&|| false, |block, end| self.ring.read_block(block, end))?;
        let counts = counter.counts(self.ring.oldest_sequence(), values_max);
        *kept = Some(counter);
        counts
    }

    /// Windows that were counted; they are those of a cut.
    fn check(
        &mut self,
        kept: &mut Option<Counter>,
        task: &TaskSpec,
        values_max: usize,
        what: &str,
    ) -> usize {
        let counted = self.count(kept, task, values_max);
        let cut = windows(&mut self.ring, &self.texts, task, values_max);
        match (counted, cut) {
            (Ok(counts), Ok(set)) => {
                assert_eq!(counts.by_label(), WindowCounts::of(&set).by_label(), "{what}");
                assert_eq!(windows_of(&counts.left_out), windows_of(&set.left_out), "{what}");
                counts.total()
            }
            (Err(DataError::Clock(counted)), Err(DataError::Clock(cut))) => {
                assert_eq!(windows_of(&counted), windows_of(&cut), "{what}");
                0
            }
            (counted, cut) => panic!("{what}: {counted:?}, {cut:?}"),
        }
    }
}

fn windows_of(left_out: &LeftOut) -> [u64; 5] {
    let LeftOut { found, unlabelled, off_rate, cut, crowded_out, .. } = *left_out;
    [found, unlabelled, off_rate, cut, crowded_out]
}

#[test]
fn a_count_that_goes_on_is_that_of_the_whole_ring() {
    let tasks = [
        task(4, 2, &["sit", "walk"]),
        task(5, 3, &[]),
        task(16, 16, &["lie", "WALK", "run"]),
        task(3, 7, &["sit", "lie"]),
        task(64, 10, &["walk", "sit", "lie"]),
        task(100, 50, &[]),
        task(1, 1, &["walk", "sit"]),
    ];
    for seed in 0..3 {
        let mut bench = Bench::new(seed);
        let mut kept: Vec<Option<Counter>> = tasks.iter().map(|_| None).collect();
        let mut found = vec![0; tasks.len()];
        for turn in 0..60 {
            let count = bench.rng.below(300);
            bench.append(count);
            if turn % 7 == 6 && count > 3 {
                bench.tear();
            }
            if turn % 10 == 9 {
                bench.relabel();
            }
            for ((task, kept), found) in tasks.iter().zip(&mut kept).zip(&mut found) {
                // Some are asked seldom: the ring has gone round meanwhile.
                if task.input.hop == 10 && turn % 20 != 19 {
                    continue;
                }
                for values_max in [usize::MAX, 40, 999] {
                    let what = format!("seed {seed}, turn {turn}, {:?}", task.input);
                    *found += bench.check(kept, task, values_max, &what);
                }
            }
        }
        assert!(found.iter().all(|&found| found > 0), "{found:?}");
    }
}

#[test]
fn a_counter_of_another_task_is_not_gone_on_with() {
    let mut bench = Bench::new(7);
    bench.append(700);
    let mut kept = None;
    for task in [task(4, 2, &[]), task(4, 2, &["walk", "sit"]), task(4, 3, &[])] {
        assert!(bench.check(&mut kept, &task, usize::MAX, "another task") > 0);
    }
    let (mut fast, more) = (task(4, 2, &[]), task(4, 2, &["run", "jump"]));
    fast.input.rate = Rate::from_millihertz(100_000);
    let mut error = |task: &TaskSpec| bench.count(&mut kept, task, 100).unwrap_err().to_string();
    assert!(error(&fast).contains("100 Hz"));
    assert!(error(&more).contains("none of the task's labels"));
}

#[test]
fn a_clock_that_contradicts_the_rate_is_told_as_by_a_cut() {
    let mut bench = Bench::new(1);
    for number in 0..500 {
        bench.ring.append(number * 10_000, NO_LABEL, &[0.0, 0.0]).unwrap();
    }
    let long = task(100, 50, &[]);
    let counted = bench.count(&mut None, &long, usize::MAX).unwrap_err().to_string();
    let cut = windows(&mut bench.ring, &[], &long, usize::MAX).unwrap_err().to_string();
    assert_eq!(counted, cut);
}

#[test]
fn each_sample_is_read_once() {
    let mut bench = Bench::new(2);
    let task = task(4, 4, &[]);
    let mut kept = None;
    bench.append(900);
    let before = bench.check(&mut kept, &task, usize::MAX, "at first");
    let mut counter = Counter::begin(kept, &bench.ring, &bench.texts, &task).unwrap();
    let mut blocks = 0;
    let mut catch_up = |counter: &mut Counter, ring: &mut Ring| {
        let caught_up = counter.catch_up(&|| false, |block, end| {
            let more = ring.read_block(block, end)?;
            blocks += usize::from(more);
            Ok(more)
        });
        caught_up.unwrap();
        blocks
    };
    assert_eq!(catch_up(&mut counter, &mut bench.ring), 0, "nothing is new");
    assert_eq!(counter.counts(0, usize::MAX).unwrap().total(), before);
    bench.append(8);
    let mut counter = Counter::begin(Some(counter), &bench.ring, &bench.texts, &task).unwrap();
    assert_eq!(catch_up(&mut counter, &mut bench.ring), 1);
    counter.block.visit(|record| assert!(record.sequence >= 900));
}
