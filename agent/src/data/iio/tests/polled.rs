use super::*;

const POLLED: &str =
    "device = 'imu_accel'\nmode = 'polled'\n[channels]\nx = 'accel_x'\ny = 'accel_y'";

#[test]
fn values_are_polled_in_units_that_people_have() {
    let tree = Tree::polled();
    tree.write("in_temp_input", "21500\n");
    let more = "device = 'imu_accel'\nmode = 'polled'\n\
        [channels]\nx = 'accel_x'\ny = 'accel_y'\nt = 'temp'\n";
    let mut bench = Bench::<Polled>::new(&tree.config(more));
    bench.poll();
    tree.write("in_accel_x_raw", "50\n");
    bench.poll();
    assert_eq!(bench.values(), [[21.5, 1.0, -2.0], [21.5, 0.5, -2.0]]);
    assert_eq!(bench.status().problem, None);
}

#[test]
fn readings_are_a_period_apart_and_missed_ones_leave_a_gap() {
    let tree = Tree::polled();
    let mut bench = Bench::<Polled>::new(&tree.config(POLLED));
    bench.poll();
    bench.poll();
    let early = Now { steady: bench.now.steady - Duration::from_millis(1), ..bench.now };
    assert!(!bench.watch.poll_at(early, &bench.store));
    assert_eq!(bench.records().len(), 2, "no tick is used twice");
    bench.wait(Duration::from_millis(60));
    bench.poll();
    let times: Vec<i64> = bench.records().iter().map(|record| record.time_us).collect();
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [20_000, 80_000]);
}

#[test]
fn a_wall_clock_that_is_set_back_ends_a_row_and_nothing_else() {
    let tree = Tree::polled();
    let mut bench = Bench::<Polled>::new(&tree.config(POLLED));
    (0..2).for_each(|_| bench.poll());
    bench.now.wall_us = 5_000_000;
    (0..2).for_each(|_| bench.poll());
    let times: Vec<i64> = bench.records().iter().map(|record| record.time_us).collect();
    assert_eq!(times, [1_000_000_000, 1_000_020_000, 5_000_000, 5_020_000]);
}

#[test]
fn a_device_may_come_late_go_away_and_come_back_under_another_number() {
    let tree = Tree::empty();
    fs::create_dir_all(tree.devices().join("iio:device7")).unwrap();
    fs::write(tree.devices().join("iio:device7/name"), "adc\n").unwrap();
    let mut bench = Bench::<Polled>::new(&tree.config(POLLED));
    bench.poll();
    let problem = bench.problem();
    assert!(problem.contains("imu_accel") && problem.contains("adc (iio:device7)"), "{problem}");
    tree.plug_in();
    bench.poll();
    assert!(bench.records().is_empty(), "it is not looked for all the time");
    bench.wait(Duration::from_secs(4));
    bench.poll();
    assert_eq!((bench.values().len(), bench.status().problem), (1, None));
    fs::rename(tree.path(""), tree.devices().join("iio:device9")).unwrap();
    bench.poll();
    assert!(bench.problem().contains("went away"), "{}", bench.problem());
    bench.wait(Duration::from_secs(4));
    bench.poll();
    assert_eq!((bench.values().len(), bench.status().problem), (2, None));
}

#[test]
fn a_device_is_found_by_its_folder_too_and_no_folder_is_no_device() {
    let tree = Tree::polled();
    let config = tree.config(&POLLED.replace("imu_accel", "iio:device0"));
    assert!(Polled::open(&config).is_ok());
    fs::remove_dir_all(tree.devices()).unwrap();
    let error = Polled::open(&config).unwrap_err();
    assert!(error.contains("there are: none"), "{error}");
}

#[test]
fn a_missing_channel_is_named_beside_those_that_there_are() {
    let tree = Tree::polled();
    tree.write("in_temp_input", "1");
    let error = Polled::open(&tree.config(&POLLED.replace("accel_y", "accel_q"))).unwrap_err();
    assert!(error.contains("accel_q") && error.contains("temp, accel_x, accel_y"), "{error}");
}

#[test]
fn garbage_is_refused_and_becomes_a_problem_when_it_stays() {
    let tree = Tree::polled();
    let mut bench = Bench::<Polled>::new(&tree.config(POLLED));
    bench.poll();
    for garbage in ["", "many", "nan", "1e999", "0 0 1"] {
        tree.write("in_accel_x_raw", garbage);
        bench.poll();
    }
    fs::write(tree.path("in_accel_x_raw"), vec![b'7'; 100_000]).unwrap();
    bench.poll();
    fs::write(tree.path("in_accel_x_raw"), [0xFF; 8]).unwrap();
    bench.poll();
    assert_eq!(
        (bench.status().losses.count(Loss::Reading), bench.status().problem.clone()),
        (7, None)
    );
    (0..3).for_each(|_| bench.poll());
    assert!(bench.problem().contains("in_accel_x_raw"), "{}", bench.problem());
    tree.write("in_accel_x_raw", "1");
    bench.poll();
    let status = bench.status();
    assert_eq!(
        (status.accepted, status.losses.count(Loss::Reading), status.problem),
        (2, 10, None)
    );
}
