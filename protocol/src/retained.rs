//! What the broker keeps for us, and that others can change: its owner says it again.

use crate::time::Instant;

/// The shortest and the longest time between two words, in milliseconds.
const FIRST_MS: u64 = 2_000;
const MOST_MS: u64 = 30_000;
/// So long a word of the owner's may take to come back from the broker, in milliseconds.
const ECHO_MS: u64 = 5_000;
/// After so long without a contradiction, in milliseconds, the next is answered at once again.
const QUIET_MS: u64 = 120_000;

/// When the owner of a retained message says it again after somebody else has changed it: at once at
/// first, then after waits that double from 2 to 30 s, so that two owners, or a stranger who does not
/// give up, cost the broker little.
#[derive(Clone, Copy, Debug, Default)]
pub struct Insistence {
    /// When it was said again last, and the wait that followed.
    last: Option<(Instant, u64)>,
    /// When it is to be said again.
    due: Option<Instant>,
    /// How often it was said again since nobody contradicted.
    times: u32,
}

impl Insistence {
    /// Nobody has contradicted yet.
    pub const NEW: Self = Self { last: None, due: None, times: 0 };

    /// Something else than the owner's word stands there at `now`. Whether that is worth a line in the
    /// log: the first time, and ever more seldom while it goes on.
    pub fn contradicted(&mut self, now: Instant) -> bool {
        let earliest = self.last.map_or(now, |(at, wait)| at.after(wait)).max(now);
        if self.due.is_some() {
            self.due = self.due.map(|due| due.min(earliest));
            return false;
        }
        if self.last.is_some_and(|(at, wait)| now >= at.after(wait.saturating_add(QUIET_MS))) {
            *self = Self::NEW;
        }
        self.due = Some(self.last.map_or(now, |(at, wait)| at.after(wait)).max(now));
        self.times = self.times.saturating_add(1);
        self.times.is_power_of_two()
    }

    /// Something stands there that is most likely the owner's word before the last one, on its way: said
    /// again unless the last one follows within 5 s.
    pub fn doubted(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |(at, wait)| at.after(wait));
        self.due.get_or_insert(earliest.max(now.after(ECHO_MS)));
    }

    /// The owner's last word stands there.
    pub fn heard(&mut self) {
        self.due = None;
    }

    /// When it is to be said again at the latest; `None` while it stands.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is to be said again now; then that counts as done.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        let wait = self.last.map_or(FIRST_MS, |(_, wait)| wait.saturating_mul(2).min(MOST_MS));
        (self.due, self.last) = (None, Some((now, wait)));
        true
    }

    /// The word was said for another reason: nothing is due any more.
    pub fn said(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_word_is_said_again_at_once_and_then_ever_later_while_somebody_contradicts() {
        let mut insistence = Insistence::NEW;
        let (mut said, mut logged) = (Vec::new(), 0);
        for second in 0..120 {
            let now = Instant(second * 1000);
            logged += u32::from(insistence.contradicted(now));
            if insistence.take(now) {
                said.push(second);
            }
        }
        assert_eq!(said, [0, 2, 6, 14, 30, 60, 90]);
        assert_eq!(logged, 4, "the first, second, fourth and eighth time");
    }

    #[test]
    fn an_earlier_word_of_the_owner_is_followed_by_the_last_one_or_contradicts() {
        let mut insistence = Insistence::NEW;
        insistence.doubted(Instant(10));
        assert_eq!(insistence.due(), Some(Instant(10 + ECHO_MS)));
        insistence.heard();
        assert!(!insistence.take(Instant(10 + ECHO_MS)));
        insistence.doubted(Instant(20_000));
        assert!(insistence.take(Instant(20_000 + ECHO_MS)), "nothing followed");
    }

    #[test]
    fn after_some_quiet_minutes_the_first_word_comes_at_once_again() {
        let mut insistence = Insistence::NEW;
        for now in [0, 2_000, 6_000] {
            assert_eq!(insistence.contradicted(Instant(now)), now < 6_000);
            assert!(insistence.take(Instant(now)));
        }
        let late = Instant(6_000 + 8_000 + QUIET_MS);
        assert!(insistence.contradicted(late) && insistence.due() == Some(late));
        insistence.said();
        assert!(!insistence.take(late) && insistence.due().is_none());
    }
}
