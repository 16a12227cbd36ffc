//! One missing sample.

use super::*;

/// Rows at these periods of 20 ms whose x is the number of the period.
fn at(periods: &[u16]) -> Vec<(i64, f32, f32)> {
    periods.iter().map(|&n| (i64::from(n) * 20_000, f32::from(n), -f32::from(n))).collect()
}

#[test]
fn exactly_one_missing_sample_is_filled_on_a_line_and_counted() {
    let mut intake = intake("");
    let found = through(&mut intake, &at(&[0, 1, 3, 4, 5, 8, 9]), false);
    assert_eq!(times(&found), [0, 1, 2, 3, 4, 5, 8, 9].map(|n| n * 20_000));
    assert_eq!(values(&found, 0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 9.0]);
    assert_eq!(values(&found, 1), [-0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -8.0, -9.0]);
    assert_eq!(intake.filled(), 1);
}

#[test]
fn the_step_decides_from_one_and_a_half_periods_to_two_and_a_half() {
    for (step_us, filled) in [(30_000, 0), (30_001, 1), (50_000, 1), (50_001, 0), (-40_000, 0)] {
        let mut intake = intake("");
        through(&mut intake, &[(0, 0.0, 0.0), (20_000, 1.0, 0.0)], false);
        let found = through(&mut intake, &[(20_000 + step_us, 4.0, 0.0)], false);
        assert_eq!(intake.filled(), filled, "{step_us}");
        if filled == 1 {
            assert_eq!((times(&found)[0], values(&found, 0)[0]), (20_000 + (step_us + 1) / 2, 2.5));
        }
    }
}

#[test]
fn an_input_of_half_the_rate_is_not_doubled() {
    let mut intake = intake("");
    let every_second: Vec<u16> = (0..200).map(|n| 2 * n).collect();
    assert_eq!(through(&mut intake, &at(&every_second), false).len(), 200);
    assert_eq!(intake.filled(), 0);
}

#[test]
fn a_gap_that_a_reader_knows_of_is_not_filled_over() {
    let mut intake = intake("");
    through(&mut intake, &at(&[0, 1, 2]), false);
    intake.gap(&mut |_, _, _| panic!("nothing waits"));
    assert_eq!(through(&mut intake, &at(&[4, 5]), false).len(), 2);
    assert_eq!(intake.filled(), 0);
}

#[test]
fn without_filling_a_missing_sample_stays_missing() {
    let mut intake = intake("fill = false");
    assert_eq!(through(&mut intake, &at(&[0, 1, 3, 4]), false).len(), 4);
}
