#![allow(clippy::cast_possible_truncation)]

use super::*;

mod older;

fn header(capacity: u64) -> Header {
    let channels = vec![RingChannel::new("acc_x", 0.0), RingChannel::new("acc_y", 0.5)];
    Header { channels, period_ns: 20_000_000, capacity }
}

/// A ring of 1024 samples in a folder of its own.
fn ring() -> (tempfile::TempDir, PathBuf, Ring) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.ring");
    let ring = Ring::open(&path, header(1024)).unwrap();
    (dir, path, ring)
}

fn fill(ring: &mut Ring, numbers: std::ops::Range<i64>) {
    for number in numbers {
        ring.append(number * 20_000, NO_LABEL, &[number as f32 * 0.001, -1.0]).unwrap();
    }
}

fn records(ring: &mut Ring) -> Vec<Record> {
    let mut records = Vec::new();
    ring.scan(0, |record| records.push(record.clone())).unwrap();
    records
}

fn sequences(ring: &mut Ring) -> Vec<u64> {
    records(ring).iter().map(|record| record.sequence).collect()
}

/// Lets go of a ring as a killed process would: nothing is flushed.
fn kill(mut ring: Ring) {
    ring.pending.clear();
}

#[test]
fn samples_survive_a_restart() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..10);
    drop(ring);
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    let times = Times { earliest: 0, latest: 180_000, newest: 180_000 };
    assert_eq!((ring.len(), ring.next_sequence(), ring.times()), (10, 10, Some(times)));
    let record = &records(&mut ring)[7];
    assert_eq!((record.time_us, &record.values[..]), (140_000, &[7.0 * 0.001, -1.0][..]));
    fill(&mut ring, 10..12);
    assert_eq!(sequences(&mut ring), (0..12).collect::<Vec<_>>());
}

#[test]
fn the_oldest_samples_make_room_and_the_file_does_not_grow() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..1024);
    ring.sync().unwrap();
    let full = fs::metadata(&path).unwrap().len();
    fill(&mut ring, 1024..5000);
    assert_eq!(sequences(&mut ring), (5000 - 1024..5000).collect::<Vec<_>>());
    drop(ring);
    assert_eq!(fs::metadata(&path).unwrap().len(), full);
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    assert_eq!((ring.len(), ring.next_sequence()), (1024, 5000));
    assert_eq!(sequences(&mut ring), (5000 - 1024..5000).collect::<Vec<_>>());
}

#[test]
fn a_kill_costs_only_what_was_not_flushed() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..100);
    ring.flush().unwrap();
    fill(&mut ring, 100..130);
    kill(ring);
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    assert_eq!(sequences(&mut ring), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_torn_tail_is_dropped_and_written_over() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..50);
    drop(ring);
    let length = fs::metadata(&path).unwrap().len();
    for cut in 1..record_bytes([0.0, 0.5]) as u64 {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - cut).unwrap();
        let mut ring = Ring::open(&path, header(1024)).unwrap();
        assert_eq!(sequences(&mut ring), (0..49).collect::<Vec<_>>(), "{cut} bytes are missing");
        fill(&mut ring, 49..50);
        assert_eq!(ring.len(), 50);
    }
}

#[test]
fn a_record_torn_in_the_middle_costs_that_sample_only() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..1500);
    let place = ring.start + 600 * ring.layout.bytes() as u64;
    drop(ring);
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(place + 5)).unwrap();
    file.write_all(&[0xAA; 9]).unwrap();
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    let expected: Vec<u64> = (1500 - 1024..1500).filter(|&number| number != 600).collect();
    assert_eq!(sequences(&mut ring), expected);
}

#[test]
fn other_channels_are_refused_and_the_samples_stay() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..5);
    drop(ring);
    let mut other = header(1024);
    other.channels[1].name = "gyro_y".to_owned();
    let error = Ring::open(&path, other).unwrap_err().to_string();
    assert!(error.contains("gyro_y") && error.contains("acc_y"), "{error}");
    assert!(error.contains("data reset") && error.contains("samples.ring"), "{error}");
    let other = Header { period_ns: 10_000_000, ..header(1024) };
    assert!(Ring::open(&path, other).unwrap_err().to_string().contains("100 Hz"));
    assert_eq!(Ring::open(&path, header(1024)).unwrap().len(), 5);
}

