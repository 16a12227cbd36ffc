//! Channels that are made from others.

use super::*;

const KEYS: &str = "derive = { body = { body = 'x' }, still = { gravity = 'x' }, \
    size = { magnitude = ['x', 'y'] }, speed = { magnitude = ['body', 'y'] } }";

#[test]
fn kept_channels_are_in_the_order_of_their_names() {
    let sampling = config(KEYS).sampling;
    assert_eq!(sampling.kept(), ["body", "size", "speed", "still", "x", "y"]);
    let header = sampling.header();
    assert_eq!(header.names(), sampling.kept());
}

#[test]
fn what_stands_still_is_gravity_from_the_first_sample_on() {
    let rows: Vec<_> = (0..100).map(|n| (n * 20_000, 0.75, 1.0)).collect();
    for (_, _, values) in through(&mut intake(KEYS), &rows, false) {
        let expected = [0.0, 1.25, 1.0, 0.75, 0.75, 1.0];
        let near = values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{values:?}");
    }
}

#[test]
fn body_and_gravity_part_a_movement() {
    // scipy 1.17.1: n = arange(200); x = float32(0.98 + 0.3 * sin(2 * pi * 2 * n / 50))
    // b, a = butter(3, 0.3, fs=50); g = lfilter(b, a, x, zi=lfilter_zi(b, a) * x[0])[0]
    // g[[0, 1, 50, 199]], (x - g)[[0, 1, 50, 199]]
    let rows: Vec<_> = (0..200_u8)
        .map(|n| {
            let x = 0.98 + 0.3 * (std::f64::consts::TAU * 2.0 * f64::from(n) / 50.0).sin();
            #[allow(clippy::cast_possible_truncation)]
            (i64::from(n) * 20_000, x as f32, 0.0)
        })
        .collect();
    let found = through(&mut intake(KEYS), &rows, false);
    for (at, gravity, body) in [
        (0, 0.980000019, -0.000000000),
        (1, 0.980000500, 0.074606414),
        (50, 0.999182196, -0.019182177),
        (199, 0.980127562, -0.074734557),
    ] {
        let values = &found[at].2;
        assert!((f64::from(values[3]) - gravity).abs() < 1e-6, "{at}: {}", values[3]);
        assert!((f64::from(values[0]) - body).abs() < 1e-6, "{at}: {}", values[0]);
        assert!(
            (values[2] - values[0].abs()).abs() < 1e-6,
            "a vector of the body's and of nothing"
        );
        assert_eq!(values[4], rows[at].1, "what is read stays as it is");
    }
}

#[test]
fn the_filter_begins_anew_after_a_gap_and_where_the_clock_is_set_back() {
    let mut intake = intake(KEYS);
    let mut rows: Vec<_> = (0..50).map(|n| (n * 20_000, 1.0, 0.0)).collect();
    rows.extend([(3_000_000, -2.0, 0.0), (3_020_000, -2.0, 0.0), (5, 9.0, 0.0)]);
    let found = through(&mut intake, &rows, false);
    assert!(values(&found[50..], 0).iter().all(|body| body.abs() < 1e-6), "no transient");
    assert_eq!(values(&found[50..], 3), [-2.0, -2.0, 9.0]);
}

#[test]
fn wrong_channels_are_named() {
    let text = "kind = 'csv'\npath = '-'\nrate_hz = 0.5\n[channels]\nx = 'x'\n[derive]\nx = { body = 'x' }\n\
        a = { magnitude = [] }\nb = { gravity = 'z' }\nc = { body = 'b' }\nd = { magnitude = ['a'] }\n";
    let config: SourceConfig = toml::from_str(text).unwrap();
    let found: Vec<String> =
        config.check().into_iter().map(|problem| problem.to_string()).collect();
    let expected = [
        "source.derive.a: names no channel",
        "source.derive.b: \"z\" is no channel",
        "source.derive.b: needs a rate of 1 Hz",
        "source.derive.c: \"b\" is no channel",
        "source.derive.c: needs a rate of 1 Hz",
        "source.derive.d: \"a\" is no channel",
        "source.derive.x: is a channel of [source.channels], too",
        "source.derive.x: needs a rate of 1 Hz",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
    let error = toml::from_str::<SourceConfig>(&text.replace("gravity", "jerk"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("jerk") && error.contains("magnitude"), "{error}");
}
