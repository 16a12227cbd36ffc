//! Models for a device that classifies: told, fetched without work, and what results may cost.

use alloc::sync::Arc;

use super::*;
use crate::job::{KeptModel, ModelInUse};
use dunlin_protocol::id::Digest;
use dunlin_protocol::task::TaskDigest;

const FETCH_EVERY_MS: u64 = 600_000;

fn policy(cap_per_day: Option<u64>) -> InferencePolicy {
    InferencePolicy { name: name("activity"), fetch_every_ms: FETCH_EVERY_MS, cap_per_day }
}

/// A device that classifies and has heard nothing yet.
fn bench(wide: bool) -> Bench {
    let mut bench = Bench::new(wide);
    bench.session.infer(policy(None), None);
    bench
}

/// The same in a federation that has no work for it.
fn idle(wide: bool) -> Bench {
    let mut bench = bench(wide);
    bench.plan.work = vec![];
    bench
}

/// The toy task with layers of the device's own at its end.
fn task_with_local() -> TaskSpec {
    let mut task = task(false);
    task.layers.push(Layer { op: Op::Dense { out: 10 }, share: Share::Local });
    task
}

fn used(outputs: &[Output]) -> Vec<&ModelInUse> {
    let models = outputs.iter().filter_map(|output| {
        if let Output::UseModel(model) = output { Some(&**model) } else { None }
    });
    models.collect()
}

/// The number of chunks asked for.
fn asked(outputs: &[Output]) -> usize {
    outputs
        .iter()
        .filter_map(subscription)
        .filter(|topic| matches!(topic, Topic::Object(..)))
        .count()
}

/// Offers this version in place of the one offered before.
fn offer(bench: &mut Bench, version: u32) {
    bench.model = model_object(&bench.layout(), version);
    let object = ObjectRef::of(&bench.model, CHUNK_BYTES_MIN).unwrap();
    bench.plan.models = vec![ModelEntry { version: ModelVersion(version), base: None, object }];
}

fn lineage() -> Lineage {
    Lineage([9; 16])
}

#[test]
fn a_device_without_work_fetches_the_newest_version_and_uses_it() {
    let mut bench = idle(false);
    let outputs = bench.join();
    let outputs = bench.serve(outputs);
    let models = used(&outputs);
    assert_eq!(models.len(), 1);
    assert_eq!((models[0].model.version, models[0].model.lineage), (ModelVersion(0), lineage()));
    assert_eq!((models[0].model.params.len(), &models[0].local), (1010, &None));
    assert!(used(&bench.hear_plan()).is_empty(), "it is told once");
}

#[test]
fn another_task_of_the_same_layout_is_used_though_the_version_is_the_same() {
    let mut bench = idle(false);
    let outputs = bench.join();
    bench.serve(outputs);
    let mut renamed = task(false);
    renamed.name = name("renamed");
    bench.task = wire::encode(&renamed).unwrap();
    bench.plan.task = ObjectRef::of(&bench.task, CHUNK_BYTES_MIN).unwrap();
    let outputs = bench.hear_plan();
    bench.serve(outputs);
    bench.step(Input::Survey(Survey::of(4)));
    bench.now = bench.now.after(FETCH_EVERY_MS);
    let outputs = bench.step(Input::Tick);
    let outputs = bench.serve(outputs);
    assert_eq!(used(&outputs)[0].task.name, name("renamed"));
}

#[test]
fn a_device_that_does_not_classify_fetches_nothing_without_work() {
    let mut bench = Bench::new(false);
    bench.plan.work = vec![];
    let outputs = bench.join();
    assert_eq!(asked(&outputs), 0);
    assert!(!bench.session.say_result(bench.now, vec![1]));
    assert!(published(&bench.step(Input::Tick)).is_empty());
}

#[test]
fn the_base_version_of_a_round_is_used_too_and_not_fetched_twice() {
    let mut bench = bench(false);
    let joined = bench.join();
    assert_eq!((asked(&joined), published(&joined).len()), (0, 1), "work comes first");
    let outputs = bench.go(Answer::Go);
    assert_eq!((used(&outputs).len(), asked(&outputs)), (1, 1));
    assert!(outputs.iter().any(|output| matches!(output, Output::Start(_))));
}

