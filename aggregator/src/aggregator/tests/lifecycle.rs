use dunlin_protocol::id::{ModelVersion, RoundId};
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::message::Answer;
use dunlin_protocol::model::Model;
use dunlin_protocol::object::{Assembly, Chunk};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::work::{Work, WorkKind};

use super::world::{World, object, settings};
use crate::aggregator::{Aggregator, Initial, Start, StartError};
use crate::control::Command;
use crate::io::{Input, RoundEvent};
use crate::settings::{Enrolment, Schedule, Weighting};
use crate::summary::{Failure, RoundOutcome, RoundSummary};

const ALL: [&str; 3] = ["d0", "d1", "d2"];

fn begun() -> World {
    let mut world = World::new(settings());
    world.begin(&ALL);
    world
}

fn summaries(world: &World) -> Vec<RoundSummary> {
    world.events.iter().filter_map(RoundEvent::ended).cloned().collect()
}

/// The model that a device fetches from the broker for the plan's last version.
fn fetched(world: &World) -> Model {
    let entry = world.plan().models.last().unwrap().clone();
    let mut assembly = Assembly::new(entry.object);
    for index in 0..entry.object.chunks() {
        let topic = format!("v1/fed/gait/obj/{}/{index}", entry.object.digest.short());
        assembly.take(&Chunk::decode(&world.retained[&topic]).unwrap()).unwrap();
    }
    Model::decode(&assembly.finish().unwrap()).unwrap()
}

#[test]
fn a_round_opens_when_enough_devices_are_online_and_presence_has_settled() {
    let mut world = World::new(settings());
    world.connect();
    world.presence("d0", State::Online, 1);
    world.presence("d1", State::Online, 1);
    world.presence("stranger", State::Online, 1);
    world.wait(10_000);
    assert!(world.plan().work.is_empty());
    world.presence("d2", State::Online, 1);
    let item = world.item(WorkKind::Train).unwrap();
    assert_eq!((item.round, item.base_version), (RoundId(1), ModelVersion(0)));
    assert_eq!(item.fraction, Fraction::ALL);
    assert_eq!(item.deadline, world.now.after(60_000));
    let saved = &world.stored.as_ref().unwrap().rounds;
    assert_eq!(saved.len(), 1, "saved before it is announced");
}

#[test]
fn the_target_closes_a_round_at_once_and_the_weighted_mean_is_published() {
    let mut world = begun();
    let start = world.core.params().to_vec();
    let n = world.n();
    let mut header = world.header(WorkKind::Train);
    for (device, examples, value) in [("d0", 10, 1.0), ("d1", 30, -1.0), ("d2", 5000, 0.5)] {
        header.figures.examples = examples;
        world.send(device, &object(&header, &vec![value; n]));
    }
    assert_eq!(world.core.head().version, ModelVersion(1));
    let mean = (10.0 - 30.0 + 100.0 * 0.5) / 140.0;
    for (now, before) in world.core.params().iter().zip(&start) {
        assert!((now - (before + mean)).abs() < 1e-6);
    }
    let model = fetched(&world);
    assert_eq!((model.version, &model.params[..]), (ModelVersion(1), world.core.params()));
    let [summary] = &summaries(&world)[..] else { panic!() };
    assert_eq!(summary.outcome, RoundOutcome::Done(ModelVersion(1)));
    assert_eq!((summary.accepted, summary.figures.examples), (3, 5040));
    assert_eq!((summary.figures.before.correct, summary.figures.after.correct), (15, 24));
    assert!(world.plan().work.is_empty(), "a pause follows");
    world.wait(500);
    let item = world.item(WorkKind::Train).unwrap();
    assert_eq!((item.round, item.base_version), (RoundId(2), ModelVersion(1)));
}

