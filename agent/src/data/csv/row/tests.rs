#![allow(clippy::cast_possible_truncation)]

use super::super::lines::LINE_BYTES_MAX;
use super::*;
use crate::data::{Loss, SourceConfig};

fn reader(more: &str) -> RowReader {
    let text = format!("kind = 'csv'\npath = '-'\nrate_hz = 50.0\n{more}");
    let SourceConfig::Csv(config) = toml::from_str(&text).unwrap() else { panic!("another kind") };
    assert_eq!(SourceConfig::Csv(config.clone()).check().0, []);
    RowReader::new(&config)
}

const NAMED: &str = "time = 't'\ntime_unit = 'ms'\nlabel = 'what'\n[channels]\nx = 'ax'\ny = 2\n";

fn sample<'a>(time_us: i64, label: &'a str, values: &'a [f32]) -> Result<Row<'a>, String> {
    Ok(Row::Sample { time_us: Some(time_us), label, values })
}

/// Reads lines as if they were those of a file, from the first one; what they turned out to be.
fn steps(rows: &mut RowReader, lines: &[&str]) -> Vec<String> {
    let step = |(at, line): (usize, &&str)| match rows.read(line.as_bytes(), at as u64 + 1) {
        Ok(Row::Head(None)) => "head".to_owned(),
        Ok(Row::Head(Some(start))) => format!("start {start}"),
        Ok(Row::Blank) => "blank".to_owned(),
        Ok(Row::Filtered) => "filtered".to_owned(),
        Ok(Row::Sample { time_us, label, values }) => {
            format!("{} {label} {values:?}", time_us.unwrap_or(-1))
        }
        Ok(Row::Refused(refusal)) => rows.describe(&refusal),
        Err(problem) => format!("problem: {problem}"),
    };
    lines.iter().enumerate().map(step).collect()
}

#[test]
fn columns_are_found_by_name_and_by_place() {
    let mut rows = reader(NAMED);
    assert_eq!(rows.read(b"\xEF\xBB\xBFt,ax,\"a, y\",what", 1), Ok(Row::Head(None)));
    assert_eq!(rows.read(b"20, 0.5 ,-1e-1,walking", 2), sample(20_000, "walking", &[0.5, -0.1]));
    assert_eq!(
        rows.read(b"40,\"1\",2,\"say \"\"ah\"\"\"", 3),
        sample(40_000, "say \"ah\"", &[1.0, 2.0])
    );
    assert_eq!(rows.read(b"60,1,2,", 4), sample(60_000, "", &[1.0, 2.0]));
    assert_eq!(rows.read(b"  \t ", 5), Ok(Row::Blank));
}

#[test]
fn rows_that_do_not_fit_are_refused_with_their_own_reason_place_and_text() {
    let mut rows = reader(NAMED);
    rows.read(b"t,ax,ay,what", 1).unwrap();
    let mut refusal = |line: &[u8]| {
        let Row::Refused(refusal) = rows.read(line, 2).unwrap() else { panic!("{line:?} is good") };
        (refusal.loss(), rows.describe(&refusal))
    };
    let text = |loss, text: &str| (loss, text.to_owned());
    assert_eq!(refusal(b"1,2,3"), text(Loss::Columns, "has 3 columns instead of 4"));
    assert_eq!(refusal(b"1,2,3,w,5"), text(Loss::Columns, "has 5 columns instead of 4"));
    let number = "column 1 (\"ax\"): \"1e99\" is not a finite number";
    assert_eq!(refusal(b"1,1e99,3,w"), text(Loss::Number, number));
    assert_eq!(refusal(b"1,inf,3,w").0, Loss::Number);
    assert!(refusal(b"1,\xff\xfe,3,w").1.contains("no UTF-8"));
    let by_place = "column 2 (\"ay\"): \"0x1\" is not a finite number";
    assert_eq!(refusal(b"1,2,0x1,w"), text(Loss::Number, by_place));
    let time = "column 0 (\"t\"): \"soon\" is not a number of ms";
    assert_eq!(refusal(b"soon,2,3,w"), text(Loss::Time, time));
    assert!(refusal(b"1e300,2,3,w").1.contains("285 years"));
    let long = refusal(format!("1,{},3,w", "x".repeat(90)).as_bytes()).1;
    assert!(long.len() < 100 && long.contains("xxx\"... is not"), "{long}");
    assert_eq!(refusal(b"1,2,3,\"w").0, Loss::Columns);
    assert_eq!(refusal(&b",".repeat(2000)).0, Loss::Columns);
}

