//! Queries: asked beside training, answered once, kept over a restart.

use dunlin_protocol::message::{Answer, Refusal};
use dunlin_protocol::presence::State;
use dunlin_protocol::work::{ChannelQuery, SumsWork, Work, WorkKind, write_integers};

use super::world::{World, name, settings};
use crate::control::Command;
use crate::io::{Input, RoundEvent};
use crate::query::{Query, QueryResult};
use crate::settings::Settings;
use crate::summary::{Failure, RoundOutcome};

/// Labels, and channel 0 in three bins.
fn work() -> SumsWork {
    let edges = vec![-1.0, 1.0];
    let channel = ChannelQuery { channel: 0, fraction_bits: 8, max_abs: 4.0, edges };
    SumsWork { labels: true, channels: vec![channel] }
}

pub(super) fn query(text: &str) -> Query {
    Query { name: name(text), work: work(), devices: 0, quorum: 2, deadline_ms: 5_000 }
}

/// What a device with `windows` windows of four samples of value 2 says.
fn numbers(windows: i128) -> Vec<i128> {
    let (samples, value) = (4 * windows, 512);
    vec![windows, windows, 0, samples, samples * value, samples * value * value, 0, 0, samples]
}

fn report(world: &World, windows: u32, numbers: &[i128]) -> Vec<u8> {
    let mut draft = world.header(WorkKind::Sums);
    draft.figures.examples = windows;
    draft.object(&write_integers(numbers).unwrap())
}

/// `device` asks to take part and sends the sums of so many windows.
pub(super) fn take_part(world: &mut World, device: &str, windows: u32) {
    world.claim(device, WorkKind::Sums);
    world.send(device, &report(world, windows, &numbers(windows.into())));
}

fn answers(world: &World) -> Vec<QueryResult> {
    let answer = |event: &RoundEvent| {
        if let RoundEvent::Answered { answer, .. } | RoundEvent::AnsweredBefore { answer } = event {
            Some(QueryResult::clone(answer))
        } else {
            None
        }
    };
    world.events.iter().filter_map(answer).collect()
}

fn asked(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.begin(&["d0", "d1", "d2"]);
    world.input(Input::Command(Command::Ask(vec![query("q1")])));
    world
}

#[test]
fn a_query_adds_up_exactly_what_devices_send_beside_an_open_training() {
    let mut world = asked(settings());
    let item = world.item(WorkKind::Sums).unwrap();
    assert_eq!(item.work(), Ok(Work::Sums(work())));
    for (device, windows) in [("d0", 3), ("d1", 0), ("d2", 7)] {
        assert_eq!(world.claim(device, WorkKind::Sums), Answer::Go, "also without windows");
        world.send(device, &report(&world, windows, &numbers(windows.into())));
    }
    world.wait(300);
    let [answer] = &answers(&world)[..] else { panic!("{:?}", world.events) };
    assert_eq!((answer.devices, &answer.values), (3, &numbers(10)));
    assert!(world.item(WorkKind::Sums).is_none() && world.item(WorkKind::Train).is_some());
    // Nobody is asked twice, also after a restart.
    world.restart();
    world.begin(&["d0", "d1", "d2"]);
    world.input(Input::Command(Command::Ask(vec![query("q1")])));
    assert!(world.item(WorkKind::Sums).is_none());
    assert_eq!(answers(&world).last(), Some(answer));
}

#[test]
fn numbers_that_no_windows_make_are_refused() {
    let mut world = asked(settings());
    let good = numbers(3);
    let with = |at: usize, value: i128| {
        let mut numbers = good.clone();
        numbers[at] = value;
        numbers
    };
    for wrong in [
        with(0, 4),
        with(0, -3),
        with(1, -1),
        with(3, 13),
        with(4, i128::MAX),
        with(4, i128::MIN),
        with(5, -1),
        with(5, i128::MAX),
        with(8, 11),
        with(6, i128::MAX),
    ] {
        let reason = world.refusal("d0", &report(&world, 3, &wrong));
        assert_eq!(reason, Refusal::ValueTooLarge, "{wrong:?}");
    }
    assert_eq!(world.refusal("d0", &report(&world, 3, &good[1..])), Refusal::Malformed);
    let bytes = [write_integers(&good).unwrap(), vec![0]].concat();
    let mut draft = world.header(WorkKind::Sums);
    draft.figures.examples = 3;
    assert_eq!(world.refusal("d0", &draft.object(&bytes)), Refusal::Malformed);
    draft.figures.examples = 4_000_000;
    assert_eq!(world.refusal("d0", &draft.object(&bytes)), Refusal::BadWeight);
}

