use super::*;
use crate::sample;
use crate::{Backend, Prediction};
use alloc::vec;
use dunlin_protocol::task::{Channel, Features, Op, Share, Target, TaskSpec};
use dunlin_protocol::work::{Augment, FitFigures};

fn never() -> bool {
    false
}

fn sine_task() -> TaskSpec {
    let layers =
        [Op::Conv1d { out: 8, kernel: 5 }, Op::MaxPool { size: 4 }, Op::Relu, Op::Dense { out: 3 }];
    sample::task(32, 1, &layers, sample::classes(3))
}

fn train(task: &TaskSpec, backend: Backend, training: &Training, seed: u64) -> Vec<f32> {
    let mut network = sample::network(task, backend, 1);
    let (values, labels) = sample::noise(task, 10, 2);
    let windows = Windows::new(task, &values, &labels).unwrap();
    network.train(&windows, training, seed, &mut never).unwrap();
    network.params().to_vec()
}

#[test]
fn every_backend_learns_to_tell_three_frequencies_apart() {
    let task = sine_task();
    let (values, labels) = sample::sines(&task, 150, 1);
    let (held_values, held_labels) = sample::sines(&task, 150, 2);
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let held = Windows::new(&task, &held_values, &held_labels).unwrap();
    let training = Training { momentum: 0.9, ..Training::sgd(8, 16, 0.03) };
    let mut accuracies = Vec::new();
    for &backend in Backend::ALL {
        let mut network = sample::network(&task, backend, 3);
        let before = network.evaluate(&held).unwrap();
        let report = network.train(&windows, &training, 4, &mut never).unwrap();
        assert_eq!((report.steps, report.windows), (8 * 10, 150));
        let after = network.evaluate(&held).unwrap();
        assert!(after.loss() < before.loss() && after.windows == 150);
        assert!(after.accuracy() > 0.95, "{backend}: {}", after.accuracy());
        accuracies.push(after.accuracy());
    }
    assert!(accuracies.iter().all(|a| (a - accuracies[0]).abs() <= 0.01), "{accuracies:?}");
}

