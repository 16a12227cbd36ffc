//! What is left out, and why there are no windows.

use super::*;
use crate::data::WindowCounts;

/// A cut and a count of the same ring, which agree in what they left out.
fn both(ring: &mut Ring, task: &TaskSpec) -> Result<WindowSet, DataError> {
    let cut = windows(ring, &[], task, usize::MAX);
    let mut counter = Counter::begin(None, ring, &[], task)?;
    counter.catch_up(&|| false, |block, end| ring.read_block(block, end))?;
    let counted = counter.counts(ring.oldest_sequence(), usize::MAX);
    match (&cut, &counted) {
        (Ok(set), Ok(counts)) => assert_eq!(WindowCounts::of(set), *counts),
        (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
        other => panic!("{other:?}"),
    }
    cut
}

fn long(window: u16) -> TaskSpec {
    let mut task = task(&["a"], &[]);
    (task.input.window, task.input.hop) = (window, window);
    task
}

fn at(times_ms: impl IntoIterator<Item = i64>) -> (tempfile::TempDir, Ring) {
    ring(times_ms.into_iter().map(|time| (time, NO_LABEL)))
}

#[test]
fn windows_with_a_value_that_the_ring_could_not_hold_are_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let channels = vec![RingChannel::new("a", 0.5), RingChannel::new("b", 0.0)];
    let header = Header { channels, period_ns: 20_000_000, capacity: 1024 };
    let mut ring = Ring::open(&dir.path().join("ring"), header).unwrap();
    for number in 0..16u16 {
        let beyond = number == 5;
        let value = if beyond { 1e6 } else { f32::from(number) };
        ring.append(i64::from(number) * 20_000, NO_LABEL, &[value, 1e6]).unwrap();
    }
    let set = both(&mut ring, &task(&["a"], &[])).unwrap();
    // Windows begin with samples 0, 2, 4 ... 12; those of 2 and 4 hold sample 5.
    assert_eq!(starts(&set), [0.0, 6.0, 8.0, 10.0, 12.0]);
    assert_eq!((set.left_out.cut, set.left_out.found), (2, 5));
    let set = both(&mut ring, &task(&["b"], &[])).unwrap();
    assert_eq!((set.len(), set.left_out.cut), (7, 0), "another channel is not touched");
    let newest_at_the_cut = long(12);
    assert_eq!(newest(&mut ring, &newest_at_the_cut).unwrap(), None);
    let none = both(&mut ring, &long(16)).unwrap();
    let text = none.left_out.to_string();
    assert!(text.contains("no window of 16 samples") && text.contains("larger quantum"), "{text}");
}

#[test]
fn each_fortieth_row_missing_is_told_with_the_longest_row() {
    let (_dir, mut ring) = at((0..1000).filter(|n| n % 40 != 39).map(|n| n * 20));
    let set = both(&mut ring, &long(50)).unwrap();
    assert!(set.is_empty() && set.left_out.is_trouble());
    let LeftOut { rows_ended, longest_row, gaps, gap_us, steps_back, .. } = set.left_out;
    assert_eq!(
        (rows_ended, longest_row, gaps, gap_us, steps_back),
        (24, 39, 24, (40_000, 40_000), 0)
    );
    let text = set.left_out.to_string();
    assert!(text.contains("24 rows ended early, the longest has 39 samples"), "{text}");
    assert!(text.contains("24 gaps of 0.04 s where 0.02 s is expected"), "{text}");
}

#[test]
fn jitter_of_more_than_half_a_period_is_told_as_gaps_and_not_as_another_rate() {
    let jitter = [0, 12, -11, 9, -12, 12, 3, -9, 12, -7];
    let (_dir, mut ring) = at((0..600).map(|n| n * 20 + jitter[n as usize % 10]));
    let set = both(&mut ring, &long(50)).unwrap();
    assert!(set.is_empty() && set.left_out.gaps > 100);
    let measured = set.left_out.measured_millihertz.unwrap();
    assert!((40_000..60_000).contains(&measured), "{measured}");
}

#[test]
fn times_in_milliseconds_read_as_seconds_are_an_error_that_names_the_unit() {
    let (_dir, mut ring) = at((0..40).map(|n| n * 20_000));
    let error = both(&mut ring, &long(6)).unwrap_err();
    let text = error.to_string();
    let expected = "samples come every 20 s, 0.02 s expected: is time_unit \"ms\"?";
    assert!(text.contains(expected) && error.is_config(), "{text}");
}

