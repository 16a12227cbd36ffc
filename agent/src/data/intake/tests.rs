//! All stages together, without a reader.

mod batch;
mod derive;
mod fill;
mod missing;
mod recordings;
mod resample;
mod spread;

use super::*;
use crate::data::config::{CsvConfig, SourceConfig};

/// A sample that came out: time, label, values.
pub(super) type Sample = (i64, String, Vec<f32>);

/// The stages that these keys of `[source]` ask for, with channels x and y at 50 Hz, or at the rate
/// that the keys begin with.
pub(super) fn intake(keys: &str) -> Intake {
    config(keys).sampling.intake()
}

/// A source with these keys.
pub(super) fn config(keys: &str) -> CsvConfig {
    let rate = if keys.contains("rate_hz") { "" } else { "rate_hz = 50\n" };
    let text = format!(
        "kind = 'csv'\npath = '-'\ntime = 't'\n{rate}{keys}\n[channels]\nx = 'x'\ny = 'y'\n"
    );
    let config: SourceConfig = toml::from_str(&text).unwrap();
    assert_eq!(config.check().0, []);
    let SourceConfig::Csv(config) = config else { panic!("another kind") };
    config
}

/// Puts rows of x and y through, and then flushes where `flush` says so.
pub(super) fn through(intake: &mut Intake, rows: &[(i64, f32, f32)], flush: bool) -> Vec<Sample> {
    let mut found = Vec::new();
    let mut out = |time_us, label: &str, values: &[f32]| {
        found.push((time_us, label.to_owned(), values.to_vec()));
    };
    for &(time_us, x, y) in rows {
        intake.take(Reading { time_us, label: "", values: &[x, y] }, &mut out);
    }
    if flush {
        intake.flush(&mut out);
    }
    found
}

/// Times of samples.
pub(super) fn times(samples: &[Sample]) -> Vec<i64> {
    samples.iter().map(|(time_us, ..)| *time_us).collect()
}

/// Values of one channel.
pub(super) fn values(samples: &[Sample], channel: usize) -> Vec<f32> {
    samples.iter().map(|(_, _, values)| values[channel]).collect()
}

/// Losses by kind, with the last detail.
pub(super) fn losses(intake: &mut Intake) -> Vec<(Loss, u64, String)> {
    std::iter::from_fn(|| intake.next_loss()).collect()
}

/// Numbers below `below` that look random.
pub(super) fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below.max(1)
    }
}

#[test]
fn by_default_a_sample_passes_at_once_as_it_is_without_being_copied() {
    let mut intake = intake("");
    let values = [f32::MIN_POSITIVE / 2.0, -0.0];
    let mut random = random(1);
    let mut time_us = 0;
    for number in 0..1000 {
        let mut seen = 0;
        let label = if number % 2 == 0 { "" } else { "walking" };
        intake.take(Reading { time_us, label, values: &values }, &mut |at, text, out| {
            assert_eq!((at, text), (time_us, label));
            assert!(std::ptr::eq(out, &values[..]), "it is the same memory");
            seen += 1;
        });
        assert_eq!(seen, 1);
        // Steps to 1.4 periods, long gaps, and a clock that is set back.
        time_us += match number % 50 {
            20 => 7_000_000,
            40 => -3_000_000,
            _ => 12_000 + i64::try_from(random(16_000)).unwrap(),
        };
    }
    assert_eq!(losses(&mut intake), []);
}

#[test]
fn values_get_their_factor_and_offset_rounded_once() {
    let keys = "factor = 0.101972\noffsets = { y = -273.15 }\nfactors = { y = 1 }";
    let found = through(&mut intake(keys), &[(0, 9.81, 300.0)], false);
    #[allow(clippy::cast_possible_truncation)]
    let expected = [(f64::from(9.81_f32) * 0.101_972) as f32, (300.0_f64 - 273.15) as f32];
    assert_eq!(found, [(0, String::new(), expected.to_vec())]);
}

#[test]
fn a_value_that_a_factor_brings_out_of_range_is_missing() {
    let mut intake = intake("factor = 1e30");
    assert_eq!(through(&mut intake, &[(0, 1e20, 1.0)], true), []);
    assert_eq!(losses(&mut intake)[0].0, Loss::Missing);
}

#[test]
fn pauses_and_what_they_split_change_no_sample() {
    let keys = [
        "",
        "missing = 'hold'",
        "missing = 'interpolate'\nmissing_max_s = 1",
        "resample = true",
        "resample = true\nrate_hz = 25\nmissing_max_s = 0.5",
        "missing = 'interpolate'\nresample = true\nderive = { m = { magnitude = ['x', 'y'] } }",
    ];
    for (keys, seed) in keys.into_iter().flat_map(|keys| (0..20).map(move |seed| (keys, seed))) {
        let mut random = random(seed);
        let mut time_us = 0;
        let mut rows = Vec::new();
        for n in 0..500_u16 {
            time_us += match random(60) {
                0 => 40_000,
                1 => 3_000_000,
                _ => 15_000 + i64::try_from(random(10_000)).unwrap(),
            };
            let x = if random(20) == 0 { f32::NAN } else { f32::from(n) };
            rows.push((time_us, x, f32::from(n % 7)));
        }
        let whole = through(&mut intake(keys), &rows, true);
        let mut split = intake(keys);
        let mut pieces = Vec::new();
        let mut rest = &rows[..];
        while !rest.is_empty() {
            let most = usize::try_from(random(30)).unwrap().min(rest.len());
            let (piece, after) = rest.split_at(most);
            pieces.extend(through(&mut split, piece, after.is_empty()));
            split.pause(&mut |_, _, _| panic!("nothing waits for rows of one time"));
            rest = after;
        }
        assert!(whole.len() > 20, "{keys}: {}", whole.len());
        assert_eq!(whole, pieces, "{keys}, seed {seed}");
    }
}
