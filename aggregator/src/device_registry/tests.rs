//! Devices that come, go, are forgotten and are spoken for.

use super::*;
use dunlin_protocol::id::Name;

const TRAIN: WorkKind = WorkKind::Train;

fn say(registry: &mut DeviceRegistry, state: State, boot: u32) -> Change {
    say_held(registry, "wrist-1", Presence::new(state, boot))
}

fn say_held(registry: &mut DeviceRegistry, device: &str, presence: Presence) -> Change {
    registry.take(Instant(0), &Name::new(device).unwrap(), Some(presence), Instant(100))
}

#[test]
fn a_last_will_of_an_earlier_start_is_ignored() {
    let mut registry = DeviceRegistry::default();
    assert_eq!(say(&mut registry, State::Lost, 1), Change::None);
    assert_eq!(say(&mut registry, State::Online, 1), Change::Came);
    assert_eq!(say(&mut registry, State::Online, 2), Change::Came);
    assert_eq!(say(&mut registry, State::Online, 2), Change::None);
    assert_eq!(say(&mut registry, State::Lost, 1), Change::None);
    assert_eq!(say(&mut registry, State::Offline, 1), Change::None);
    assert_eq!(registry.online(), 1);
    assert_eq!(say(&mut registry, State::Lost, 2), Change::Left);
    assert_eq!(registry.online(), 0);
}

#[test]
fn a_device_whose_presence_was_removed_counts_until_it_had_time_to_speak() {
    let name = Name::new("wrist-1").unwrap();
    let mut registry = DeviceRegistry::default();
    say(&mut registry, State::Online, 1);
    assert_eq!(registry.take(Instant(5), &name, None, Instant(0)), Change::None);
    assert_eq!(registry.due(), Some(Instant(5 + UNCONFIRMED_MS)));
    assert!(registry.expire(Instant(4 + UNCONFIRMED_MS)).is_empty());
    assert_eq!(registry.online(), 1);
    assert_eq!(registry.heard(&name, None), Change::None, "a chunk is a sign of life");
    assert!(registry.expire(Instant(u64::MAX)).is_empty());
    registry.take(Instant(5), &name, None, Instant(0));
    assert_eq!(registry.expire(Instant(5 + UNCONFIRMED_MS)), [name]);
    assert_eq!(registry.online(), 0);
    say(&mut registry, State::Online, 1);
    registry.clear(Instant(0));
    assert_eq!(registry.online(), 0);
}

#[test]
fn a_last_will_of_an_earlier_connection_of_the_same_start_is_ignored() {
    let mut registry = DeviceRegistry::default();
    let on = |state, connection| Presence::new(state, 3).on(connection);
    say_held(&mut registry, "a", on(State::Online, 2));
    assert_eq!(say_held(&mut registry, "a", on(State::Lost, 1)), Change::None);
    assert_eq!(say_held(&mut registry, "a", on(State::Online, 1)), Change::None);
    assert_eq!(registry.online(), 1);
    assert_eq!(say_held(&mut registry, "a", on(State::Online, 3)), Change::None, "it works on");
    assert_eq!(say_held(&mut registry, "a", on(State::Lost, 2)), Change::None);
    assert_eq!(say_held(&mut registry, "a", on(State::Lost, 3)), Change::Left);
}

#[test]
fn an_older_word_is_believed_when_it_is_said_twice_and_a_claim_at_once() {
    let mut registry = DeviceRegistry::default();
    let forged =
        Presence { held: Some(Ineligible::Hot), ..Presence::new(State::Online, 4_000_000) };
    say_held(&mut registry, "wrist-1", forged.clone());
    assert_eq!(registry.available(TRAIN), 0);
    assert_eq!(say(&mut registry, State::Online, 5), Change::None);
    assert_eq!(say(&mut registry, State::Online, 4), Change::None);
    assert_eq!(say(&mut registry, State::Online, 5), Change::None);
    assert_eq!(say(&mut registry, State::Online, 5), Change::Came);
    assert_eq!(registry.available(TRAIN), 1);
    say_held(&mut registry, "wrist-1", forged);
    registry.heard(&Name::new("wrist-1").unwrap(), Some(5));
    assert_eq!(registry.available(TRAIN), 1);
    assert_eq!(say(&mut registry, State::Lost, 5), Change::Left);
}

