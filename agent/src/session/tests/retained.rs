//! What the broker keeps is not the device's: others delete it, empty it, overwrite it, say it again.

use dunlin_protocol::give_up::{GaveUp, GiveUp};
use dunlin_protocol::presence::{DataTrouble, Ineligible};

use super::*;
use crate::job::JobFailure;

fn own() -> Topic {
    Topic::DeviceState(name("wrist-1"))
}

/// The presence messages among `outputs`.
#[allow(clippy::wildcard_enum_match_arm)] // only what is said matters
fn states(outputs: &[Output]) -> Vec<Presence> {
    let said = outputs.iter().filter_map(|output| match output {
        Output::Publish { payload, retain: true, .. } => Presence::decode(payload),
        _ => None,
    });
    said.collect()
}

fn online(connection: u32) -> Presence {
    Presence::new(State::Online, 1).on(connection)
}

/// The states that are said up to `ms` from now.
fn wait(bench: &mut Bench, ms: u64) -> Vec<Presence> {
    let (end, mut said) = (bench.now.after(ms), Vec::new());
    while let Some(due) = bench.session.next_deadline().filter(|due| *due <= end) {
        bench.now = Instant(due.0.max(1) - 1);
        said.extend(states(&bench.step(Input::Tick)));
    }
    bench.now = end;
    said
}

