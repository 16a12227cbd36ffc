//! Rings that another configuration or an older program made.

use super::*;

/// A ring as version 1 wrote it, byte by byte: 16-bit multiples of `quanta` at 50 Hz, 1024 places,
/// sample `n` in place `n` with label `n`.
fn version_1(quanta: &[(&str, f32)], samples: &[&[i16]]) -> Vec<u8> {
    // Numbers in headers have 7 bits a byte, lowest first; the highest bit says that more come.
    let number = |mut number: u64, out: &mut Vec<u8>| {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    };
    let mut body = Vec::new();
    number(quanta.len() as u64, &mut body);
    for (name, quantum) in quanta {
        number(name.len() as u64, &mut body);
        body.extend(name.as_bytes());
        body.extend(quantum.to_le_bytes());
    }
    number(20_000_000, &mut body);
    number(1024, &mut body);
    let mut file = b"DUNLRING\x01\x00".to_vec();
    file.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    file.extend(body);
    file.extend(crc32fast::hash(&file).to_le_bytes());
    file.resize(4096, 0);
    for (sequence, codes) in (0u64..).zip(samples) {
        let mut record = sequence.to_le_bytes().to_vec();
        record.extend((sequence as i64 * 20_000).to_le_bytes());
        record.extend((sequence as u16).to_le_bytes());
        codes.iter().for_each(|code| record.extend(code.to_le_bytes()));
        record.extend(crc32fast::hash(&record).to_le_bytes());
        file.extend(record);
    }
    file
}

fn of(channels: &[(&str, f32)]) -> Header {
    let channels =
        channels.iter().map(|(name, quantum)| RingChannel::new(*name, *quantum)).collect();
    Header { channels, period_ns: 20_000_000, capacity: 1024 }
}

/// A folder with a file of these bytes.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.ring");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn a_ring_of_version_1_is_brought_over_and_its_cut_values_are_marked() {
    let samples: [&[i16]; 4] = [&[12, -3], &[32_767, 5], &[-32_767, 7], &[32_766, -32_766]];
    let (_dir, path) = file(&version_1(&[("x", 0.001), ("y", 0.5)], &samples));
    let wanted = of(&[("x", 0.0), ("y", 0.5)]);
    Ring::check(&path, &wanted).unwrap();
    let mut first = Ring::open(&path, wanted.clone()).unwrap();
    let brought = records(&mut first);
    drop(first);
    let mut again = Ring::open(&path, wanted.clone()).unwrap();
    assert_eq!((again.header(), again.next_sequence()), (&wanted, 4));
    let records = records(&mut again);
    for found in [&brought, &records] {
        let labels: Vec<(i64, u16)> = found.iter().map(|r| (r.time_us, r.label)).collect();
        assert_eq!(labels, [(0, 0), (20_000, 1), (40_000, 2), (60_000, 3)]);
        assert_eq!(found[0].values, [12.0 * 0.001, -1.5]);
        assert!(found[1].values[0].is_nan() && found[1].values[1] == 2.5);
        assert!(found[2].values[0].is_nan() && found[2].values[1] == 3.5);
        assert_eq!(found[3].values, [32_766.0 * 0.001, -16_383.0]);
    }
}

#[test]
fn a_ring_of_version_1_that_has_gone_round_keeps_its_newest_samples() {
    let samples: Vec<[i16; 1]> = (0..1024).map(|n| [n]).collect();
    let samples: Vec<&[i16]> = samples.iter().map(|sample| &sample[..]).collect();
    let (_dir, path) = file(&version_1(&[("x", 1.0)], &samples));
    let wanted = Header { capacity: 2000, ..of(&[("x", 0.0)]) };
    let mut ring = Ring::open(&path, wanted).unwrap();
    assert_eq!((ring.len(), ring.next_sequence()), (1024, 1024));
    assert!(records(&mut ring).iter().all(|r| r.values == [r.sequence as f32]));
    ring.append(0, 0, &[70_000.0]).unwrap();
    assert_eq!(records(&mut ring).pop().unwrap().values, [70_000.0]);
}

