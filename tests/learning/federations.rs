//! Federations of invented persons that train by Burn. Seeds are fixed and in the names of nothing:
//! each assertion prints what it saw.

use dunlin_agent::data::WindowSet;
use dunlin_agent::trainer::{BurnTrainer, TrainerSettings};
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::{Enrolment, Settings};
use dunlin_fleet::experiment::{self, Experiment, FixedSource};
use dunlin_fleet::judge::{AloneSettings, Judge, train_alone};
use dunlin_fleet::memory::MemoryFleet;
use dunlin_models::Backend;
use dunlin_protocol::task::{Layer, Op, Share, Target};
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::Training;
use dunlin_tests::name;

const HOLDOUT: f32 = 0.1;
const SEED: u64 = 3;

fn settings(experiment: &Experiment, rounds: u32) -> Settings {
    let mut settings = Settings::new(name("wrists"), name("agg"), experiment.task.clone());
    experiment.recipe.apply(&mut settings);
    let devices = u32::try_from(experiment.devices.len()).unwrap();
    (settings.target, settings.quorum, settings.min_online) = (devices, devices, devices);
    settings.enrolled = Enrolment::Any;
    settings.rounds = rounds;
    settings.clip_norm = 20.0;
    settings.max_abs = 8.0;
    settings
}

/// Runs the federation to its end; returns all events and the last model in all parameters.
fn run(experiment: &Experiment, rounds: u32, backend: Backend) -> (Vec<RoundEvent>, Vec<f32>) {
    let mut fleet = MemoryFleet::new(settings(experiment, rounds));
    for device in &experiment.devices {
        let source = Box::new(FixedSource(device.windows.clone()));
        let trainer = BurnTrainer::new(source, TrainerSettings { backend, holdout: HOLDOUT });
        fleet.add_device(name(&device.name), trainer, 1_000);
    }
    fleet.start_aggregator(SEED).unwrap();
    let finished = fleet.run(Instant(10_000_000), |fleet| {
        fleet.log.last().is_some_and(|(_, e)| matches!(e, RoundEvent::Finished { .. }))
    });
    assert!(finished, "{:?}", fleet.log.last());
    let layout = experiment.task.layout().unwrap();
    let mut params = layout.initial_params(SEED);
    layout.load_model(&mut params, fleet.aggregator().unwrap().params());
    (fleet.log.into_iter().map(|(_, event)| event).collect(), params)
}

fn accuracy(experiment: &Experiment, params: &[f32], backend: Backend) -> f64 {
    let mut judge = Judge::new(&experiment.task, backend).unwrap();
    judge.score(params, &experiment.unseen).unwrap().accuracy()
}

#[test]
fn five_devices_together_beat_each_alone_on_persons_that_nobody_has_seen() {
    let experiment = experiment::wrist(5, SEED);
    let rounds = 8;
    let (_, params) = run(&experiment, rounds, Backend::Flex);
    let together = accuracy(&experiment, &params, Backend::Flex);
    let settings = settings(&experiment, rounds);
    let training = |round| Training {
        learning_rate: settings.learning_rate(round),
        ..settings.training.clone()
    };
    let alone = AloneSettings {
        rounds: (0..rounds).map(training).collect(),
        backend: Backend::Flex,
        holdout: HOLDOUT,
        seed: SEED,
    };
    let alone = train_alone(&experiment, &alone, &|_| {}).unwrap();
    let mean = alone.iter().map(|one| one.unseen).sum::<f64>() / alone.len() as f64;
    assert!(together > mean + 0.05, "together {together:.3}, alone {mean:.3}");
}

#[test]
fn both_backends_end_within_one_point_of_each_other() {
    let mut experiment = experiment::wrist(3, SEED);
    // No small differences that training blows up: a linear model has one optimum.
    experiment.task.layers = vec![Layer { op: Op::Dense { out: 6 }, share: Share::Shared }];
    let end = |backend| {
        let (_, params) = run(&experiment, 4, backend);
        accuracy(&experiment, &params, backend)
    };
    let (flex, ndarray) = (end(Backend::Flex), end(Backend::NdArray));
    assert!((flex - ndarray).abs() <= 0.01, "flex {flex:.4}, ndarray {ndarray:.4}");
}

#[test]
fn devices_report_federated_evaluation_on_windows_that_they_hold_out() {
    let experiment = experiment::wrist(3, SEED);
    let (events, _) = run(&experiment, 3, Backend::Flex);
    let held: u64 = experiment
        .devices
        .iter()
        .map(|device| device.windows.clone().split(HOLDOUT).1.len() as u64)
        .sum();
    let published: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            RoundEvent::RoundPublished { summary, .. } => Some(summary),
            _ => None,
        })
        .collect();
    assert_eq!(published.len(), 3);
    for summary in &published {
        assert_eq!(summary.figures.before.windows, held);
        assert_eq!(summary.figures.after.windows, held);
    }
    let evaluated = events.iter().any(|event| matches!(event, RoundEvent::Evaluated { .. }));
    assert!(evaluated, "the last version is evaluated by an item of its own");
}

#[test]
fn a_local_head_never_leaves_its_device() {
    let mut experiment = experiment::wrist(3, SEED);
    experiment.task.layers.last_mut().unwrap().share = Share::Local;
    let layout = experiment.task.layout().unwrap();
    let (events, _) = run(&experiment, 3, Backend::Flex);
    let lengths: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            RoundEvent::RoundPublished { params, .. } => Some(params.len()),
            _ => None,
        })
        .collect();
    assert_eq!(lengths, [layout.n_model(); 3]);
    assert!(layout.n_model() < layout.n_params());
}

#[test]
fn a_task_without_labels_learns_to_forecast_from_unlabelled_windows() {
    let mut experiment = experiment::wrist(3, SEED);
    let task = &mut experiment.task;
    task.target = Target::Forecast;
    task.layers = [Op::Dense { out: 16 }, Op::Tanh, Op::Dense { out: 6 }]
        .map(|op| Layer { op, share: Share::Shared })
        .into();
    for device in &mut experiment.devices {
        unlabel(&mut device.windows);
    }
    unlabel(&mut experiment.unseen);
    experiment.recipe.training.learning_rate = 0.005;
    let (events, _) = run(&experiment, 5, Backend::Flex);
    let losses: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            RoundEvent::RoundPublished { summary, .. } => Some(summary.figures.before.loss()),
            _ => None,
        })
        .collect();
    assert!(losses.last() < losses.first(), "{losses:?}");
}

fn unlabel(windows: &mut WindowSet) {
    windows.labels.clear();
}
