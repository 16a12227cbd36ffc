//! Another rate.

use std::f32::consts::TAU;

use super::*;

/// A wave of this frequency in x and a line in y, sampled at these moments.
fn wave(moments: impl Iterator<Item = i64>, frequency: f32) -> Vec<(i64, f32, f32)> {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let seconds = |us: i64| (us as f64 / 1e6) as f32;
    moments.map(|us| (us, (TAU * frequency * seconds(us)).sin(), seconds(us))).collect()
}

/// Largest distance of x from the wave, and of y from the line.
fn errors(samples: &[Sample], frequency: f32, gain: f32) -> (f32, f32) {
    let expected = wave(times(samples).into_iter(), frequency);
    let pairs = || samples.iter().zip(&expected);
    let x = pairs().map(|((_, _, v), e)| (v[0] - gain * e.1).abs()).fold(0.0, f32::max);
    let y = pairs().map(|((_, _, v), e)| (v[1] - e.2).abs()).fold(0.0, f32::max);
    (x, y)
}

#[test]
fn samples_at_the_right_moments_pass_as_they_are() {
    let mut intake = intake("resample = true");
    let rows = wave((0..100).map(|n| 5_000_000 + n * 20_000), 3.0);
    let found = through(&mut intake, &rows, true);
    let expected: Vec<Sample> =
        rows.iter().map(|&(at, x, y)| (at, String::new(), vec![x, y])).collect();
    assert_eq!(found, expected);
}

#[test]
fn jitter_and_slower_inputs_are_brought_to_the_grid_on_lines() {
    for step in [20_000, 24_000, 33_000] {
        let mut intake = intake("resample = true");
        let mut random = random(7);
        let jitter = |n: i64| step * n + i64::try_from(random(6_000)).unwrap();
        let rows = wave((0..300).map(jitter), 0.5);
        let found = through(&mut intake, &rows, true);
        let begin = rows[0].0;
        let expected = (rows[299].0 - begin) / 20_000 + 1;
        assert_eq!(found.len(), usize::try_from(expected).unwrap(), "{step}");
        assert!(times(&found).iter().zip(0..).all(|(&at, n)| at == begin + n * 20_000));
        let (x, y) = errors(&found, 0.5, 1.0);
        assert!(x < 0.003 && y < 1e-4, "{step}: {x} {y}");
        assert_eq!(losses(&mut intake), []);
    }
}

#[test]
#[allow(clippy::cast_possible_truncation)]
fn a_faster_input_is_filtered_first_without_delay() {
    for hertz in [62.4, 100.0, 104.0, 1000.0] {
        let moments = || (0..20_000_i32).map(|n| (f64::from(n) * 1e6 / hertz) as i64);
        let most = moments().take_while(|&us| us < 15_000_000).count();
        // A slow wave passes; one that 50 Hz cannot hold is gone and comes back as no other.
        for (frequency, gain, allowed) in [(2.0, 1.0, 0.003), (hertz as f32 * 0.45, 0.0, 0.012)] {
            let mut intake = intake("resample = true");
            let rows = wave(moments().take(most), frequency);
            let found = through(&mut intake, &rows, true);
            let (x, y) = errors(&found, frequency, gain);
            assert!(x < allowed && y < 1e-3, "{hertz} Hz, {frequency} Hz: {x} {y}");
            // Eight periods at the beginning and the end have no value.
            assert_eq!(times(&found)[0], 160_000);
            let last = *times(&found).last().unwrap();
            assert!((14_800_000..=14_840_000).contains(&last), "{last}");
        }
    }
}

#[test]
fn a_gap_begins_a_stretch_with_a_grid_of_its_own() {
    let mut intake = intake("resample = true");
    let moments = (0..70).map(|n| n * 20_000).chain((0..70).map(|n| 1_450_007 + n * 20_000));
    let found = through(&mut intake, &wave(moments, 1.0), true);
    let expected: Vec<i64> =
        (0..70).map(|n| n * 20_000).chain((0..70).map(|n| 1_450_007 + n * 20_000)).collect();
    assert_eq!(times(&found), expected, "70 ms is more than 2.5 periods of the input");
    let mut bridged = super::intake("resample = true\nmissing_max_s = 0.1");
    let moments = expected.iter().copied();
    let found = through(&mut bridged, &wave(moments, 1.0), true);
    assert_eq!(found.len(), 142);
    assert!(times(&found).iter().zip(0..).all(|(&at, n)| at == n * 20_000));
}

#[test]
fn a_short_stretch_and_a_clock_that_is_set_back_are_stretches_too() {
    let mut intake = intake("resample = true");
    let rows = wave([0, 20_000, 40_000, 9_000_000, 5_000_000, 5_030_000].into_iter(), 1.0);
    let found = through(&mut intake, &rows, true);
    assert_eq!(times(&found), [0, 20_000, 40_000, 9_000_000, 5_000_000, 5_020_000]);
}

#[test]
fn another_rate_in_the_midst_is_noticed() {
    let mut intake = intake("resample = true");
    let fast = (0..1000).map(|n| 10_000_000 + n * 5_000);
    let rows = wave((0..500).map(|n| n * 20_000).chain(fast), 90.0);
    let found = through(&mut intake, &rows, true);
    // 200 Hz: 90 Hz would come back as 10 Hz without the filter.
    let late: Vec<Sample> = found.into_iter().filter(|(at, ..)| *at > 11_200_000).collect();
    assert!(late.len() > 150 && errors(&late, 90.0, 0.0).0 < 0.012);
}

#[test]
fn labels_are_those_of_the_nearest_sample() {
    let mut intake = intake("resample = true");
    let mut found = Vec::new();
    let mut out = |at, label: &str, _: &[f32]| found.push((at, label.to_owned()));
    for (at, label) in [(0, "a"), (30_000, "b"), (60_000, "c"), (90_000, "d")] {
        intake.take(Reading { time_us: at, label, values: &[0.0, 0.0] }, &mut out);
    }
    intake.flush(&mut out);
    let expected = [(0, "a"), (20_000, "b"), (40_000, "b"), (60_000, "c"), (80_000, "d")];
    assert_eq!(found, expected.map(|(at, label)| (at, label.to_owned())));
}

#[test]
fn what_is_too_short_for_the_filter_and_equal_times_are_counted() {
    let mut intake = intake("resample = true\nspread = false");
    let rows = wave((0..30).map(|n| n * 10_000).chain([290_000]), 1.0);
    assert_eq!(through(&mut intake, &rows, true), []);
    let mut kinds: Vec<(Loss, u64)> =
        losses(&mut intake).into_iter().map(|(loss, count, _)| (loss, count)).collect();
    kinds.sort();
    assert_eq!(kinds, [(Loss::Missing, 1), (Loss::Order, 1)]);
}
