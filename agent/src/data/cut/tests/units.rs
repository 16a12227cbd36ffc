//! From the unit of the source to that of the task, and values that are asked for.

use super::*;
use dunlin_protocol::task::TaskSpec;

/// A ring at 50 Hz whose channels have these names and units, with 8 samples: the first channel has the
/// values, the others are 0.
fn in_units(channels: &[(&str, &str)], values: [f32; 8]) -> (tempfile::TempDir, Ring) {
    let dir = tempfile::tempdir().unwrap();
    let channel = |(name, unit): &(&str, &str)| RingChannel {
        unit: (*unit).into(),
        ..RingChannel::new(*name, 0.0)
    };
    let channels: Vec<RingChannel> = channels.iter().map(channel).collect();
    let others = channels.len() - 1;
    let header = Header { channels, period_ns: 20_000_000, capacity: 1024 };
    let mut ring = Ring::open(&dir.path().join("ring"), header).unwrap();
    for (number, value) in (0..).zip(values) {
        let values: Vec<f32> = [value].into_iter().chain(vec![0.0; others]).collect();
        ring.append(number * 20_000, NO_LABEL, &values).unwrap();
    }
    (dir, ring)
}

/// A task for windows of 4 samples without scaling, whose channels have these units.
fn wanted(channels: &[(&str, &str)]) -> TaskSpec {
    let mut task = task(&channels.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &[]);
    for (channel, (_, unit)) in task.input.channels.iter_mut().zip(channels) {
        (channel.unit, channel.offset, channel.scale) = ((*unit).into(), 0.0, 1.0);
    }
    task.input.hop = 4;
    task
}

#[test]
fn values_are_converted_to_the_unit_of_the_task() {
    let meters = [9.80665, 19.6133, 0.0, -9.80665, 9.80665, 9.80665, 9.80665, 4.903_325];
    let (_dir, mut ring) = in_units(&[("a", "m/s2")], meters);
    let task = wanted(&[("a", "g")]);
    let set = windows(&mut ring, &[], &task, usize::MAX).unwrap();
    assert_eq!(set.values, [1.0, 2.0, 0.0, -1.0, 1.0, 1.0, 1.0, 0.5]);
    let window = newest(&mut ring, &task).unwrap().unwrap();
    assert_eq!(window.values, [1.0, 1.0, 1.0, 0.5]);
}

#[test]
fn values_in_the_same_or_no_unit_are_left_exactly_as_they_are() {
    let glucose = [112.0, 119.0, 126.0, 132.1, 137.0, 0.1, 1e9, -0.3];
    for (has, wants) in [("mg/dl", "mg/dL"), ("", "mg/dL"), ("quux", "quux"), ("mg/dL", "")] {
        let (_dir, mut ring) = in_units(&[("gl", has)], glucose);
        let set = windows(&mut ring, &[], &wanted(&[("gl", wants)]), usize::MAX).unwrap();
        assert_eq!(set.values, glucose, "{has:?} to {wants:?}");
    }
}

#[test]
fn units_that_cannot_be_converted_are_told_to_whoever_asks() {
    let (_dir, mut ring) = in_units(&[("a", "counts"), ("b", "g")], [0.0; 8]);
    let task = wanted(&[("b", "g"), ("a", "m/s2")]);
    let told = [
        windows(&mut ring, &[], &task, 100).unwrap_err(),
        newest(&mut ring, &task).unwrap_err(),
        Counter::begin(None, &ring, &[], &task).unwrap_err(),
    ];
    for error in told {
        let text = error.to_string();
        assert!(text.contains("channel a is in \"counts\"") && text.contains("\"m/s2\""), "{text}");
        assert!(error.is_config());
    }
    assert_eq!(windows(&mut ring, &[], &wanted(&[("b", "g")]), 100).unwrap().len(), 2);
}

#[test]
fn values_that_are_asked_for_are_those_of_the_last_sample_in_their_unit() {
    let celsius = [20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 26.0, f32::NAN];
    let (_dir, mut ring) = in_units(&[("temp", "C"), ("x", "")], celsius);
    let mut task = wanted(&[("x", "V")]);
    let asked = Channel { name: "temp".into(), unit: "K".into(), offset: 273.15, scale: 0.5 };
    task.target = Target::Values(vec![asked]);
    task.input.hop = 1;
    let set = windows(&mut ring, &[], &task, usize::MAX).unwrap();
    assert_eq!((set.window_values, task.window_values(), set.len()), (5, 5, 4));
    let last: Vec<f32> =
        (0..set.len()).map(|window| (set.window(window)[4] * 100.0).round()).collect();
    assert_eq!(last, [1150.0, 1200.0, 1250.0, 1300.0]);
    assert!(set.iter().all(|(window, _)| window[..4] == [0.0; 4]));
    assert_eq!(set.left_out.cut, 1, "the value that is asked for is not known");
    let mut counter = Counter::begin(None, &ring, &[], &task).unwrap();
    counter.catch_up(&|| false, |block, end| ring.read_block(block, end)).unwrap();
    let counts = counter.counts(0, usize::MAX).unwrap();
    assert_eq!((counts.total(), counts.left_out.cut), (4, 1));
    let window = newest(&mut ring, &task).unwrap().unwrap();
    assert_eq!(window.values, [0.0; 4], "whoever classifies does not know it either");
}
