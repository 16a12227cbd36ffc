//! Tests of the whole generator: repeatable, different for each person, physically sensible.

use dunlin_protocol::rng::Rng;
use dunlin_protocol::wire::Message;

use super::motion::Activity;
use super::sensor::{ACC_RANGE, TURN_RANGE};
use super::*;

/// `n` windows of one activity, `[n, 128, 6]`.
fn windows_of(person: &Person, activity: Activity, n: usize) -> Vec<f32> {
    let mut rng = Rng::new(77);
    let mut values = Vec::new();
    (0..n).for_each(|_| person.window(activity, &mut rng, &mut values));
    values
}

fn acc_size(sample: &[f32]) -> f32 {
    sample[..3].iter().map(|v| v * v).sum::<f32>().sqrt()
}

/// Frequency in hertz between 0.5 and 12 Hz at which `series`, without its mean, is strongest.
#[allow(clippy::cast_precision_loss)]
fn strongest_hz(series: &[f32]) -> f32 {
    let mean = series.iter().sum::<f32>() / series.len() as f32;
    let power = |hz: f32| {
        let turns = |at: usize| std::f32::consts::TAU * hz * at as f32 * 0.02;
        let part = |wave: fn(f32) -> f32| -> f32 {
            series.iter().enumerate().map(|(at, v)| (v - mean) * wave(turns(at))).sum()
        };
        part(f32::sin).powi(2) + part(f32::cos).powi(2)
    };
    let grid = (5_u8..120).map(|tenth| f32::from(tenth) / 10.0);
    grid.max_by(|a, b| power(*a).total_cmp(&power(*b))).expect("a grid")
}

#[test]
fn equal_arguments_give_equal_bits() {
    let draw = |seed, person| person_windows(seed, person, 12, Mix::Own);
    assert_eq!(draw(5, 3), draw(5, 3));
    assert_ne!(draw(5, 3).0, draw(6, 3).0);
}

#[test]
fn persons_differ_in_movement_and_in_mix() {
    let (a, b) = (Person::new(5, 0), Person::new(5, 1));
    assert_ne!(a.windows(6, Mix::Balanced).0, b.windows(6, Mix::Balanced).0);
    assert_ne!(a.label_mix(), b.label_mix());
    assert!((a.step_hz() - b.step_hz()).abs() > 1e-3);
}

#[test]
fn windows_have_their_shape_and_labels_their_range() {
    for n in [0, 1, 7] {
        let (values, labels) = person_windows(2, 0, n, Mix::Own);
        assert_eq!((values.len(), labels.len()), (n * WINDOW_VALUES, n));
        assert!(labels.iter().all(|label| usize::from(*label) < LABELS.len()));
    }
}

#[test]
fn values_are_finite_and_inside_the_range_of_the_sensor() {
    for person in 0..6 {
        let (values, _) = person_windows(8, person, 60, Mix::Balanced);
        for sample in values.chunks_exact(CHANNEL_COUNT) {
            assert!(sample.iter().all(|v| v.is_finite()));
            assert!(sample[..3].iter().all(|v| v.abs() <= ACC_RANGE));
            assert!(sample[3..].iter().all(|v| v.abs() <= TURN_RANGE));
        }
        let strongest = values.chunks_exact(CHANNEL_COUNT).map(acc_size).fold(0.0, f32::max);
        assert!((1.3..6.0).contains(&strongest), "{strongest} g");
    }
}

#[test]
#[allow(clippy::cast_precision_loss)]
fn a_wrist_at_rest_feels_one_g_and_hardly_turns() {
    for number in 0..8 {
        let person = Person::new(4, number);
        for activity in [Activity::Sitting, Activity::Standing, Activity::Typing] {
            let values = windows_of(&person, activity, 20);
            let samples = values.chunks_exact(CHANNEL_COUNT);
            let count = samples.len() as f32;
            let gravity = samples.clone().map(acc_size).sum::<f32>() / count;
            assert!((gravity - 1.0).abs() < 0.08, "person {number}, {activity:?}: {gravity} g");
            let turn = samples.map(|s| s[3].abs() + s[4].abs() + s[5].abs()).sum::<f32>() / count;
            assert!(turn < 1.2, "person {number}, {activity:?}: {turn} rad/s");
        }
    }
}

#[test]
fn walking_has_the_rhythm_of_human_steps() {
    for number in 0..8 {
        let person = Person::new(11, number);
        let values = windows_of(&person, Activity::Walking, 15);
        let mut found: Vec<f32> = values
            .chunks_exact(WINDOW_VALUES)
            .map(|window| {
                let sizes: Vec<f32> = window.chunks_exact(CHANNEL_COUNT).map(acc_size).collect();
                strongest_hz(&sizes)
            })
            .collect();
        found.sort_by(f32::total_cmp);
        let median = found[found.len() / 2];
        // The step or, where the arm swings far, the stride of two steps.
        assert!((0.7..2.5).contains(&median), "person {number}: {median} Hz");
        let ratio = median / person.step_hz();
        assert!((ratio - 1.0).abs() < 0.15 || (ratio - 0.5).abs() < 0.1, "{number}: {ratio}");
    }
}

#[test]
fn gaits_are_alike_and_yet_told_apart_by_tempo() {
    let person = Person::new(11, 2);
    let energy = |activity| {
        let values = windows_of(&person, activity, 30);
        values.chunks_exact(CHANNEL_COUNT).map(|s| (acc_size(s) - 1.0).powi(2)).sum::<f32>()
    };
    let [walk, up, down] =
        [Activity::Walking, Activity::StairsUp, Activity::StairsDown].map(energy);
    assert!(up < walk && walk < 4.0 * up, "{walk} {up}");
    assert!(down > 0.5 * walk && down < 4.0 * walk, "{walk} {down}");
}

#[test]
fn own_labels_are_skewed_and_balanced_ones_are_not() {
    let counts = |mix| {
        let mut counts = [0_usize; LABELS.len()];
        let labels = person_windows(21, 4, 240, mix).1;
        labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
        counts
    };
    assert_eq!(counts(Mix::Balanced), [40; LABELS.len()]);
    let own = counts(Mix::Own);
    assert!(own.iter().max() > own.iter().min().map(|least| 2 * least).as_ref(), "{own:?}");
}

#[test]
fn the_task_fits_the_windows() {
    let task = task();
    task.check().expect("a valid task");
    assert_eq!(task.window_values(), WINDOW_VALUES);
    assert_eq!(task.labels(), LABELS);
    assert_eq!(task.layout().expect("layers fit").n_params(), 6_214);
}