#[test]
fn a_sensor_so_slow_that_no_two_samples_follow_is_told_with_its_rate() {
    // 62.4 Hz in whole milliseconds, where 100 Hz is configured; and 10 Hz.
    let slow = |hz: f64| (0..200).map(move |n| (f64::from(n) * 1000.0 / hz).round() as i64);
    for (hz, told) in [(31.2, "samples come at 31.2"), (10.0, "samples come at 10 Hz")] {
        let (_dir, mut ring) = at(slow(hz));
        let text = both(&mut ring, &long(50)).unwrap_err().to_string();
        assert!(text.contains(told) && text.contains("rate_hz says 50"), "{text}");
    }
}

#[test]
fn one_odd_gap_or_few_samples_are_no_other_rate() {
    let (_dir, mut ring) = at((0..30).map(|n| n * 20 + i64::from(n > 14) * 5_000));
    let set = both(&mut ring, &long(20)).unwrap();
    assert_eq!((set.left_out.rows_ended, set.left_out.gaps), (1, 1));
    let (_dir, mut ring) = at((0..5).map(|n| n * 7_000));
    assert!(both(&mut ring, &long(4)).unwrap().is_empty(), "five samples tell no rate");
}

#[test]
fn rows_of_one_second_are_told_as_times_too_coarse() {
    let (_dir, mut ring) = at((0..600).map(|n| n / 50 * 1000));
    let set = both(&mut ring, &long(60)).unwrap();
    let text = set.left_out.to_string();
    assert!(text.contains("588 of 600 samples have the time of the one before"), "{text}");
}

#[test]
fn steps_back_and_missing_samples_are_counted() {
    let times = (0..20).map(|n| n * 20).chain((0..20).map(|n| n * 20));
    let (dir, mut ring) = at(times);
    ring.flush().unwrap();
    let path = dir.path().join("ring");
    let mut bytes = std::fs::read(&path).unwrap();
    let stride = record_bytes([0.5, 0.5]);
    bytes[4096 + 5 * stride..4096 + 7 * stride].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let set = both(&mut ring, &long(30)).unwrap();
    let LeftOut { missing, steps_back, rows_ended, longest_row, samples, .. } = set.left_out;
    assert_eq!((missing, steps_back, rows_ended, longest_row, samples), (2, 1, 2, 20, 38));
}

#[test]
fn too_few_samples_so_far_are_no_trouble() {
    let (_dir, mut ring) = at((0..20).map(|n| n * 20));
    let set = both(&mut ring, &long(128)).unwrap();
    assert!(!set.left_out.is_trouble());
    assert_eq!(set.left_out.to_string(), "no window of 128 samples yet: there are 20");
}

#[test]
fn series_of_minutes_hours_days_and_months_make_windows() {
    let minute = 60_000_000_000_u64;
    let periods =
        [5 * minute, 15 * minute, 60 * minute, 1440 * minute, 43_829 * minute + 6_000_000_000];
    for period_ns in periods {
        let dir = tempfile::tempdir().unwrap();
        let channels = vec![RingChannel::new("a", 0.0)];
        let header = Header { channels, period_ns, capacity: 1024 };
        let mut ring = Ring::open(&dir.path().join("ring"), header).unwrap();
        let step_us = (period_ns / 1000) as i64;
        for number in 0..10u16 {
            // A tenth of a period off, now and then: a month has 28 to 31 days.
            let jitter = step_us / 12 * i64::from(number % 3 == 1);
            let time_us = 1_700_000_000_000_000 + i64::from(number) * step_us + jitter;
            ring.append(time_us, NO_LABEL, &[f32::from(number) + 1.0]).unwrap();
        }
        let mut task = task(&["a"], &[]);
        task.input.rate = Rate::from_period_ns(period_ns);
        assert_eq!(starts(&both(&mut ring, &task).unwrap()), [1.0, 3.0, 5.0, 7.0], "{period_ns}");
        task.input.rate = Rate::from_period_ns(period_ns + period_ns / 50);
        let error = both(&mut ring, &task).unwrap_err().to_string();
        assert!(error.contains("a sample every"), "{error}");
    }
}
