//! Several devices, and several of one name.

use super::*;

const TWO: &str = "mode = 'buffered'\nfill = false\ndevices = { a = 'imu_accel', g = 'imu_gyro' }\n[channels]\n\
    g = 'g:anglvel_x'\nx = 'a:accel_x'\n";

/// A tree with a gyroscope besides, `iio:device1`; both fill buffers.
fn two_buffers() -> Tree {
    let tree = Tree::buffered();
    let home = tree.devices().join("iio:device1");
    fs::create_dir_all(home.join("buffer")).unwrap();
    fs::create_dir_all(home.join("scan_elements")).unwrap();
    let files = [
        ("name", "imu_gyro"),
        ("buffer/enable", "0"),
        ("buffer/length", "2"),
        ("scan_elements/in_anglvel_x_en", "0"),
        ("scan_elements/in_anglvel_x_index", "0"),
        ("scan_elements/in_anglvel_x_type", "le:s16/16>>0"),
        ("scan_elements/in_timestamp_en", "0"),
        ("scan_elements/in_timestamp_index", "1"),
        ("scan_elements/in_timestamp_type", "le:s64/64>>0"),
    ];
    files.iter().for_each(|(file, text)| fs::write(home.join(file), text).unwrap());
    fs::write(tree.0.path().join("dev/iio:device1"), b"").unwrap();
    tree
}

/// A scan of one value of 16 bits and the time.
fn scan(value: i16, time_us: i64) -> Vec<u8> {
    let mut scan = value.to_le_bytes().to_vec();
    scan.extend([0xAA; 6]);
    scan.extend((time_us * 1000).to_le_bytes());
    scan
}

#[test]
fn buffers_are_joined_by_the_nearest_time() {
    let tree = two_buffers();
    let mut bench = Bench::<Buffered>::new(&tree.config(TWO));
    let accel: Vec<u8> = (0..4).flat_map(|n| scan(16 * n, 20_000 * i64::from(n))).collect();
    fs::write(tree.node(), accel).unwrap();
    // The third scan of the gyroscope is missing; the others are 3 ms late.
    let gyro = [(0, 3_000), (1, 23_000), (3, 63_000)];
    let gyro: Vec<u8> = gyro.iter().flat_map(|&(value, time)| scan(value, time)).collect();
    fs::write(tree.0.path().join("dev/iio:device1"), gyro).unwrap();
    bench.poll();
    assert_eq!(bench.problem(), "");
    let times: Vec<i64> = bench.records().iter().map(|record| record.time_us).collect();
    assert_eq!(times, [0, 20_000, 60_000]);
    assert_eq!(bench.values(), [[0.0, 0.0], [1.0, 0.01], [3.0, 0.03]]);
    let (count, text) = bench.lost(Loss::Reading);
    assert!(count == 1 && text.contains("no scan of imu_gyro within half a period"), "{text}");
    drop(bench);
    let enable = |n: u8| tree.devices().join(format!("iio:device{n}/buffer/enable"));
    assert_eq!([0, 1].map(|n| fs::read_to_string(enable(n)).unwrap()), ["0", "0"]);
}

#[test]
fn buffers_without_times_are_not_guessed_together() {
    let tree = two_buffers();
    fs::remove_file(tree.devices().join("iio:device1/scan_elements/in_timestamp_en")).unwrap();
    let error = Buffered::open(&tree.config(TWO)).unwrap_err();
    assert!(error.contains("imu_gyro: ") && error.contains("mode to \"polled\""), "{error}");
}

#[test]
fn a_mount_matrix_turns_scans_too_and_enables_the_axes_that_it_needs() {
    let tree = Tree::buffered();
    tree.write("in_accel_mount_matrix", "0, 0, 1; 0, 1, 0; -1, 0, 0\n");
    let config =
        tree.config("device = 'imu_accel'\nmode = 'buffered'\n[channels]\nx = 'accel_x'\n");
    let mut bench = Bench::<Buffered>::new(&config);
    fs::write(tree.node(), scan(16 * 7, 1_000_000)).unwrap();
    bench.poll();
    let on = |axis| tree.read(&format!("scan_elements/in_accel_{axis}_en"));
    assert_eq!((on("x"), on("z")), ("0".to_owned(), "1".to_owned()));
    assert_eq!(bench.values(), [[0.07]]);
}

#[test]
fn twins_are_told_apart_by_label_or_folder_and_never_guessed() {
    let tree = Tree::polled();
    let twin = tree.devices().join("iio:device4");
    fs::create_dir_all(&twin).unwrap();
    let files = [("name", "imu_accel"), ("label", "accel-display"), ("in_accel_x_raw", "7")];
    files.iter().for_each(|(file, text)| fs::write(twin.join(file), text).unwrap());
    let config = |device: &str| {
        tree.config(&format!("device = '{device}'\nmode = 'polled'\n[channels]\nx = 'accel_x'\n"))
    };
    let error = Polled::open(&config("imu_accel")).unwrap_err();
    assert!(error.contains("2 iio:devices are \"imu_accel\""), "{error}");
    assert!(
        error.contains("iio:device4, label \"accel-display\"") && error.contains("by its label")
    );
    let mut bench = Bench::<Polled>::new(&config("accel-display"));
    bench.poll();
    assert_eq!(bench.values(), [[7.0]]);
    let mut bench = Bench::<Polled>::new(&config("iio:device0"));
    bench.poll();
    assert_eq!(bench.values(), [[1.0]]);
    let both = "mode = 'polled'\ndevices = { a = 'iio:device4', b = 'accel-display' }\n\
        [channels]\nx = 'a:accel_x'\ny = 'b:accel_x'\n";
    let error = Polled::open(&tree.config(both)).unwrap_err();
    assert!(error.contains("are both") && error.contains("iio:device4"), "{error}");
}

#[test]
fn keys_of_several_devices_are_checked() {
    let keys = |own: &str| -> Vec<String> {
        let text = format!("kind = 'iio'\nmode = 'polled'\nrate_hz = 1\n{own}");
        let config: SourceConfig = toml::from_str(&text).unwrap();
        config.check().into_iter().map(|problem| problem.key).collect()
    };
    let two = "devices = { a = 'x', g = 'y' }\n[channels]\n";
    assert_eq!(keys(&format!("{two}x = 'a:accel_x'\ny = 'g:anglvel_x'")), [""; 0]);
    assert_eq!(keys(&format!("{two}x = 'a:accel_x'")), ["source.devices.g"]);
    let unknown = keys(&format!("{two}x = 'a:accel_x'\ny = 'g:anglvel_x'\nz = 'accel_z'"));
    assert_eq!(unknown, ["source.channels.z"]);
    assert_eq!(keys("device = 'x'\n[channels]\nx = 'a:accel_x'"), ["source.channels.x"]);
    assert_eq!(keys("[channels]\nx = 'accel_x'"), ["source.device"]);
    let both = "device = 'x'\ndevices = { a = 'y' }\n[channels]\nx = 'a:accel_x'";
    assert_eq!(keys(both), ["source.device"]);
}
