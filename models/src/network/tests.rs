use super::*;
use crate::sample;
use dunlin_protocol::task::{Op, ShapeError, Target};
use std::string::ToString;

/// Compares the gradient with `(loss(w + h) - loss(w - h)) / 2h`, parameter by parameter.
fn check_gradient(task: &TaskSpec) {
    for &backend in Backend::ALL {
        let mut network = sample::network(task, backend, 5);
        let (values, labels) = sample::noise(task, 4, 6);
        let windows = Windows::new(task, &values, &labels).unwrap();
        let gradient = network.gradients(&windows).unwrap();
        let largest = gradient.iter().fold(0.0f32, |max, g| max.max(g.abs()));
        assert!(largest > 1e-3, "{backend}: all gradients are zero");
        let params = network.params().to_vec();
        let mut loss_at = |index: usize, change: f32| {
            let mut moved = params.clone();
            moved[index] += change;
            network.set_params(&moved).unwrap();
            network.evaluate(&windows).unwrap().loss()
        };
        let mut wrong = 0;
        for (index, &partial) in gradient.iter().enumerate() {
            let difference = (loss_at(index, 2e-3) - loss_at(index, -2e-3)) / 4e-3;
            wrong +=
                usize::from((difference - f64::from(partial)).abs() > 0.02 * f64::from(largest));
        }
        // A kink of ReLU or of the maximum may lie between the two points.
        assert!(wrong * 50 <= gradient.len(), "{backend}: {wrong} of {} differ", gradient.len());
    }
}

#[test]
fn gradients_of_each_layer_kind_match_finite_differences() {
    let conv = |out, kernel| Op::Conv1d { out, kernel };
    let dense = |out| Op::Dense { out };
    let pool = |size| Op::MaxPool { size };
    let mean = |size| Op::MeanPool { size };
    let cases: [&[Op]; 11] = [
        &[dense(3)],
        &[dense(5), Op::Relu, dense(3)],
        &[dense(5), Op::Tanh, dense(3)],
        &[conv(4, 3), dense(3)],
        &[conv(4, 3), Op::Tanh, conv(5, 2), Op::Relu, dense(3)],
        &[conv(4, 3), Op::Relu, pool(2), conv(3, 3), pool(2), Op::Relu, dense(3)],
        &[conv(4, 3), pool(3), conv(3, 1), pool(2), dense(3)],
        &[pool(2), conv(17, 3), pool(2), Op::Relu, conv(9, 2), Op::Relu, dense(3)],
        &[conv(4, 3), Op::Relu, pool(2), Op::Tanh, dense(3)],
        &[mean(2), conv(4, 3), Op::Relu, mean(5), dense(3)],
        &[conv(4, 3), Op::Relu, pool(2), mean(4), dense(3)],
    ];
    for layers in cases {
        check_gradient(&sample::task(15, 2, layers, sample::classes(3)));
    }
}

#[test]
fn gradients_of_the_other_targets_match_finite_differences() {
    let hidden = Op::Dense { out: 4 };
    check_gradient(&sample::task(
        5,
        2,
        &[hidden, Op::Tanh, Op::Dense { out: 10 }],
        Target::Reconstruct,
    ));
    let conv = Op::Conv1d { out: 3, kernel: 2 };
    check_gradient(&sample::task(5, 2, &[conv, Op::Dense { out: 2 }], Target::Forecast));
}

#[test]
fn all_backends_agree_on_the_gradients_of_one_step() {
    for task in [crate::tasks::har_cnn(), crate::tasks::har_mlp()] {
        let (values, labels) = sample::noise(&task, 8, 1);
        let windows = Windows::new(&task, &values, &labels).unwrap();
        let flex = sample::network(&task, Backend::Flex, 2).gradients(&windows).unwrap();
        let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        for &backend in Backend::ALL {
            let other = sample::network(&task, backend, 2).gradients(&windows).unwrap();
            let difference: Vec<f32> = flex.iter().zip(&other).map(|(a, b)| a - b).collect();
            assert!(norm(&difference) <= 1e-4 * norm(&flex), "{backend}");
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let pool = Op::MaxPool { size: 4 };
    let task = sample::task(9, 1, &[pool, pool, Op::Dense { out: 2 }], sample::classes(2));
    let error = Network::new(&task, Backend::Flex).err();
    let expected = ShapeError::TooShort { layer: 1, needs: 4, has: 2 };
    assert_eq!(error, Some(ModelError::Shape(expected)));
    assert!(error.is_some_and(|error| error.to_string().contains("layer 1")));
}

#[test]
fn parameters_of_a_wrong_length_or_not_finite_are_refused_and_change_nothing() {
    let task = sample::task(2, 1, &[Op::Dense { out: 2 }], sample::classes(2));
    let mut network = sample::network(&task, Backend::Flex, 1);
    let before = network.params().to_vec();
    let error = network.set_params(&[0.0; 5]);
    assert_eq!(error, Err(ModelError::ParamCount { needs: 6, has: 5 }));
    let error = network.set_params(&[0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]);
    assert_eq!(error, Err(ModelError::ParamNotFinite { index: 2 }));
    assert_eq!(network.params(), before);
}

#[test]
fn a_known_input_gives_the_known_output() {
    // Time 3, two channels, kernel 2: the kernel position comes first in the rows of the weight.
    let layers = [Op::Conv1d { out: 1, kernel: 2 }, Op::Relu];
    let task = sample::task(4, 2, &layers, Target::Forecast);
    let mut network = Network::new(&task, Backend::Flex).unwrap();
    assert_eq!(network.params().len(), 5);
    network.set_params(&[1.0, 10.0, 100.0, 1000.0, 0.5]).unwrap();
    let inputs = [1.0, 2.0, 3.0, 4.0, -5.0, 6.0];
    let values = [&inputs[..], &[0.0, 0.0]].concat();
    let windows = Windows::new(&task, &values, &[]).unwrap();
    let (output, _) = network.infer(Batch::of(&task, &windows, 0.0)).unwrap();
    assert_eq!(output, [4321.5, 5543.5]);
}

#[test]
fn windows_of_another_task_are_refused() {
    let layers = [Op::Dense { out: 2 }];
    let task = sample::task(2, 1, &layers, sample::classes(2));
    let other = sample::task(3, 1, &layers, sample::classes(2));
    let windows = Windows::new(&other, &[0.0; 3], &[0]).unwrap();
    let network = sample::network(&task, Backend::Flex, 1);
    let error = ModelError::WindowMismatch { needs: 2, has: 3 };
    assert_eq!(network.gradients(&windows).err(), Some(error.clone()));
    assert_eq!(network.predict(&windows).err(), Some(error.clone()));
    assert_eq!(network.evaluate(&windows).err(), Some(error));
}
