//! Brokers and aggregators that misbehave: what comes late, what contradicts itself, what is spoiled.

use alloc::sync::Arc;

use super::*;

/// The only chunk of `object`, with the right checksum and other bytes.
fn spoiled(object: &[u8]) -> (Topic, Vec<u8>) {
    let reference = ObjectRef::of(object, CHUNK_BYTES_MIN).unwrap();
    assert_eq!(reference.chunks(), 1);
    let mut other = object.to_vec();
    other[0] ^= 1;
    let chunk = Chunk::cut(&reference, &other, 0).unwrap().encode();
    (Topic::Object(name("gait"), reference.digest.short(), 0), chunk)
}

/// How often the outputs ask for `topic`.
fn asks_for(outputs: &[Output], topic: &Topic) -> usize {
    outputs.iter().filter_map(subscription).filter(|asked| *asked == topic).count()
}

/// Lets time pass until the session wants to do something.
fn wait(bench: &mut Bench) -> (u64, Vec<Output>) {
    let due = bench.session.next_deadline().unwrap();
    let waited = due.since(bench.now);
    bench.now = due;
    (waited, bench.step(Input::Tick))
}

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

#[test]
fn a_task_that_comes_spoiled_is_asked_for_ever_more_seldom_up_to_once_an_hour() {
    let mut bench = Bench::new(false);
    bench.step(Input::Connected);
    bench.hear_plan();
    bench.hear_server(State::Online);
    let (topic, chunk) = spoiled(&bench.task);
    for time in 0..12 {
        let outputs = bench.hear(&topic, &chunk);
        let leaves =
            |output: &Output| matches!(output, Output::Unsubscribe(left) if **left == topic);
        assert!(outputs.iter().any(leaves), "its last chunk is no longer listened to");
        let (waited, outputs) = wait(&mut bench);
        let least = (10_000_u64 << time).min(3_600_000);
        assert!((least..=least * 3 / 2).contains(&waited), "time {time}: {waited}");
        assert_eq!(asks_for(&outputs, &topic), 1);
    }
    assert_eq!(bench.session.counters().unreadable, 12);
    bench.hear(&topic, &chunk);
    bench.step(Input::Disconnected);
    let connected = bench.step(Input::Connected);
    assert_eq!(asks_for(&connected, &topic), 0, "a new connection changes nothing");
    bench.hear_plan();
    bench.hear_server(State::Online);
    let (_, outputs) = wait(&mut bench);
    let served = bench.serve(outputs);
    assert!(served.iter().any(|output| matches!(output, Output::UseTask(_))));
}

#[test]
fn a_version_that_comes_spoiled_three_times_is_given_up() {
    let mut bench = Bench::joined();
    let model = core::mem::replace(&mut bench.model, vec![1]);
    let (topic, chunk) = spoiled(&model);
    assert_eq!(asks_for(&bench.go(Answer::Go), &topic), 1);
    for _ in 0..2 {
        bench.hear(&topic, &chunk);
        assert_eq!(asks_for(&wait(&mut bench).1, &topic), 1);
    }
    bench.hear(&topic, &chunk);
    assert_eq!((bench.session.phase_name(), bench.session.counters().abandoned), ("waiting", 1));
    assert!(published(&bench.step(Input::Tick)).is_empty(), "nor is its round begun again");
}

#[test]
fn an_update_that_arrives_with_other_bytes_is_sent_whole_again_three_times() {
    let mut bench = Bench::new(true);
    bench.join();
    bench.go(Answer::Go);
    let sent = bench.train();
    let object = Chunk::decode(published(&sent)[0]).unwrap().object;
    let outcome = Outcome::Refused(Refusal::Digest);
    let refused = wire::encode(&Verdict { work: work(1), object, outcome }).unwrap();
    let verdict = Topic::Down(name("wrist-1"), Down::Verdict);
    for _ in 0..3 {
        bench.ack(object, vec![0xff, 0b11]);
        assert!(published(&bench.hear(&verdict, &refused)).is_empty(), "not at once");
        assert_eq!(chunks_of(&wait(&mut bench).1), [0, 1, 2, 3]);
    }
    bench.hear(&verdict, &refused);
    assert_eq!((bench.session.phase_name(), bench.session.counters().refused), ("waiting", 1));
}

