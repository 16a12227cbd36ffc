//! Why no training round is open: told when it changes.

use alloc::collections::BTreeMap;

use dunlin_protocol::presence::Lack;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::WorkKind;

use super::{Aggregator, Connection};
use crate::io::RoundEvent;
use crate::waiting::Waiting;

/// Waits that are shorter are part of every round and not told, in milliseconds.
const SHORT_MS: u64 = 10_000;
/// Other figures of the same reason are told so often at the most, in milliseconds.
const FIGURES_MS: u64 = 10_000;

/// What was told last, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Option<(Waiting, Instant)>);

impl Told {
    /// Whether `waiting` is worth a word; then it counts as told.
    fn tell(&mut self, now: Instant, waiting: &Waiting) -> bool {
        let known = self.0.as_ref().is_some_and(|(told, at)| {
            told == waiting || told.is_like(waiting) && now < at.after(FIGURES_MS)
        });
        if !known {
            self.0 = Some((waiting.clone(), now));
        }
        !known
    }
}

impl Aggregator {
    /// What is waited for before a training round opens; `None` while one is open.
    pub fn waiting(&self) -> Option<Waiting> {
        let now = self.now;
        if self.rounds.count(WorkKind::Train) > 0 {
            return None;
        }
        if self.settings.paused {
            return Some(Waiting::Paused);
        }
        if !self.may_train() {
            return Some(Waiting::Done);
        }
        let settled = match self.connection {
            Connection::Down => return Some(Waiting::Broker),
            Connection::Up { settled } => settled,
        };
        if settled > now {
            return Some(Waiting::Settling { ms: settled.since(now) });
        }
        let available = self.registry.available(WorkKind::Train);
        let needs = self.settings.min_online;
        if available < needs {
            let (online, held) = (self.registry.online(), self.registry.held().clone());
            let (unable, silent) = (self.unable_to(WorkKind::Train), self.registry.silent());
            return Some(Waiting::Devices { available, needs, online, held, unable, silent });
        }
        (self.next_open > now).then(|| Waiting::Pause { ms: self.next_open.since(now) })
    }

    /// Devices that cannot do work of this kind with what they have, by what they lack.
    fn unable_to(&self, kind: WorkKind) -> BTreeMap<Lack, u32> {
        let of_kind = self.registry.unable().iter().filter(|((unable, _), _)| *unable == kind);
        of_kind.map(|((_, lack), count)| (*lack, *count)).collect()
    }

    /// Whether devices are missed: they may be there, and not be known.
    pub(super) fn misses_devices(&self, now: Instant) -> bool {
        let too_few = self.registry.available(WorkKind::Train) < self.settings.min_online;
        let queries = self.queries.deadline().is_some();
        self.is_settled(now) && (too_few && self.may_train() || queries)
    }

    /// Tells people what is waited for, when that is another thing.
    pub(super) fn tell_waiting(&mut self, now: Instant) {
        let Some(waiting) = self.waiting() else { return self.told = Told::default() };
        let short = match waiting {
            Waiting::Settling { ms } | Waiting::Pause { ms } => ms < SHORT_MS,
            Waiting::Broker | Waiting::Devices { .. } | Waiting::Paused | Waiting::Done => false,
        };
        // The time that is left is no news.
        let known = |told: &Waiting| {
            told.is_like(&waiting)
                && matches!(waiting, Waiting::Settling { .. } | Waiting::Pause { .. })
        };
        let known = self.told.0.as_ref().is_some_and(|(told, _)| known(told));
        if !short && !known && self.told.tell(now, &waiting) {
            self.event(RoundEvent::Waits { waiting });
        }
    }
}
