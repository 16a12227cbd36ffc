use dunlin_protocol::presence::Lack;

use super::*;

/// Memory that the task of 1,010 parameters fits and that of 10,010 does not.
const KIB: u32 = 200;

/// A device with so much memory.
fn bench(memory_kib: u32, wide: bool) -> Bench {
    Bench::within(memory_kib, &task(wide), DeviceState::fresh([3; 32]))
}

fn uses_task(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::UseTask(_)))
}

fn asks_for_objects(outputs: &[Output]) -> bool {
    outputs.iter().filter_map(subscription).any(|topic| matches!(topic, Topic::Object(..)))
}

#[test]
fn a_task_that_fits_the_memory_is_worked_on() {
    let mut bench = bench(KIB, false);
    assert!(!published(&bench.join()).is_empty());
    assert!(bench.go(Answer::Go).iter().any(|output| matches!(output, Output::Start(_))));
}

#[test]
fn a_task_that_cannot_be_trained_in_memory_is_never_claimed_nor_fetched_twice() {
    let mut small = bench(KIB, true);
    small.step(Input::Connected);
    let heard = small.hear_plan();
    assert!(asks_for_objects(&heard), "the task is fetched, to see what it is");
    assert!(!uses_task(&small.serve(heard)));
    assert!(published(&small.hear_server(State::Online)).is_empty());
    assert!(!asks_for_objects(&small.hear_plan()));
}

/// What the device said last that it cannot do.
fn unable(bench: &Bench) -> Vec<(WorkKind, Lack)> {
    bench.session.said().unwrap().unable.iter().collect()
}

#[test]
fn a_task_that_does_not_fit_is_said_to_be_too_large_for_all_work_until_another_comes() {
    let mut small = bench(KIB, true);
    small.step(Input::Connected);
    assert_eq!(unable(&small), [], "nothing is known yet");
    let heard = small.hear_plan();
    small.serve(heard);
    assert_eq!(unable(&small), WorkKind::ALL.map(|kind| (kind, Lack::Memory)));
    small.hear_server(State::Online);
    assert_eq!(small.session.waiting(), Some(Waiting::Memory));
    assert!(small.session.in_a_line().contains("cannot train: memory"));
    let mut long = bench(KIB, false);
    let good = long.plan.task;
    long.plan.task.bytes = KIB * 1024 / 48 + 1;
    long.step(Input::Connected);
    long.hear_plan();
    assert_eq!(unable(&long).len(), 3);
    long.plan.task = good;
    let heard = long.hear_plan();
    long.serve(heard);
    long.step(Input::Survey(Survey::of(20)));
    assert_eq!(unable(&long), []);
}

#[test]
fn windows_and_held_back_ones_that_lack_are_said_by_kind_of_work() {
    let mut bench = Bench::joined();
    assert_eq!(unable(&bench), []);
    bench.step(Input::Survey(Survey::of_split(20, 0)));
    assert_eq!(unable(&bench), [(WorkKind::Evaluate, Lack::HeldBack)]);
    let said = bench.step(Input::Survey(Survey::of_split(0, 0)));
    let lacks = [WorkKind::Train, WorkKind::Evaluate].map(|kind| (kind, Lack::Windows));
    assert_eq!(unable(&bench), lacks);
    assert!(!said.is_empty(), "at once");
    assert!(bench.step(Input::Survey(Survey::of_split(0, 0))).is_empty(), "and once");
    bench.step(Input::Survey(Survey::of_split(20, 2)));
    assert_eq!(unable(&bench), []);
}

#[test]
fn an_update_that_does_not_fit_is_said_until_the_aggregator_may_want_another() {
    let mut bench = bench(64, false);
    assert!(published(&bench.join()).is_empty(), "an update by f32 needs more");
    assert_eq!(unable(&bench), [(WorkKind::Train, Lack::Memory)]);
    bench.plan.work.clear();
    bench.plan.sequence += 1;
    bench.hear_plan();
    assert_eq!(unable(&bench), [(WorkKind::Train, Lack::Memory)], "the next round wants the same");
    bench.hear_start(State::Online, 2);
    assert_eq!(unable(&bench), []);
}

#[test]
fn a_remembered_task_that_cannot_be_trained_is_not_used_after_a_restart() {
    let mut large = bench(0, true);
    large.join();
    large.go(Answer::Go);
    large.train();
    let state = DeviceState::decode(large.saved.as_ref().unwrap()).unwrap();
    assert!(state.task.is_some());
    let mut small = Bench::within(KIB, &task(true), state);
    let started: Vec<Output> = core::iter::from_fn(|| small.session.poll_output()).collect();
    assert!(!uses_task(&started));
    small.step(Input::Connected);
    assert!(!asks_for_objects(&small.hear_plan()));
}

#[test]
fn a_task_object_that_is_too_long_is_not_fetched_and_a_smaller_one_is() {
    let mut bench = bench(KIB, false);
    let good = bench.plan.task;
    bench.plan.task.bytes = KIB * 1024 / 48 + 1;
    bench.step(Input::Connected);
    assert!(!asks_for_objects(&bench.hear_plan()));
    bench.plan.task = good;
    let heard = bench.hear_plan();
    assert!(uses_task(&bench.serve(heard)));
}

#[test]
fn work_on_a_version_that_is_too_long_is_given_up_and_said_to_be() {
    let mut bench = bench(KIB, false);
    bench.plan.models[0].object.bytes = KIB * 1024 / 8 + 1;
    bench.join();
    let outputs = bench.go(Answer::Go);
    assert!(!asks_for_objects(&outputs));
    assert_eq!(bench.session.counters().abandoned, 1);
}

#[test]
fn work_whose_update_does_not_fit_is_passed_over_and_the_next_item_done() {
    // The task can be trained in 64 KiB, and an update by `f32` needs more.
    let mut bench = bench(64, false);
    let mut next = item(2, Fraction::ALL);
    let train = TrainWork { codec: Codec::Eden { bits: 1 }.spec(), ..train_work() };
    next.body = Work::Train(train).body().unwrap();
    bench.plan.work.push(next);
    let outputs = bench.join();
    let claim: Claim = wire::decode(published(&outputs)[0]).unwrap();
    assert_eq!(claim.work, work(2));
    assert!(published(&bench.hear_plan()).is_empty());
}
