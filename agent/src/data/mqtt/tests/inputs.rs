//! What programs really publish.

use super::*;

/// Sensor Logger's messages, by the keys that have its name.
fn sensor_logger(more: &str) -> MqttConfig {
    parse(&format!(
        "kind = 'mqtt'\ntopic = 'sensor-logger'\nformat = 'sensor-logger'\nrate_hz = 100\n{more}\n\
         [channels]\nx = 'values.x'\ny = 'values.y'\nz = 'values.z'\n"
    ))
}

#[test]
fn sensor_logger_gives_the_accelerometer_alone_with_exact_times() {
    let config = sensor_logger("");
    let mut bench = Bench::of(&config);
    for line in include_str!("../../../../tests/inputs/mqtt-sensorlogger.jsonl").lines() {
        bench.take_from("sensor-logger", line, 0);
    }
    let expected: Vec<Vec<f32>> =
        (0..9u8).map(|n| vec![[1.0, 1.01, 1.02][usize::from(n % 3)], 0.1, 0.2]).collect();
    assert_eq!(bench.values(), expected);
    let first = 1_698_501_144_401_773;
    assert_eq!(bench.times(), (0..9).map(|n| first + n * 10_000).collect::<Vec<i64>>());
    let losses = bench.store.status().losses;
    assert_eq!((losses.count(Loss::Filtered), losses.faults()), (9, 0));
}

#[test]
fn sensor_logger_gives_another_sensor_by_its_name() {
    let mut bench = Bench::of(&sensor_logger("where = { name = 'gyroscope' }"));
    for line in include_str!("../../../../tests/inputs/mqtt-sensorlogger.jsonl").lines() {
        bench.take_from("sensor-logger", line, 0);
    }
    assert_eq!(bench.values(), vec![[-5.0, -5.0, -5.0]; 9]);
    assert_eq!(bench.lost(Loss::Filtered).0, 9);
}

#[test]
fn labels_come_with_the_items_of_a_batch() {
    let items = |label: &str| {
        let item = |n: u32| {
            let values = r#"{"x":1,"y":2,"z":3}"#;
            format!(r#"{{"name":"accelerometer","time":{n}0000000,"values":{values}{label}}}"#)
        };
        (1..=3).map(item).collect::<Vec<_>>().join(",")
    };
    let labels = |bench: &mut Bench| -> Vec<String> {
        let texts = bench.store.label_texts().to_vec();
        let text = |label: u16| texts.get(usize::from(label)).cloned().unwrap_or_default();
        bench.records().iter().map(|record| text(record.label)).collect()
    };
    let mut bench = Bench::of(&sensor_logger("label = 'activity'"));
    let payload = items(r#","activity":"walk""#);
    bench.take_from("sensor-logger", &format!(r#"{{"payload":[{payload}]}}"#), 0);
    assert_eq!(labels(&mut bench), ["walk"; 3]);
    let mut bench = Bench::of(&sensor_logger("label = 'activity'"));
    bench.take_from("sensor-logger", &format!(r#"{{"payload":[{}]}}"#, items("")), 0);
    assert_eq!(labels(&mut bench), [""; 3], "none is no fault");
    assert_eq!(bench.lost(Loss::Label).0, 0);
}

#[test]
fn nightscout_gives_its_newest_first_and_samples_come_in_order() {
    let config = parse(
        "kind = 'mqtt'\ntopic = 'nightscout'\nperiod = '5 min'\nbatch = '$'\ntime = 'date'\n\
         time_unit = 'ms'\nunit = 'mg/dL'\n[channels]\nglucose = 'sgv'\n",
    );
    let mut bench = Bench::of(&config);
    let message = include_str!("../../../../tests/inputs/mqtt-nightscout-newest-first.json");
    bench.take_from("nightscout", message, 0);
    let expected: Vec<Vec<f32>> = (0..18u8).map(|n| vec![112.0 + 2.0 * f32::from(n)]).collect();
    assert_eq!(bench.values(), expected);
    let first = 1_767_225_600_000_000;
    assert_eq!(bench.times(), (0..18).map(|n| first + n * 300_000_000).collect::<Vec<i64>>());
    assert!(bench.store.status().losses.is_empty());
}
