//! Which devices are online, and which of them take work.

use alloc::collections::{BTreeMap, BTreeSet};

use dunlin_protocol::id::DeviceId;
use dunlin_protocol::presence::{Ineligible, Presence, State};
use dunlin_protocol::time::Instant;

use crate::settings::DEVICES_MAX;

/// How long the number of devices of before an outage counts after it, in milliseconds: what the
/// slowest of them take to notice that they were cut off, and to connect again.
const REMEMBERED_MS: u64 = 4 * 60_000;

/// What a presence message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The device came online, or started anew.
    Came,
    /// The device left, or takes no work now.
    Left,
    /// Nothing that open rounds would have to know.
    None,
}

/// How a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// The number of its start.
    boot: u32,
    /// Until when it counts although it is not connected; `None` while it is.
    asleep_until: Option<Instant>,
    /// Why it takes no work; `None` when it does.
    held: Option<Ineligible>,
}

impl Seen {
    /// Whether it may be at work in a round.
    fn works(self) -> bool {
        self.asleep_until.is_none() && self.held.is_none()
    }
}

/// The enrolled devices that are online or asleep until their next check-in. They are counted as
/// they come and go: the counts are asked for with every message.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceRegistry {
    devices: BTreeMap<DeviceId, Seen>,
    /// Those asleep, by the time from which they no longer count.
    asleep: BTreeSet<(Instant, DeviceId)>,
    /// How many take no work, by their reason; no reason without a device.
    held: BTreeMap<Ineligible, u32>,
    /// How many could take part when everybody was forgotten, and until when that counts.
    before: Option<(u32, Instant)>,
}

impl DeviceRegistry {
    /// Devices that are connected; those asleep are not.
    pub(crate) fn online(&self) -> u32 {
        u32::try_from(self.devices.len() - self.asleep.len()).unwrap_or(u32::MAX)
    }

    /// Devices that can take part in a round: connected or about to come back, and not held.
    pub(crate) fn available(&self) -> u32 {
        let known = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        known.saturating_sub(self.held.values().sum())
    }

    /// Devices that can take part once those are back that an outage cut off: the few that are heard
    /// of first are not everybody.
    pub(crate) fn expected(&self, now: Instant) -> u32 {
        let before = self.before.filter(|(_, until)| now < *until);
        before.map_or(0, |(devices, _)| devices).max(self.available())
    }

    /// Devices that take no work, by their reason.
    pub(crate) fn held(&self) -> &BTreeMap<Ineligible, u32> {
        &self.held
    }