#[test]
fn the_deadline_publishes_with_a_quorum() {
    let mut world = begun();
    world.train("d0");
    world.train("d1");
    assert_eq!(world.claim("d2", WorkKind::Train), Answer::Go);
    world.wait(59_000);
    assert_eq!(world.core.head().version, ModelVersion(0), "d2 still works");
    world.wait(1000);
    assert_eq!(world.core.head().version, ModelVersion(1));
}

#[test]
fn the_deadline_fails_a_round_without_a_quorum_and_the_next_has_a_new_number() {
    let mut world = begun();
    world.train("d0");
    world.wait(60_000);
    let [summary] = &summaries(&world)[..] else { panic!() };
    assert_eq!(summary.outcome, RoundOutcome::Failed(Failure::TooFew));
    assert_eq!(summary.accepted, 1);
    world.wait(500);
    let item = world.item(WorkKind::Train).unwrap();
    assert_eq!((item.round, item.base_version), (RoundId(2), ModelVersion(0)));
}

#[test]
fn a_round_closes_early_when_all_its_devices_have_ended() {
    for end in [State::Lost, State::Offline] {
        let mut world = begun();
        world.train("d0");
        world.train("d1");
        assert_eq!(world.claim("d2", WorkKind::Train), Answer::Go);
        world.wait(3_000);
        world.presence("d2", end, 0);
        assert_eq!(world.core.head().version, ModelVersion(0), "an old word of a living device");
        world.presence("d2", end, 1);
        assert_eq!(world.core.head().version, ModelVersion(1));
    }
}

#[test]
fn a_round_waits_for_claims_before_it_closes_early() {
    let mut world = begun();
    world.train("d0");
    world.train("d1");
    world.wait(1_899);
    assert_eq!(world.core.head().version, ModelVersion(0));
    world.wait(200);
    assert_eq!(world.core.head().version, ModelVersion(1));
}

