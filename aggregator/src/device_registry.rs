//! Which devices are online, and which of them take work.
//!
//! What the broker keeps of a device can be deleted, emptied, overwritten and said again by others. So
//! words of earlier starts and connections are passed over, an emptied one is no farewell, whatever a
//! device sends counts as presence, and one that answers no invitation is not counted.

mod counts;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use dunlin_protocol::id::DeviceId;
use dunlin_protocol::presence::{DataTrouble, Ineligible, Lack, Presence, State, Unable, Word};
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::WorkKind;

use crate::settings::DEVICES_MAX;
use counts::{ByKind, Counts, place};

/// How long the number of devices of before an outage counts after it, in milliseconds: what the
/// slowest of them take to notice that they were cut off, and to connect again.
const REMEMBERED_MS: u64 = 4 * 60_000;
/// How long a device whose state was removed from the broker counts without a word of it, in
/// milliseconds: it hears of that, and says its state again.
const UNCONFIRMED_MS: u64 = 60_000;
/// Invitations in a row that a device leaves unanswered before it does not count any more.
const SILENT_MAX: u8 = 3;

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
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// The number of its start; 0 when it is not known.
    boot: u32,
    /// The number of its connection; 0 when it is not known.
    connection: u32,
    /// Until when it counts although it is not connected; `None` while it is.
    asleep_until: Option<Instant>,
    /// Until when it counts without a word of its own; `None` while the broker has one.
    unconfirmed_until: Option<Instant>,
    /// Why it takes no work; `None` when it does.
    held: Option<Ineligible>,
    /// Kinds of work that it cannot do with what it has.
    unable: Unable,
    /// Invitations in a row that it has not answered.
    silent: u8,
    /// The start and connection of an older word that was passed over: said once more, it is believed.
    doubted: Option<(u32, u32)>,
    /// What its own data lack.
    data: Option<DataTrouble>,
}

impl Seen {
    /// A device that is connected and takes work.
    fn online(boot: u32, connection: u32) -> Self {
        let (asleep_until, unconfirmed_until, held, doubted, data) = (None, None, None, None, None);
        let unable = Unable::default();
        #[rustfmt::skip]
        let seen = Self {
            boot, connection, asleep_until, unconfirmed_until, held, unable, silent: 0, doubted, data,
        };
        seen
    }

    /// What a word of its own says.
    fn of(presence: Presence) -> Self {
        let Presence { boot, connection, held, unable, data, .. } = presence;
        Self { held, unable, data, ..Self::online(boot, connection) }
    }

    /// When it was said: the start first, then its connection.
    fn order(&self) -> (u32, u32) {
        (self.boot, self.connection)
    }

    /// Whether it answers when it is asked.
    fn answers(&self) -> bool {
        self.silent < SILENT_MAX
    }

    /// Whether it can take part in a round of this kind, now or when it comes back.
    fn is_available(&self, kind: WorkKind) -> bool {
        self.held.is_none() && self.answers() && self.unable.lack(kind).is_none()
    }

    /// Whether it may be at work in a round.
    fn works(&self) -> bool {
        self.asleep_until.is_none() && self.held.is_none()
    }

    /// When it no longer counts; `None` while it counts until it leaves.
    fn ends(&self) -> Option<Instant> {
        self.asleep_until.or(self.unconfirmed_until)
    }
}

/// The enrolled devices that are online or asleep until their next check-in. They are counted as
/// they come and go: the counts are asked for with every message.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceRegistry {
    devices: BTreeMap<DeviceId, Seen>,
    /// Those that do not count for ever, by the time from which they no longer do.
    ends: BTreeSet<(Instant, DeviceId)>,
    counts: Counts,
    /// How many could take part by kind when everybody was forgotten, and until when that counts.
    before: Option<(ByKind, Instant)>,
}

impl DeviceRegistry {
    /// Devices that are connected and answer; those asleep are not.
    pub(crate) fn online(&self) -> u32 {
        self.counts.online
    }

    /// Devices that can take part in a round of this kind: connected or about to come back, not held,
    /// not silent when they are invited, and with all that the work needs.
    pub(crate) fn available(&self, kind: WorkKind) -> u32 {
        self.counts.available[place(kind)]
    }

    /// The names of those that can take part in a round of this kind.
    pub(crate) fn present(&self, kind: WorkKind) -> impl Iterator<Item = &DeviceId> {
        let works = move |(_, seen): &(&DeviceId, &Seen)| seen.is_available(kind);
        self.devices.iter().filter(works).map(|(device, _)| device)
    }

    /// Devices that can take part once those are back that an outage cut off: the few that are heard
    /// of first are not everybody.
    pub(crate) fn expected(&self, now: Instant, kind: WorkKind) -> u32 {
        let before = self.before.filter(|(_, until)| now < *until);
        before.map_or(0, |(devices, _)| devices[place(kind)]).max(self.available(kind))
    }

    /// Devices that take no work, by their reason.
    pub(crate) fn held(&self) -> &BTreeMap<Ineligible, u32> {
        &self.counts.held
    }

    /// Devices that cannot do work of a kind with what they have, by kind and by what they lack.
    pub(crate) fn unable(&self) -> &BTreeMap<(WorkKind, Lack), u32> {
        &self.counts.unable
    }

    /// Devices whose own data lack something, by their word for it.
    pub(crate) fn data_trouble(&self) -> &BTreeMap<Word, u32> {
        &self.counts.data
    }

    /// Devices that are connected and have left so many invitations unanswered that they do not count.
    pub(crate) fn silent(&self) -> u32 {
        self.counts.silent
    }