    /// Forgets devices that are long overdue.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(device) = self.overdue(now) {
            self.remove(&device);
        }
    }

    fn overdue(&self, now: Instant) -> Option<DeviceId> {
        let (until, device) = self.asleep.first()?;
        (*until <= now).then(|| device.clone())
    }

    /// Forgets everybody but how many there were; the broker's retained messages tell again who is
    /// there.
    pub(crate) fn clear(&mut self, now: Instant) {
        let before = Some((self.expected(now), now.after(REMEMBERED_MS)));
        *self = Self { before, ..Self::default() };
    }

    fn insert(&mut self, device: &DeviceId, seen: Seen) {
        self.remove(device);
        if let Some(until) = seen.asleep_until {
            self.asleep.insert((until, device.clone()));
        }
        if let Some(held) = seen.held {
            *self.held.entry(held).or_insert(0) += 1;
        }
        self.devices.insert(device.clone(), seen);
    }

    fn remove(&mut self, device: &DeviceId) {
        let Some(known) = self.devices.remove(device) else { return };
        if let Some(until) = known.asleep_until {
            self.asleep.remove(&(until, device.clone()));
        }
        if let Some(held) = known.held {
            let count = self.held.entry(held).or_insert(0);
            *count = count.saturating_sub(1);
            self.held.retain(|_, count| *count > 0);
        }
    }

    /// Takes a presence message of an enrolled device; `None` stands for a message that was
    /// removed from the broker. A device that falls asleep counts until `asleep_until`.
    ///
    /// A last will of an earlier start may come after the birth of the next one: it is ignored.
    pub(crate) fn take(
        &mut self,
        device: &DeviceId,
        presence: Option<Presence>,
        asleep_until: Instant,
    ) -> Change {
        let known = self.devices.get(device).copied();
        let room = known.is_some() || self.devices.len() < DEVICES_MAX;
        let left = match presence {
            Some(Presence { state: State::Online, boot, held }) => {
                let seen = Seen { boot, asleep_until: None, held };
                if known == Some(seen) || !room {
                    return Change::None;
                }
                self.insert(device, seen);
                return if held.is_some() { Change::Left } else { Change::Came };
            }
            Some(Presence { state: State::Asleep, boot, held }) => {
                if known.is_some_and(|known| known.boot > boot) || !room {
                    return Change::None;
                }
                self.insert(device, Seen { boot, asleep_until: Some(asleep_until), held });
                let worked = known.is_some_and(Seen::works);
                return if worked { Change::Left } else { Change::None };
            }
            Some(Presence { state: State::Lost, boot, .. }) => {
                known.is_some_and(|known| known.boot == boot)
            }
            Some(Presence { state: State::Offline, boot, .. }) => {
                known.is_some_and(|known| known.boot <= boot)
            }
            None => known.is_some(),
        };
        if left {
            self.remove(device);
            return Change::Left;
        }
        Change::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::id::Name;

    fn say(registry: &mut DeviceRegistry, state: State, boot: u32) -> Change {
        say_held(registry, "wrist-1", Presence::new(state, boot))
    }

    fn say_held(registry: &mut DeviceRegistry, device: &str, presence: Presence) -> Change {
        registry.take(&Name::new(device).unwrap(), Some(presence), Instant(100))
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
    fn a_device_whose_presence_was_removed_has_left() {
        let mut registry = DeviceRegistry::default();
        say(&mut registry, State::Online, 1);
        assert_eq!(registry.take(&Name::new("wrist-1").unwrap(), None, Instant(0)), Change::Left);
        say(&mut registry, State::Online, 1);
        registry.clear(Instant(0));
        assert_eq!(registry.online(), 0);
    }

    #[test]
    fn a_sleeping_device_can_be_reached_until_it_is_long_overdue() {
        let mut registry = DeviceRegistry::default();
        say(&mut registry, State::Online, 1);
        assert_eq!(say(&mut registry, State::Asleep, 1), Change::Left, "its round goes on without");
        registry.expire(Instant(99));
        assert_eq!((registry.online(), registry.available()), (0, 1));
        registry.expire(Instant(100));
        assert_eq!((registry.online(), registry.available()), (0, 0));
        assert_eq!(say(&mut registry, State::Asleep, 2), Change::None, "heard of after a restart");
        assert_eq!(say(&mut registry, State::Online, 2), Change::Came);
        registry.expire(Instant(1000));
        assert_eq!((registry.online(), registry.available()), (1, 1));
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
        assert_eq!((registry.online(), registry.available()), (3, 1));
        assert_eq!(registry.held(), &BTreeMap::from([(Ineligible::Hot, 2)]));
        say_held(&mut registry, "a", held(State::Online, Ineligible::Battery));
        assert_eq!(
            registry.held(),
            &BTreeMap::from([(Ineligible::Battery, 1), (Ineligible::Hot, 1)])
        );
        assert_eq!(say_held(&mut registry, "a", online), Change::Came);
        assert_eq!(say_held(&mut registry, "b", Presence::new(State::Lost, 1)), Change::Left);
        assert_eq!((registry.online(), registry.available()), (2, 2));
        assert!(registry.held().is_empty());
    }

    #[test]
    fn a_held_device_that_sleeps_is_not_available_either() {
        let mut registry = DeviceRegistry::default();
        say_held(&mut registry, "a", held(State::Asleep, Ineligible::Battery));
        assert_eq!((registry.online(), registry.available()), (0, 0));
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
        assert_eq!(registry.expected(Instant(1_000)), 3);
        registry.clear(Instant(1_000));
        come(&mut registry, &["a"]);
        let end = Instant(1_000).after(REMEMBERED_MS);
        let at = [Instant(1_000), Instant(end.0 - 1), end].map(|now| registry.expected(now));
        assert_eq!((at, registry.available()), ([3, 3, 1], 1));
        // A second outage before all are back.
        registry.clear(Instant(2_000));
        assert_eq!(registry.expected(end), 3);
        come(&mut registry, &["a", "b", "c", "d"]);
        assert_eq!(registry.expected(end), 4);
    }
}
