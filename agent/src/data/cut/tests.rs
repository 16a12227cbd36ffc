#![allow(clippy::cast_possible_truncation)]

mod left_out;
mod units;

use super::*;
use crate::data::ring::{NO_LABEL, RingChannel, record_bytes};
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};

/// A task for windows of 4 samples, 2 apart, at 50 Hz. Cutting looks at no layers.
fn task(channels: &[&str], labels: &[&str]) -> TaskSpec {
    let channel =
        |name: &&str| Channel { name: (*name).into(), unit: "g".into(), offset: 1.0, scale: 10.0 };
    let channels = channels.iter().map(channel).collect();
    let target = match labels {
        [] => Target::Reconstruct,
        labels => Target::Classes(labels.iter().map(|label| (*label).into()).collect()),
    };
    TaskSpec {
        name: Name::new("test").unwrap(),
        input: Input { channels, rate: Rate::from_millihertz(50_000), window: 4, hop: 2 },
        features: Features::Raw,
        layers: Vec::new(),
        target,
    }
}

/// A ring at 50 Hz with samples of these times in ms and labels; `a` counts samples from 1, `b` is
/// its negative.
fn ring(samples: impl IntoIterator<Item = (i64, u16)>) -> (tempfile::TempDir, Ring) {
    let dir = tempfile::tempdir().unwrap();
    let channels = ["a", "b"].map(|name| RingChannel::new(name, 0.5)).to_vec();
    let header = Header { channels, period_ns: 20_000_000, capacity: 10_000 };
    let mut ring = Ring::open(&dir.path().join("ring"), header).unwrap();
    for (number, (time_ms, label)) in (1u16..).zip(samples) {
        let value = f32::from(number);
        ring.append(time_ms * 1000, label, &[value, -value]).unwrap();
    }
    (dir, ring)
}

fn texts(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// Number of the first sample of each window, from channel `a` alone.
fn starts(set: &WindowSet) -> Vec<f32> {
    (0..set.len()).map(|window| set.window(window)[0] / 10.0 + 1.0).collect()
}

#[test]
fn windows_overlap_and_carry_scaled_channels_in_the_order_of_the_task() {
    let (_dir, mut ring) = ring((0..7).map(|n| (n * 20, NO_LABEL)));
    let set = windows(&mut ring, &[], &task(&["b", "a"], &[]), usize::MAX).unwrap();
    assert_eq!((set.len(), set.window_values), (2, 8));
    assert_eq!(set.window(0), [-20.0, 0.0, -30.0, 10.0, -40.0, 20.0, -50.0, 30.0]);
    assert_eq!(set.window(1)[..2], [-40.0, 20.0]);
    assert!(set.labels.is_empty());
}

#[test]
fn gaps_and_clocks_set_back_end_a_row() {
    let late = (0..6).map(|n| (n * 20, NO_LABEL)).chain((0..5).map(|n| (151 + n * 20, NO_LABEL)));
    let (_dir, mut ring) = ring(late.chain((0..4).map(|n| (n * 20, NO_LABEL))));
    let set = windows(&mut ring, &[], &task(&["a"], &[]), usize::MAX).unwrap();
    assert_eq!(starts(&set), [1.0, 3.0, 7.0, 12.0]);
}

#[test]
fn jitter_below_half_a_period_ends_no_row() {
    let jitter = [0, 9, -9, 3, 5, -2, 0, 8];
    let (_dir, mut ring) = ring((0..8).map(|n| (n * 20 + jitter[n as usize] / 2, NO_LABEL)));
    let set = windows(&mut ring, &[], &task(&["a"], &[]), usize::MAX).unwrap();
    assert_eq!(starts(&set), [1.0, 3.0, 5.0]);
}

#[test]
fn a_window_has_the_label_of_eight_in_ten_samples() {
    let labels = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, NO_LABEL, NO_LABEL, 2, 2, 2, 2];
    let (_dir, mut ring) = ring((0..16).map(|n| (n * 20, labels[n as usize])));
    let names = texts(&["WALK", "sit", "unknown to the task"]);
    let set = windows(&mut ring, &names, &task(&["a"], &["sit", "walk"]), usize::MAX).unwrap();
    assert_eq!(starts(&set), [1.0, 3.0, 7.0]);
    assert_eq!(set.labels, [1, 1, 0]);
    let mut longer = task(&["a"], &["sit", "walk"]);
    longer.input.window = 5;
    let set = windows(&mut ring, &names, &longer, usize::MAX).unwrap();
    assert_eq!((starts(&set), &set.labels[..]), (vec![1.0, 3.0, 7.0], &[1, 1, 0][..]));
    let set = windows(&mut ring, &names, &task(&["a"], &[]), usize::MAX).unwrap();
    assert_eq!((set.len(), set.labels.len()), (7, 0), "without labels every window counts");
}