    /// Forgets devices that are long overdue; those of them that may have been at work.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<DeviceId> {
        let mut left = Vec::new();
        while let Some(device) = self.overdue(now) {
            let seen = self.remove(&device);
            left.extend(seen.filter(Seen::works).map(|_| device));
        }
        left
    }

    fn overdue(&self, now: Instant) -> Option<DeviceId> {
        let (until, device) = self.ends.first()?;
        (*until <= now).then(|| device.clone())
    }

    /// When the next device is overdue; `None` while all count until they leave.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Forgets everybody but how many there were; devices say again that they are there.
    pub(crate) fn clear(&mut self, now: Instant) {
        let expected = WorkKind::ALL.map(|kind| self.expected(now, kind));
        let before = Some((expected, now.after(REMEMBERED_MS)));
        *self = Self { before, ..Self::default() };
    }

    fn insert(&mut self, device: &DeviceId, seen: Seen) {
        self.remove(device);
        if let Some(until) = seen.ends() {
            self.ends.insert((until, device.clone()));
        }
        self.counts.add(&seen);
        self.devices.insert(device.clone(), seen);
    }

    fn remove(&mut self, device: &DeviceId) -> Option<Seen> {
        let known = self.devices.remove(device)?;
        if let Some(until) = known.ends() {
            self.ends.remove(&(until, device.clone()));
        }
        self.counts.remove(&known);
        Some(known)
    }

    fn has_room(&self, device: &DeviceId) -> bool {
        self.devices.len() < DEVICES_MAX || self.devices.contains_key(device)
    }

    /// Takes a presence message of an enrolled device; `None` stands for a message that was
    /// removed from the broker. A device that falls asleep counts until `asleep_until`.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        device: &DeviceId,
        presence: Option<Presence>,
        asleep_until: Instant,
    ) -> Change {
        let known = self.devices.get(device).cloned();
        let Some(presence) = presence else {
            if let Some(known) = known.filter(|known| known.ends().is_none()) {
                let unconfirmed_until = Some(now.after(UNCONFIRMED_MS));
                self.insert(device, Seen { unconfirmed_until, ..known });
            }
            return Change::None;
        };
        match presence.state {
            State::Online | State::Asleep if !self.has_room(device) => Change::None,
            State::Online | State::Asleep if self.passes_over(device, &presence) => Change::None,
            State::Online => {
                let seen = Seen::of(presence);
                let goes_on =
                    |known: &Seen| known.works() && known.answers() && known.boot == seen.boot;
                let came = !known.as_ref().is_some_and(goes_on);
                if known.as_ref() == Some(&seen) {
                    return Change::None;
                }
                let held = seen.held.is_some();
                self.insert(device, seen);
                match (held, came) {
                    (true, _) => Change::Left,
                    (false, true) => Change::Came,
                    (false, false) => Change::None,
                }
            }
            State::Asleep => {
                self.insert(
                    device,
                    Seen { asleep_until: Some(asleep_until), ..Seen::of(presence) },
                );
                if known.is_some_and(|known| known.works()) { Change::Left } else { Change::None }
            }
            State::Lost | State::Offline => {
                if known.is_none_or(|known| !ends_with(&known, &presence)) {
                    return Change::None;
                }
                self.remove(device);
                Change::Left
            }
        }
    }

    /// Whether a word is older than what is known of its device, and not said twice.
    fn passes_over(&mut self, device: &DeviceId, presence: &Presence) -> bool {
        let Some(known) = self.devices.get_mut(device) else { return false };
        if presence.order() >= known.order() {
            return false;
        }
        known.doubted.replace(presence.order()) != Some(presence.order())
    }

    /// A device has sent something: it is there, whatever the broker keeps of it. `boot`: the number of
    /// its start, where the message says it.
    pub(crate) fn heard(&mut self, device: &DeviceId, boot: Option<u32>) -> Change {
        let known = self.devices.get(device);
        let right = |known: &&Seen| boot.is_none_or(|boot| boot == known.boot);
        if known.filter(right).is_some_and(|known| known.silent == 0 && known.ends().is_none()) {
            return Change::None;
        }
        if !self.has_room(device) {
            return Change::None;
        }
        let seen = match known {
            // What it said before counts on, but for what another start said.
            Some(known) if right(&known) => {
                let (asleep_until, unconfirmed_until) = (None, None);
                Seen { asleep_until, unconfirmed_until, silent: 0, ..known.clone() }
            }
            Some(_) | None => Seen::online(boot.unwrap_or(0), 0),
        };
        let came = known.is_none_or(|known| !known.answers() || known.asleep_until.is_some());
        self.insert(device, seen);
        if came { Change::Came } else { Change::None }
    }

    /// An invitation of everybody to train is over: who of those connected did not answer. How many of
    /// them count no more.
    pub(crate) fn invited(&mut self, answered: impl Fn(&DeviceId) -> bool) -> u32 {
        let before = self.counts.silent;
        for (device, seen) in &mut self.devices {
            if seen.works() && seen.is_available(WorkKind::Train) {
                self.counts.remove(seen);
                seen.silent = if answered(device) { 0 } else { seen.silent + 1 };
                self.counts.add(seen);
            }
        }
        self.counts.silent.saturating_sub(before)
    }
}

/// Whether `presence`, a farewell or a last will, is that of the connection that is known.
fn ends_with(known: &Seen, presence: &Presence) -> bool {
    let unknown = known.boot == 0;
    match presence.state {
        State::Lost => {
            let late = known.connection > presence.connection && presence.connection > 0;
            unknown || known.boot == presence.boot && !late
        }
        State::Offline => unknown || known.order() <= presence.order(),
        State::Online | State::Asleep => false,
    }
}
