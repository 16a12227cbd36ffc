//! What the broker keeps of an aggregator and its devices is not theirs: others delete it, empty it,
//! overwrite it, say old words again.

use std::string::ToString;

use dunlin_protocol::give_up::{GaveUp, GiveUp};
use dunlin_protocol::id::Lineage;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_protocol::wire;
use dunlin_protocol::work::WorkKind;

use super::world::*;
use crate::io::{Input, RoundEvent};
use crate::round::Progress;
use crate::settings::{Enrolment, Settings};
use crate::summary::{Failure, RoundOutcome};
use crate::waiting::Waiting;

fn plan_topic() -> Topic {
    Topic::Plan(name("gait"))
}

impl World {
    /// Somebody puts `payload` in the place of what the broker keeps.
    fn spoil(&mut self, topic: &Topic, payload: &[u8]) {
        self.retained.insert(topic.to_string(), payload.to_vec());
        self.input(Input::Message { topic: topic.clone(), payload });
    }

    fn state(&self) -> Presence {
        let topic = Topic::ServerState(self.settings.instance.clone());
        Presence::decode(&self.retained[&topic.to_string()]).unwrap()
    }

    fn gives_up(&mut self, device: &str, kind: WorkKind, reason: GiveUp) {
        let said = GaveUp::new(self.work(kind), reason, "a reason");
        self.up(device, &wire::encode(&said).unwrap());
    }
}

#[test]
fn the_aggregator_says_its_state_again_whatever_stands_there_and_ever_more_seldom() {
    let payloads = [
        "",
        "nothing of ours",
        r#"{"state":"lost","boot":1}"#,
        r#"{"state":"offline","boot":7}"#,
        r#"{"state":"online","boot":0}"#,
        r#"{"state":"online","boot":4000000000}"#,
    ];
    for payload in payloads {
        let mut world = World::new(settings());
        world.connect();
        let own = world.state();
        let topic = Topic::ServerState(world.settings.instance.clone());
        world.spoil(&topic, payload.as_bytes());
        assert_eq!(world.state(), own, "{payload}");
        world.spoil(&topic, payload.as_bytes());
        assert_ne!(world.retained[&topic.to_string()], own.encode().into_bytes(), "not at once");
        world.wait(4_000);
        assert_eq!((world.state().state, world.state().order()), (State::Online, own.order()));
    }
}

#[test]
fn each_connection_has_a_number_that_its_last_will_has_too() {
    let mut world = World::new(settings());
    for connection in 1..4 {
        let (_, will) = world.core.last_will();
        let will = Presence::decode(&will).unwrap();
        assert_eq!((will.state, will.connection), (State::Lost, connection));
        world.connect();
        assert_eq!(world.state().order(), will.order());
        world.input(Input::Disconnected);
    }
}

#[test]
fn a_plan_that_is_changed_is_said_again_under_a_number_that_devices_take() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    let own = world.plan();
    world.spoil(&plan_topic(), b"");
    assert_eq!(world.plan(), own, "an emptied one is the same again");
    world.wait(60_000);
    let other = Plan { instance: name("other"), ..own.clone() };
    world.spoil(&plan_topic(), &wire::encode(&other).unwrap());
    assert!(world.plan().sequence > own.sequence && world.plan().instance == own.instance);
    world.wait(60_000);
    let forged = Plan { sequence: world.plan().sequence + (7 << 32), ..own.clone() };
    world.spoil(&plan_topic(), &wire::encode(&forged).unwrap());
    assert!(world.plan().sequence > forged.sequence);
    let kept = world.stored.as_ref().unwrap().head.plan_epoch;
    assert_eq!(u64::from(kept), world.plan().sequence >> 32, "a restart goes on above it");
}

#[test]
fn an_old_plan_of_its_own_is_its_echo_unless_the_last_one_does_not_follow() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    let old = wire::encode(&world.plan()).unwrap();
    for device in ["d0", "d1"] {
        world.claim(device, WorkKind::Train);
    }
    world.input(Input::Command(crate::control::Command::Import(&vec![
        0.25;
        world.core.params().len()
    ])));
    let last = world.plan();
    world.spoil(&plan_topic(), &old);
    assert_eq!(wire::encode(&world.plan()).unwrap(), old, "the last one may be on its way");
    world.wait(5_000);
    assert!(world.plan().sequence >= last.sequence);
    assert_ne!(wire::encode(&world.plan()).unwrap(), old);
}

#[test]
fn chunks_that_are_changed_are_said_again() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    let chunks: Vec<(String, Vec<u8>)> = world.retained.clone().into_iter().collect();
    let objects: Vec<_> = chunks.iter().filter(|(topic, _)| topic.contains("/obj/")).collect();
    assert!(!objects.is_empty());
    for (topic, chunk) in &objects {
        let topic = Topics::default().parse(&std::format!("dunlin/{topic}")).unwrap();
        world.spoil(&topic, if chunk.len() % 2 == 0 { b"" } else { b"other" });
    }
    world.wait(3_000);
    for (topic, chunk) in objects {
        assert_eq!(world.retained.get(topic), Some(chunk), "{topic}");
    }
}

#[test]
fn an_aggregator_that_misses_devices_calls_them_ever_more_seldom() {
    let mut world = World::new(settings());
    world.begin(&["d0"]);
    assert_eq!(world.state().call, 0);
    let mut calls = Vec::new();
    for second in 1..=120 {
        world.wait(1_000);
        if calls.len() < world.state().call as usize {
            calls.push(second);
        }
    }
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert!((14..=16).contains(&calls[0]), "{calls:?}");
    assert!(calls[2] - calls[1] > calls[1] - calls[0], "{calls:?}");
    ["d1", "d2"].into_iter().for_each(|device| world.presence(device, State::Online, 1));
    let call = world.state().call;
    world.wait(60_000);
    assert_eq!(world.state().call, call, "nobody is missed");
}

