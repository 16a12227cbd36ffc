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
