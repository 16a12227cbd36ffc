//! Devices counted as they come and go.

use alloc::collections::BTreeMap;

use dunlin_protocol::presence::{Ineligible, Lack, Word};
use dunlin_protocol::work::WorkKind;

use super::Seen;

/// Different words of devices that are told apart; further ones are not counted.
const WORDS_MAX: usize = 32;

/// Numbers of devices, one a kind of work.
pub(super) type ByKind = [u32; WorkKind::ALL.len()];

/// Where the number of a kind stands.
pub(super) fn place(kind: WorkKind) -> usize {
    match kind {
        WorkKind::Train => 0,
        WorkKind::Evaluate => 1,
        WorkKind::Sums => 2,
    }
}

/// How many devices are there, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) online: u32,
    pub(super) available: ByKind,
    pub(super) silent: u32,
    /// How many take no work, by their reason; no reason without a device.
    pub(super) held: BTreeMap<Ineligible, u32>,
    /// How many cannot do a kind of work, by what they lack; none without a device.
    pub(super) unable: BTreeMap<(WorkKind, Lack), u32>,
    /// How many lack data, by their word for it; no word without a device.
    pub(super) data: BTreeMap<Word, u32>,
}

impl Counts {
    /// Counts a device in.
    pub(super) fn add(&mut self, seen: &Seen) {
        let connected = seen.asleep_until.is_none();
        self.online += u32::from(connected && seen.answers());
        self.silent += u32::from(connected && !seen.answers());
        for kind in WorkKind::ALL {
            self.available[place(kind)] += u32::from(seen.is_available(kind));
        }
        if let Some(held) = seen.held {
            *self.held.entry(held).or_insert(0) += 1;
        }
        for lack in seen.unable.iter() {
            *self.unable.entry(lack).or_insert(0) += 1;
        }
        for word in words(seen) {
            if self.data.len() < WORDS_MAX || self.data.contains_key(&word) {
                *self.data.entry(word).or_insert(0) += 1;
            }
        }
    }

    /// Counts a device out that was counted in like this.
    pub(super) fn remove(&mut self, seen: &Seen) {
        let connected = seen.asleep_until.is_none();
        let less = |count: &mut u32, by: bool| *count = count.saturating_sub(u32::from(by));
        less(&mut self.online, connected && seen.answers());
        less(&mut self.silent, connected && !seen.answers());
        for kind in WorkKind::ALL {
            less(&mut self.available[place(kind)], seen.is_available(kind));
        }
        if let Some(held) = seen.held {
            self.held.entry(held).and_modify(|count| less(count, true));
            self.held.retain(|_, count| *count > 0);
        }
        for lack in seen.unable.iter() {
            self.unable.entry(lack).and_modify(|count| less(count, true));
        }
        self.unable.retain(|_, count| *count > 0);
        for word in words(seen) {
            self.data.entry(word).and_modify(|count| less(count, true));
        }
        self.data.retain(|_, count| *count > 0);
    }
}

fn words(seen: &Seen) -> impl Iterator<Item = Word> + '_ {
    let data = seen.data.iter().flat_map(|data| data.iter());
    data.filter_map(|(word, _)| Word::try_from(word).ok())
}
