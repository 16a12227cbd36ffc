use super::*;

fn reader(format: &str) -> TimeReader {
    #[derive(serde::Deserialize)]
    struct Keys {
        time: TimeFormat,
    }
    let keys: Keys = toml::from_str(&format!("time = {format}")).unwrap();
    TimeReader::new(&keys.time, TimeUnit::Seconds)
}

fn read(format: &str, texts: &[&str]) -> Vec<i64> {
    let mut reader = reader(format);
    texts
        .iter()
        .map(|text| reader.read_text(text).unwrap_or_else(|e| panic!("{text} {e}")))
        .collect()
}

fn problem(format: &str, text: &str) -> String {
    reader(format).read_text(text).unwrap_err().to_string()
}

/// 2026-05-20T00:00:00Z in seconds.
const DAY: i64 = 1_779_235_200;

#[test]
fn epochs_are_exact_in_each_unit() {
    assert_eq!(read("'epoch'", &["1600000000.000001"]), [1_600_000_000_000_001]);
    assert_eq!(read("{ unit = 'ms' }", &["1700000000123"]), [1_700_000_000_123_000]);
    assert_eq!(read("{ unit = 'us' }", &["1700000000123456"]), [1_700_000_000_123_456]);
    assert_eq!(read("{ unit = 'ns' }", &["1700000000123456789"]), [1_700_000_000_123_457]);
    let mut ns = reader("{ unit = 'ns' }");
    assert_eq!(ns.read_integer(1_700_000_000_123_456_789), Ok(1_700_000_000_123_457));
    assert_eq!(ns.read_integer(i128::MAX), Err(TimeProblem::Bounds));
    assert_eq!(reader("'epoch'").read_number(0.02), Ok(20_000));
    assert_eq!(reader("'epoch'").read_integer(-3), Ok(-3_000_000));
    for number in [f64::NAN, f64::INFINITY, 1e300] {
        assert_eq!(reader("'epoch'").read_number(number), Err(TimeProblem::Bounds));
    }
    let polar = "{ unit = 'ns', start = '2000-01-01' }";
    assert_eq!(read(polar, &["1000"]), [946_684_800_000_001]);
    assert_eq!(problem("'epoch'", "1e300"), TimeProblem::Bounds.to_string());
}

#[test]
fn iso_times_have_a_zone_or_get_one() {
    let day = DAY * 1_000_000;
    assert_eq!(
        read("'iso'", &["2026-05-20T00:00:00", "2026-05-20 00:00:00.25"]),
        [day, day + 250_000]
    );
    assert_eq!(read("'iso'", &["2026-05-20T02:00:00+02:00", "2026-05-20T00:00:00Z"]), [day, day]);
    assert_eq!(read("'iso'", &["2026-05-20", "2026-05-20T00:01"]), [day, day + 60_000_000]);
    assert_eq!(read("{ format = 'iso', zone = '+02:00' }", &["2026-05-20T02:00:00"]), [day]);
    assert_eq!(read("{ format = 'iso', zone = '-0530' }", &["2026-05-19 18:30"]), [day]);
    assert_eq!(problem("'iso'", "20.05.2026"), TimeProblem::Iso.to_string());
}

#[test]
fn patterns_read_what_vendors_write() {
    let day = DAY * 1_000_000;
    assert_eq!(read("'%d-%m-%Y %H:%M'", &["20-05-2026 13:05"]), [day + 13 * HOUR_US + 300_000_000]);
    assert_eq!(read("'%m/%d/%Y %I:%M:%S %p'", &["5/20/2026 1:00:00 PM"]), [day + 13 * HOUR_US]);
    assert_eq!(read("'%d.%m.%Y %H:%M:%S%.f'", &["20.05.2026 00:00:00.5"]), [day + 500_000]);
    assert_eq!(read("'%Y-%m-%d %H:%M:%S %z'", &["2026-05-20 02:00:00 +0200"]), [day]);
    assert_eq!(read("'%Y%m%d'", &["20260520"]), [day]);
    assert!(problem("'%d-%m-%Y'", "soon").contains("%d-%m-%Y"));
}