#[test]
fn a_device_says_its_state_again_whatever_is_made_of_it_and_ever_more_seldom() {
    for payload in
        ["", "no presence", r#"{"state":"lost","boot":1}"#, r#"{"state":"online","boot":7}"#]
    {
        let mut bench = Bench::joined();
        assert!(states(&bench.hear(&own(), online(1).encode().as_bytes())).is_empty());
        assert_eq!(states(&bench.hear(&own(), payload.as_bytes())), [online(1)], "{payload}");
        assert!(states(&bench.hear(&own(), payload.as_bytes())).is_empty(), "not at once");
        assert!(!wait(&mut bench, 3_000).is_empty(), "{payload}");
        for _ in 0..60 {
            bench.hear(&own(), payload.as_bytes());
            assert!(wait(&mut bench, 1_000).len() <= 2);
        }
    }
}

#[test]
fn its_own_word_that_comes_late_is_no_strangers() {
    let mut bench = Bench::joined();
    let before = online(1);
    bench.step(Input::Ineligible(Some(Ineligible::Hot)));
    let held = Presence { held: Some(Ineligible::Hot), ..online(1) };
    assert!(states(&bench.hear(&own(), before.encode().as_bytes())).is_empty());
    assert!(states(&bench.hear(&own(), held.encode().as_bytes())).is_empty());
    assert!(wait(&mut bench, 10_000).is_empty());
    bench.hear(&own(), before.encode().as_bytes());
    assert_eq!(wait(&mut bench, 10_000), [held], "nothing else came back");
}

#[test]
fn each_connection_has_a_number_that_its_last_will_has_too() {
    let mut bench = Bench::new(false);
    for connection in 1..4 {
        let (_, will) = bench.session.last_will();
        let lost = Presence::new(State::Lost, 1).on(connection);
        assert_eq!(Presence::decode(&will), Some(lost));
        let outputs = bench.step(Input::Connected);
        assert_eq!(states(&outputs), [online(connection)]);
        let listens = outputs.iter().filter_map(subscription).filter(|topic| **topic == own());
        assert_eq!(listens.count(), 1);
        bench.step(Input::Disconnected);
    }
}

#[test]
fn a_device_says_its_state_at_each_start_connection_and_call_of_its_aggregator_a_little_later() {
    let mut bench = Bench::joined();
    let words = [
        Presence::new(State::Online, 2),
        Presence::new(State::Online, 2).on(1),
        Presence { call: 1, ..Presence::new(State::Online, 2).on(1) },
    ];
    for word in words {
        assert!(states(&bench.hear_of_server(&word)).is_empty(), "not all devices at one moment");
        assert_eq!(wait(&mut bench, 5_000), [online(1)], "{word}");
        bench.hear_of_server(&word);
        assert!(wait(&mut bench, 5_000).is_empty(), "{word}");
    }
}

#[test]
fn a_plan_that_is_removed_is_no_message_that_cannot_be_read_and_work_goes_on() {
    let mut bench = Bench::joined();
    bench.hear(&Topic::Plan(name("gait")), &[]);
    assert_eq!(bench.session.counters().unreadable, 0);
    assert_eq!(bench.session.phase_name(), "claiming");
    bench.go(Answer::Go);
    assert_eq!(bench.session.phase_name(), "training");
}

#[test]
fn what_another_aggregator_of_the_federation_refuses_ends_no_work() {
    let mut bench = Bench::joined();
    bench.go(Answer::NoGo(Refusal::WrongLineage));
    assert_eq!(bench.session.phase_name(), "claiming");
    bench.go(Answer::Go);
    let object = Chunk::decode(published(&bench.train())[0]).unwrap().object;
    let other = WorkRef { lineage: Lineage([8; 16]), ..work(1) };
    let outcome = Outcome::Refused(Refusal::WrongLineage);
    let verdict = wire::encode(&Verdict { work: other, object, outcome }).unwrap();
    bench.hear(&Topic::Down(name("wrist-1"), Down::Verdict), &verdict);
    assert_eq!((bench.session.phase_name(), bench.session.counters().refused), ("sending", 0));
}

/// What the outputs say of work that is given up.
fn gave_up(outputs: &[Output]) -> Vec<GaveUp> {
    published(outputs).into_iter().filter_map(|bytes| wire::decode(bytes).ok()).collect()
}

#[test]
fn a_device_that_gives_up_says_why_and_again_to_an_aggregator_that_comes_while_it_matters() {
    let mut bench = Bench::joined();
    bench.go(Answer::Go);
    let why = "training diverged after 1 steps; lower the learning rate";
    let failure = JobFailure::new(GiveUp::Diverged, why);
    let outputs = bench.step(Input::Done { work: work(1), outcome: Err(failure) });
    let said = GaveUp::new(work(1), GiveUp::Diverged, why);
    assert_eq!(gave_up(&outputs), std::slice::from_ref(&said));
    assert_eq!(gave_up(&bench.hear_start(State::Online, 2)), [said]);
    bench.plan.work.clear();
    bench.plan.sequence += 1;
    bench.hear_plan();
    assert!(gave_up(&bench.hear_start(State::Online, 3)).is_empty(), "the round is over");
}

#[test]
fn each_way_out_after_a_go_is_told_and_none_before_it() {
    let reason = |outputs: &[Output]| gave_up(outputs).first().map(|said| said.reason);
    let mut bench = Bench::joined();
    bench.go(Answer::Go);
    bench.now = bench.now.after(60_000);
    assert_eq!(reason(&bench.step(Input::Tick)), Some(GiveUp::Deadline));

    let mut bench = Bench::joined();
    bench.go(Answer::Go);
    let held = bench.step(Input::Ineligible(Some(Ineligible::Hot)));
    assert_eq!(reason(&held), Some(GiveUp::Held));

    let mut bench = Bench::joined();
    let held = bench.step(Input::Ineligible(Some(Ineligible::Hot)));
    assert_eq!(reason(&held), None, "it only asked");

    let mut bench = Bench::joined();
    bench.plan.models.clear();
    bench.plan.sequence += 1;
    bench.hear_plan();
    assert_eq!(reason(&bench.go(Answer::Go)), None, "its claim has no go yet");

    let mut bench = Bench::joined();
    bench.go(Answer::Go);
    let mut trained = Trained { train_loss: f32::NAN, ..Trained::default() };
    trained.delta = vec![0.0; bench.layout().n_update()];
    let done = Input::Done { work: work(1), outcome: Ok(trained.into()) };
    assert_eq!(reason(&bench.step(done)), Some(GiveUp::Diverged));
}

#[test]
fn a_training_whose_loss_no_report_can_say_is_given_up_and_own_layers_stay() {
    let good = || Trained { examples: 10, train_loss: 0.5, ..Trained::default() };
    let wild = |change: fn(&mut Trained)| {
        let mut bench = Bench::joined();
        bench.go(Answer::Go);
        let mut trained = good();
        trained.delta = vec![0.0; bench.layout().n_update()];
        change(&mut trained);
        let done = Input::Done { work: work(1), outcome: Ok(trained.into()) };
        let said = gave_up(&bench.step(done)).first().map(|said| said.reason);
        assert!(bench.session.state.local.is_none());
        said
    };
    assert_eq!(wild(|_| ()), None);
    assert_eq!(wild(|trained| trained.train_loss = 1e29), Some(GiveUp::Diverged));
    assert_eq!(wild(|trained| trained.before.loss_sum = 1e8), Some(GiveUp::Diverged));
    assert_eq!(wild(|trained| trained.after.loss_sum = f32::MAX), Some(GiveUp::Diverged));
    assert_eq!(wild(|trained| trained.delta[3] = f32::INFINITY), Some(GiveUp::Diverged));
    assert_eq!(wild(|trained| trained.local = vec![f32::NAN]), Some(GiveUp::Diverged));
}

#[test]
fn what_the_data_lack_is_told_at_once_and_then_once_a_minute() {
    let mut bench = Bench::joined();
    let trouble = |count| Some(DataTrouble::from_iter([("cut", count)]));
    let said = |count| Presence { data: trouble(count), ..online(1) };
    assert_eq!(states(&bench.step(Input::DataTrouble(trouble(1)))), [said(1)]);
    assert!(states(&bench.step(Input::DataTrouble(trouble(1)))).is_empty());
    for count in 2..9 {
        assert!(states(&bench.step(Input::DataTrouble(trouble(count)))).is_empty());
    }
    assert_eq!(wait(&mut bench, 61_000), [said(8)]);
    bench.step(Input::DataTrouble(None));
    assert_eq!(wait(&mut bench, 61_000), [online(1)]);
}
