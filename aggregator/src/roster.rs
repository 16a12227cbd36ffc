//! Which devices are online.

use std::collections::BTreeMap;

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

/// The enrolled devices that are online or asleep until their next check-in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster(BTreeMap<DeviceId, Seen>);

impl Roster {
    /// Devices connected.
    pub(crate) fn online(&self) -> u32 {
        self.count(|seen| seen.asleep_until.is_none())
    }

    /// Devices that can take part in a round: connected, or about to come back.
    pub(crate) fn reachable(&self, now: Instant) -> u32 {
        self.count(|seen| seen.asleep_until.is_none_or(|until| until > now))
    }

    fn count(&self, which: impl Fn(&Seen) -> bool) -> u32 {
        u32::try_from(self.0.values().filter(|seen| which(seen)).count()).unwrap_or(u32::MAX)
    }

    /// Forgets everybody; the broker's retained messages tell again who is there.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
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
        let known = self.0.get(device).copied();
        let room = known.is_some() || self.0.len() < DEVICES_MAX;
        let left = match presence {
            Some(Presence { state: State::Online, boot }) => {
                let seen = Seen { boot, asleep_until: None };
                if known == Some(seen) || !room {
                    return Change::None;
                }
                self.0.insert(device.clone(), seen);
                return Change::Came;
            }
            Some(Presence { state: State::Asleep, boot }) => {
                if known.is_some_and(|known| known.boot > boot) || !room {
                    return Change::None;
                }
                let seen = Seen { boot, asleep_until: Some(asleep_until) };
                self.0.insert(device.clone(), seen);
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
            self.0.remove(device);
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
        assert_eq!((roster.online(), roster.reachable(Instant(99))), (0, 1));
        assert_eq!(roster.reachable(Instant(100)), 0);
        assert_eq!(say(&mut roster, State::Asleep, 2), Change::None, "heard of after a restart");
        assert_eq!(say(&mut roster, State::Online, 2), Change::Came);
        assert_eq!((roster.online(), roster.reachable(Instant(1000))), (1, 1));
    }
}
