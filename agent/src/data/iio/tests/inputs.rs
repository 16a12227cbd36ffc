//! What kernels really show.

use super::*;

const TWO_DEVICES: &str = include_str!("../../../../tests/inputs/iio-two-devices.txt");
const BME280: &str = include_str!("../../../../tests/inputs/iio-bme280-ads1115.txt");

const BOTH: &str = "mode = 'polled'\n\
    devices = { accel = 'lsm6dsl_accel', gyro = 'lsm6dsl_gyro' }\n[channels]\n\
    acc_x = 'accel:accel_x'\nacc_y = 'accel:accel_y'\nacc_z = 'accel:accel_z'\n\
    gyro_x = 'gyro:anglvel_x'\n";

#[test]
fn accelerometer_and_gyroscope_are_one_source_and_the_mount_matrix_is_applied() {
    let tree = Tree::of(TWO_DEVICES);
    let mut bench = Bench::<Polled>::new(&tree.config(BOTH));
    bench.poll();
    // 0, 1, 0; -1, 0, 0; 0, 0, 1 makes y of the chip to x and -x of the chip to y.
    let expected = [0.017_946, 0.119_641, 9.800_991, -0.030_543];
    assert_eq!(bench.rounded(6), expected);
    assert_eq!(tree.read("sampling_frequency"), "52.000", "the lowest that gives new values");
    // The gyroscope lists no rates and takes what it is told.
    let gyro = tree.devices().join("iio:device1/sampling_frequency");
    assert_eq!(fs::read_to_string(gyro).unwrap(), "50");
    assert!(bench.status().losses.is_empty(), "{}", bench.status().losses);
}

#[test]
fn without_the_mount_matrix_axes_are_those_of_the_chip() {
    let tree = Tree::of(TWO_DEVICES);
    let mut bench = Bench::<Polled>::new(&tree.config(&format!("mount_matrix = false\n{BOTH}")));
    bench.poll();
    assert_eq!(bench.rounded(6), [-0.119_641, 0.017_946, 9.800_991, -0.030_543]);
}

#[test]
fn one_axis_alone_comes_from_the_axes_that_the_matrix_turns_into_it() {
    let tree = Tree::of(TWO_DEVICES);
    let one = "mode = 'polled'\ndevice = 'lsm6dsl_accel'\n[channels]\ny = 'accel_y'\n";
    let mut bench = Bench::<Polled>::new(&tree.config(one));
    bench.poll();
    assert_eq!(bench.rounded(6), [0.119_641]);
    fs::remove_file(tree.path("in_accel_x_raw")).unwrap();
    let error = Polled::open(&tree.config(one)).unwrap_err();
    assert!(error.contains("no channel \"accel_x\"") && error.contains("makes accel_y"), "{error}");
    tree.write("mount_matrix", "upside down");
    let error = Polled::open(&tree.config(one)).unwrap_err();
    assert!(error.contains("\"upside down\" is no matrix"), "{error}");
}

#[test]
fn a_device_that_stays_slower_than_it_is_read_is_told() {
    let tree = Tree::of(TWO_DEVICES);
    tree.refuse_writes("sampling_frequency");
    let mut bench = Bench::<Polled>::new(&tree.config(BOTH));
    bench.poll();
    let (count, text) = bench.lost(Loss::Reading);
    assert_eq!(count, 1);
    assert!(
        text.contains("source.rate_hz = 50") && text.contains("12.500 26.000 52.000"),
        "{text}"
    );
    assert_eq!(bench.values().len(), 1);
}

#[test]
fn weather_comes_in_degrees_percent_and_kilopascals() {
    let tree = Tree::of(BME280);
    let weather = "mode = 'polled'\ndevice = 'bme280'\n[channels]\n\
        hum = 'humidityrelative'\npress = 'pressure'\ntemp = 'temp'\n";
    let config = tree.config(weather);
    let mut bench = Bench::<Polled>::new(&config);
    bench.poll();
    assert_eq!(bench.rounded(3), [41.074, 101.435, 24.54]);
}

#[test]
fn single_and_differential_voltages_come_in_millivolts() {
    let tree = Tree::of(BME280);
    let volts = "mode = 'polled'\ndevice = 'ads1115'\n[channels]\n\
        a = 'voltage0'\nb = 'voltage0-voltage1'\n";
    let mut bench = Bench::<Polled>::new(&tree.config(volts));
    bench.poll();
    assert_eq!(bench.values(), [[2125.0, -1.4375]]);
}
