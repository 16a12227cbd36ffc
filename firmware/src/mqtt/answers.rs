//! What the broker still owes an answer to, and when an answer stays away too long.

use alloc::collections::VecDeque;
use alloc::string::String;

use dunlin_protocol::time::Instant;

/// Packets that may wait for their acknowledgement at one time.
const WAITING_MAX: usize = 32;
/// An acknowledgement that took longer does not come any more.
const ACK_MS: u64 = 20_000;
/// Any answer that took longer does not come any more, however much else comes: out of step, a
/// stream may look like one endless message.
const LATEST_MS: u64 = 60_000;

/// What was asked of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Publish,
    Subscribe(String),
    Unsubscribe,
}

struct Waiting {
    id: u16,
    since: Instant,
    asked: Asked,
}

/// The packets that wait for their acknowledgement, oldest first.
pub(super) struct Answers {
    waiting: VecDeque<Waiting>,
    last_id: u16,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(WAITING_MAX), last_id: 0 }
    }

    /// The packet id for one more packet; `None` when enough of them wait.
    pub(super) fn next_id(&self) -> Option<u16> {
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        // Nothing has the id 0. More ids are tried than can be in use.
        let mut ids = (1_u16..).take(WAITING_MAX + 2).map(|step| self.last_id.wrapping_add(step));
        ids.find(|&id| id != 0 && self.position(id).is_none())
    }

    /// Waits for the acknowledgement of the packet `id`.
    pub(super) fn expect(&mut self, id: u16, now: Instant, asked: Asked) {
        self.last_id = id;
        self.waiting.push_back(Waiting { id, since: now, asked });
    }

    /// The acknowledgement of `id` came: what it was asked for, `None` when nothing was.
    pub(super) fn settle(&mut self, id: u16) -> Option<Asked> {
        let at = self.position(id)?;
        self.waiting.remove(at).map(|waiting| waiting.asked)
    }

    /// Nothing is expected any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// When the oldest acknowledgement is overdue, if the last byte came at `heard`.
    pub(super) fn overdue_at(&self, heard: Instant) -> Option<Instant> {
        self.waiting.front().map(|oldest| overdue_at(oldest.since, heard, ACK_MS))
    }

    fn position(&self, id: u16) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.id == id)
    }
}

/// When an answer is overdue that was asked for at `asked` and should take at most `wait_ms`.
///
/// On a slow link it stands in line behind other messages: as long as bytes come, it may be late.
pub(super) fn overdue_at(asked: Instant, heard: Instant, wait_ms: u64) -> Instant {
    asked.max(heard).after(wait_ms).min(asked.after(LATEST_MS))
}
