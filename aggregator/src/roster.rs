//! Which devices are online.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_protocol::id::DeviceId;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;

use crate::settings::DEVICES_MAX;

/// What a presence message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The device came online, or started anew.
    Came,
    /// The device left.
    Left,
    /// Nothing.
    None,
}

/// How a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// The number of its start.
    boot: u32,
    /// Until when it counts although it is not connected; `None` while it is.
    asleep_until: Option<Instant>,
}

/// The enrolled devices that are online or asleep until their next check-in. Both are counted as
/// they come and go: the counts are asked for with every message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    devices: BTreeMap<DeviceId, Seen>,
    /// Those asleep, by the time from which they no longer count.
    asleep: BTreeSet<(Instant, DeviceId)>,
}

impl Roster {
    /// Devices connected.
    pub(crate) fn online(&self) -> u32 {
        u32::try_from(self.devices.len() - self.asleep.len()).unwrap_or(u32::MAX)
    }

    /// Devices that can take part in a round: connected, or about to come back.
    pub(crate) fn reachable(&self) -> u32 {
        u32::try_from(self.devices.len()).unwrap_or(u32::MAX)
    }

    /// Forgets devices that are long overdue.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((_, device)) = self.overdue(now) {
            self.devices.remove(&device);
        }
    }

    fn overdue(&mut self, now: Instant) -> Option<(Instant, DeviceId)> {
        self.asleep.first().filter(|(until, _)| *until <= now)?;
        self.asleep.pop_first()
    }

    /// Forgets everybody; the broker's retained messages tell again who is there.
    pub(crate) fn clear(&mut self) {
        self.devices.clear();
        self.asleep.clear();
    }

    fn insert(&mut self, device: &DeviceId, seen: Seen) {
        self.remove(device);
        if let Some(until) = seen.asleep_until {
            self.asleep.insert((until, device.clone()));
        }
        self.devices.insert(device.clone(), seen);
    }

    fn remove(&mut self, device: &DeviceId) {
        let known = self.devices.remove(device);
        if let Some(until) = known.and_then(|known| known.asleep_until) {
            self.asleep.remove(&(until, device.clone()));
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
            Some(Presence { state: State::Online, boot }) => {
                let seen = Seen { boot, asleep_until: None };
                if known == Some(seen) || !room {
                    return Change::None;
                }
                self.insert(device, seen);
                return Change::Came;
            }
            Some(Presence { state: State::Asleep, boot }) => {
                if known.is_some_and(|known| known.boot > boot) || !room {
                    return Change::None;
                }
                let seen = Seen { boot, asleep_until: Some(asleep_until) };
                self.insert(device, seen);
                let was_here = known.is_some_and(|known| known.asleep_until.is_none());
                return if was_here { Change::Left } else { Change::None };
            }
            Some(Presence { state: State::Lost, boot }) => {
                known.is_some_and(|known| known.boot == boot)
            }
            Some(Presence { state: State::Offline, boot }) => {
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

    fn say(roster: &mut Roster, state: State, boot: u32) -> Change {
        roster.take(&Name::new("wrist-1").unwrap(), Some(Presence { state, boot }), Instant(100))
    }

    #[test]
    fn a_last_will_of_an_earlier_start_is_ignored() {
        let mut roster = Roster::default();
        assert_eq!(say(&mut roster, State::Lost, 1), Change::None);
        assert_eq!(say(&mut roster, State::Online, 1), Change::Came);
        assert_eq!(say(&mut roster, State::Online, 2), Change::Came);
        assert_eq!(say(&mut roster, State::Online, 2), Change::None);
        assert_eq!(say(&mut roster, State::Lost, 1), Change::None);
        assert_eq!(say(&mut roster, State::Offline, 1), Change::None);
        assert_eq!(roster.online(), 1);
        assert_eq!(say(&mut roster, State::Lost, 2), Change::Left);
        assert_eq!(roster.online(), 0);
    }

    #[test]
    fn a_device_whose_presence_was_removed_has_left() {
        let mut roster = Roster::default();
        say(&mut roster, State::Online, 1);
        assert_eq!(roster.take(&Name::new("wrist-1").unwrap(), None, Instant(0)), Change::Left);
        say(&mut roster, State::Online, 1);
        roster.clear();
        assert_eq!(roster.online(), 0);
    }

    #[test]
    fn a_sleeping_device_can_be_reached_until_it_is_long_overdue() {
        let mut roster = Roster::default();
        say(&mut roster, State::Online, 1);
        assert_eq!(say(&mut roster, State::Asleep, 1), Change::Left, "its round goes on without");
        roster.expire(Instant(99));
        assert_eq!((roster.online(), roster.reachable()), (0, 1));
        roster.expire(Instant(100));
        assert_eq!((roster.online(), roster.reachable()), (0, 0));
        assert_eq!(say(&mut roster, State::Asleep, 2), Change::None, "heard of after a restart");
        assert_eq!(say(&mut roster, State::Online, 2), Change::Came);
        roster.expire(Instant(1000));
        assert_eq!((roster.online(), roster.reachable()), (1, 1));
    }
}