#[test]
fn missing_values_are_no_numbers_and_words_may_have_values() {
    let mut rows = reader("header = false\ntext = { Low = 39, High = 401 }\n[channels]\nx = 0\n");
    for text in ["NaN", "na", "N/A", "null", "", "\"\"", "-", "?"] {
        let line = format!("{text},1");
        let Ok(Row::Sample { values, .. }) = rows.read(line.as_bytes(), 1) else {
            panic!("{text}")
        };
        assert!(values[0].is_nan(), "{text}");
    }
    let found = steps(&mut rows, &["Low", "High,", "low"]);
    assert_eq!(found[..2], ["-1  [39.0]", "-1  [401.0]"]);
    assert_eq!(found[2], "column 0: \"low\" is not a finite number");
}

#[test]
fn a_header_without_the_columns_says_what_it_has_and_which_later_line_has_them() {
    let mut rows = reader(NAMED);
    let problem = rows.read(b"time;x;y", 1).unwrap_err();
    assert!(problem.contains("ax, t, what") && problem.contains("time;x;y"), "{problem}");
    assert!(problem.contains("line 1"), "{problem}");
    assert_eq!(rows.read(b"1,2,3,w", 2), Ok(Row::Refused(Refusal::NoHeader)));
    let problem = rows.read(b"t,ax,ay,what", 3).unwrap_err();
    assert!(problem.contains("line 3") && problem.contains("header = \"auto\""), "{problem}");
    rows.restart();
    assert_eq!(rows.read(b"t,ax,ay,what", 1), Ok(Row::Head(None)));
    rows.restart();
    assert_eq!(rows.read(b"20,1,2,w", 1), sample(20_000, "w", &[1.0, 2.0]), "no second header");
}

#[test]
fn a_column_named_twice_is_an_error_that_says_where_unless_its_place_is_given() {
    let mut rows = reader("[channels]\nx = 'x'\n");
    let problem = rows.read(b"t,x,y,x", 1).unwrap_err();
    assert!(problem.contains("\"x\" stands at the places 1 and 3"), "{problem}");
    let mut rows = reader("time = 't'\n[channels]\nx = 3\n");
    assert_eq!(steps(&mut rows, &["t,x,y,x", "1,2,3,4"])[1], "1000000  [4.0]");
}

#[test]
fn the_header_is_found_by_its_names_behind_other_lines() {
    let mut rows = reader(&format!("header = 'auto'\ncomment = ['#', '//']\n{NAMED}"));
    let lines =
        ["Made by X,,,", "# t,ax,ay,what", "", "t,ax", "\"t", "t,ax,ay,what", "# no", "20,1,2,w"];
    let expected =
        ["head", "blank", "blank", "head", "head", "head", "blank", "20000 w [1.0, 2.0]"];
    assert_eq!(steps(&mut rows, &lines), expected);
    let mut rows = reader(&format!("header = 'auto'\n{NAMED}"));
    let found = steps(&mut rows, &["t,ax,ay", "x"]);
    assert_eq!(found, ["head", "head"]);
    let problem = rows.search_problem().unwrap();
    assert!(problem.contains("line 1") && problem.contains("what"), "{problem}");
    let found = steps(&mut rows, &["x"; 200]);
    assert!(found[197].contains("none of its first 200 lines"), "{}", found[197]);
    assert!(found[198].contains("without a header"), "{}", found[198]);
}

#[test]
fn lines_at_the_start_and_of_units_are_skipped_and_may_name_the_delimiter() {
    let own = "header = 'auto'\nskip_after_header = 1\ntime_unit = 'ms'\ntime = 's_t'\n[channels]\nx = 's_x'\n";
    let lines = ["\"sep=;\"", "s_t;s_x;", "ms;m/(s^2);", "20;1.5;"];
    assert_eq!(steps(&mut reader(own), &lines), ["head", "head", "head", "20000  [1.5]"]);
    let own = "skip_lines = 2\nheader = false\n[channels]\nx = 0\n";
    assert_eq!(steps(&mut reader(own), &["5", "6", "7"]), ["head", "head", "-1  [7.0]"]);
}

#[test]
fn the_first_lines_may_have_start_and_rate() {
    let own = "header = false\nstart_line = 1\nrate_line = 2\n[channels]\nx = 0\n";
    let found = steps(&mut reader(own), &["1600000000.5, 1", "50.0, 50.0", "7"]);
    assert_eq!(found, ["start 1600000000500000", "head", "-1  [7.0]"]);
    let found = steps(&mut reader(own), &["1600000000.5", "32.0", "7"]);
    assert!(
        found[1].contains("line 2 says \"32.0\" Hz, the configuration 50.000 Hz"),
        "{}",
        found[1]
    );
    assert!(found[2].contains("without a header"), "{}", found[2]);
    let found = steps(&mut reader(own), &["soon", "50"]);
    assert!(found[0].contains("line 1: \"soon\" is not a number"), "{}", found[0]);
}