#[test]
fn fetching_gives_way_to_work() {
    let mut bench = idle(true);
    assert!(asked(&bench.join()) > 1);
    bench.plan.work = vec![item(1, Fraction::ALL)];
    let outputs = bench.hear_plan();
    let left = outputs.iter().filter(|output| matches!(output, Output::Unsubscribe(_)));
    assert!(left.count() > 1, "the chunks are no longer wanted");
    assert_eq!(published(&outputs).len(), 1, "the claim");
    assert_eq!(used(&bench.go(Answer::Go)).len(), 1);
}

#[test]
fn the_next_version_is_fetched_after_a_pause() {
    let mut bench = idle(false);
    let outputs = bench.join();
    bench.serve(outputs);
    offer(&mut bench, 1);
    let outputs = bench.hear_plan();
    assert_eq!(asked(&outputs), 0);
    let due = bench.session.next_deadline().unwrap();
    assert!(due.since(bench.now) <= FETCH_EVERY_MS);
    bench.now = due;
    let outputs = bench.step(Input::Tick);
    let outputs = bench.serve(outputs);
    assert_eq!(used(&outputs)[0].model.version, ModelVersion(1));
    assert!(bench.session.next_deadline().is_none_or(|due| due > bench.now));
}

#[test]
fn a_version_that_is_no_longer_offered_is_given_up_for_the_newest() {
    let mut bench = idle(false);
    bench.join();
    offer(&mut bench, 1);
    let outputs = bench.hear_plan();
    let outputs = bench.serve(outputs);
    assert_eq!(used(&outputs)[0].model.version, ModelVersion(1));
}

#[test]
fn a_model_that_does_not_fit_is_not_fetched_in_a_loop() {
    let mut bench = idle(false);
    bench.model = model_object(&task(true).layout().unwrap(), 0);
    bench.plan.models[0].object = ObjectRef::of(&bench.model, CHUNK_BYTES_MIN).unwrap();
    let outputs = bench.join();
    let outputs = bench.serve(outputs);
    assert!(used(&outputs).is_empty());
    assert_eq!(asked(&bench.step(Input::Tick)), 0);
    assert_eq!(bench.session.phase_name(), "waiting");
}

#[test]
fn a_fetch_that_never_ends_is_given_up() {
    let mut bench = idle(false);
    bench.join();
    assert_eq!(bench.session.phase_name(), "fetching model");
    bench.hear_server(State::Lost);
    bench.now = bench.now.after(3_600_000);
    bench.step(Input::Tick);
    assert_eq!(bench.session.phase_name(), "waiting");
}

#[test]
fn a_kept_model_is_used_at_once_if_it_is_of_the_task() {
    let mut first = idle(false);
    first.join();
    let saved = first.saved.clone().expect("a task is kept where it may be needed alone");
    let state = DeviceState::decode(&saved).unwrap();
    let task = Task::decode(&state.task.as_ref().unwrap().object).unwrap().digest();
    let (version, params) = (ModelVersion(5), Arc::new(vec![0.5; 1010]));
    let kept = KeptModel { task, lineage: lineage(), version, params };
    for (kept, fits) in [
        (kept.clone(), true),
        (KeptModel { task: TaskDigest(Digest([0; 32])), ..kept.clone() }, false),
        (KeptModel { params: Arc::new(vec![0.5; 1009]), ..kept.clone() }, false),
    ] {
        let mut again = Bench::with(false, state.clone());
        again.session.infer(policy(None), Some(kept));
        let outputs: Vec<Output> = core::iter::from_fn(|| again.session.poll_output()).collect();
        assert_eq!(used(&outputs).len(), usize::from(fits));
    }
}