#[test]
fn a_device_listens_to_one_aggregator_at_a_time() {
    let mut bench = Bench::joined();
    bench.plan.instance = name("agg-2");
    let outputs = bench.hear_plan();
    let (old, new) = (Topic::ServerState(name("agg")), Topic::ServerState(name("agg-2")));
    let leaves = |output: &Output| matches!(output, Output::Unsubscribe(left) if **left == old);
    assert_eq!(outputs.iter().filter(|output| leaves(output)).count(), 1);
    assert_eq!((asks_for(&outputs, &old), asks_for(&outputs, &new)), (0, 1));
    bench.now = bench.now.after(60_000);
    assert!(published(&bench.step(Input::Tick)).is_empty(), "the new one was not heard yet");
}

#[test]
fn a_delta_that_comes_spoiled_three_times_gives_way_to_the_anchor() {
    let mut bench = Bench::joined();
    let lineage = bench.plan.lineage;
    let params = Arc::new(vec![0.0; bench.layout().n_model()]);
    bench.session.holding.hold(CachedVersion { lineage, version: ModelVersion(0), params });
    bench.model = model_object(&bench.layout(), 1);
    let object = ObjectRef::of(&bench.model, CHUNK_BYTES_MIN).unwrap();
    let (anchor, delta) = (Topic::Object(name("gait"), object.digest.short(), 0), vec![7; 40]);
    let version = ModelVersion(1);
    bench.plan.models = vec![
        ModelEntry { version, base: None, object },
        ModelEntry {
            version,
            base: Some(ModelVersion(0)),
            object: ObjectRef::of(&delta, CHUNK_BYTES_MIN).unwrap(),
        },
    ];
    bench.plan.work = vec![WorkItem { base_version: version, ..item(2, Fraction::ALL) }];
    bench.plan.sequence += 1;
    bench.hear_plan();
    let (topic, chunk) = spoiled(&delta);
    let (now, deadline) = (Instant(1_900_000_000_000), Instant(1_900_000_600_000));
    let (answer, extensions) = (Answer::Go, Extensions::NONE);
    let go = wire::encode(&Go { work: work(2), answer, now, deadline, extensions }).unwrap();
    let outputs = bench.hear(&Topic::Down(name("wrist-1"), Down::Go), &go);
    assert_eq!(asks_for(&outputs, &topic), 1);
    for _ in 0..2 {
        bench.hear(&topic, &chunk);
        assert_eq!(asks_for(&wait(&mut bench).1, &topic), 1);
    }
    let outputs = bench.hear(&topic, &chunk);
    assert_eq!((asks_for(&outputs, &topic), asks_for(&outputs, &anchor)), (0, 1));
    let served = bench.serve(outputs);
    assert!(served.iter().any(|output| matches!(output, Output::Start(_))));
}

#[test]
fn a_device_that_connects_only_for_work_leaves_while_a_spoiled_task_rests() {
    let mut bench = Bench::new(false);
    let link = LinkPolicy { intermittent: true, ..LinkPolicy::default() };
    let settings = Settings { link, ..bench.session.settings.clone() };
    bench.session = Session::new(settings, DeviceState::fresh([3; 32]));
    bench.step(Input::Connected);
    bench.hear_plan();
    bench.hear_server(State::Online);
    let (topic, chunk) = spoiled(&bench.task);
    let outputs = bench.hear(&topic, &chunk);
    let sleep = |output: &Output| if let Output::Sleep { ms } = output { Some(*ms) } else { None };
    assert!(outputs.iter().find_map(sleep).is_some_and(|ms| ms >= 10_000), "{outputs:?}");
}