#[test]
fn another_capacity_keeps_the_newest_samples() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..1500);
    drop(ring);
    let mut ring = Ring::open(&path, header(4096)).unwrap();
    assert_eq!(sequences(&mut ring), (476..1500).collect::<Vec<_>>());
    fill(&mut ring, 1500..3000);
    assert_eq!(sequences(&mut ring), (476..3000).collect::<Vec<_>>());
    drop(ring);
    let mut ring = Ring::open(&path, header(1100)).unwrap();
    assert_eq!(sequences(&mut ring), (1900..3000).collect::<Vec<_>>());
    drop(ring);
    let ring = Ring::open(&path, header(1100)).unwrap();
    assert_eq!((ring.next_sequence(), ring.len()), (3000, 1100));
}

#[test]
fn a_second_process_is_turned_away() {
    let (_dir, path, _ring) = ring();
    let error = Ring::open(&path, header(1024)).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
}

#[test]
fn labels_are_changed_in_place() {
    let (_dir, path, mut ring) = ring();
    fill(&mut ring, 0..3000);
    let wanted = |time: i64| (50_000_000..50_200_000).contains(&time);
    ring.relabel(|record| wanted(record.time_us).then_some(3)).unwrap();
    drop(ring);
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    let records = records(&mut ring);
    let labelled = records.iter().filter(|record| record.label == 3);
    assert_eq!(labelled.map(|r| r.sequence).collect::<Vec<_>>(), (2500..2510).collect::<Vec<_>>());
    assert_eq!(records.len(), 1024);
}

#[test]
fn values_that_a_channel_cannot_hold_are_counted_and_read_as_nan() {
    let (_dir, path, mut ring) = ring();
    ring.append(0, NO_LABEL, &[100_000.0, 16_383.5]).unwrap();
    ring.append(1, NO_LABEL, &[1.0, -16_384.0]).unwrap();
    ring.append(2, NO_LABEL, &[f32::NAN, f32::INFINITY]).unwrap();
    assert_eq!(ring.cut(), 3);
    drop(ring);
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    let values: Vec<Vec<f32>> = records(&mut ring).into_iter().map(|r| r.values).collect();
    assert_eq!(values[0], [100_000.0, 16_383.5]);
    assert!(values[1][0] == 1.0 && values[1][1].is_nan(), "{values:?}");
    assert!(values[2].iter().all(|value| value.is_nan()), "{values:?}");
}

#[test]
fn a_sample_of_another_length_is_refused() {
    let (_dir, _path, mut ring) = ring();
    assert!(ring.append(0, NO_LABEL, &[1.0]).is_err());
    assert!(ring.is_empty());
}

#[test]
fn files_that_are_no_rings_are_moved_aside_and_newer_rings_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.ring");
    let mut rng = dunlin_protocol::rng::Rng::new(3);
    for length in [0, 1, 13, 14, 15, 4096, 70_000] {
        let noise: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
        fs::write(&path, &noise).unwrap();
        assert!(Ring::open(&path, header(1024)).unwrap().is_empty());
        assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), noise);
    }
    let mut newer = fs::read(&path).unwrap();
    newer[8] = 3;
    fs::write(&path, &newer).unwrap();
    let error = Ring::open(&path, header(1024)).unwrap_err().to_string();
    assert!(error.contains("version 3"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), newer);
}

#[test]
fn samples_that_are_gone_from_the_file_are_counted_once() {
    let (_dir, path, mut ring) = ring();
    assert_eq!(ring.gone(), 0);
    fill(&mut ring, 0..1500);
    let (start, bytes) = (ring.start, ring.layout.bytes() as u64);
    drop(ring);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(start + 600 * bytes).unwrap();
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    assert_eq!((ring.gone(), ring.next_sequence(), sequences(&mut ring).len()), (424, 1500, 600));
    drop(ring);
    assert_eq!(Ring::open(&path, header(1024)).unwrap().gone(), 0);
    let ring = Ring::open(&path, header(2048)).unwrap();
    assert_eq!(ring.gone(), 0);
    drop(ring);
    assert_eq!(Ring::open(&path, header(2048)).unwrap().gone(), 0, "room alone is nothing lost");
    fs::write(&path, "").unwrap();
    assert_eq!(Ring::open(&path, header(1024)).unwrap().gone(), 1, "nobody knows how many");
}

#[test]
fn noise_behind_the_header_is_no_sample() {
    let (_dir, path, ring) = ring();
    let start = usize::try_from(ring.start).unwrap();
    drop(ring);
    let mut rng = dunlin_protocol::rng::Rng::new(4);
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(start);
    bytes.extend((0..100_000).map(|_| rng.below(256) as u8));
    fs::write(&path, bytes).unwrap();
    let mut ring = Ring::open(&path, header(1024)).unwrap();
    assert!(ring.is_empty() && sequences(&mut ring).is_empty());
    fill(&mut ring, 0..3);
    assert_eq!(sequences(&mut ring), [0, 1, 2]);
}