#[test]
fn too_many_windows_leave_the_newest() {
    let (_dir, mut ring) = ring((0..1000).map(|n| (n * 20, 0)));
    let set = windows(&mut ring, &texts(&["w"]), &task(&["a"], &["w", "x"]), 13).unwrap();
    assert_eq!(starts(&set), [993.0, 995.0, 997.0]);
    assert_eq!(set.labels, [0, 0, 0]);
}

#[test]
fn a_task_that_does_not_fit_is_told_what_there_is() {
    let (_dir, mut ring) = ring((0..9).map(|n| (n * 20, 0)));
    let mut ask = |task: &TaskSpec| windows(&mut ring, &texts(&["w"]), task, 1000);
    let error = ask(&task(&["a", "gyro"], &[])).unwrap_err().to_string();
    assert!(error.contains("gyro") && error.contains("a, b"), "{error}");
    let mut fast = task(&["a"], &[]);
    fast.input.rate = Rate::from_millihertz(50_510);
    let error = ask(&fast).unwrap_err().to_string();
    assert!(error.contains("50.51 Hz") && error.contains("50 Hz"), "{error}");
    fast.input.rate = Rate::from_millihertz(50_490);
    assert!(ask(&fast).is_ok(), "1 % apart is near enough");
    let error = ask(&task(&["a"], &["x", "y"])).unwrap_err().to_string();
    assert!(error.contains("x, y") && error.contains("the data have w"), "{error}");
}

#[test]
fn a_time_column_that_contradicts_the_rate_is_an_error() {
    let (_dir, mut ring) = ring((0..500).map(|n| (n * 10, NO_LABEL)));
    let mut long = task(&["a"], &[]);
    long.input.window = 100;
    let error = windows(&mut ring, &[], &long, 100_000).unwrap_err().to_string();
    assert!(error.contains("samples come at 100 Hz, rate_hz says 50"), "{error}");
}

#[test]
fn an_empty_ring_has_no_windows_and_that_is_no_error() {
    let (_dir, mut ring) = ring([]);
    let set = windows(&mut ring, &[], &task(&["a"], &["x", "y"]), 1000).unwrap();
    assert!(set.is_empty());
}

#[test]
fn cutting_gives_up_at_the_next_block_when_it_is_asked_to() {
    let (_dir, mut ring) = ring((0..9_000).map(|n| (n * 20, NO_LABEL)));
    let asked = std::cell::Cell::new(0);
    let stop = |after: u32| {
        asked.set(0);
        let asked = &asked;
        move || {
            asked.set(asked.get() + 1);
            asked.get() > after
        }
    };
    let task = task(&["a"], &[]);
    let mut cut = |after| windows_unless(&mut ring, &[], &task, usize::MAX, &stop(after));
    assert!(matches!(cut(2), Err(DataError::Stopped)));
    assert_eq!(asked.get(), 3, "two blocks were read");
    assert_eq!(cut(u32::MAX).unwrap().len(), 4_499);
}

