//! What programs really publish.

use super::*;

#[test]
fn sensor_logger_gives_the_accelerometer_alone_with_exact_times() {
    let config = parse(
        "kind = 'mqtt'\ntopic = 'sensor-logger'\nrate_hz = 100\nbatch = 'payload'\n\
         time = { place = 'time', unit = 'ns' }\nwhere = { name = 'accelerometer' }\n[channels]\n\
         x = 'values.x'\ny = 'values.y'\nz = 'values.z'\n",
    );
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