#[test]
#[allow(clippy::wildcard_enum_match_arm)] // one kind matters
fn what_is_waited_for_is_told_when_it_changes() {
    let mut world = World::new(settings());
    let told = |world: &World| {
        let waits = world.events.iter().filter_map(|event| match event {
            RoundEvent::Waits { waiting } => Some(waiting.to_string()),
            _ => None,
        });
        waits.collect::<Vec<_>>()
    };
    assert_eq!(told(&world), Vec::<String>::new());
    world.input(Input::Tick);
    world.begin(&["d0"]);
    world.wait(60_000);
    let lines = told(&world);
    assert!(lines[0].starts_with("waits for the broker"), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("waits for devices: 1 can take part"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(matches!(world.core.waiting(), Some(Waiting::Devices { available: 1, .. })));
    ["d1", "d2"].into_iter().for_each(|device| world.presence(device, State::Online, 1));
    assert_eq!(world.core.waiting(), None, "a round is open");
}

#[test]
fn a_round_that_all_gave_up_ends_at_once_with_their_reasons_and_the_next_comes_later_each_time() {
    let mut world = World::new(settings());
    let devices = ["d0", "d1", "d2"];
    world.begin(&devices);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        for device in devices {
            world.claim(device, WorkKind::Train);
        }
        let before = world.now;
        devices.into_iter().for_each(|device| {
            world.gives_up(device, WorkKind::Train, GiveUp::Diverged);
        });
        let ended = world.events.iter().rev().find_map(RoundEvent::ended).unwrap();
        assert_eq!(ended.outcome, RoundOutcome::Failed(Failure::TooFew));
        assert_eq!(ended.tally.gave_up.get(&GiveUp::Diverged), Some(&3));
        assert_eq!(world.now, before, "nobody waits for its deadline");
        while world.item(WorkKind::Train).is_none() {
            world.wait(100);
        }
        pauses.push(world.now.since(before));
    }
    assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "{pauses:?}");
    assert_eq!(world.core.counters().gave_up.get(&GiveUp::Diverged), Some(&9));
}

#[test]
fn a_device_that_gave_up_is_not_waited_for_and_others_are() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    for device in ["d0", "d1", "d2"] {
        world.claim(device, WorkKind::Train);
    }
    world.gives_up("d0", WorkKind::Train, GiveUp::Memory);
    world.gives_up("d0", WorkKind::Train, GiveUp::Memory);
    let round = world.core.rounds().next().unwrap();
    assert_eq!((round.working(), round.tally().gave_up.get(&GiveUp::Memory)), (2, Some(&1)));
    assert_eq!(round.progress(&name("d0")), Some(Progress::Gone));
    world.train("d1");
    world.gives_up("d1", WorkKind::Train, GiveUp::Other);
    let round = world.core.rounds().next().unwrap();
    assert!(matches!(round.progress(&name("d1")), Some(Progress::Accepted(_))));
    assert_eq!(world.core.counters().unreadable, 0);
}

#[test]
fn updates_below_the_quorum_wait_a_while_for_others_where_somebody_gave_up() {
    let deadline_ms = 40_000;
    let settings = || {
        let (target, quorum, min_online) = (3, 3, 3);
        Settings { target, quorum, min_online, deadline_ms, enrolled: Enrolment::Any, ..settings() }
    };
    for comes in [false, true] {
        let mut world = World::new(settings());
        world.begin(&["d0", "d1", "d2"]);
        world.train("d0");
        world.train("d1");
        world.claim("d2", WorkKind::Train);
        let before = world.now;
        world.gives_up("d2", WorkKind::Train, GiveUp::Memory);
        world.wait(deadline_ms / 8);
        assert_eq!(world.core.rounds().count(), 1, "d3 may come");
        if comes {
            world.presence("d3", State::Online, 1);
            world.train("d3");
        } else {
            world.wait(deadline_ms / 4);
        }
        let ended = world.events.iter().rev().find_map(RoundEvent::ended).unwrap();
        assert_eq!(matches!(ended.outcome, RoundOutcome::Done(_)), comes);
        assert!(world.now.since(before) < deadline_ms / 2, "not until its deadline");
    }
}

#[test]
fn two_aggregators_of_a_federation_are_told_apart_by_name_and_lineage() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    let other = Plan { lineage: Lineage([0xab; 16]), ..world.plan() };
    let text = world.core.other_aggregator(&other);
    assert!(text.starts_with("another aggregator of the same name, "), "{text}");
    assert!(text.contains(&"ab".repeat(16)), "{text}");
    assert!(text.contains(&world.core.head().lineage.to_string()), "{text}");
    let other = Plan { instance: name("other"), ..other };
    let text = world.core.other_aggregator(&other);
    assert!(text.starts_with("another aggregator, other with lineage abab"), "{text}");
}

#[test]
fn the_status_counts_devices_that_gave_up_by_their_reason() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    world.claim("d0", WorkKind::Train);
    world.gives_up("d0", WorkKind::Train, GiveUp::Diverged);
    let status = crate::status::Status::live(&world.core, world.now, Vec::new()).to_string();
    assert!(status.contains("\ngave up: diverged 1\n"), "{status}");
}