#[test]
fn the_fraction_follows_the_target_and_the_devices_online_and_rises_when_claims_fail_to_come() {
    let mut settings = settings();
    let devices: Vec<String> = (0..100).map(|i| format!("w{i}")).collect();
    settings.enrolled = Enrolment::Any;
    (settings.target, settings.quorum, settings.min_online) = (10, 5, 50);
    settings.overselect = 1.5;
    let mut world = World::new(settings);
    world.begin(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    let fraction = |world: &World| world.item(WorkKind::Train).unwrap().fraction;
    assert_eq!(fraction(&world), Fraction::of(15, 100));
    for device in &devices[..9] {
        assert_eq!(world.claim(device, WorkKind::Train), Answer::Go);
    }
    world.wait(2_000);
    let raised = fraction(&world);
    assert!((0.29..0.32).contains(&raised.as_f64()), "{raised:?}");
    world.claim("w9", WorkKind::Train);
    world.wait(20_000);
    assert_eq!(fraction(&world), raised, "enough have come");
    world.presence("w9", State::Lost, 1);
    world.wait(20_000);
    assert_eq!(fraction(&world), Fraction::ALL);
}

#[test]
fn verdicts_follow_the_write_and_sixty_four_updates_do_not_wait() {
    let mut settings = settings();
    settings.enrolled = Enrolment::Any;
    (settings.target, settings.commit_interval_ms) = (100, 60_000);
    let devices: Vec<String> = (0..70).map(|i| format!("w{i}")).collect();
    let mut world = World::new(settings);
    world.begin(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    let saves = world.saves;
    for device in &devices[..63] {
        world.train(device);
        assert!(world.told.is_empty());
    }
    assert_eq!(world.saves, saves);
    world.train(&devices[63]);
    assert_eq!(world.saves, saves + 1);
    assert_eq!(world.accepted_verdicts().len(), 64);
}

#[test]
fn everything_is_said_again_after_every_connection() {
    let mut world = begun();
    ALL.iter().for_each(|device| {
        world.train(device);
    });
    let before = world.retained.clone();
    world.input(Input::Disconnected);
    world.retained.clear();
    world.connect();
    let presence = Presence::decode(&world.retained["v1/srv/agg-1/state"]).unwrap();
    assert_eq!(presence, Presence::new(State::Online, 1).on(2), "of its second connection");
    let but_state = |mut retained: alloc::collections::BTreeMap<String, Vec<u8>>| {
        retained.remove("v1/srv/agg-1/state").unwrap();
        retained
    };
    assert_eq!(but_state(world.retained.clone()), but_state(before));
    world.wait(5_000);
    assert!(world.item(WorkKind::Train).is_none(), "nobody has been seen since");
}

#[test]
fn models_leave_the_broker_when_neither_plan_nor_grace_needs_them() {
    let mut world = begun();
    let task_and_first = world.retained.keys().filter(|t| t.contains("/obj/")).count();
    assert_eq!(task_and_first, 2);
    for _ in 0..4 {
        ALL.iter().for_each(|device| {
            world.train(device);
        });
        world.wait(500);
    }
    assert_eq!(world.core.head().version, ModelVersion(4));
    let objects = world.retained.keys().filter(|t| t.contains("/obj/")).count();
    assert_eq!(objects, 3, "the task, the current version and the one before");
    assert_eq!(world.stored.as_ref().unwrap().models.len(), 2);
    assert_eq!(fetched(&world).version, ModelVersion(4));
}

#[test]
fn the_last_version_is_evaluated_and_then_the_work_is_done() {
    let mut settings = settings();
    settings.rounds = 2;
    let mut world = World::new(settings);
    world.begin(&ALL);
    for _ in 0..2 {
        assert!(world.item(WorkKind::Evaluate).is_none());
        ALL.iter().for_each(|device| {
            world.train(device);
        });
        world.wait(500);
    }
    assert!(world.item(WorkKind::Train).is_none());
    let item = world.item(WorkKind::Evaluate).unwrap();
    assert_eq!((item.base_version, item.work()), (ModelVersion(2), Ok(Work::Evaluate)));
    let header = world.header(WorkKind::Evaluate);
    for device in ALL {
        assert_eq!(world.claim(device, WorkKind::Evaluate), Answer::Go);
        world.send(device, &object(&header, &[]));
    }
    assert!(!world.core.is_finished());
    world.wait(2_000);
    assert!(world.core.is_finished() && world.plan().work.is_empty());
    let evaluated = summaries(&world).pop().unwrap();
    assert_eq!(evaluated.outcome, RoundOutcome::Done(ModelVersion(2)));
    assert_eq!((evaluated.figures.before.windows, evaluated.accepted), (30, 3));
    assert!(matches!(world.events.last(), Some(RoundEvent::Finished { .. })));
    world.wait(1_000_000);
    world.restart();
    assert!(world.core.is_finished());
}

#[test]
fn training_and_evaluation_are_open_side_by_side_and_a_newer_evaluation_ends_the_older() {
    let mut settings = settings();
    settings.evaluate_every = 1;
    let mut world = World::new(settings);
    world.begin(&ALL);
    for round in 1..=3 {
        ALL.iter().for_each(|device| {
            world.train(device);
        });
        world.wait(500);
        let kinds: Vec<u8> = world.plan().work.iter().map(|item| item.kind).collect();
        assert_eq!(kinds, [2, 1], "evaluation first, it is short");
        assert_eq!(world.item(WorkKind::Evaluate).unwrap().base_version, ModelVersion(round));
        let header = world.header(WorkKind::Evaluate);
        world.send("d0", &object(&header, &[]));
        world.wait(250);
    }
    let evaluations = world.events.iter().filter(|e| matches!(e, RoundEvent::Evaluated { .. }));
    assert_eq!(evaluations.count(), 2);
}

#[test]
fn the_learning_rate_follows_its_schedule_over_the_rounds() {
    let mut settings = settings();
    settings.rounds = 5;
    (settings.training.learning_rate, settings.learning_rate_final) = (1.0, 0.2);
    let rates =
        |settings: &crate::settings::Settings| [0, 2, 4, 9].map(|i| settings.learning_rate(i));
    assert_eq!(rates(&settings), [1.0, 1.0, 1.0, 1.0]);
    settings.schedule = Schedule::Linear;
    assert_eq!(rates(&settings), [1.0, 0.6, 0.2, 0.2]);
    settings.schedule = Schedule::Cosine;
    let cosine = rates(&settings);
    assert!((cosine[1] - 0.6).abs() < 1e-6 && (cosine[2] - 0.2).abs() < 1e-6, "{cosine:?}");
    let mut world = World::new(settings);
    world.begin(&ALL);
    ALL.iter().for_each(|device| {
        world.train(device);
    });
    world.wait(500);
    let Ok(Work::Train(work)) = world.item(WorkKind::Train).unwrap().work() else { panic!() };
    assert!((work.training.learning_rate - 0.882_842_7).abs() < 1e-5);
}

#[test]
fn an_imported_model_becomes_the_next_version_and_ends_open_rounds() {
    let mut world = begun();
    world.train("d0");
    let params = vec![0.25; world.n()];
    world.input(Input::Command(Command::Import(&params[1..])));
    assert_eq!(world.core.head().version, ModelVersion(0));
    world.input(Input::Command(Command::Import(&[f32::NAN; 10])));
    assert_eq!(world.core.head().version, ModelVersion(0));
    world.input(Input::Command(Command::Import(&params)));
    assert_eq!(fetched(&world).params, params);
    let [summary] = &summaries(&world)[..] else { panic!() };
    assert_eq!(summary.outcome, RoundOutcome::Failed(Failure::Superseded));
    world.restart();
    assert_eq!(world.core.params(), params);
}

#[test]
fn stopping_saves_what_is_accepted_and_says_goodbye() {
    let mut world = begun();
    world.train("d0");
    world.input(Input::Command(Command::Stop));
    assert_eq!(world.accepted_verdicts().len(), 1);
    let presence = Presence::decode(&world.retained["v1/srv/agg-1/state"]).unwrap();
    assert_eq!(presence.state, State::Offline);
    world.wait(100_000);
    world.restart();
    world.begin(&ALL);
    let item = world.item(WorkKind::Train).unwrap();
    assert_eq!(item.round, RoundId(1), "the round goes on");
    world.train("d1");
    world.train("d2");
    assert_eq!(summaries(&world).pop().unwrap().accepted, 3);
}

#[test]
fn a_store_of_another_task_and_unusable_settings_are_refused_with_the_reason() {
    let world = begun();
    let snapshot = world.stored.clone().unwrap();
    let mut other = settings();
    other.task = super::world::task(6);
    let start = Start::Restored(Box::new(snapshot.clone()));
    let error = Aggregator::new(other, start, world.now, 0).unwrap_err();
    assert!(matches!(error, StartError::OtherTask { .. }), "{error}");
    let mut broken = snapshot;
    broken.models.clear();
    let start = Start::Restored(Box::new(broken));
    let error = Aggregator::new(settings(), start, world.now, 0).unwrap_err();
    assert!(matches!(error, StartError::Inconsistent(_)), "{error}");
    let mut wrong = settings();
    (wrong.quorum, wrong.overselect, wrong.clip_norm) = (9, 0.5, f32::NAN);
    wrong.weighting = Weighting::Examples { cap: 0 };
    let lineage = super::world::LINEAGE;
    let start = Start::Fresh { lineage, initial: Initial::Seed(0) };
    let Err(StartError::Settings(problems)) = Aggregator::new(wrong, start, world.now, 0) else {
        panic!()
    };
    let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    let expected = ["updates.clip_norm", "rounds.quorum", "rounds.overselect", "rounds.min_online"];
    assert_eq!(keys, expected);
    let start = Start::Fresh { lineage, initial: Initial::Params(vec![0.0; 3]) };
    let error = Aggregator::new(settings(), start, world.now, 0).unwrap_err();
    assert_eq!(error, StartError::Initial { expected: 10, found: 3 });
}
