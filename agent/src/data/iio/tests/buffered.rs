use super::*;

const BUFFERED: &str =
    "device = 'imu_accel'\nmode = 'buffered'\n[channels]\nt = 'temp'\nx = 'accel_x'\nz = 'accel_z'";

/// A scan of temperature, x and z as `BUFFERED` has them enabled: x, z, temperature, padding, time.
fn scan(x: i16, z: i16, temp: u16, time_ns: i64) -> Vec<u8> {
    let mut scan = (x << 4 | 0xF).to_le_bytes().to_vec();
    scan.extend((z << 4).to_le_bytes());
    scan.extend(temp.to_be_bytes());
    scan.extend([0xAA; 2]);
    scan.extend(time_ns.to_le_bytes());
    scan
}

#[test]
fn a_buffer_is_set_up_read_and_switched_off() {
    let tree = Tree::buffered();
    tree.write("buffer/enable", "1\n"); // of a program that was killed
    tree.write("scan_elements/in_accel_y_en", "1\n");
    tree.write("current_timestamp_clock", "monotonic\n");
    let mut bench = Bench::<Buffered>::new(&tree.config(BUFFERED));
    fs::write(tree.node(), scan(-2, 2047, 0xF_FFE, 1_700_000_000_123_456_789)).unwrap();
    bench.poll();
    assert_eq!(bench.problem(), "");
    let enabled = ["accel_x", "accel_y", "accel_z", "temp", "timestamp"]
        .map(|name| tree.read(&format!("scan_elements/in_{name}_en")));
    assert_eq!(enabled, ["1", "0", "1", "1", "1"]);
    assert_eq!([tree.read("sampling_frequency"), tree.read("buffer/length")], ["50", "100"]);
    assert_eq!(tree.read("current_timestamp_clock"), "realtime");
    assert_eq!(tree.read("buffer/enable"), "1");
    let record = bench.records().pop().unwrap();
    assert_eq!(record.values, [0.006, -0.02, 20.47]);
    assert_eq!(record.time_us, 1_700_000_000_123_456);
    drop(bench);
    assert_eq!(tree.read("buffer/enable"), "0");
}

#[test]
#[allow(clippy::cast_possible_truncation)]
fn scans_that_come_in_pieces_are_put_together() {
    let tree = Tree::buffered();
    let mut bench = Bench::<Buffered>::new(&tree.config(BUFFERED));
    bench.poll();
    let bytes: Vec<u8> = (0..20).flat_map(|n| scan(n, -n, 0, i64::from(n) * 20_000_000)).collect();
    let mut node = fs::OpenOptions::new().append(true).open(tree.node()).unwrap();
    for piece in bytes.chunks(7) {
        node.write_all(piece).unwrap();
        bench.poll();
    }
    let scaled = |n: i16| (f64::from(n) * 0.01) as f32;
    let expected: Vec<Vec<f32>> = (0..20).map(|n| vec![0.01, scaled(n), scaled(-n)]).collect();
    assert_eq!(bench.values(), expected);
    let times: Vec<i64> = bench.records().iter().map(|record| record.time_us / 1000).collect();
    assert_eq!(times, (0..20).map(|n| n * 20).collect::<Vec<_>>());
}

#[test]
fn without_a_timestamp_scans_lie_before_the_moment_of_reading() {
    let tree = Tree::buffered();
    fs::remove_file(tree.path("scan_elements/in_timestamp_en")).unwrap();
    let mut bench = Bench::<Buffered>::new(&tree.config(BUFFERED));
    fs::write(tree.node(), vec![0; 6 * 5]).unwrap();
    bench.poll();
    let times: Vec<i64> = bench.records().iter().map(|record| record.time_us).collect();
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [20_000; 4]);
}

