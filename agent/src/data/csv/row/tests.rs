#![allow(clippy::cast_possible_truncation)]

use super::*;
use crate::data::SourceConfig;

fn reader(more: &str) -> RowReader {
    let text = format!("kind = 'csv'\npath = '-'\nrate_hz = 50.0\n{more}");
    let SourceConfig::Csv(config) = toml::from_str(&text).unwrap() else { panic!("another kind") };
    RowReader::new(&config)
}

const NAMED: &str = "time = 't'\ntime_unit = 'ms'\nlabel = 'what'\n[channels]\nx = 'ax'\ny = 2\n";

fn sample<'a>(time_us: i64, label: &'a str, values: &'a [f32]) -> Result<Row<'a>, String> {
    Ok(Row::Sample { time_us: Some(time_us), label, values })
}

#[test]
fn columns_are_found_by_name_and_by_place() {
    let mut rows = reader(NAMED);
    assert_eq!(rows.read(b"\xEF\xBB\xBFt,ax,\"a, y\",what"), Ok(Row::Header));
    assert_eq!(rows.read(b"20, 0.5 ,-1e-1,walking"), sample(20_000, "walking", &[0.5, -0.1]));
    assert_eq!(
        rows.read(b"40,\"1\",2,\"say \"\"ah\"\"\""),
        sample(40_000, "say \"ah\"", &[1.0, 2.0])
    );
    assert_eq!(rows.read(b"60,1,2,"), sample(60_000, "", &[1.0, 2.0]));
    assert_eq!(rows.read(b"  \t "), Ok(Row::Blank));
}

#[test]
fn rows_that_do_not_fit_are_refused_with_the_reason() {
    let mut rows = reader(NAMED);
    rows.read(b"t,ax,ay,what").unwrap();
    let mut refusal = |line: &[u8]| {
        let Row::Refused(refusal) = rows.read(line).unwrap() else { panic!("{line:?} is good") };
        refusal
    };
    assert_eq!(refusal(b"1,2,3"), Refusal::Columns { has: 3, needs: 4 });
    assert_eq!(refusal(b"1,2,3,w,5"), Refusal::Columns { has: 5, needs: 4 });
    assert_eq!(refusal(b"1,2,,w"), Refusal::Number(2));
    assert_eq!(refusal(b"1,NaN,3,w"), Refusal::Number(1));
    assert_eq!(refusal(b"1,1e99,3,w"), Refusal::Number(1));
    assert_eq!(refusal(b"1,\xff\xfe,3,w"), Refusal::Number(1));
    assert_eq!(refusal(b"soon,2,3,w"), Refusal::Time(0));
    assert_eq!(refusal(b"1e300,2,3,w"), Refusal::Time(0));
    assert_eq!(refusal(b"1,2,3,\"w"), Refusal::Quote);
    assert_eq!(refusal(&b",".repeat(2000)), Refusal::Quote);
    assert_eq!(refusal(b"t,ax,ay,what"), Refusal::Number(1));
}

#[test]
fn a_header_without_the_columns_says_what_it_has() {
    let mut rows = reader(NAMED);
    let problem = rows.read(b"time;x;y").unwrap_err();
    assert!(problem.contains("ax, t, what") && problem.contains("time;x;y"), "{problem}");
    assert!(matches!(rows.read(b"1,2,3,w"), Ok(Row::Refused(Refusal::Columns { .. }))));
    rows.restart();
    assert_eq!(rows.read(b"t,ax,ay,what"), Ok(Row::Header));
    rows.restart();
    assert_eq!(rows.read(b"20,1,2,w"), sample(20_000, "w", &[1.0, 2.0]), "no second header");
}

#[test]
fn without_a_header_rows_need_the_columns_in_use_or_an_exact_number() {
    let mut rows = reader("header = false\ndelimiter = ';'\n[channels]\nx = 1\n");
    let values = [5.0];
    let row = Row::Sample { time_us: None, label: "", values: &values };
    assert_eq!(rows.read(b"4;5"), Ok(row));
    assert!(matches!(rows.read(b"4;5;6;7"), Ok(Row::Sample { .. })));
    assert_eq!(rows.read(b"4"), Ok(Row::Refused(Refusal::Columns { has: 1, needs: 2 })));
    let mut rows = reader("header = false\ncolumns = 2\n[channels]\nx = 1\n");
    assert_eq!(rows.read(b"4,5,6"), Ok(Row::Refused(Refusal::Columns { has: 3, needs: 2 })));
}

#[test]
fn noise_never_panics() {
    let mut rng = dunlin_protocol::rng::Rng::new(6);
    let alphabet = b"0123456789.,,,\"-+eE \rnaif\xff\x00t";
    for round in 0..20_000 {
        let mut rows = reader(NAMED);
        if round % 2 == 0 {
            rows.read(b"t,ax,ay,what").unwrap();
        }
        let line: Vec<u8> =
            (0..rng.below(40)).map(|_| alphabet[rng.below(alphabet.len())]).collect();
        if let Ok(Row::Sample { values, .. }) = rows.read(&line) {
            assert!(values.iter().all(|value| value.is_finite()));
        }
        if round % 100 == 0 {
            let line: Vec<u8> = (0..LINE_BYTES_MAX).map(|_| rng.below(256) as u8).collect();
            let _ = rows.read(&line);
        }
    }
}
