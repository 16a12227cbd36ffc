//! Recordings in the formats that people have, by at most four keys besides their channels.

use super::*;
use crate::data::config::SourceConfig;

/// What was made of a recording.
struct Found {
    /// Microseconds, label, and values in the order of the channels' names.
    rows: Vec<(i64, String, Vec<f32>)>,
    status: SourceStatus,
}

impl Found {
    /// Values of the channel `nth`.
    fn channel(&self, nth: usize) -> Vec<f32> {
        self.rows.iter().map(|row| row.2[nth]).collect()
    }

    fn times(&self) -> Vec<i64> {
        self.rows.iter().map(|row| row.0).collect()
    }

    fn count(&self, loss: Loss) -> u64 {
        self.status.losses.count(loss)
    }
}

fn try_read(text: &str, keys: &str, channels: &str) -> Result<Found, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.csv");
    fs::write(&path, text).unwrap();
    assert!(keys.lines().count() <= 4, "a newcomer writes few keys");
    let source =
        format!("kind = 'csv'\npath = '{}'\n{keys}\n[channels]\n{channels}", path.display());
    let config: SourceConfig = toml::from_str(&source).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.check().0, []);
    let SourceConfig::Csv(config) = config else { panic!("another kind") };
    let mut store = read_samples(&config, &dir.path().join("scratch"))?;
    let mut records = Vec::new();
    store.scan(|record| records.push(record.clone())).unwrap();
    let label = |record: &Record| store.label_texts().get(usize::from(record.label)).cloned();
    let row = |r: &Record| (r.time_us, label(r).unwrap_or_default(), r.values.clone());
    Ok(Found { rows: records.iter().map(row).collect(), status: store.status() })
}

fn read(text: &str, keys: &str, channels: &str) -> Found {
    try_read(text, keys, channels).unwrap_or_else(|error| panic!("{error}"))
}

macro_rules! input {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/inputs/", $name))
    };
}

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

#[test]
fn glucose_is_kept_as_it_is() {
    let found = read(
        input!("glucose-mgdl.csv"),
        "period = '5 min'\nunit = 'mg/dL'\ntime = 't'",
        "glucose = 'gl'",
    );
    let values = found.channel(0);
    assert_eq!(values[..6], [112.0, 119.0, 126.0, 132.0, 137.0, 140.0]);
    assert_eq!(values.len(), 24);
    assert_eq!(found.times()[..2], [1_700_000_000 * SECOND, 1_700_000_300 * SECOND]);
    assert!(found.status.losses.is_empty());
}

#[test]
fn an_empatica_has_its_start_rate_and_scale() {
    let found = read(input!("e4-acc.csv"), "format = 'empatica-e4'", "x = 0\ny = 1\nz = 2");
    assert_eq!(found.rows.len(), 40);
    assert_eq!(found.rows[0].2, [-58.0 / 64.0, 24.0 / 64.0, 10.0 / 64.0]);
    assert_eq!(found.rows[1].2, [-57.0 / 64.0, 25.0 / 64.0, 11.0 / 64.0]);
    assert_eq!(found.times()[..2], [1_600_000_000 * SECOND, 1_600_000_000 * SECOND + 31_250]);
    let other = input!("e4-acc.csv").replace("32.000000", "64.000000");
    let error = try_read(&other, "format = 'empatica-e4'", "x = 0").err().unwrap().to_string();
    assert!(error.contains("line 2 says \"64.000000\" Hz"), "{error}");
}

#[test]
fn times_in_milliseconds_are_read_by_their_unit() {
    let keys = "rate_hz = 50\ntime = { column = 't', unit = 'ms' }";
    let found = read(input!("time-in-ms.csv"), keys, "ax = 'ax'\nay = 'ay'");
    assert_eq!(found.times(), (0..40).map(|n| n * 20_000).collect::<Vec<_>>());
    assert_eq!(found.rows[1].2, [0.327, 0.101]);
}

#[test]
fn a_continuous_glucose_monitor_gives_its_glucose_alone() {
    let text = input!("dexcom-clarity.csv");
    let channels = "glucose = 'Glucose Value (mg/dL)'";
    let found = read(text, "format = 'clarity'", channels);
    let mut expected: Vec<f32> = (0..18_u8).map(|n| 112.0 + 3.0 * f32::from(n)).collect();
    (expected[7], expected[12]) = (39.0, 401.0);
    assert_eq!(found.channel(0), expected);
    let start = 1_779_235_210 * SECOND;
    assert_eq!(found.times(), (0..18).map(|n| start + n * 5 * MINUTE).collect::<Vec<_>>());
    assert_eq!((found.count(Loss::Filtered), found.status.losses.faults()), (5, 0));
    let own = "period = '5 min'\nwhere = { 'Event Type' = 'EGV' }\ntext = { Low = 39, High = 401 }\n\
        time = { column = 'Timestamp (YYYY-MM-DDThh:mm:ss)', format = 'iso', zone = '+02:00' }";
    let there = read(text, own, channels);
    assert_eq!((there.channel(0), there.times()[0]), (expected, start - 120 * MINUTE));
}

