//! Logs that cannot flood: a broken sensor may send a bad row every millisecond for months.

use std::time::{Duration, Instant};

/// At most one log line in this span.
const SPAN: Duration = Duration::from_secs(60);

/// Counts events of one kind and says when it is time to log the count.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    logged: Option<Instant>,
    unlogged: u64,
}

impl LogLimit {
    /// Counts one event. Gives how many happened since the last log line when it is time for one:
    /// at the first event, then at most once a minute.
    pub(super) fn count(&mut self, now: Instant) -> Option<u64> {
        self.add(1, now)
    }

    /// Counts `count` events, as [`LogLimit::count`].
    pub(super) fn add(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.unlogged = self.unlogged.saturating_add(count);
        let due = self.logged.is_none_or(|last| now.saturating_duration_since(last) >= SPAN);
        (due && self.unlogged > 0).then(|| {
            self.logged = Some(now);
            self.take()
        })
    }

    /// Events that no log line has told of yet, which are then told of.
    pub(super) fn take(&mut self) -> u64 {
        std::mem::take(&mut self.unlogged)
    }
}

/// The monotonic clock of the reader threads.
#[allow(clippy::disallowed_methods)]
pub(super) fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_logged_and_then_one_line_a_minute() {
        let start = clock();
        let mut limit = LogLimit::default();
        assert_eq!(limit.count(start), Some(1));
        assert_eq!(limit.count(start + Duration::from_secs(1)), None);
        assert_eq!(limit.count(start + Duration::from_secs(59)), None);
        assert_eq!(limit.count(start + Duration::from_secs(60)), Some(3));
        assert_eq!(limit.add(7, start + Duration::from_secs(61)), None);
        assert_eq!(limit.add(0, start + Duration::from_secs(120)), Some(7), "told late");
        assert_eq!(limit.add(0, start + Duration::from_secs(500)), None, "nothing is new");
        assert_eq!(limit.add(2, start + Duration::from_secs(500)), Some(2));
        assert_eq!((limit.add(3, start + Duration::from_secs(501)), limit.take()), (None, 3));
    }
}
