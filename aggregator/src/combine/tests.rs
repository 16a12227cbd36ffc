use dunlin_protocol::rng::Rng;
use dunlin_protocol::work::{LOSS_SUM_MAX, TrainFigures, loss_metric};

use super::*;

fn figures(examples: u32) -> TrainFigures {
    let score = |correct| Score { windows: 10, correct, loss_sum: 2.5 };
    TrainFigures { examples, train_loss: 0.5, before: score(4), after: score(7) }
}

fn share(scale: Scale, values: &[f32], weight: u32, figures: &TrainFigures) -> Contribution {
    Contribution::new(scale, values, weight, WorkKind::Train, &figures.metrics())
}

fn contributions(scale: Scale, n: usize, count: u32) -> Vec<Contribution> {
    let mut rng = Rng::new(11);
    (0..count)
        .map(|i| {
            let values: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
            share(scale, &values, i + 1, &figures(i + 1))
        })
        .collect()
}

fn sum<'a>(scale: Scale, n: usize, of: impl Iterator<Item = &'a Contribution>) -> Accumulator {
    let mut total = Accumulator::new(scale, n);
    of.for_each(|one| total.add(one).unwrap());
    total
}

#[test]
fn the_order_of_arrival_and_of_merging_changes_no_bit() {
    let scale = Scale::new(8.0, 64, 64).unwrap();
    let mut all = contributions(scale, 37, 40);
    let whole = sum(scale, 37, all.iter());
    let mut rng = Rng::new(5);
    for cut in [1, 7, 20, 39] {
        rng.shuffle(&mut all);
        let mut right = sum(scale, 37, all[cut..].iter());
        let left = sum(scale, 37, all[..cut].iter());
        let mut both = left.clone();
        both.merge(&right).unwrap();
        right.merge(&left).unwrap();
        assert_eq!(both, whole);
        assert_eq!(right, whole);
    }
    let bits = |a: &Accumulator| a.mean().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let stored = postcard::to_allocvec(&whole).unwrap();
    assert_eq!(bits(&postcard::from_bytes(&stored).unwrap()), bits(&whole));
}

#[test]
fn the_mean_is_weighted_and_exact_for_exact_values() {
    let scale = Scale::new(4.0, 3, 2).unwrap();
    let mut total = Accumulator::new(scale, 2);
    total.add(&share(scale, &[1.0, -2.0], 1, &figures(10))).unwrap();
    total.add(&share(scale, &[3.0, 2.0], 3, &figures(30))).unwrap();
    assert_eq!(total.mean().unwrap(), [2.5, 1.0]);
    let figures = total.figures();
    assert_eq!((figures.updates, figures.weight, figures.examples), (2, 4, 40));
    assert_eq!(figures.before, Pooled { windows: 20, correct: 8, loss_sum: 5.0 });
    assert_eq!((figures.after.accuracy(), figures.after.loss()), (0.7, 0.25));
    assert!((figures.train_loss - 0.5).abs() < 1e-9);
}

#[test]
fn the_heaviest_legal_sum_stays_inside_64_bits() {
    for (max_abs, weight, updates) in [(1.0, 1, 1), (100.0, 4096, 1 << 12), (0.01, 7, 1000)] {
        let scale = Scale::new(max_abs, weight, updates).unwrap();
        let heaviest = f64::from(max_abs) * scale.factor() * f64::from(weight) * f64::from(updates);
        assert!(heaviest <= 2.0_f64.powi(62), "{max_abs} {weight} {updates}");
        let one = share(scale, &[max_abs, -max_abs], weight, &figures(weight));
        let mut total = Accumulator::new(scale, 2);
        (0..updates).for_each(|_| total.add(&one).unwrap());
        assert_eq!(total.mean().unwrap(), [max_abs, -max_abs]);
        assert_eq!(total.add(&one), Err(CombineError::Overflow), "one update too many");
    }
}

#[test]
fn bounds_that_leave_too_few_bits_are_refused() {
    assert!(matches!(Scale::new(1e6, u32::MAX, UPDATES_MAX), Err(CombineError::TooCoarse { .. })));
    assert_eq!([0.25, 0.3, 1.0, 1.5, 2.0, 1e-40].map(ceil_log2), [-2, -1, 0, 1, 1, -132]);
}

#[test]
fn an_overflow_or_a_foreign_sum_leaves_the_accumulator_as_it_was() {
    let scale = Scale::new(1.0, 1, 4).unwrap();
    let mut total = Accumulator::new(scale, 1);
    let huge =
        Contribution([i64::MAX, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0].to_vec(), FitTotals::default());
    total.add(&huge).unwrap();
    let before = total.clone();
    assert_eq!(total.add(&huge), Err(CombineError::Overflow));
    assert_eq!(
        total.add(&Contribution(vec![0; 3], FitTotals::default())),
        Err(CombineError::Mismatch)
    );
    let other = Accumulator::new(Scale::new(2.0, 1, 4).unwrap(), 1);
    assert_eq!(total.merge(&other), Err(CombineError::Mismatch));
    assert_eq!(total, before);
    assert_eq!(Accumulator::new(scale, 1).mean(), Err(CombineError::Empty));
}

#[test]
fn a_loss_that_exploded_counts_as_the_bound() {
    let scale = Scale::new(1.0, 1, UPDATES_MAX).unwrap();
    let mut wild = figures(1);
    wild.train_loss = f32::MAX;
    wild.before.loss_sum = f32::MAX;
    let mut total = Accumulator::new(scale, 0);
    total.add(&share(scale, &[], 1, &wild)).unwrap();
    assert_eq!(total.figures().before.loss_sum, LOSS_SUM_MAX as f64);
}

#[allow(clippy::cast_possible_truncation)] // below 2^62
#[test]
fn shifting_digits_is_multiplying_and_rounding() {
    let mut rng = Rng::new(5);
    let bits = |rng: &mut Rng| f32::from_bits(u32::try_from(rng.next_u64() >> 32).unwrap());
    let special = [0.0, -0.0, 0.5, -0.5, 1.5, f32::MIN_POSITIVE, f32::from_bits(1), 8.0, -8.0];
    let mut compared = 0;
    for value in special.into_iter().chain((0..200_000).map(|_| bits(&mut rng))) {
        for fraction_bits in [0, 16, 38, 59] {
            let product = f64::from(value) * f64::from(fraction_bits).exp2();
            if product.abs() < 2_f64.powi(62) {
                let fraction_bits = i8::try_from(fraction_bits).unwrap();
                assert_eq!(shifted(value, fraction_bits), product.round() as i64, "{value:e}");
                compared += 1;
            }
        }
    }
    assert!(compared > 300_000, "{compared}");
}

#[test]
fn a_loss_is_written_to_the_nearest_and_never_beyond_its_bound() {
    for (sum, metric) in [(0.0, 0), (-1.0, 0), (0.5, 32_768), (7.629_394_531_25e-6, 1), (7.6e-6, 0)]
    {
        assert_eq!(loss_metric(sum), metric, "{sum}");
    }
    for sum in [LOSS_SUM_MAX as f64, f64::MAX, f64::INFINITY, f64::NAN] {
        assert_eq!(loss_metric(sum), LOSS_SUM_MAX << LOSS_FRACTION_BITS);
    }
}
