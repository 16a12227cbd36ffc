//! Recordings as people have them, through the reader of text files.

use dunlin_protocol::task::TaskSpec;

use crate::data::config::SourceConfig;
use crate::data::csv::read_file;
use crate::data::store::SampleStore;

/// What rounding may be away.
const TOLERANCE: f32 = 1e-6;

/// Times in microseconds, and for each sample its values in the order of the channels' names.
struct Recording {
    times: Vec<i64>,
    rows: Vec<Vec<f32>>,
}

/// Reads `text` by these keys of `[source]`, without any window that is not whole: its samples are
/// windows of `window` samples, one behind the other.
fn read(text: &str, keys: &str, channels: &[(&str, &str)], window: usize) -> Recording {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recording.csv");
    std::fs::write(&path, text).unwrap();
    let places: String =
        channels.iter().map(|(name, place)| format!("{name} = {place}\n")).collect();
    let source = format!("kind = 'csv'\npath = '{}'\n{keys}\n[channels]\n{places}", path.display());
    let config: SourceConfig = toml::from_str(&source).unwrap();
    assert_eq!(config.check().0, []);
    let SourceConfig::Csv(config) = config else { panic!("another kind") };
    let rate = config.sampling.rate_hz * 1000.0;
    let channel = |(name, _): &(&str, &str)| {
        format!("{{ name = '{name}', unit = 'g', offset = 0.0, scale = 1.0 }}, ")
    };
    let named: String = channels.iter().map(channel).collect();
    let task = format!(
        "name = 'test'\nfeatures = 'Raw'\ntarget = 'Reconstruct'\nlayers = []\n[input]\n\
         rate_millihertz = {rate:.0}\nwindow = {window}\nhop = {window}\nchannels = [{named}]\n"
    );
    let task: TaskSpec = toml::from_str(&task).unwrap();
    let scratch = dir.path().join("scratch");
    let set = read_file(&config, &scratch, &task).unwrap();
    let rows = set.values.chunks_exact(channels.len()).map(<[f32]>::to_vec).collect();
    let mut times = Vec::new();
    let mut store = SampleStore::open(&scratch, config.sampling.header()).unwrap();
    store.scan(|record| times.push(record.time_us)).unwrap();
    Recording { times, rows }
}

/// The numbers of a text file, without its header.
fn numbers(text: &str) -> Vec<Vec<f32>> {
    let line = |line: &str| line.split(',').map(|field| field.parse().ok()).collect();
    text.lines().filter_map(line).collect()
}

fn assert_near(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= TOLERANCE);
        assert!(near && found.len() == expected.len(), "{number}: {found:?} {expected:?}");
    }
}

const AXES: [(&str, &str); 3] = [("ax", "'ax'"), ("ay", "'ay'"), ("az", "'az'")];

#[test]
fn one_sample_that_a_phone_leaves_out_is_filled_in() {
    let text = include_str!("../../../../tests/inputs/phone-one-sample-missing.csv");
    let found = read(text, "rate_hz = 62.4\ntime = 't'", &AXES, 11);
    let mut expected: Vec<Vec<f32>> =
        numbers(text).into_iter().map(|row| row[1..].to_vec()).collect();
    // The middles of the samples at 0.128 and 0.160 s, 0.288 and 0.320 s, and so on.
    for (place, x) in [(9, 0.299), (19, -0.4285), (29, 0.55), (39, -0.66), (49, 0.7565)] {
        expected.insert(place, vec![x, 0.101, 0.982]);
    }
    assert_near(&found.rows, &expected);
    assert_eq!(found.times, (0..55).map(|n| n * 16_000).collect::<Vec<i64>>());
}

#[test]
fn rows_of_whole_seconds_lie_a_tenth_of_a_second_apart() {
    let text = include_str!("../../../../tests/inputs/time-in-whole-seconds.csv");
    let found = read(text, "rate_hz = 10\ntime = 't'", &AXES, 12);
    let expected: Vec<Vec<f32>> = numbers(text).iter().map(|row| row[1..].to_vec()).collect();
    assert_eq!(expected.len(), 60);
    assert_near(&found.rows, &expected);
    let expected = (0..60).map(|n| 1_700_000_000_000_000 + n * 100_000);
    assert_eq!(found.times, expected.collect::<Vec<i64>>());
}

#[test]
fn a_slower_recording_is_brought_to_the_rate_of_the_task() {
    let text = include_str!("../../../../tests/inputs/slower-than-configured.csv");
    let found = read(text, "rate_hz = 100\ntime = 't'\nresample = true", &AXES, 79);
    assert_eq!(found.times, (0..79).map(|n| n * 10_000).collect::<Vec<i64>>());
    // numpy.interp(arange(79) / 100, t, ax)[[0, 1, 2, 10, 33, 50, 77, 78]]
    for (place, x) in [
        (0, 0.000000),
        (1, 0.204375),
        (2, 0.399750),
        (10, 0.863662),
        (33, 0.543800),
        (50, -0.822363),
        (77, -0.306562),
        (78, -0.492188),
    ] {
        assert_near(&found.rows[place..=place], &[vec![x, 0.101, 0.982]]);
    }
}

#[test]
fn a_faster_recording_is_filtered_on_its_way_to_a_lower_rate() {
    // 10 s of 1 Hz and 30 Hz at 100 Hz; 25 Hz cannot hold the latter.
    let wave = |hertz: f64, n: u32| (std::f64::consts::TAU * hertz * f64::from(n) / 100.0).sin();
    let line =
        |n: u32| format!("{:.2},{:.6}\n", f64::from(n) / 100.0, wave(1.0, n) + wave(30.0, n));
    let text: String = std::iter::once("t,x\n".to_owned()).chain((0..1000).map(line)).collect();
    let keys = "rate_hz = 25\ntime = 't'\nresample = true";
    let found = read(&text, keys, &[("x", "'x'")], 10);
    let first = found.times[0];
    assert_eq!(first, 320_000, "eight periods are left out");
    for (row, place) in found.rows.iter().zip(8_u32..) {
        let expected = wave(1.0, place * 4);
        assert!((f64::from(row[0]) - expected).abs() < 0.02, "{place}: {} {expected}", row[0]);
    }
}

#[test]
fn a_slow_channel_is_held_between_its_values() {
    let text = include_str!("../../../../tests/inputs/pamap2-heart-rate-nan.dat");
    let keys =
        "rate_hz = 100\nheader = false\ndelimiter = ' '\ntime = 0\nmissing = { hr = 'hold' }";
    let channels = [("acc_x", "4"), ("acc_y", "5"), ("acc_z", "6"), ("hr", "2")];
    let found = read(text, keys, &channels, 44);
    let expected: Vec<Vec<f32>> = text
        .lines()
        .map(|line| {
            line.split(' ').skip(4).map(|field| field.parse().unwrap()).chain([104.0]).collect()
        })
        .collect();
    assert_near(&found.rows, &expected);
    let expected = (0..44).map(|n| 8_380_000 + n * 10_000);
    assert_eq!(found.times, expected.collect::<Vec<i64>>());
}