#[test]
fn each_kind_of_refused_row_has_its_own_count_line_column_and_text() {
    let keys = "period = '5 min'\ntime = 'Timestamp (YYYY-MM-DDThh:mm:ss)'";
    let found = read(input!("dexcom-clarity.csv"), keys, "g = 'Glucose Value (mg/dL)'");
    assert_eq!((found.rows.len(), found.count(Loss::Time)), (0, 23));
    let last = found.status.losses.last(Loss::Time).unwrap();
    let text = "line 24, column 1 (\"Timestamp (YYYY-MM-DDThh:mm:ss)\"): \"2026-05-20T01:25:10\" is not a \
        number of s; format = \"iso\" reads it";
    assert!(last.ends_with(text), "{last}");
    let keys = "period = '5 min'\nwhere = { 'Event Type' = 'EGV' }";
    let found = read(input!("dexcom-clarity.csv"), keys, "g = 'Glucose Value (mg/dL)'");
    assert_eq!((found.count(Loss::Number), found.count(Loss::Filtered)), (2, 5));
    let last = found.status.losses.last(Loss::Number).unwrap();
    assert!(last.contains("line 19, column 7") && last.contains("\"High\""), "{last}");
}

#[test]
fn rows_that_end_in_a_semicolon_are_all_read_also_two_on_a_line() {
    let found = read(input!("wisdm-v1.txt"), "format = 'wisdm'", "x = 3\ny = 4\nz = 5");
    assert_eq!(found.rows.len(), 24);
    let start = 49_105_962_326;
    assert_eq!(found.times(), (0..24).map(|n| start + n * 50_000).collect::<Vec<_>>());
    assert_eq!(found.rows[0].2, [-0.69, 12.2, 0.5]);
    assert_eq!(found.rows[6].2, [-0.773_824_6, 12.160_17, 0.5], "the second of its line");
    let labels: Vec<&str> = found.rows.iter().map(|row| row.1.as_str()).collect();
    assert_eq!((labels[11], labels[12]), ("Jogging", "Walking"));
    let keys = "header = false\nrate_hz = 20\nlabel = 1";
    let error = read(input!("wisdm-v1.txt"), keys, "x = 3\ny = 4\nz = 5");
    let last = error.status.losses.last(Loss::Number).unwrap();
    assert!(last.contains("column 5: \"0.50000000;\""), "{last}");
}

#[test]
fn a_header_behind_ten_lines_is_found_by_its_names() {
    let text = input!("actigraph-ten-lines.csv");
    let channels = "x = 'axis1'\ny = 'axis2'\nz = 'axis3'";
    let found = read(text, "format = 'actigraph'\ntime = 'TimeStamp'\nrate_hz = 1", channels);
    assert_eq!(found.rows.len(), 24);
    assert_eq!(
        found.rows[..2].iter().map(|row| &row.2[..]).collect::<Vec<_>>(),
        [[20.0, 0.0, 0.0], [23.0, 1.0, 5.0]]
    );
    assert_eq!(found.times()[..2], [1_769_958_000 * SECOND, 1_769_958_001 * SECOND]);
    let error = try_read(text, "rate_hz = 1", channels).err().unwrap().to_string();
    assert!(error.contains("line 11") && error.contains("header = \"auto\""), "{error}");
}

#[test]
fn decimal_commas_are_read() {
    let channels = "x = 'Acceleration x (m/s^2)'\nz = 'Acceleration z (m/s^2)'";
    let found =
        read(input!("phyphox-decimal-comma.csv"), "format = 'phyphox'\nrate_hz = 100.2", channels);
    assert_eq!(found.rows.len(), 24);
    assert_eq!((found.rows[0].0, &found.rows[0].2[..]), (36_700, &[0.29, 9.09][..]));
    assert_eq!((found.rows[7].0, &found.rows[7].2[..]), (106_560, &[0.355_699, 9.09][..]));
}

#[test]
fn a_slow_channel_is_held_beside_fast_ones() {
    let channels = "hr = 2\nx = 4\ny = 5\nz = 6";
    let found = read(input!("pamap2-heart-rate-nan.dat"), "format = 'pamap2'", channels);
    assert_eq!(found.rows.len(), 44);
    assert_eq!(found.rows[0].2, [104.0, 2.37, 8.6007, 3.5105]);
    assert_eq!(found.rows[1].2, [104.0, 2.4541, 8.6007, 3.5105]);
    assert_eq!((found.rows[0].1.as_str(), found.rows[43].1.as_str()), ("lying", "walking"));
    assert_eq!(found.times()[..3], [8_380_000, 8_390_000, 8_400_000]);
}