#[test]
fn a_rate_that_is_refused_is_a_problem_that_lists_the_rates_that_there_are() {
    let tree = Tree::buffered();
    tree.write("sampling_frequency_available", "26 52 104\n");
    tree.refuse_writes("sampling_frequency");
    let error = Buffered::open(&tree.config(BUFFERED)).unwrap_err();
    assert!(error.contains("50 Hz") && error.contains("26 52 104"), "{error}");
    assert!(error.len() < 1000, "{error}");
    // Only the channel's own rate counts where there is no other.
    fs::remove_file(tree.path("sampling_frequency")).unwrap();
    tree.write("in_accel_sampling_frequency", "26");
    assert!(Buffered::open(&tree.config(BUFFERED)).is_ok());
    assert_eq!(tree.read("in_accel_sampling_frequency"), "50");
}

#[test]
fn a_device_may_run_faster_where_samples_are_brought_to_the_rate() {
    let tree = Tree::buffered();
    tree.write("sampling_frequency_available", "26 52 104\n");
    let mut bench = Bench::<Buffered>::new(&tree.config(&format!("resample = true\n{BUFFERED}")));
    let scans = (0..160i16).flat_map(|n| scan(n, 0, 0, i64::from(n) * 1_000_000_000 / 52));
    fs::write(tree.node(), scans.collect::<Vec<u8>>()).unwrap();
    bench.poll();
    assert_eq!((bench.problem().as_str(), tree.read("sampling_frequency").as_str()), ("", "52"));
    let times: Vec<i64> = bench.records().iter().map(|record| record.time_us).collect();
    assert!(times.len() > 40, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 20_000), "{times:?}");
    // A line of 0.52 a second stays one.
    let values: Vec<f32> = bench.values().iter().map(|values| values[1]).collect();
    let middle = &values[10..values.len() - 10];
    let off = |pair: &[f32]| (pair[1] - pair[0] - 0.0104).abs();
    assert!(middle.windows(2).all(|pair| off(pair) < 1e-3), "{middle:?}");
    fs::remove_file(tree.path("scan_elements/in_timestamp_en")).unwrap();
    let error = Buffered::open(&tree.config(&format!("resample = true\n{BUFFERED}"))).unwrap_err();
    assert!(error.contains("no timestamp"), "{error}");
}

#[test]
fn a_buffer_that_cannot_be_switched_on_is_a_problem_and_tried_again() {
    let tree = Tree::buffered();
    tree.refuse_writes("buffer/enable");
    let mut bench = Bench::<Buffered>::new(&tree.config(BUFFERED));
    bench.poll();
    let problem = bench.problem();
    assert!(problem.contains("buffer/enable") && problem.contains("source.trigger"), "{problem}");
    fs::remove_file(tree.path("buffer/enable")).unwrap();
    tree.write("buffer/enable", "0");
    fs::write(tree.node(), scan(1, 1, 1, 0)).unwrap();
    bench.wait(Duration::from_secs(4));
    bench.poll();
    assert_eq!((bench.values().len(), bench.status().problem), (1, None));
}

#[test]
fn a_buffer_that_somebody_switches_off_is_switched_on_again() {
    let tree = Tree::buffered();
    let mut bench = Bench::<Buffered>::new(&tree.config(BUFFERED));
    bench.poll();
    tree.write("buffer/enable", "0");
    bench.poll();
    assert!(bench.problem().contains("off or gone"), "{}", bench.problem());
    bench.wait(Duration::from_secs(4));
    bench.poll();
    assert_eq!(tree.read("buffer/enable"), "1");
    fs::remove_dir_all(tree.path("")).unwrap();
    bench.poll();
    bench.wait(Duration::from_secs(4));
    bench.poll();
    assert!(bench.problem().contains("there are: none"), "{}", bench.problem());
}

#[test]
fn a_switched_off_buffer_that_only_says_that_it_has_nothing_is_found_within_a_second() {
    let tree = Tree::buffered();
    make_fifo(&tree);
    let mut bench = Bench::<Buffered>::new(&tree.config(BUFFERED));
    bench.poll();
    // With a writer that writes nothing a read would wait, as on a device node.
    let writer = fs::OpenOptions::new().write(true).open(tree.node()).unwrap();
    bench.poll();
    assert!(bench.problem().contains("no sample yet"), "{}", bench.problem());
    tree.write("buffer/enable", "0");
    bench.wait(Duration::from_secs(1));
    bench.poll();
    assert!(bench.problem().contains("off or gone"), "{}", bench.problem());
    drop(writer);
}