#[test]
fn local_time_follows_the_clock_change_of_its_zone() {
    let berlin = "{ format = 'iso', zone = 'Europe/Berlin' }";
    if reader(berlin).setup_problem().is_some() {
        return; // a system without time zones: what it says is tested below
    }
    let fold = ["2026-10-25T02:30:00", "2026-10-25T02:59:00", "2026-10-25T02:30:00"];
    let times = read(berlin, &fold);
    assert_eq!(times[0], 1_792_888_200_000_000, "the first of both");
    assert_eq!(times[2] - times[0], HOUR_US, "the second, because the first is over");
    assert!(problem(berlin, "2026-03-29T02:30:00").contains("clocks went forward"));
    assert_eq!(read(berlin, &["2026-05-20T02:00:00"]), [DAY * 1_000_000]);
}

#[test]
fn a_time_of_day_passes_midnight_and_goes_on_after_a_restart() {
    let texts = ["23:59:59.5", "00:00:00", "23:59:59.9", "00:00:00.5", "11:00:00 PM", "1:00 am"];
    let second = 1_000_000;
    let day = DAY_US;
    assert_eq!(
        read("'of_day'", &texts),
        [
            day - second / 2,
            day,
            day - 100_000,
            day + second / 2,
            2 * day - HOUR_US,
            2 * day + HOUR_US
        ]
    );
    let mut reader = reader("{ format = 'of_day', start = '2026-05-20', zone = '+02:00' }");
    let first = reader.read_text("23:00:00").unwrap();
    assert_eq!(first, DAY * second + 21 * HOUR_US);
    let mut again = self::reader("{ format = 'of_day', start = '2026-05-20', zone = '+02:00' }");
    again.resume(first);
    assert_eq!(again.read_text("00:00:00"), Ok(first + HOUR_US));
    assert!(problem("'of_day'", "25:00:00").contains("time of day"));
}

#[test]
fn deltas_are_summed_also_over_bad_ones() {
    let mut reader = reader("{ format = 'delta', unit = 'ms', start = '2026-05-20T00:00:00Z' }");
    assert_eq!(reader.read_text("0"), Ok(DAY * 1_000_000));
    assert!(reader.read_text("x").is_err());
    assert_eq!(reader.read_integer(20), Ok(DAY * 1_000_000 + 20_000));
    assert_eq!(reader.read_number(0.5), Ok(DAY * 1_000_000 + 20_500));
    reader.resume(7_000);
    assert_eq!(reader.read_text("1"), Ok(8_000));
}

#[test]
fn a_problem_says_what_would_read_the_text_and_what_is_wrong_with_the_format() {
    assert_eq!(
        problem("'epoch'", "2026-05-20T00:00:00"),
        "is not a number of s; format = \"iso\" reads it"
    );
    assert_eq!(
        problem("{ unit = 'ms' }", "12:30:00"),
        "is not a number of ms; format = \"of_day\" reads it"
    );
    assert_eq!(problem("'epoch'", ""), "is not a number of s");
    assert!(
        problem("{ format = 'iso', zone = 'Nowhere/Atall' }", "2026-05-20")
            .contains("Nowhere/Atall")
    );
    assert!(reader("{ format = 'delta', start = 'x' }").setup_problem().is_some());
    assert!(reader("'%! %Y'").setup_problem().is_some());
    let error =
        toml::from_str::<toml::Table>("a = 'x'").unwrap()["a"].clone().try_into::<TimeFormat>();
    assert!(error.unwrap_err().to_string().contains("no time format"));
}

#[test]
fn times_are_shown_as_dates_or_seconds() {
    assert_eq!(show_us(12_345_678), "12.345 s");
    assert_eq!(show_us(DAY * 1_000_000 + 250_000), "2026-05-20T00:00:00.250Z");
    assert_eq!(show_us(i64::MAX), format!("{} us", i64::MAX));
}

#[test]
fn noise_never_panics() {
    let formats = ["'epoch'", "'iso'", "'of_day'", "'delta'", "'%d-%m-%Y %H:%M:%S%.f %z'"];
    let mut rng = dunlin_protocol::rng::Rng::new(11);
    let alphabet: Vec<char> = "0123456789:-+. TZeEpm/é[]%".chars().collect();
    for format in formats {
        let mut reader = reader(format);
        for _ in 0..20_000 {
            let text: String =
                (0..rng.below(24)).map(|_| alphabet[rng.below(alphabet.len())]).collect();
            if let Ok(time) = reader.read_text(&text) {
                assert!(i128::from(time).abs() <= US_MAX);
            }
        }
    }
}
