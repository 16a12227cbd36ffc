//! Rows of one time.

use super::*;

const SECOND: i64 = 1_000_000;

/// `rows` rows of each of these seconds, numbered on.
fn seconds(counts: &[(i64, u16)]) -> Vec<(i64, f32, f32)> {
    let rows = counts.iter().flat_map(|&(at, count)| (0..count).map(move |_| at * SECOND));
    rows.zip(0_u16..).map(|(at, n)| (at, f32::from(n), 0.0)).collect()
}

#[test]
fn rows_of_whole_seconds_are_spread_evenly_until_the_next_second() {
    let mut intake = intake("rate_hz = 4");
    let found = through(&mut intake, &seconds(&[(7, 4), (8, 5), (9, 3), (10, 4)]), false);
    let expected = [
        [7_000_000, 7_250_000, 7_500_000, 7_750_000].as_slice(),
        &[8_000_000, 8_200_000, 8_400_000, 8_600_000, 8_800_000],
        &[9_000_000, 9_333_333, 9_666_666],
        &[10_000_000],
    ];
    assert_eq!(times(&found), expected.concat());
    assert!(!intake.is_settled(), "three rows wait for the next second");
    let mut rest = Vec::new();
    intake.flush(&mut |time_us, _, _| rest.push(time_us));
    assert_eq!(rest, [10_250_000, 10_500_000, 10_750_000]);
    assert_eq!(losses(&mut intake), []);
}

#[test]
fn a_time_for_each_row_is_not_touched_and_nothing_waits() {
    let mut intake = intake("rate_hz = 1");
    let rows = seconds(&[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let found = through(&mut intake, &rows, false);
    assert_eq!(times(&found), [1, 2, 3, 4].map(|second| second * SECOND));
    // Twice the same second by a clock that runs a little slower: half a period is no step.
    let twice = through(&mut intake, &seconds(&[(5, 2), (6, 1)]), false);
    assert_eq!(times(&twice), [5, 5, 6].map(|second| second * SECOND));
}

#[test]
fn a_recording_that_begins_and_ends_in_the_midst_of_a_second_keeps_its_rate() {
    let mut intake = intake("rate_hz = 10\nfill = false");
    let found = through(&mut intake, &seconds(&[(1, 3), (2, 10), (3, 4), (60, 1)]), true);
    let ms = |from: i64, count: i64| (0..count).map(move |n| (from + 100 * n) * 1000);
    // The first row went on before anything was known; the others end with the second.
    let expected: Vec<i64> = [1_000_000, 1_800_000, 1_900_000]
        .into_iter()
        .chain(ms(2000, 10))
        .chain(ms(3000, 4))
        .chain([60_000_000])
        .collect();
    assert_eq!(times(&found), expected);
}

#[test]
fn rows_that_come_after_a_pause_find_their_places_in_the_same_second() {
    let mut intake = intake("rate_hz = 4");
    let mut found = times(&through(&mut intake, &seconds(&[(1, 4), (2, 3)]), false));
    intake.pause(&mut |time_us, _, _| found.push(time_us));
    let more = [(2 * SECOND, 0.0, 0.0), (3 * SECOND, 0.0, 0.0)];
    found.extend(times(&through(&mut intake, &more, false)));
    let quarters: Vec<i64> = (4..=12).map(|n| n * 250_000).collect();
    assert_eq!(found, quarters);
}

#[test]
fn a_clock_that_stands_still_is_refused_beyond_a_bound() {
    let mut intake = intake("rate_hz = 50");
    let rows = vec![(5, 0.0, 0.0); 6000];
    let mut found = through(&mut intake, &rows, false);
    found.extend(through(&mut intake, &[(SECOND, 0.0, 0.0)], false));
    assert_eq!(found.len(), 4097, "4,096 of the one time and one of the next");
    assert!(times(&found)[..4096].iter().all(|&at| at == 5), "not spread: they do not fit");
    let [(Loss::Time, 1904, detail)] = &losses(&mut intake)[..] else { panic!("another loss") };
    assert!(detail.contains("more than 4096 rows have the time 5 us"), "{detail}");
}

#[test]
fn without_spreading_times_stay_as_they_are() {
    let mut intake = intake("rate_hz = 4\nspread = false");
    let found = through(&mut intake, &seconds(&[(1, 4), (2, 1)]), false);
    assert_eq!(times(&found), [1, 1, 1, 1, 2].map(|second| second * SECOND));
}

#[test]
fn a_clock_that_is_set_back_ends_its_group() {
    let mut intake = intake("rate_hz = 4\nfill = false");
    let found = through(&mut intake, &seconds(&[(9, 4), (2, 4), (3, 1)]), false);
    let expected = [9_000_000, 9_250_000, 9_500_000, 9_750_000, 2_000_000, 2_250_000, 2_500_000];
    assert_eq!(times(&found)[..7], expected);
}
