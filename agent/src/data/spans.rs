//! Sets of moments.

/// Moments as spans that do not touch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<(i64, i64)>);

impl Spans {
    /// Most spans; beyond, the last two become one with what is between them.
    pub(super) const MAX: usize = 8192;

    /// Adds the moments from `start` on and before `end`.
    pub(super) fn add(&mut self, start: i64, end: i64) {
        let from = self.0.partition_point(|span| span.1 < start);
        let to = self.0.partition_point(|span| span.0 <= end);
        let met = self.0.get(from..to).unwrap_or_default();
        let (first, last) = (met.first(), met.last());
        let span = (
            first.map_or(start, |span| span.0.min(start)),
            last.map_or(end, |span| span.1.max(end)),
        );
        self.0.splice(from..to, [span]);
        if self.0.len() > Self::MAX
            && let (Some((_, end)), Some(last)) = (self.0.pop(), self.0.last_mut())
        {
            last.1 = end;
        }
    }

    /// Whether the moment `time_us` is among them.
    pub(super) fn has(&self, time_us: i64) -> bool {
        self.covers(time_us, time_us.saturating_add(1))
    }

    /// Whether all moments from `start` on and before `end` are among them.
    pub(super) fn covers(&self, start: i64, end: i64) -> bool {
        let at = self.0.partition_point(|span| span.1 <= start);
        self.0.get(at).is_some_and(|span| span.0 <= start && end <= span.1)
    }

    /// Whether any moment is among both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|&(start, end)| {
            let at = other.0.partition_point(|span| span.1 <= start);
            other.0.get(at).is_some_and(|span| span.0 < end)
        })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The spans, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_are_one_and_their_number_is_bounded() {
        let mut spans = Spans::default();
        for (start, end) in [(5, 8), (0, 2), (20, 30), (8, 9), (1, 3)] {
            spans.add(start, end);
        }
        assert_eq!(spans.iter().collect::<Vec<_>>(), [(0, 3), (5, 9), (20, 30)]);
        assert_eq!(
            [-1, 0, 2, 3, 5, 8, 9, 29, 30].map(|time| spans.has(time)).map(u8::from),
            [0, 1, 1, 0, 1, 1, 0, 1, 0]
        );
        assert!(spans.covers(5, 9) && !spans.covers(4, 6) && !spans.covers(8, 10));
        let mut other = Spans::default();
        other.add(3, 5);
        assert!(!spans.meets(&other) && !other.meets(&spans));
        other.add(29, 40);
        assert!(spans.meets(&other) && other.meets(&spans));
        spans.add(2, 25);
        assert_eq!(spans.iter().collect::<Vec<_>>(), [(0, 30)]);
        (0..9000).for_each(|n| spans.add(100 + n * 10, 105 + n * 10));
        assert_eq!(spans.iter().count(), Spans::MAX);
        assert!(spans.has(100 + 8999 * 10) && !spans.has(107));
    }
}