#[test]
fn a_query_with_too_few_devices_shows_nothing_of_them() {
    let mut world = asked(settings());
    take_part(&mut world, "d0", 3);
    world.wait(6_000);
    let [answer] = &answers(&world)[..] else { panic!("{:?}", world.events) };
    assert_eq!(answer.outcome, RoundOutcome::Failed(Failure::TooFew));
    assert!(answer.values.is_empty() && answer.devices == 1);
}

#[test]
fn a_query_waits_for_devices_and_a_third_for_room() {
    let mut world = World::new(Settings { paused: true, ..settings() });
    world.begin(&["d0"]);
    let queries = ["q1", "q2", "q3", "q1"].map(query);
    world.input(Input::Command(Command::Ask(queries.to_vec())));
    assert!(world.plan().work.is_empty(), "two devices are needed, and nothing is trained");
    world.presence("d1", State::Online, 1);
    assert_eq!(world.plan().work.len(), 2);
    let rounds: Vec<u32> = world.plan().work.iter().map(|item| item.round.0).collect();
    assert_eq!(rounds, [1, 2], "each has a number of its own");
    for device in ["d0", "d1"] {
        take_part(&mut world, device, 1);
    }
    world.wait(300);
    assert_eq!(answers(&world).len(), 1);
    assert_eq!(world.plan().work.len(), 2, "the third has its turn");
}

#[test]
fn an_open_query_goes_on_after_a_restart_with_what_was_accepted() {
    let mut world = asked(settings());
    take_part(&mut world, "d0", 3);
    world.wait(300);
    world.restart();
    world.begin(&["d0", "d1", "d2"]);
    world.input(Input::Command(Command::Ask(vec![query("q1")])));
    assert_eq!(world.claim("d0", WorkKind::Sums), Answer::NoGo(Refusal::Duplicate));
    for device in ["d1", "d2"] {
        take_part(&mut world, device, 2);
    }
    world.wait(300);
    assert_eq!(answers(&world)[0].values, numbers(7));
}

#[test]
fn what_nobody_waits_for_any_more_ends_and_a_query_without_devices_has_its_end() {
    let mut world = asked(settings());
    world.input(Input::Command(Command::Ask(vec![])));
    assert!(world.item(WorkKind::Sums).is_none());
    assert_eq!(answers(&world)[0].outcome, RoundOutcome::Failed(Failure::Withdrawn));
    let lonely = Query { quorum: 9, ..query("q2") };
    world.input(Input::Command(Command::Ask(vec![lonely.clone()])));
    world.wait(4_900);
    assert_eq!(answers(&world).len(), 1, "it waits");
    world.wait(200);
    let last = answers(&world).pop().unwrap();
    assert_eq!((last.query, last.outcome), (name("q2"), RoundOutcome::Failed(Failure::TooFew)));
    // And it is not asked again while its answer is fetched.
    world.input(Input::Command(Command::Ask(vec![lonely])));
    world.wait(10_000);
    assert_eq!(answers(&world).len(), 3);
}

#[test]
fn a_paused_aggregator_leaves_the_training_of_before_alone() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    world.train("d0");
    world.wait(300);
    world.settings.paused = true;
    world.restart();
    world.begin(&["d0", "d1", "d2"]);
    world.wait(120_000);
    assert!(world.plan().work.is_empty(), "nobody trains, and the round does not end");
    world.settings.paused = false;
    world.restart();
    world.begin(&["d0", "d1", "d2"]);
    assert_eq!(world.claim("d0", WorkKind::Train), Answer::NoGo(Refusal::Duplicate));
}