/// Puts a FIFO in the place of the device node.
fn make_fifo(tree: &Tree) {
    let fifo = tree.0.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::rename(fifo, tree.node()).unwrap();
}

#[test]
fn what_a_buffer_lacks_is_named() {
    type Spoil = fn(&Tree);
    let cases: [(Spoil, &str); 7] = [
        (|t| fs::remove_file(t.path("buffer/enable")).unwrap(), "has no buffer"),
        (|t| fs::remove_file(t.node()).unwrap(), "dev/iio:device0: cannot open"),
        (|t| fs::remove_file(t.path("scan_elements/in_temp_en")).unwrap(), "no buffered channel"),
        (|t| t.write("scan_elements/in_temp_type", "le:s16/16X3>>0"), "in_temp_type"),
        (|t| t.write("scan_elements/in_temp_index", "first"), "in_temp_index"),
        (|t| t.write("scan_elements/in_temp_index", "0"), "two channels have the index 0"),
        (|t| t.write("scan_elements/in_timestamp_type", "le:s32/32>>0"), "timestamp"),
    ];
    for (spoil, expected) in cases {
        let tree = Tree::buffered();
        spoil(&tree);
        let error = Buffered::open(&tree.config(BUFFERED)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_trigger_is_set_by_its_name_and_runs_at_the_rate() {
    let tree = Tree::buffered();
    tree.write("trigger/current_trigger", "\n");
    let trigger = tree.devices().join("trigger3");
    fs::create_dir_all(&trigger).unwrap();
    fs::write(trigger.join("name"), "clockwork\n").unwrap();
    fs::write(trigger.join("sampling_frequency"), "100\n").unwrap();
    let config = |name| tree.config(&format!("trigger = '{name}'\n{BUFFERED}"));
    assert!(Buffered::open(&config("clockwork")).is_ok());
    assert_eq!(tree.read("trigger/current_trigger"), "clockwork");
    assert_eq!(fs::read_to_string(trigger.join("sampling_frequency")).unwrap(), "50");
    let error = Buffered::open(&config("hourglass")).unwrap_err();
    assert!(error.contains("clockwork (trigger3)"), "{error}");
}

fn task(window: u16) -> TaskSpec {
    let channel = |name: &str| Channel {
        name: name.to_owned(),
        unit: "m/s2".to_owned(),
        offset: 0.0,
        scale: 1.0,
    };
    TaskSpec {
        name: Name::new("test").unwrap(),
        input: Input {
            channels: vec![channel("x"), channel("z")],
            rate: dunlin_protocol::task::Rate::from_millihertz(50_000),
            window,
            hop: window,
        },
        features: Features::Raw,
        layers: Vec::new(),
        target: Target::Classes(vec!["sit".to_owned(), "walk".to_owned()]),
    }
}

#[test]
fn an_opened_device_gives_windows_with_labels_from_a_file() {
    let tree = Tree::buffered();
    make_fifo(&tree);
    tree.write("in_accel_scale", "0.25");
    let labels = tree.0.path().join("labels.csv");
    fs::write(&labels, "0,0.08,walk\n0.08,1,sit\n").unwrap();
    let more = format!("labels_path = '{}'\nquantum = 0.25\n{BUFFERED}", labels.display());
    let config = SourceConfig::Iio(tree.config(&more));
    let source = crate::data::open(&config, &tree.0.path().join("state")).unwrap();
    let mut writer = fs::OpenOptions::new().write(true).open(tree.node()).unwrap();
    for n in 0..9i16 {
        writer.write_all(&scan(n, -n, 0, i64::from(n) * 20_000_000)).unwrap();
    }
    while source.windows(&task(4)).map_or(0, |set| set.len()) < 2 {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let set = source.windows(&task(4)).unwrap();
    assert_eq!(set.labels, [1, 0]);
    assert_eq!(set.window(1), [1.0, -1.0, 1.25, -1.25, 1.5, -1.5, 1.75, -1.75]);
    drop(source);
    assert_eq!(tree.read("buffer/enable"), "0");
}