#[test]
fn a_model_without_trained_local_layers_is_not_used_and_changes_of_them_are() {
    let mut bench = Bench::of(&task_with_local(), DeviceState::fresh([3; 32]));
    bench.session.infer(policy(None), None);
    bench.join();
    assert!(used(&bench.go(Answer::Go)).is_empty(), "its last layer would be noise");
    let layout = task_with_local().layout().unwrap();
    let local = vec![0.25; layout.n_params() - layout.n_model()];
    let score = Score { windows: 4, correct: 2, loss_sum: 3.0 };
    let trained = Trained {
        delta: vec![0.5; layout.n_update()],
        local: local.clone(),
        examples: 40,
        train_loss: 0.7,
        before: score,
        after: score,
        ..Trained::default()
    };
    let outputs = bench.step(Input::Done { work: work(1), outcome: Ok(trained.into()) });
    assert_eq!(used(&outputs)[0].local, Some(local));
    assert!(used(&bench.step(Input::Tick)).is_empty());
}

#[test]
fn results_are_said_only_while_there_is_a_connection() {
    let mut bench = idle(false);
    assert!(!bench.session.say_result(bench.now, vec![7; 90]));
    bench.join();
    assert!(bench.session.say_result(bench.now, vec![7; 90]));
    let outputs = bench.step(Input::Tick);
    let Some(Output::Publish { topic, payload, retain: false }) = outputs.first() else {
        panic!("{outputs:?}")
    };
    assert_eq!((topic.to_string().as_str(), payload.len()), ("v1/dev/wrist-1/out/activity", 90));
    bench.step(Input::Disconnected);
    assert!(!bench.session.say_result(bench.now, vec![7; 90]));
}

/// A device of an idle federation with a data cap, and what of that is for inference.
fn capped(cap: u64, share: u64) -> Bench {
    let mut bench = idle(false);
    let settings = Settings {
        link: LinkPolicy { cap_per_day: Some(cap), ..LinkPolicy::default() },
        ..bench.session.settings.clone()
    };
    bench.session = Session::new(settings, DeviceState::fresh([3; 32]));
    bench.session.infer(policy(Some(share)), None);
    bench
}

#[test]
fn results_stop_at_their_share_of_the_data_cap_and_leave_the_rest_to_rounds() {
    let mut bench = capped(1_000_000, 20_000);
    bench.join();
    let mut said = 0;
    while bench.session.say_result(bench.now, vec![7; 90]) {
        said += 1;
    }
    let each = message_bytes("dunlin/v1/dev/wrist-1/out/activity".len(), 90);
    assert!(said > 10 && said * each <= 20_000, "{said} results of {each} bytes");
    assert!(bench.session.budget.spent() < 100_000);
    bench.step(Input::Tick);
    assert!(!bench.session.uplink.is_asleep(), "a device does not leave for results");
    bench.now = bench.now.after(25 * 3_600_000);
    bench.step(Input::Tick);
    assert!(bench.session.say_result(bench.now, vec![7; 90]), "a day later there is room");
}

#[test]
fn at_the_data_cap_no_result_is_said_and_no_model_fetched() {
    let mut bench = capped(CONNECT_BYTES + 100, 1_000_000);
    assert_eq!(asked(&bench.join()), 0);
    assert!(!bench.session.say_result(bench.now, vec![7; 90]));
    let mut bench = capped(1_000_000, 1_000);
    let outputs = bench.join();
    assert_eq!(asked(&outputs), 0, "a model is more than the share");
    assert!(bench.session.next_deadline().is_none_or(|due| due > bench.now));
}

#[test]
fn a_device_on_an_intermittent_link_sleeps_after_it_has_fetched() {
    let mut bench = idle(false);
    let settings = Settings {
        link: LinkPolicy { intermittent: true, ..LinkPolicy::default() },
        ..bench.session.settings.clone()
    };
    bench.session = Session::new(settings, DeviceState::fresh([3; 32]));
    bench.session.infer(policy(None), None);
    let outputs = bench.join();
    let sleeps = |outputs: &[Output]| outputs.iter().any(|o| matches!(o, Output::Sleep { .. }));
    assert!(asked(&outputs) == 1 && !sleeps(&outputs), "{outputs:?}");
    let outputs = bench.serve(outputs);
    assert!(used(&outputs).len() == 1 && sleeps(&outputs));
    assert!(!bench.session.say_result(bench.now, vec![7; 90]), "it is about to leave");
}
