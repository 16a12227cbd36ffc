//! What the aggregator reported, until the run takes it.

use std::collections::VecDeque;

use dunlin_aggregator::io::RoundEvent;
use dunlin_protocol::time::Instant;

/// Reports in order, and whether all rounds are done by what was taken of them.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: VecDeque<(Instant, RoundEvent)>,
    finished: Option<Instant>,
}

impl Reports {
    pub(super) fn push(&mut self, now: Instant, event: RoundEvent) {
        self.waiting.push_back((now, event));
    }

    /// The next report, and when it was made.
    pub(super) fn take(&mut self) -> Option<(Instant, RoundEvent)> {
        let (at, event) = self.waiting.pop_front()?;
        if matches!(event, RoundEvent::Finished { .. }) {
            self.finished.get_or_insert(at);
        }
        Some((at, event))
    }

    /// When all rounds were done.
    pub(super) fn finished(&self) -> Option<Instant> {
        self.finished
    }
}
