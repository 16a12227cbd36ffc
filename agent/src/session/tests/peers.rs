//! Brokers and aggregators that misbehave: what comes late, what contradicts itself, what is spoiled.

use super::*;

#[test]
fn what_an_earlier_start_of_the_aggregator_left_does_not_silence_a_device() {
    let mut bench = Bench::joined();
    assert_eq!(published(&bench.hear_start(State::Online, 2)).len(), 1, "it may not have heard");
    bench.hear_start(State::Lost, 1);
    bench.hear_start(State::Offline, 1);
    bench.now = bench.now.after(60_000);
    assert_eq!(published(&bench.step(Input::Tick)).len(), 1, "the claim goes out again");
    bench.hear_start(State::Offline, 2);
    bench.now = bench.now.after(3_600_000);
    assert!(published(&bench.step(Input::Tick)).is_empty(), "this one has left");
}

#[test]
fn no_work_is_done_for_a_plan_that_contradicts_its_task() {
    let mut bench = Bench::new(false);
    let right = bench.plan.layout;
    bench.plan.layout = task(true).layout().unwrap().hash();
    assert!(published(&bench.join()).is_empty(), "it would be trained in vain");
    assert!(published(&bench.hear_plan()).is_empty());
    bench.plan.layout = right;
    assert_eq!(published(&bench.hear_plan()).len(), 1);
}