#[test]
fn whatever_a_device_sends_counts_as_presence() {
    let mut registry = DeviceRegistry::default();
    let name = Name::new("wrist-1").unwrap();
    assert_eq!(registry.heard(&name, Some(7)), Change::Came);
    assert_eq!((registry.heard(&name, Some(7)), registry.online()), (Change::None, 1));
    assert_eq!(say(&mut registry, State::Lost, 6), Change::None);
    assert_eq!(say(&mut registry, State::Lost, 7), Change::Left);
    assert_eq!(registry.heard(&name, None), Change::Came);
    assert_eq!(say(&mut registry, State::Lost, 7), Change::Left, "its start was not known");
}

#[test]
fn a_device_that_leaves_three_invitations_unanswered_counts_again_when_it_speaks() {
    let mut registry = DeviceRegistry::default();
    let (a, b) = (Name::new("a").unwrap(), Name::new("b").unwrap());
    let online = Presence::new(State::Online, 1).on(1);
    for device in ["a", "b", "c"] {
        say_held(&mut registry, device, online.clone());
    }
    say_held(&mut registry, "c", Presence { held: Some(Ineligible::Hot), ..online.clone() });
    for silent in [0, 0, 1, 0] {
        assert_eq!(registry.invited(|device| *device == a), silent);
    }
    assert_eq!((registry.online(), registry.available(TRAIN), registry.silent()), (2, 1, 1));
    assert_eq!(registry.present(TRAIN).collect::<Vec<_>>(), [&a]);
    assert_eq!(say_held(&mut registry, "b", online.clone()), Change::Came);
    assert_eq!((registry.online(), registry.available(TRAIN), registry.silent()), (3, 2, 0));
    for _ in 0..3 {
        registry.invited(|device| *device == a);
    }
    assert_eq!((registry.heard(&b, Some(1)), registry.available(TRAIN)), (Change::Came, 2));
}

#[test]
fn devices_are_counted_by_what_their_data_lack() {
    let mut registry = DeviceRegistry::default();
    let lacks = |words: &[&str]| {
        let data = words.iter().map(|word| (*word, 1)).collect();
        Presence { data: Some(data), ..Presence::new(State::Online, 1) }
    };
    say_held(&mut registry, "a", lacks(&["cut", "time"]));
    say_held(&mut registry, "b", lacks(&["cut"]));
    let count = |registry: &DeviceRegistry, word| {
        let word = Word::try_from(word).unwrap();
        registry.data_trouble().get(&word).copied()
    };
    assert_eq!((count(&registry, "cut"), count(&registry, "time")), (Some(2), Some(1)));
    assert_eq!(say_held(&mut registry, "a", lacks(&["label"])), Change::None);
    assert_eq!((count(&registry, "cut"), count(&registry, "time")), (Some(1), None));
    registry.clear(Instant(0));
    assert!(registry.data_trouble().is_empty());
}

#[test]
fn a_sleeping_device_can_be_reached_until_it_is_long_overdue() {
    let mut registry = DeviceRegistry::default();
    say(&mut registry, State::Online, 1);
    assert_eq!(say(&mut registry, State::Asleep, 1), Change::Left, "its round goes on without");
    registry.expire(Instant(99));
    assert_eq!((registry.online(), registry.available(TRAIN)), (0, 1));
    registry.expire(Instant(100));
    assert_eq!((registry.online(), registry.available(TRAIN)), (0, 0));
    assert_eq!(say(&mut registry, State::Asleep, 2), Change::None, "heard of after a restart");
    assert_eq!(say(&mut registry, State::Online, 2), Change::Came);
    registry.expire(Instant(1000));
    assert_eq!((registry.online(), registry.available(TRAIN)), (1, 1));
}

fn held(state: State, held: Ineligible) -> Presence {
    Presence { held: Some(held), ..Presence::new(state, 1) }
}

