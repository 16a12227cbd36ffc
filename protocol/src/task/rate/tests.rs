use alloc::string::ToString;

use super::*;

fn period(text: &str) -> u64 {
    Rate::from_period_text(text).unwrap().period_ns()
}

#[test]
fn equal_rates_are_equal_however_they_are_written() {
    let fifty = Rate::from_millihertz(50_000);
    for same in ["50", "50.0", "100/2", "50.000"] {
        assert_eq!(Rate::from_hz_text(same), Ok(fifty), "{same}");
    }
    assert_eq!(Rate::from_period_text("20 ms"), Ok(fifty));
    assert_eq!(Rate::from_period_text("20ms"), Ok(fifty));
    assert_eq!(Rate::from_period_text("0.02 s"), Ok(fifty));
    assert_eq!(Rate::from_period_ns(20_000_000), fifty);
    assert_eq!(fifty.millihertz(), Some(50_000));
}

#[test]
fn slow_periods_are_exact() {
    for (text, ns) in [
        ("5 min", 300_000_000_000),
        ("15 min", 900_000_000_000),
        ("0.25 h", 900_000_000_000),
        ("1 d", 86_400_000_000_000),
        ("1 month", 2_629_746_000_000_000),
        ("12 months", 31_556_952_000_000_000),
        ("366 d", PERIOD_NS_MAX),
    ] {
        assert_eq!(period(text), ns, "{text}");
        assert_eq!(Rate::from_period_text(text).unwrap().millihertz(), None, "{text}");
    }
    assert_eq!(Rate::from_period_text("1000 s").unwrap().millihertz(), Some(1));
    assert_eq!((period("250 us"), period("250 \u{b5}s")), (250_000, 250_000));
}

#[test]
fn ratios_that_are_no_whole_millihertz_keep_their_value() {
    let third = Rate::from_hz_text("100/3").unwrap();
    assert_eq!((third.samples(), third.ns(), third.millihertz()), (1, 30_000_000, None));
    let sevenths = Rate::from_hz_text("60/7").unwrap();
    assert_eq!((sevenths.samples(), sevenths.ns()), (3, 350_000_000));
    assert_eq!(sevenths.period_ns(), 116_666_667);
    assert_eq!(Rate::from_hz_text("62.4").unwrap().millihertz(), Some(62_400));
    assert!((Rate::from_hz_text("0.00333333").unwrap().hz() - 0.003_333_33).abs() < 1e-15);
}

#[test]
fn what_is_no_rate_is_refused_with_an_example() {
    for text in ["", "0", "-1", "1e3", "NaN", "1/0", "0/3", "a", "1/2/3", "99999999", ".", "5 Hz"] {
        let error = Rate::from_hz_text(text).unwrap_err().to_string();
        assert!(error.contains("100/3") && error.contains(text), "{error}");
    }
    for text in ["", "15", "min", "0 s", "-1 s", "1 year", "367 d", "1 parsec", "1.2.3 s", "1 ns"] {
        let error = Rate::from_period_text(text).unwrap_err().to_string();
        assert!(error.contains("15 min"), "{error}");
    }
}

#[test]
fn people_read_hertz_or_the_period() {
    for (rate, text) in [
        (Rate::from_millihertz(62_400), "62.4 Hz"),
        (Rate::from_millihertz(1_000), "1 Hz"),
        (Rate::from_period_ns(900_000_000_000), "one sample in 15 min"),
        (Rate::from_period_ns(2_629_746_000_000_000), "one sample in 1 month"),
        (Rate::from_period_ns(90_000_000_000), "one sample in 90 s"),
    ] {
        assert_eq!(rate.to_string(), text);
    }
}

#[test]
fn keys_of_a_rate_name_the_same_rate() {
    for rate in [
        Rate::from_millihertz(50_000),
        Rate::from_period_ns(900_000_000_000),
        Rate::from_period_ns(30_000_000),
        Rate::new(3, 350_000_000).unwrap(),
        Rate::new(3, u64::from(u32::MAX) * 1_000_000).unwrap(),
    ] {
        assert_eq!(RateKeys::of(rate).read(), Ok(rate));
    }
    let two = RateKeys::new(Some(50_000), None, Some("20 ms".into()));
    assert!(two.read().unwrap_err().contains("once"));
    assert!(RateKeys::default().read().unwrap_err().contains("once"));
}
