//! Which devices are online.

use std::collections::BTreeMap;

use dunlin_protocol::id::DeviceId;
use dunlin_protocol::presence::{Presence, State};

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

/// The enrolled devices that are online, with the number of their start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster(BTreeMap<DeviceId, u32>);

impl Roster {
    /// Devices online.
    pub(crate) fn online(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Forgets everybody; the broker's retained messages tell again who is there.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes a presence message of an enrolled device; `None` stands for a message that was
    /// removed from the broker.
    ///
    /// A last will of an earlier start may come after the birth of the next one: it is ignored.
    pub(crate) fn take(&mut self, device: &DeviceId, presence: Option<Presence>) -> Change {
        let known = self.0.get(device).copied();
        let left = match presence {
            Some(Presence { state: State::Online, boot }) => {
                if known == Some(boot) || known.is_none() && self.0.len() >= DEVICES_MAX {
                    return Change::None;
                }
                self.0.insert(device.clone(), boot);
                return Change::Came;
            }
            Some(Presence { state: State::Lost, boot }) => known == Some(boot),
            Some(Presence { state: State::Offline | State::Asleep, boot }) => {
                known.is_some_and(|k| k <= boot)
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
        roster.take(&Name::new("wrist-1").unwrap(), Some(Presence { state, boot }))
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
        assert_eq!(roster.take(&Name::new("wrist-1").unwrap(), None), Change::Left);
        say(&mut roster, State::Online, 1);
        roster.clear();
        assert_eq!(roster.online(), 0);
    }
}