#[test]
fn a_held_device_is_online_and_not_available_and_counted_by_its_reason() {
    let mut registry = DeviceRegistry::default();
    let online = Presence::new(State::Online, 1);
    for device in ["a", "b", "c"] {
        assert_eq!(say_held(&mut registry, device, online.clone()), Change::Came);
    }
    let hot = held(State::Online, Ineligible::Hot);
    assert_eq!(say_held(&mut registry, "a", hot.clone()), Change::Left, "it stops its work");
    assert_eq!(say_held(&mut registry, "a", hot.clone()), Change::None);
    say_held(&mut registry, "b", hot);
    assert_eq!((registry.online(), registry.available(TRAIN)), (3, 1));
    assert_eq!(registry.held(), &BTreeMap::from([(Ineligible::Hot, 2)]));
    say_held(&mut registry, "a", held(State::Online, Ineligible::Battery));
    assert_eq!(registry.held(), &BTreeMap::from([(Ineligible::Battery, 1), (Ineligible::Hot, 1)]));
    assert_eq!(say_held(&mut registry, "a", online), Change::Came);
    assert_eq!(say_held(&mut registry, "b", Presence::new(State::Lost, 1)), Change::Left);
    assert_eq!((registry.online(), registry.available(TRAIN)), (2, 2));
    assert!(registry.held().is_empty());
}

#[test]
fn a_held_device_that_sleeps_is_not_available_either() {
    let mut registry = DeviceRegistry::default();
    say_held(&mut registry, "a", held(State::Asleep, Ineligible::Battery));
    assert_eq!((registry.online(), registry.available(TRAIN)), (0, 0));
    registry.expire(Instant(100));
    assert!(registry.held().is_empty());
    say_held(&mut registry, "a", held(State::Asleep, Ineligible::Battery));
    registry.clear(Instant(0));
    assert!(registry.held().is_empty());
}

#[test]
fn after_an_outage_as_many_are_expected_as_there_were_until_all_had_time_to_come_back() {
    let mut registry = DeviceRegistry::default();
    let come = |registry: &mut DeviceRegistry, devices: &[&str]| {
        for device in devices {
            say_held(registry, device, Presence::new(State::Online, 1));
        }
    };
    come(&mut registry, &["a", "b", "c"]);
    assert_eq!(registry.expected(Instant(1_000), TRAIN), 3);
    registry.clear(Instant(1_000));
    come(&mut registry, &["a"]);
    let end = Instant(1_000).after(REMEMBERED_MS);
    let at = [Instant(1_000), Instant(end.0 - 1), end].map(|now| registry.expected(now, TRAIN));
    assert_eq!((at, registry.available(TRAIN)), ([3, 3, 1], 1));
    // A second outage before all are back.
    registry.clear(Instant(2_000));
    assert_eq!(registry.expected(end, TRAIN), 3);
    come(&mut registry, &["a", "b", "c", "d"]);
    assert_eq!(registry.expected(end, TRAIN), 4);
}

#[test]
fn a_device_that_cannot_train_is_counted_out_of_training_alone_and_by_what_it_lacks() {
    let mut registry = DeviceRegistry::default();
    let lacks = |lack| {
        let unable = Unable::new(|kind| (kind == TRAIN).then_some(lack));
        Presence { unable, ..Presence::new(State::Online, 1) }
    };
    say_held(&mut registry, "a", Presence::new(State::Online, 1));
    say_held(&mut registry, "b", lacks(Lack::Memory));
    say_held(&mut registry, "c", lacks(Lack::Windows));
    let available = |registry: &DeviceRegistry| WorkKind::ALL.map(|kind| registry.available(kind));
    assert_eq!((registry.online(), available(&registry)), (3, [1, 3, 3]));
    assert_eq!(registry.present(TRAIN).count(), 1);
    let counts = [((TRAIN, Lack::Memory), 1), ((TRAIN, Lack::Windows), 1)];
    assert_eq!(registry.unable(), &BTreeMap::from(counts));
    for _ in 0..4 {
        registry.invited(|device| device.as_str() == "a");
    }
    assert_eq!(registry.silent(), 0, "no answer is owed to an invitation to train");
    say_held(&mut registry, "c", Presence::new(State::Online, 1));
    assert_eq!((available(&registry), registry.unable().len()), ([2, 3, 3], 1));
    registry.clear(Instant(0));
    assert_eq!((registry.expected(Instant(1), TRAIN), registry.unable().len()), (2, 0));
}