#[test]
fn a_ring_of_version_1_with_other_channels_or_quanta_is_refused_untouched() {
    let bytes = version_1(&[("x", 0.001)], &[&[1]]);
    let (_dir, path) = file(&bytes);
    for (wanted, text) in [
        (of(&[("x", 0.01)]), "x has quantum 0.001, the configuration 0.01"),
        (of(&[("x", 0.0), ("y", 0.0)]), "it has the channels x, the configuration x, y"),
        (
            Header { period_ns: 10_000_000, ..of(&[("x", 0.0)]) },
            "it has 50 Hz, the configuration 100 Hz",
        ),
    ] {
        let error = Ring::open(&path, wanted.clone()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(text) && told.contains("dunlin-agent data reset"), "{told}");
        assert!(error.is_config());
        assert_eq!(Ring::check(&path, &wanted).unwrap_err().to_string(), told);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn damage_to_a_ring_of_version_1_costs_that_sample_only() {
    let mut bytes = version_1(&[("x", 0.5)], &[&[1], &[2], &[3]]);
    bytes[4096 + 24 + 18] ^= 1;
    let (_dir, path) = file(&bytes);
    let mut ring = Ring::open(&path, of(&[("x", 0.0)])).unwrap();
    let found: Vec<(u64, f32)> =
        records(&mut ring).iter().map(|r| (r.sequence, r.values[0])).collect();
    assert_eq!(found, [(0, 0.5), (2, 1.5)]);
}

#[test]
fn a_quantum_may_be_given_up_but_not_taken_on() {
    let (_dir, path) = file(&[]);
    fs::remove_file(&path).unwrap();
    let quantized = of(&[("x", 0.25)]);
    let mut ring = Ring::open(&path, quantized.clone()).unwrap();
    ring.append(0, 3, &[1.75]).unwrap();
    ring.append(20_000, 3, &[1e9]).unwrap();
    drop(ring);
    let mut ring = Ring::open(&path, of(&[("x", 0.0)])).unwrap();
    let found = records(&mut ring);
    assert!(found[0].values == [1.75] && found[1].values[0].is_nan());
    drop(ring);
    let error = Ring::open(&path, quantized).unwrap_err().to_string();
    assert!(error.contains("x has quantum none, the configuration 0.25"), "{error}");
    assert_eq!(Ring::open(&path, of(&[("x", 0.0)])).unwrap().len(), 2);
}

#[test]
fn another_factor_offset_or_unit_is_refused_and_a_unit_may_be_added() {
    let (_dir, path) = file(&[]);
    fs::remove_file(&path).unwrap();
    let with = |factor, offset, unit: &str| {
        let mut header = of(&[("x", 0.0)]);
        let channel = &mut header.channels[0];
        (channel.factor, channel.offset, channel.unit) = (factor, offset, unit.to_owned());
        header
    };
    Ring::open(&path, with(2.0, 1.0, "")).unwrap().append(0, 0, &[5.0]).unwrap();
    let ring = Ring::open(&path, with(2.0, 1.0, "m/s2")).unwrap();
    assert_eq!((ring.len(), ring.header().channels[0].unit.as_str()), (1, "m/s2"));
    drop(ring);
    assert_eq!(Ring::open(&path, with(2.0, 1.0, "m/s^2")).unwrap().len(), 1, "the same unit");
    for (wanted, text) in [
        (with(3.0, 1.0, "m/s2"), "x has factor 2, the configuration 3"),
        (with(2.0, 0.0, "m/s2"), "x has offset 1, the configuration 0"),
        (with(2.0, 1.0, "g"), "x has unit \"m/s2\", the configuration \"g\""),
        (with(2.0, 1.0, ""), "x has unit \"m/s2\", the configuration none"),
    ] {
        let error = Ring::open(&path, wanted).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_rate_that_is_corrected_a_little_keeps_the_samples() {
    let (_dir, path) = file(&[]);
    fs::remove_file(&path).unwrap();
    Ring::open(&path, of(&[("x", 0.0)])).unwrap().append(0, 0, &[5.0]).unwrap();
    let other = Header { period_ns: 20_100_000, ..of(&[("x", 0.0)]) };
    let ring = Ring::open(&path, other.clone()).unwrap();
    assert_eq!((ring.header(), ring.len()), (&other, 1));
}

#[test]
fn a_look_at_a_ring_neither_locks_nor_makes_it() {
    let (dir, path, ring) = ring();
    Ring::check(&path, &header(5000)).unwrap();
    drop(ring);
    Ring::check(&dir.path().join("none"), &header(1024)).unwrap();
    assert!(!dir.path().join("none").exists());
    fs::write(&path, b"DUNLRING\x07\x00 of the future").unwrap();
    let error = Ring::check(&path, &header(1024)).unwrap_err().to_string();
    assert!(error.contains("version 7"), "{error}");
}