#[test]
fn the_newest_window_ends_with_the_newest_sample_whatever_its_labels() {
    let (_dir, mut ring) = ring((0..7).map(|n| (n * 20, NO_LABEL)));
    let labelled = task(&["b", "a"], &["x", "y"]);
    let window = newest(&mut ring, &labelled).unwrap().unwrap();
    assert_eq!(window.end_us, 120_000);
    assert_eq!(window.values, [-50.0, 30.0, -60.0, 40.0, -70.0, 50.0, -80.0, 60.0]);
    let same = newest(&mut ring, &task(&["b", "a"], &[])).unwrap().unwrap();
    assert_eq!(same, window);
}

#[test]
fn too_few_samples_make_no_newest_window() {
    for count in 0..4 {
        let (_dir, mut ring) = ring((0..count).map(|n| (n * 20, 0)));
        assert_eq!(newest(&mut ring, &task(&["a"], &[])).unwrap(), None, "{count} samples");
    }
}

#[test]
fn a_gap_a_clock_set_back_or_a_wrong_rate_makes_no_newest_window() {
    let times = [0, 20, 40, 60, 80, 100, 120];
    for (at, time_ms) in [(3, 300), (4, 200), (5, 10), (6, 40), (6, 151)] {
        let mut times = times;
        times[at..].iter_mut().for_each(|time| *time += time_ms - at as i64 * 20);
        let (_dir, mut ring) = ring(times.map(|time| (time, 0)));
        let window = newest(&mut ring, &task(&["a"], &[])).unwrap();
        assert_eq!(window.is_none(), at > 3, "sample {at} at {time_ms} ms");
    }
    let (_dir, mut ring) = ring((0..500).map(|n| (n * 10, 0)));
    let mut long = task(&["a"], &[]);
    long.input.window = 100;
    assert_eq!(newest(&mut ring, &long).unwrap(), None);
}

#[test]
fn the_newest_window_is_found_after_the_ring_has_wrapped_and_reads_only_its_tail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ring");
    let channels = vec![RingChannel::new("a", 1.0)];
    let header = Header { channels, period_ns: 20_000_000, capacity: 1024 };
    let mut ring = Ring::open(&path, header).unwrap();
    for number in 0..1026u16 {
        ring.append(i64::from(number) * 20_000, 0, &[f32::from(number)]).unwrap();
    }
    let window = newest(&mut ring, &task(&["a"], &[])).unwrap().unwrap();
    let numbers = [1022.0, 1023.0, 1024.0, 1025.0].map(|number| (number - 1.0) * 10.0);
    assert_eq!((window.end_us, &window.values[..]), (1025 * 20_000, &numbers[..]));
    // Everything before the window is torn: nobody looks at it.
    let mut bytes = std::fs::read(&path).unwrap();
    let (start, stride) = (4096, record_bytes([1.0]));
    bytes[start + 2 * stride..start + 1022 * stride].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(newest(&mut ring, &task(&["a"], &[])).unwrap(), Some(window));
    let mut seen = 0;
    ring.scan(ring.next_sequence() - 4, |_| seen += 1).unwrap();
    assert_eq!(seen, 4);
}

#[test]
fn a_task_that_does_not_fit_has_no_newest_window_and_is_told_why() {
    let (_dir, mut ring) = ring((0..9).map(|n| (n * 20, 0)));
    let error = newest(&mut ring, &task(&["gyro"], &[])).unwrap_err().to_string();
    assert!(error.contains("gyro"), "{error}");
}

#[test]
fn samples_may_be_added_between_the_blocks_that_are_cut() {
    let (_dir, mut ring) = ring((0..9_000).map(|n| (n * 20, NO_LABEL)));
    let task = task(&["a"], &[]);
    let cutting = Cutting::begin(&ring, &[], &task, usize::MAX).unwrap();
    let mut time_us = 9_000 * 20_000;
    let set = cutting.finish(&task, &|| false, |block, end| {
        let read = ring.read_block(block, end);
        ring.append(time_us, NO_LABEL, &[1.0, 2.0]).unwrap();
        time_us += 20_000;
        read
    });
    assert_eq!(set.unwrap().len(), 4_499, "those that were there when it began");
}
