//! Outages of the broker: who is expected back, who is invited meanwhile, and last wills that come late.

use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::topic::Topic;
use dunlin_protocol::work::WorkKind;

use super::queries::query;
use super::world::{World, name, settings};
use crate::control::Command;
use crate::io::{Input, Output};
use crate::query::Query;
use crate::settings::{Enrolment, Settings};

/// A federation of the devices `w0` to `w99` of which ten do each piece of work.
fn hundred(min_online: u32, change: impl FnOnce(&mut Settings)) -> (World, Vec<String>) {
    let mut settings = settings();
    settings.enrolled = Enrolment::Any;
    (settings.target, settings.quorum, settings.min_online) = (10, min_online.min(5), min_online);
    change(&mut settings);
    let devices: Vec<String> = (0..100).map(|i| format!("w{i}")).collect();
    let mut world = World::new(settings);
    world.begin(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    (world, devices)
}

fn come(world: &mut World, devices: &[String]) {
    devices.iter().for_each(|device| world.presence(device, State::Online, 1));
}

fn train(world: &mut World, devices: &[String]) {
    devices.iter().for_each(|device| {
        world.train(device);
    });
}

fn outage(world: &mut World) {
    world.input(Input::Disconnected);
    world.wait(10_000);
    world.connect();
}

fn fraction(world: &World, kind: WorkKind) -> Fraction {
    world.item(kind).unwrap().fraction
}

#[test]
fn a_lost_connection_invites_nobody_and_claims_are_waited_for_anew() {
    let (mut world, devices) = hundred(50, |_| {});
    assert_eq!(fraction(&world, WorkKind::Train), Fraction::of(10, 100));
    outage(&mut world);
    world.wait(2_000);
    assert_eq!(fraction(&world, WorkKind::Train), Fraction::of(10, 100));
    come(&mut world, &devices);
    world.wait(200);
    let raised = fraction(&world, WorkKind::Train);
    assert!((0.19..0.21).contains(&raised.as_f64()), "{raised:?}");
}

#[test]
fn the_first_few_that_are_back_after_an_outage_are_not_taken_for_everybody() {
    let evaluated = |settings: &mut Settings| {
        (settings.evaluate_every, settings.evaluate_devices) = (1, 10);
    };
    let (mut world, devices) = hundred(4, evaluated);
    train(&mut world, &devices[..10]);
    outage(&mut world);
    come(&mut world, &devices[..5]);
    world.wait(200);
    assert_eq!(fraction(&world, WorkKind::Train), Fraction::of(10, 100));
    let asked = vec![Query { devices: 10, ..query("q1") }];
    world.input(Input::Command(Command::Ask(asked)));
    assert_eq!(fraction(&world, WorkKind::Sums), Fraction::of(10, 100));
    train(&mut world, &devices[..10]);
    assert_eq!(world.item(WorkKind::Evaluate).unwrap().base_version.0, 2);
    assert_eq!(fraction(&world, WorkKind::Evaluate), Fraction::of(10, 100));
}

#[test]
fn an_aggregator_listens_to_its_own_presence_behind_its_word() {
    let mut world = World::new(settings());
    world.core.handle(world.now, Input::Connected);
    let outputs: Vec<Output> = std::iter::from_fn(|| world.core.poll_output()).collect();
    let said = outputs
        .iter()
        .position(|o| matches!(o, Output::Publish { topic: Topic::ServerState(_), .. }));
    let listens = outputs.iter().position(
        |o| matches!(o, Output::Subscribe(filter) if filter.ends_with("/srv/agg-1/state")),
    );
    assert!(said.is_some() && said < listens, "{outputs:?}");
}

#[test]
fn a_last_will_that_comes_late_is_set_right_and_the_own_echo_is_not_answered() {
    let mut world = World::new(settings());
    world.restart();
    world.connect();
    let own = Presence::new(State::Online, 2).on(1);
    let answers = |world: &mut World, payload: &[u8]| {
        let before = world.core.counters().bytes_out;
        let topic = Topic::ServerState(name("agg-1"));
        world.retained.insert("v1/srv/agg-1/state".into(), payload.to_vec());
        world.input(Input::Message { topic, payload });
        let now = Presence::decode(&world.retained["v1/srv/agg-1/state"]);
        // It may ask for devices in the meantime.
        let said = now.is_some_and(|now| Presence { call: 0, ..now } == own);
        said && world.core.counters().bytes_out > before
    };
    for (state, boot, wrong) in [
        (State::Lost, 1, true),
        (State::Offline, 1, true),
        (State::Online, 1, true),
        (State::Lost, 2, true),
        (State::Lost, 3, true),
        (State::Online, 3, true),
    ] {
        // Each long after the one before.
        world.wait(300_000);
        let payload = Presence::new(state, boot).on(1).encode();
        let answered = answers(&mut world, payload.as_bytes());
        assert_eq!(answered, wrong, "{state:?} of start {boot}");
    }
    world.wait(300_000);
    assert!(answers(&mut world, b""), "somebody removed it");
    assert!(!answers(&mut world, b"rubbish"), "not at once");
    let topic = Topic::ServerState(name("agg-2"));
    world.input(Input::Message { topic, payload: b"{}" });
    assert_eq!(world.core.counters().unreadable, 2, "another aggregator is nobody's business");
}

#[test]
fn a_round_with_its_quorum_ends_where_nobody_is_left_to_invite() {
    let (mut world, devices) = hundred(50, |_| {});
    train(&mut world, &devices[..6]);
    devices.iter().for_each(|device| world.presence(device, State::Offline, 1));
    world.wait(world.settings.claim_wait_ms * 2 + 1_000);
    assert!(world.item(WorkKind::Train).is_none(), "it would wait for its deadline");
    assert_eq!(world.core.head().version.0, 1);
}