#[test]
fn a_comma_may_stand_before_decimals_also_in_times() {
    let own = "delimiter = ';'\ndecimal = ','\ntime = 't'\n[channels]\nx = 'x'\n";
    let found = steps(&mut reader(own), &["t;x", "3,67E-02;-0,29", "0,04;1.5"]);
    assert_eq!(found[1], "36700  [-0.29]");
    assert!(found[2].contains("\"1.5\" is not a finite number"), "a point would be of thousands");
    let own = "delimiter = ';'\ndecimal = ','\ntime = { column = 't', format = '%d.%m.%Y, %H:%M' }\n[channels]\nx = 'x'\n";
    assert_eq!(steps(&mut reader(own), &["t;x", "01.01.1970, 00:01;2"])[1], "60000000  [2.0]");
}

#[test]
fn rows_are_chosen_and_times_may_be_in_two_columns() {
    let own = "time = { column = ['day', 'clock'], format = 'iso' }\nwhere = { kind = 'EGV', 0 = [1, 2] }\n[channels]\nx = 'x'\n";
    let lines = [
        "id,day,clock,kind,x",
        "1,1970-01-01,00:00:01,EGV,5",
        "3,,,EGV,5",
        "2,,,Alert,5",
        "2.0,1970-01-01,x,EGV,5",
    ];
    let found = steps(&mut reader(own), &lines);
    assert_eq!(found[..4], ["head", "1000000  [5.0]", "filtered", "filtered"]);
    assert!(found[4].contains("column 1 (\"day\")"), "{}", found[4]);
    let own = "header = false\nwhere = { 0 = 33 }\n[channels]\nx = 1\n";
    assert_eq!(steps(&mut reader(own), &["33,1", "34,2"]), ["-1  [1.0]", "filtered"]);
}

#[test]
fn text_in_16_bits_is_told() {
    let problem = reader(NAMED).read(b"\xFF\xFEt\0,\0", 1).unwrap_err();
    assert!(problem.contains("iconv"), "{problem}");
}

#[test]
fn without_a_header_rows_need_the_columns_in_use_or_an_exact_number() {
    let mut rows = reader("header = false\ndelimiter = ';'\n[channels]\nx = 1\n");
    let values = [5.0];
    let row = Row::Sample { time_us: None, label: "", values: &values };
    assert_eq!(rows.read(b"4;5", 1), Ok(row));
    assert!(matches!(rows.read(b"4;5;6;7", 1), Ok(Row::Sample { .. })));
    assert_eq!(rows.read(b"4", 1), Ok(Row::Refused(Refusal::Columns { has: 1, needs: 2 })));
    let mut rows = reader("header = false\ncolumns = 2\n[channels]\nx = 1\n");
    assert_eq!(rows.read(b"4,5,6", 1), Ok(Row::Refused(Refusal::Columns { has: 3, needs: 2 })));
}

#[test]
fn noise_never_panics() {
    let mut rng = dunlin_protocol::rng::Rng::new(6);
    let alphabet = b"0123456789.,,,\"-+eE \rnaif\xff\x00t;=#";
    let more = [
        "",
        "header = 'auto'\n",
        "header = 'auto'\nwhere = { t = 1 }\ndecimal = ','\ndelimiter = ';'\n",
    ];
    let mut readers: Vec<RowReader> = more.map(|more| reader(&format!("{more}{NAMED}"))).into();
    for round in 0..30_000 {
        let rows = &mut readers[round % 3];
        if rng.below(50) == 0 {
            rows.restart();
        }
        if rng.below(3) == 0 {
            let _ = rows.read(b"t,ax,ay,what", 1);
        }
        let line: Vec<u8> =
            (0..rng.below(40)).map(|_| alphabet[rng.below(alphabet.len())]).collect();
        match rows.read(&line, 1) {
            Ok(Row::Sample { values, .. }) => {
                assert!(values.iter().all(|value| !value.is_infinite()));
            }
            Ok(Row::Refused(refusal)) => assert!(!rows.describe(&refusal).is_empty()),
            _ => {}
        }
        if round % 100 == 0 {
            let line: Vec<u8> = (0..LINE_BYTES_MAX).map(|_| rng.below(256) as u8).collect();
            let _ = rows.read(&line, 1);
        }
    }
}

#[test]
fn only_the_first_line_tells_that_a_file_is_no_text() {
    let mut rows = reader(NAMED);
    assert!(rows.read(b"\xff\xfet\0", 1).unwrap_err().contains("UTF-16"));
    let mut rows = reader(NAMED);
    rows.read(b"t,ax,ay,what", 1).unwrap();
    assert!(matches!(rows.read(b"\xff\xfe0,1,2,w", 2), Ok(Row::Refused(_))));
    assert_eq!(rows.read(b"40,1,2,w", 3), sample(40_000, "w", &[1.0, 2.0]));
}
