//! Nothing stands still: rounds end, and new ones open while devices are there.

use dunlin_aggregator::round::RoundKey;
use dunlin_protocol::time::Instant;

use super::ledger::Ledger;
use super::rule;

/// How long after its deadline a round is open at the most.
const OVERDUE_MS: u64 = 5_000;

impl Ledger {
    /// As [`super::Checks::look`].
    pub(super) fn look(&mut self, now: Instant, up_since: Option<Instant>, here: u32) {
        let Some(up_since) = up_since else {
            self.waiting_since = None;
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
            self.waiting_since = None;
            return;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let waited = now.since(since.max(up_since));
        if waited > self.known.patience_ms {
            let what = format!("no round for {} s, with {here} devices there", waited / 1000);
            self.broken(now, rule::GOES_ON, what);
        }
    }
}
