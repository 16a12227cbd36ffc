//! When to tell the service manager's watchdog that the program lives: while its parts move on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a thread shows of its progress; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<Beats>);

#[derive(Debug, Default)]
struct Beats {
    busy: AtomicBool,
    count: AtomicU64,
}

impl Heartbeat {
    /// The thread has moved on, and is still at work.
    pub fn beat(&self) {
        self.0.busy.store(true, Ordering::Relaxed);
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread is done and waits for more, for as long as it takes.
    pub fn rest(&self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }

    /// How often the thread has moved on; `None` while it rests.
    pub fn count(&self) -> Option<u64> {
        let busy = self.0.busy.load(Ordering::Relaxed);
        busy.then(|| self.0.count.load(Ordering::Relaxed))
    }
}

/// Decides when the watchdog is fed.
#[derive(Debug)]
pub(crate) struct Watch {
    limit: Duration,
    looked: Option<Instant>,
    /// The last count of each part, and when it was new.
    parts: Vec<(Option<u64>, Instant)>,
}

impl Watch {
    /// `limit`: how long the manager waits for a sign of life.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, looked: None, parts: Vec::new() }
    }

    /// Whether it is time to look at the parts: a quarter of the limit after the last time.
    pub(crate) fn looks(&mut self, now: Instant) -> bool {
        let waited = |last: Instant| now.saturating_duration_since(last) >= self.limit / 4;
        let looks = self.looked.is_none_or(waited);
        self.looked = if looks { Some(now) } else { self.looked };
        looks
    }

    /// Whether the watchdog is to be fed: each part rests, or has moved on within half of the
    /// limit.
    pub(crate) fn fed(&mut self, now: Instant, parts: &[Option<u64>]) -> bool {
        self.parts.resize(parts.len(), (None, now));
        for (known, &count) in self.parts.iter_mut().zip(parts) {
            if count.is_none() || known.0 != count {
                *known = (count, now);
            }
        }
        let moves = |since: Instant| now.saturating_duration_since(since) <= self.limit / 2;
        self.parts.iter().all(|(_, since)| moves(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Feedings in `seconds`, with the counts of one part at each second.
    fn fed(seconds: u64, count: impl Fn(u64) -> Option<u64>) -> usize {
        #[allow(clippy::disallowed_methods)] // any start will do
        let start = Instant::now();
        let mut watch = Watch::new(LIMIT);
        let at = |second| start + Duration::from_secs(second);
        (0..seconds).filter(|&s| watch.looks(at(s)) && watch.fed(at(s), &[count(s)])).count()
    }

    #[test]
    fn a_program_that_moves_on_or_rests_is_fed_four_times_in_the_limit() {
        assert_eq!(fed(60, Some), 4);
        assert_eq!(fed(600, |_| None), 40);
        assert_eq!(fed(600, |s| Some(s / 29)), 40, "slow, but it moves");
    }

    #[test]
    fn a_part_that_is_stuck_starves_the_watchdog_until_it_moves_again() {
        assert_eq!(fed(600, |_| Some(7)), 3, "only in the first half of the limit");
        assert_eq!(fed(600, |s| Some(if s < 300 { 7 } else { s })), 3 + 20);
    }

    #[test]
    fn a_heartbeat_counts_while_its_thread_is_busy() {
        let heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.count(), None);
        heartbeat.beat();
        heartbeat.clone().beat();
        assert_eq!(heartbeat.count(), Some(2));
        heartbeat.rest();
        assert_eq!(heartbeat.count(), None);
    }
}
