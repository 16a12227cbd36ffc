//! What a device does while its own rules hold it back.

use dunlin_protocol::presence::Ineligible;

use super::*;

/// The presence messages among `outputs`.
fn presences(outputs: &[Output]) -> Vec<Presence> {
    let said = outputs.iter().filter_map(|output| {
        if let Output::Publish { payload, retain: true, .. } = output {
            Presence::decode(payload)
        } else {
            None
        }
    });
    said.collect()
}

fn cancels(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Cancel(at) if *at == work(1)))
}

fn starts(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Start(_)))
}

fn hold(bench: &mut Bench, reason: Ineligible) -> Vec<Output> {
    bench.step(Input::Ineligible(Some(reason)))
}

fn free(bench: &mut Bench) -> Vec<Output> {
    bench.step(Input::Ineligible(None))
}

fn said(held: Option<Ineligible>) -> [Presence; 1] {
    [Presence { held, ..Presence::new(State::Online, 1).on(1) }]
}

#[test]
fn a_held_device_says_why_once_and_begins_nothing_until_it_is_free() {
    let mut bench = Bench::new(false);
    bench.step(Input::Ineligible(Some(Ineligible::Battery)));
    let joined = bench.join();
    assert!(published(&joined).is_empty(), "no claim");
    assert_eq!(presences(&hold(&mut bench, Ineligible::Hot)), said(Some(Ineligible::Hot)));
    assert!(hold(&mut bench, Ineligible::Hot).is_empty(), "said once");
    assert!(published(&bench.hear_plan()).is_empty());
    let freed = free(&mut bench);
    assert_eq!(presences(&freed), said(None));
    let claim: Claim = wire::decode(published(&freed)[0]).unwrap();
    assert_eq!(claim.work, work(1));
    assert_eq!(bench.session.counters().holds, 1);
    assert_eq!(bench.session.counters().held_rounds, 0);
}

#[test]
fn a_new_connection_says_why_the_device_is_held() {
    let mut bench = Bench::new(false);
    assert!(presences(&hold(&mut bench, Ineligible::Hours)).is_empty(), "nobody hears it yet");
    assert_eq!(presences(&bench.step(Input::Connected)), said(Some(Ineligible::Hours)));
}

#[test]
fn training_is_cancelled_at_once_and_begun_again_in_the_same_round() {
    let mut bench = Bench::joined();
    assert!(starts(&bench.go(Answer::Go)));
    let held = hold(&mut bench, Ineligible::Busy);
    assert!(cancels(&held));
    assert_eq!(presences(&held), said(Some(Ineligible::Busy)));
    let counters = bench.session.counters();
    assert_eq!((counters.abandoned, counters.held_rounds), (1, 1));
    assert!(published(&bench.train()).is_empty(), "an outcome that came too late is not wanted");
    assert_eq!(published(&free(&mut bench)).len(), 1, "the round is still open");
    assert!(starts(&bench.go(Answer::Go)));
    assert_eq!(published(&bench.train()).len(), 1);
}

#[test]
fn a_round_that_holds_the_device_by_itself_is_begun_three_times_and_no_more() {
    let mut bench = Bench::joined();
    for time in 1..=3 {
        assert!(starts(&bench.go(Answer::Go)), "time {time}");
        assert!(cancels(&hold(&mut bench, Ineligible::Memory)));
        assert_eq!(published(&free(&mut bench)).len(), usize::from(time < 3));
    }
    assert_eq!(bench.session.phase_name(), "waiting");
}

#[test]
fn a_claim_that_is_answered_after_the_hold_began_starts_nothing() {
    let mut bench = Bench::joined();
    assert_eq!(
        presences(&hold(&mut bench, Ineligible::Charging)),
        said(Some(Ineligible::Charging))
    );
    assert!(bench.go(Answer::Go).is_empty());
    assert_eq!(bench.session.phase_name(), "waiting");
}

#[test]
fn a_round_that_closed_during_the_hold_is_not_begun_again() {
    let mut bench = Bench::joined();
    bench.go(Answer::Go);
    hold(&mut bench, Ineligible::Memory);
    bench.plan.work = vec![];
    bench.hear_plan();
    assert!(published(&free(&mut bench)).is_empty());
}

#[test]
fn a_finished_update_is_still_sent_and_the_hold_is_said_behind_it() {
    let mut bench = Bench::joined();
    bench.go(Answer::Go);
    let sent = bench.train();
    let object = Chunk::decode(published(&sent)[0]).unwrap().object;
    assert!(hold(&mut bench, Ineligible::Battery).is_empty(), "others wait for the update");
    bench.now = bench.now.after(10_000);
    assert_eq!(chunks_of(&bench.step(Input::Tick)), [0], "it goes on asking for the verdict");
    let verdict = Verdict { work: work(1), object, outcome: Outcome::Accepted };
    let verdict = wire::encode(&verdict).unwrap();
    let ended = bench.hear(&Topic::Down(name("wrist-1"), Down::Verdict), &verdict);
    assert_eq!(bench.session.counters().accepted, 1);
    assert_eq!(presences(&ended), said(Some(Ineligible::Battery)));
}

#[test]
fn a_metered_link_keeps_even_a_finished_update_back_until_it_is_free() {
    let mut bench = Bench::new(true);
    bench.join();
    bench.go(Answer::Go);
    let sent = bench.train();
    assert_eq!(chunks_of(&sent), [0, 1, 2, 3]);
    let object = Chunk::decode(published(&sent)[0]).unwrap().object;
    let held = hold(&mut bench, Ineligible::Metered);
    assert_eq!(presences(&held), said(Some(Ineligible::Metered)));
    assert!(bench.ack(object, vec![0b11, 0]).is_empty());
    bench.now = bench.now.after(10_000);
    assert!(published(&bench.step(Input::Tick)).is_empty());
    bench.step(Input::Disconnected);
    bench.step(Input::Connected);
    assert!(published(&bench.hear_server(State::Online)).is_empty());
    assert_eq!(chunks_of(&free(&mut bench)), [2, 3, 4, 5]);
}

#[test]
fn after_a_restart_a_held_device_claims_only_to_send_what_it_has() {
    let mut bench = Bench::joined();
    bench.go(Answer::Go);
    bench.train();
    let state = DeviceState::decode(bench.saved.as_ref().unwrap()).unwrap();
    let mut again = Bench::with(false, state.clone());
    hold(&mut again, Ineligible::Hot);
    assert_eq!(published(&again.join()).len(), 1);
    let outputs = again.go(Answer::Go);
    assert!(!starts(&outputs) && published(&outputs).len() == 1);
    let mut metered = Bench::with(false, state);
    hold(&mut metered, Ineligible::Metered);
    assert!(published(&metered.join()).is_empty());
}

#[test]
fn a_task_is_not_fetched_while_the_link_is_metered() {
    let mut bench = Bench::new(false);
    hold(&mut bench, Ineligible::Metered);
    bench.step(Input::Connected);
    let is_object = |output: &Output| {
        let topic = subscription(output);
        matches!(topic, Some(Topic::Object(..)))
    };
    assert!(!bench.hear_plan().iter().any(is_object));
    bench.hear_server(State::Online);
    bench.now = bench.now.after(60_000);
    assert!(!bench.step(Input::Tick).iter().any(is_object));
    assert!(free(&mut bench).iter().any(is_object));
}