#[test]
fn of_two_sensors_with_one_name_the_place_is_asked() {
    let text = input!("two-sensors-one-name.csv");
    let keys = "rate_hz = 50\ntime = 't'";
    let error = try_read(text, keys, "x = 'x'\ny = 'y'\nz = 'z'").err().unwrap().to_string();
    assert!(
        error.contains("line 1") && error.contains("\"x\" stands at the places 1 and 4"),
        "{error}"
    );
    let found = read(text, keys, "x = 4\ny = 2\nz = 3");
    assert_eq!(found.rows[1].2, [7.5, 0.101, 0.982]);
    assert_eq!(found.rows.len(), 30);
}

#[test]
fn blanks_at_line_ends_are_no_columns() {
    let keys = "header = false\ndelimiter = ' '\ntime = 1\nrate_hz = 1";
    let found = read(input!("cmapss-blanks.txt"), keys, "t24 = 6\nt30 = 7\nt50 = 8");
    assert_eq!(found.rows.len(), 28);
    assert_eq!(found.rows[0].2, [641.82, 1589.8, 1400.8]);
    assert_eq!(found.times()[..2], [SECOND, 2 * SECOND]);
}

#[test]
fn other_presets_read_what_their_makers_write() {
    let text = "2021-05-04 10:00:00.000,0.10,-0.98,0.20\n2021-05-04 10:00:00.010,0.11,-0.97,0.21\n";
    let found = read(text, "format = 'axivity'", "x = 1\ny = 2\nz = 3");
    assert_eq!(
        (found.rows[1].0, &found.rows[1].2[..]),
        (1_620_122_400_010_000, &[0.11, -0.97, 0.21][..])
    );

    let text = "time,seconds_elapsed,z,y,x\n1700000000123456789,0.01,3,2,1\n1700000000143456789,0.03,6,5,4\n";
    let found = read(text, "format = 'sensor-logger'\nrate_hz = 50", "x = 'x'\nz = 'z'");
    assert_eq!((found.rows[1].0, &found.rows[1].2[..]), (1_700_000_000_143_457, &[4.0, 6.0][..]));

    let text = "\"sep=\t\"\na_Timestamp_Unix_CAL\ta_Accel_LN_X_CAL\t\nms\tm/(s^2)\t\n\
        1700000000000.0\t9.5\t\n1700000000020.5\t9.6\t\n";
    let keys = "format = 'shimmer'\ntime = 'a_Timestamp_Unix_CAL'\nrate_hz = 50";
    let found = read(text, keys, "x = 'a_Accel_LN_X_CAL'");
    assert_eq!((found.rows[1].0, found.rows[1].2[0]), (1_700_000_000_020_500, 9.6));

    let text = "Phone timestamp;sensor timestamp [ns];X [mg];Y [mg];Z [mg]\n\
        2021-05-04T10:00:00.123;673437600000000000;12;-980;20\n2021-05-04T10:00:00.123;673437600020000000;13;-981;21\n";
    let found = read(text, "format = 'polar'\nrate_hz = 50", "x = 'X [mg]'\ny = 'Y [mg]'");
    assert_eq!(
        (found.rows[1].0, &found.rows[1].2[..]),
        (1_620_122_400_020_000, &[13.0, -981.0][..])
    );

    let text = "Glucose Data,Generated on,21-05-2026 10:00 UTC,Generated by,A B\n\
        Device,Serial Number,Device Timestamp,Record Type,Historic Glucose mmol/L,Scan Glucose mmol/L\n\
        FreeStyle LibreLink,X,20-05-2026 13:05,0,5.6,\nFreeStyle LibreLink,X,20-05-2026 13:06,1,,5.7\n\
        FreeStyle LibreLink,X,20-05-2026 13:20,0,HI,\n";
    let found = read(text, "format = 'libreview'", "glucose = 'Historic Glucose mmol/L'");
    assert_eq!(found.channel(0), [5.6, 27.8]);
    assert_eq!(found.times()[1] - found.times()[0], 15 * MINUTE);
}

#[test]
fn a_packed_file_is_called_so_however_long_its_first_line_is() {
    let mut packed = String::from("PK\x03\x04");
    packed.extend(std::iter::repeat_n('x', 100_000));
    let problem = try_read(&packed, "rate_hz = 1", "x = 'x'").err().unwrap().to_string();
    assert!(problem.contains("ZIP archive"), "{problem}");
}
