//! Nothing stands still: time moves, rounds end, and new ones open while devices are there.

use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::round::RoundKey;
use dunlin_protocol::time::Instant;

use super::{Checks, rule};

/// Events at one moment beyond which time no longer moves, and so many more for each device.
const STANDSTILL: u64 = 100_000;
const STANDSTILL_DEVICE: u64 = 50;
/// How long after its deadline a round is open at the most.
const OVERDUE_MS: u64 = 5_000;

/// When things moved last.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The present moment, and the events at it so far.
    at: Option<(Instant, u64)>,
    /// Since when a round should open any time.
    waiting_since: Option<Instant>,
}

impl Checks {
    /// Virtual time must move.
    pub(in crate::sim) fn time(&mut self, now: Instant) {
        let before = self.progress.at.filter(|(at, _)| *at == now);
        let events = before.map_or(0, |(_, events)| events) + 1;
        self.progress.at = Some((now, events));
        let most = STANDSTILL + STANDSTILL_DEVICE * u64::from(self.known.devices);
        if events > most {
            self.broken(now, rule::TIME_MOVES, format!("over {most} events at one moment"));
        }
    }

    /// What the aggregator reports.
    pub(in crate::sim) fn event(&mut self, event: &RoundEvent) {
        if matches!(event, RoundEvent::RoundOpened { .. }) || event.ended().is_some() {
            self.progress.waiting_since = None;
        }
    }

    /// Looks, now and then, whether rounds come and go; `here` are the devices that the broker knows
    /// to be online, `up_since` says since when the aggregator is connected, if it is and has
    /// anything left to do.
    pub(in crate::sim) fn look(&mut self, now: Instant, up_since: Option<Instant>, here: u32) {
        let Some(up_since) = up_since else {
            self.progress.waiting_since = None;
            return;
        };
        let overdue: Option<RoundKey> = self
            .rounds
            .iter()
            .find(|(_, round)| now.since(round.deadline) > OVERDUE_MS)
            .map(|(key, _)| *key);
        if let Some(key) = overdue {
            self.broken(now, rule::ROUNDS_END, format!("{key} is open after its deadline"));
        }
        let idle = self.rounds.is_empty() && here >= self.known.min_online;
        if !idle {
            self.progress.waiting_since = None;
            return;
        }
        let since = *self.progress.waiting_since.get_or_insert(now);
        let waited = now.since(since.max(up_since));
        if waited > self.known.patience_ms {
            let what = format!("no round for {} s, with {here} devices there", waited / 1000);
            self.broken(now, rule::GOES_ON, what);
        }
    }
}