#[test]
fn a_batch_that_goes_through_in_parts_trains_as_it_does_at_once() {
    let task = sine_task();
    let (values, labels) = sample::sines(&task, 23, 1);
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let training = Training { momentum: 0.9, ..Training::sgd(3, 8, 0.03) };
    let trained = |bytes: usize| {
        let mut network = sample::network(&task, Backend::Flex, 3);
        network.bound_memory(bytes);
        let report = network.train(&windows, &training, 4, &mut never).unwrap();
        (report, network.params().to_vec(), network.part_max)
    };
    let (whole, expected, _) = trained(usize::MAX);
    for (bytes, part) in [(0, 1), (3 * task.layout_and_cost().unwrap().1.window_bytes(), 3)] {
        let (report, params, part_max) = trained(bytes);
        assert_eq!((report.steps, part_max), (whole.steps, part));
        assert!((report.mean_loss - whole.mean_loss).abs() < 1e-5);
        assert!(params.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn reconstruction_and_forecast_losses_fall() {
    let task = |target, out| {
        let layers = [Op::Dense { out: 6 }, Op::Tanh, Op::Dense { out }];
        sample::task(16, 1, &layers, target)
    };
    let steps = Target::ForecastSteps { steps: 4, channels: vec![] };
    for task in [task(Target::Reconstruct, 16), task(Target::Forecast, 1), task(steps, 4)] {
        let (values, _) = sample::sines(&task, 80, 1);
        let windows = Windows::new(&task, &values, &[]).unwrap();
        let mut network = sample::network(&task, Backend::Flex, 3);
        let before = network.evaluate(&windows).unwrap();
        let training = Training { momentum: 0.9, ..Training::sgd(20, 16, 0.02) };
        network.train(&windows, &training, 4, &mut never).unwrap();
        let after = network.evaluate(&windows).unwrap();
        assert!(after.loss() < 0.5 * before.loss(), "{} {}", before.loss(), after.loss());
        assert_eq!(after.correct, 0);
        let values = task.output_values();
        match &network.predict(&windows.select(0..1)).unwrap()[..] {
            [Prediction::Values(answer)] => assert_eq!(answer.len(), values),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn equal_seeds_give_equal_bits_and_other_seeds_do_not() {
    let augment = Augment { rotation: 0.2, gain: 0.1, shift: 3 };
    let training = Training { augment, momentum: 0.5, ..Training::sgd(2, 4, 0.01) };
    let task = sine_task();
    for &backend in Backend::ALL {
        let bits = |seed| {
            let params = train(&task, backend, &training, seed);
            params.iter().map(|w| w.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(7), bits(7));
        assert_ne!(bits(7), bits(8));
    }
}

#[test]
fn frozen_layers_do_not_move_and_local_ones_do() {
    let mut task = sine_task();
    task.layers[0].share = Share::Frozen;
    task.layers[3].share = Share::Local;
    for &backend in Backend::ALL {
        let before = sample::network(&task, backend, 1).params().to_vec();
        let after = train(&task, backend, &Training::sgd(1, 4, 0.1), 1);
        let layout = task.layout().unwrap();
        for range in layout.ranges(Share::Frozen) {
            assert_eq!(before[range.clone()], after[range]);
        }
        for range in layout.ranges(Share::Local) {
            assert_ne!(before[range.clone()], after[range]);
        }
    }
}

#[test]
fn a_network_with_nothing_to_train_stays_as_it_is() {
    let mut task = sine_task();
    task.layers.iter_mut().for_each(|layer| layer.share = Share::Frozen);
    let before = sample::network(&task, Backend::Flex, 1).params().to_vec();
    assert_eq!(before, train(&task, Backend::Flex, &Training::sgd(1, 4, 0.1), 1));
}

#[test]
fn the_proximal_term_keeps_the_parameters_near_where_they_started() {
    let task = sine_task();
    let start = sample::network(&task, Backend::Flex, 1).params().to_vec();
    let distance = |prox| {
        let training = Training { prox, ..Training::sgd(10, 5, 0.1) };
        let end = train(&task, Backend::Flex, &training, 1);
        start.iter().zip(end).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    };
    assert!(distance(5.0) < 0.5 * distance(0.0), "{} {}", distance(5.0), distance(0.0));
}

#[test]
fn steps_follow_the_update_rule_of_sgd() {
    let task = sample::task(2, 1, &[Op::Dense { out: 2 }], sample::classes(2));
    let mut network = sample::network(&task, Backend::Flex, 1);
    let (values, labels) = sample::noise(&task, 3, 2);
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let rule = Training { momentum: 0.5, weight_decay: 0.1, prox: 0.2, ..Training::sgd(2, 3, 0.3) };
    let base = network.params().to_vec();
    let (mut expected, mut velocity) = (base.clone(), [0.0; 6]);
    for _ in 0..2 {
        let mut other = sample::network(&task, Backend::Flex, 1);
        other.set_params(&expected).unwrap();
        let gradient = other.gradients(&windows).unwrap();
        for i in 0..6 {
            let pull = 0.1 * expected[i] + 0.2 * (expected[i] - base[i]);
            velocity[i] = 0.5 * velocity[i] + gradient[i] + pull;
            expected[i] -= 0.3 * velocity[i];
        }
    }
    network.train(&windows, &rule, 9, &mut never).unwrap();
    for (a, b) in network.params().iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn smoothing_keeps_the_loss_above_zero() {
    let task = sample::task(2, 1, &[Op::Dense { out: 2 }], sample::classes(2));
    let windows = Windows::new(&task, &[5.0, 0.0, 0.0, 5.0], &[0, 1]).unwrap();
    let loss = |label_smoothing| {
        let mut network = sample::network(&task, Backend::Flex, 1);
        let training = Training { label_smoothing, ..Training::sgd(200, 2, 0.5) };
        network.train(&windows, &training, 1, &mut never).unwrap().mean_loss
    };
    // The least possible is the entropy of the labels: 0.05 and 0.95 have 0.1985.
    assert!(loss(0.0) < 0.01 && (0.19..0.21).contains(&loss(0.1)), "{} {}", loss(0.0), loss(0.1));
}

#[test]
fn training_that_blows_up_is_an_error_and_leaves_the_parameters() {
    let layers = [Op::Dense { out: 4 }, Op::Relu, Op::Dense { out: 2 }];
    let task = sample::task(2, 1, &layers, Target::Reconstruct);
    let mut network = sample::network(&task, Backend::Flex, 1);
    let before = network.params().to_vec();
    let windows = Windows::new(&task, &[1e15, 2e15, -1e15, 1e15], &[]).unwrap();
    let outcome = network.train(&windows, &Training::sgd(5, 1, 1e10), 1, &mut never);
    assert!(matches!(outcome, Err(ModelError::Diverged { .. })), "{outcome:?}");
    assert_eq!(network.params(), before);
}

#[test]
fn the_caller_can_stop_between_steps_and_keeps_the_old_parameters() {
    let task = sine_task();
    let mut network = sample::network(&task, Backend::Flex, 1);
    let before = network.params().to_vec();
    let (values, labels) = sample::noise(&task, 10, 2);
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let mut asked = 0;
    let mut stop = || {
        asked += 1;
        asked > 3
    };
    let outcome = network.train(&windows, &Training::sgd(100, 2, 0.1), 1, &mut stop);
    assert_eq!((outcome, asked), (Err(ModelError::Stopped), 4));
    assert_eq!(network.params(), before);
}

#[test]
fn nothing_to_train_on_and_too_much_at_once_are_errors() {
    let task = sample::task(8192, 64, &[Op::Dense { out: 2 }], sample::classes(2));
    let mut network = Network::new(&task, Backend::Flex).unwrap();
    let none = Windows::new(&task, &[], &[]).unwrap();
    let training = Training::sgd(1, 1024, 0.1);
    let outcome = network.train(&none, &training, 1, &mut never);
    assert_eq!(outcome, Err(ModelError::NoWindows));
    let values = alloc::vec![0.0; 33 * 8192 * 64];
    let many = Windows::new(&task, &values, &[0; 33]).unwrap();
    let outcome = network.train(&many, &training, 1, &mut never);
    assert_eq!(outcome, Err(ModelError::BatchTooLarge { batch: 33, limit: 32 }));
}

#[test]
fn the_caller_can_stop_an_evaluation_between_batches() {
    let task = sine_task();
    let network = sample::network(&task, Backend::Flex, 1);
    let (values, labels) = sample::noise(&task, 200, 2);
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let mut asked = 0;
    let mut stop = || {
        asked += 1;
        asked > 2
    };
    let outcome = network.evaluate_unless(&windows, &mut stop);
    assert_eq!((outcome, asked), (Err(ModelError::Stopped), 3));
}

#[test]
fn the_caller_can_stop_while_features_are_computed() {
    let mut task = sample::task(64, 9, &[Op::Dense { out: 3 }], sample::classes(3));
    task.features = Features::Motion;
    let mut network = sample::network(&task, Backend::Flex, 1);
    let (values, labels) = sample::noise(&task, 50, 2);
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let mut asked = 0;
    let mut stop = || {
        asked += 1;
        asked > 10
    };
    let outcome = network.train(&windows, &Training::sgd(1, 8, 0.1), 1, &mut stop);
    assert_eq!((outcome, asked), (Err(ModelError::Stopped), 11));
}

#[test]
fn features_that_are_not_kept_are_computed_anew_and_are_the_same() {
    let mut task = sample::task(64, 9, &[Op::Dense { out: 3 }], sample::classes(3));
    task.features = Features::Motion;
    let (values, labels) = sample::noise(&task, 20, 2);
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let trained = |kept_max| {
        let mut network = sample::network(&task, Backend::Flex, 1);
        network.kept_max = kept_max;
        network.train(&windows, &Training::sgd(2, 8, 0.01), 1, &mut never).unwrap();
        network.params().to_vec()
    };
    assert_eq!(trained(19), trained(20));
}

/// A regression on the mean of a window of one channel, whose value stands behind its samples.
fn mean_task() -> TaskSpec {
    let value = Channel { name: "mean".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    sample::task(8, 1, &[Op::Dense { out: 1 }], Target::Values(vec![value]))
}

#[test]
fn a_regression_learns_the_value_behind_the_samples_on_every_backend() {
    let task = mean_task();
    let mut rng = Rng::new(5);
    let mut values = Vec::new();
    for _ in 0..120 {
        let window: Vec<f32> = (0..8).map(|_| rng.normal()).collect();
        values.extend(&window);
        values.push(window.iter().sum::<f32>() / 8.0);
    }
    let windows = Windows::new(&task, &values, &[]).unwrap();
    for &backend in Backend::ALL {
        let mut network = sample::network(&task, backend, 3);
        let training = Training { momentum: 0.9, ..Training::sgd(20, 16, 0.05) };
        network.train(&windows, &training, 4, &mut never).unwrap();
        let (score, fit) = network.measure(&windows, &mut never).unwrap();
        let figures = &FitFigures::of(&task, score.windows.into(), &fit.numbers())[0];
        assert!(figures.r2.unwrap() > 0.99, "{backend}: {figures}");
        assert!((figures.mse - score.loss()).abs() < 1e-6, "{backend}: {figures}");
        assert_eq!((figures.repeated_mse, score.correct), (None, 0));
    }
}

#[test]
fn a_forecast_is_measured_beside_the_last_value_repeated() {
    let steps = Target::ForecastSteps { steps: 2, channels: vec!["b".into()] };
    let mut task = sample::task(4, 2, &[Op::Dense { out: 2 }], steps);
    task.input.channels[1].name = "b".into();
    let mut network = Network::new(&task, Backend::Flex).unwrap();
    // All weights 0: the biases are what it says.
    let mut params = vec![0.0; network.layout().n_params()];
    let biases = params.len() - 2;
    params[biases..].copy_from_slice(&[5.0, 7.0]);
    network.set_params(&params).unwrap();
    // Channel b: 1, 2 are seen, 4 and 7 follow.
    let values = [0.0, 1.0, 0.0, 2.0, 9.0, 4.0, 9.0, 7.0];
    let windows = Windows::new(&task, &values, &[]).unwrap();
    let (_, fit) = network.measure(&windows, &mut never).unwrap();
    let [sums] = fit.0[..] else { panic!("{fit:?}") };
    assert_eq!((sums.squared, sums.absolute), (1.0, 1.0));
    assert_eq!((sums.repeated, sums.values, sums.value_squares), (29.0, 11.0, 65.0));
}
