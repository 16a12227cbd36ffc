//! Values that are missing.

use super::*;

const NAN: f32 = f32::NAN;

/// Rows 20 ms apart with these values of x; y counts.
fn xs(values: &[f32]) -> Vec<(i64, f32, f32)> {
    let rows = values.iter().zip(0_i16..);
    rows.map(|(&x, n)| (i64::from(n) * 20_000, x, f32::from(n))).collect()
}

#[test]
fn by_default_a_sample_with_a_missing_value_is_refused_and_counted() {
    let mut intake = intake("fill = false");
    let found = through(&mut intake, &xs(&[1.0, NAN, f32::INFINITY, 4.0]), false);
    assert_eq!(values(&found, 0), [1.0, 4.0]);
    let [(Loss::Missing, 2, detail)] = &losses(&mut intake)[..] else { panic!("another loss") };
    assert_eq!(
        detail,
        "\"x\" has no value at 0.04 s; set source.missing to \"hold\" or \"interpolate\""
    );
}

#[test]
fn a_value_is_held_at_once_and_for_ten_seconds() {
    let mut intake = intake("missing = 'hold'");
    let mut rows = xs(&[NAN, 7.0]);
    rows.extend((1..=600).map(|n| (20_000 + n * 20_000, NAN, 0.0)));
    rows.push((20_000 + 601 * 20_000, 8.0, 0.0));
    let found = through(&mut intake, &rows, false);
    assert_eq!(found.len(), 502, "500 periods are held");
    assert!(values(&found, 0)[..501].iter().all(|&x| x == 7.0));
    assert_eq!(values(&found, 0)[501], 8.0);
    let [(Loss::Missing, 101, detail)] = &losses(&mut intake)[..] else { panic!("another loss") };
    assert!(detail.contains("the last one is over 10 s old"), "{detail}");
}

#[test]
fn slow_channels_are_held_for_ten_periods() {
    let mut intake = intake("rate_hz = 0.01\nmissing = 'hold'\nfill = false");
    let rows: Vec<_> =
        (0..13).map(|n| (n * 100_000_000, if n == 0 { 1.0 } else { NAN }, 0.0)).collect();
    assert_eq!(through(&mut intake, &rows, false).len(), 11);
}

#[test]
fn a_line_is_drawn_to_the_next_value_for_which_samples_wait() {
    let mut intake = intake("missing = 'interpolate'");
    let rows = xs(&[1.0, NAN, NAN, 4.0, 5.0, NAN]);
    assert_eq!(values(&through(&mut intake, &rows[..3], false), 0), [1.0]);
    assert!(!intake.is_settled());
    let found = through(&mut intake, &rows[3..], false);
    assert_eq!(values(&found, 0), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(values(&found, 1), [1.0, 2.0, 3.0, 4.0], "the other channel's own");
    assert_eq!(times(&found), [1, 2, 3, 4].map(|n| n * 20_000));
    assert_eq!(through(&mut intake, &[], true), []);
    assert_eq!(losses(&mut intake)[0].1, 1, "the last one waits in vain");
}

#[test]
fn no_line_is_longer_than_its_limit() {
    let mut intake = intake("missing = { x = 'interpolate' }\nfill = false");
    let gone = [1.0, NAN, NAN, NAN, NAN, 6.0, NAN, NAN, NAN, NAN, NAN, 12.0];
    let found = through(&mut intake, &xs(&gone), true);
    assert_eq!(values(&found, 0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 12.0]);
    let [(Loss::Missing, 5, detail)] = &losses(&mut intake)[..] else { panic!("another loss") };
    assert!(detail.contains("none around it within 0.1 s"), "{detail}");
    // Other channels go on being refused.
    assert_eq!(through(&mut intake, &[(240_000, 1.0, NAN)], true), []);
}

#[test]
fn each_channel_goes_by_its_own_rule() {
    let mut intake =
        intake("missing = { x = 'hold', y = 'interpolate' }\nmissing_max_s = 0.05\nfill = false");
    let rows = [
        (0, 1.0, 1.0),
        (20_000, NAN, NAN),
        (40_000, NAN, 5.0),
        (60_000, NAN, 6.0),
        (80_000, 9.0, NAN),
        (100_000, 10.0, 8.0),
    ];
    let found = through(&mut intake, &rows, true);
    assert_eq!(values(&found, 0), [1.0, 1.0, 1.0, 9.0, 10.0]);
    assert_eq!(values(&found, 1), [1.0, 3.0, 5.0, 7.0, 8.0]);
    assert_eq!(losses(&mut intake)[0].1, 1, "x was held for 50 ms only");
}

#[test]
fn a_value_does_not_reach_over_a_clock_that_is_set_back() {
    let mut intake = intake("missing = { x = 'hold', y = 'interpolate' }");
    let rows = [(90_000_000, 1.0, 1.0), (5_000_000, NAN, 1.0), (5_020_000, 2.0, 2.0)];
    assert_eq!(values(&through(&mut intake, &rows, true), 0), [1.0, 2.0]);
}

#[test]
fn what_waits_is_bounded() {
    let mut intake = intake("missing = 'interpolate'\nmissing_max_s = 100000");
    let mut rows = xs(&[1.0]);
    rows.extend((1..6000).map(|n| (n * 20_000, NAN, 0.0)));
    rows.push((6000 * 20_000, 6001.0, 0.0));
    let found = through(&mut intake, &rows, false);
    assert_eq!(found.len(), 1 + 4096 + 1);
    assert_eq!(losses(&mut intake)[0].1, 6000 - 1 - 4096);
    assert_eq!(values(&found, 0)[1], 1905.0);
}
