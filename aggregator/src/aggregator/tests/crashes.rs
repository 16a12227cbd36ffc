use std::collections::BTreeMap;

use dunlin_protocol::id::{DeviceId, ShortDigest};
use dunlin_protocol::message::{Answer, Refusal};
use dunlin_protocol::work::WorkKind;

use super::world::{Crash, LINEAGE, World, name, object, settings, values};
use crate::aggregator::{Initial, Start};
use crate::control::Command;
use crate::io::{Input, RoundEvent};
use crate::summary::RoundOutcome;

const ALL: [&str; 3] = ["d0", "d1", "d2"];
const ROUNDS: u32 = 3;

/// What a whole run comes to.
#[derive(Debug, PartialEq)]
struct Result {
    params: Vec<u32>,
    history: Vec<(u32, u32)>,
    evaluated: u32,
}

/// Drives a run to its end; devices send until they hear a verdict, whatever happens.
fn run(crash: Option<Crash>) -> (Result, usize) {
    let mut settings = settings();
    (settings.rounds, settings.quorum) = (ROUNDS, 3);
    (settings.server_momentum, settings.deadline_ms) = (0.5, 600_000);
    let start = Start::Fresh { lineage: LINEAGE, initial: Initial::Seed(1) };
    let mut world = World::starting(settings.clone(), start.clone(), crash);
    let mut verdicts: BTreeMap<(DeviceId, ShortDigest), u32> = BTreeMap::new();
    for _ in 0..100 {
        if world.crashed {
            match world.stored {
                Some(_) => world.restart(),
                None => world = World::starting(settings.clone(), start.clone(), None),
            }
        }
        if world.core.online() == 0 {
            world.begin(&ALL);
        }
        for device in ALL {
            step(&mut world, device, &mut verdicts);
        }
        world.wait(700);
        collect(&mut world, &mut verdicts);
        if world.core.is_finished() && !world.crashed {
            break;
        }
    }
    assert!(world.core.is_finished(), "{crash:?}: the run did not end");
    (result(&world), world.saves)
}

fn step(world: &mut World, device: &str, verdicts: &mut BTreeMap<(DeviceId, ShortDigest), u32>) {
    if world.crashed || !world.retained.contains_key("v1/fed/gait/plan") {
        return;
    }
    for kind in [WorkKind::Evaluate, WorkKind::Train] {
        if world.item(kind).is_none() {
            continue;
        }
        let header = world.header(kind);
        let n = if kind == WorkKind::Train { world.n() } else { 0 };
        let object = object(&header, &values(device, header.header.round.0, n));
        let digest = dunlin_protocol::id::Digest::of(&object).short();
        if !verdicts.contains_key(&(name(device), digest)) {
            world.send(device, &object);
            collect(world, verdicts);
        }
    }
}

fn collect(world: &mut World, verdicts: &mut BTreeMap<(DeviceId, ShortDigest), u32>) {
    for (device, object) in world.accepted_verdicts() {
        *verdicts.entry((device, object)).or_insert(0) += 1;
    }
    world.told.clear();
}

fn result(world: &World) -> Result {
    let params = world.core.params().iter().map(|value| value.to_bits()).collect();
    // An event may be lost or repeated by a crash; what counts is that none contradicts another.
    let mut published = BTreeMap::new();
    let mut evaluated = BTreeMap::new();
    for summary in world.events.iter().filter_map(RoundEvent::ended) {
        match (summary.key.kind, summary.outcome) {
            (WorkKind::Train, RoundOutcome::Done(version)) => {
                let accepted = summary.accepted;
                assert_eq!(*published.entry(version.0).or_insert(accepted), accepted);
            }
            (WorkKind::Evaluate, RoundOutcome::Done(version)) => {
                evaluated.insert(version.0, summary.accepted);
            }
            (WorkKind::Sums, _) | (_, RoundOutcome::Failed(_)) => panic!("failed: {summary:?}"),
        }
    }
    let history = published.into_iter().collect();
    Result { params, history, evaluated: evaluated.values().sum() }
}

#[test]
fn a_crash_at_any_write_changes_nothing_in_the_result() {
    let (whole, saves) = run(None);
    assert_eq!(whole.history, [(1, 3), (2, 3), (3, 3)]);
    assert_eq!(whole.evaluated, 3);
    assert!(saves > 10, "{saves}");
    for at in 1..=saves {
        for crash in [Crash::After(at), Crash::Before(at)] {
            let (result, _) = run(Some(crash));
            assert_eq!(result.params, whole.params, "{crash:?}");
            for (version, accepted) in result.history {
                assert_eq!(accepted, 3, "{crash:?}: version {version}");
            }
        }
    }
}

#[test]
fn a_round_whose_last_update_was_written_is_published_by_the_next_start() {
    let mut world = World::new(settings());
    world.begin(&ALL);
    world.train("d0");
    world.train("d1");
    world.wait(250);
    // The next write holds the third update; the process dies right behind it.
    world.crash = Some(Crash::After(world.saves + 1));
    world.train("d2");
    assert!(world.crashed && world.accepted_verdicts().is_empty());
    assert_eq!(world.core.head().version.0, 1);
    let expected = world.core.params().to_vec();
    assert_eq!(world.stored.as_ref().unwrap().head.version.0, 0);
    world.restart();
    assert_eq!(world.core.head().version.0, 1);
    assert_eq!(world.core.params(), expected);
    assert_eq!(world.core.head().boot, 2);
}

#[test]
fn the_time_left_goes_on_after_a_restart() {
    let mut world = World::new(settings());
    world.begin(&ALL);
    world.wait(20_000);
    world.train("d0");
    world.wait(250);
    world.input(Input::Command(Command::Stop));
    world.restart();
    let deadline = world.core.rounds().next().unwrap().deadline();
    assert!((39_000..=40_000).contains(&deadline.0), "{deadline:?}");
    world.wait(deadline.0);
    assert!(world.events.iter().any(|event| matches!(event, RoundEvent::RoundFailed { summary }
        if summary.took_ms >= 59_000 && summary.accepted == 1)));
}

#[test]
fn a_device_hears_of_a_duplicate_only_once_its_update_is_on_the_disk() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    world.train("d0");
    let saves = world.saves;
    assert_eq!(world.claim("d0", WorkKind::Train), Answer::NoGo(Refusal::Duplicate));
    assert_eq!(world.saves, saves + 1, "it takes that for the verdict");
    assert_eq!(world.stored.as_ref().unwrap().devices.values().next().unwrap().len(), 1);
    world.train("d1");
    let (saves, mut other) = (world.saves, world.header(WorkKind::Train));
    other.figures.examples = 21;
    let refused = world.refusal("d1", &object(&other, &values("d1", 1, world.n())));
    assert_eq!((refused, world.saves), (Refusal::Duplicate, saves + 1));
}
