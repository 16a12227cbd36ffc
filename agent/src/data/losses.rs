//! What a source could not use: counted by kind, each with what was wrong last.

use std::collections::BTreeMap;
use std::fmt;

/// Longest detail that is kept, in characters.
const DETAIL_CHARS_MAX: usize = 240;

/// A kind of thing that a source could not use. The order is that of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// Values outside of what the ring can hold (`quantum`): windows with them are refused.
    Cut,
    /// Rows with another number of columns, quotes that do not end, lines too long or broken off.
    Columns,
    /// A field or JSON value that is no finite number.
    Number,
    /// A time that cannot be read, or is missing.
    Time,
    /// Samples with a missing value that could be neither held nor interpolated.
    Missing,
    /// Rows or items that `where` leaves out: no loss, counted and never warned about.
    Filtered,
    /// Messages that are no JSON, or lack the place of the batch.
    Message,
    /// Messages of a second topic where topics must not mix.
    Topic,
    /// Messages or readings that came faster than they were taken.
    Dropped,
    /// Sensor readings that failed or came too late.
    Reading,
    /// Label texts or label ranges that cannot be used.
    Label,
    /// Samples that are older than the one before, after sorting.
    Order,
    /// Samples that were kept and are gone from the disk.
    Disk,
}

impl Loss {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 13] = [
        Self::Cut,
        Self::Columns,
        Self::Number,
        Self::Time,
        Self::Missing,
        Self::Filtered,
        Self::Message,
        Self::Topic,
        Self::Dropped,
        Self::Reading,
        Self::Label,
        Self::Order,
        Self::Disk,
    ];

    /// One word for messages between programs: at most 12 ASCII letters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Columns => "columns",
            Self::Number => "number",
            Self::Time => "time",
            Self::Missing => "missing",
            Self::Filtered => "filtered",
            Self::Message => "message",
            Self::Topic => "topic",
            Self::Dropped => "dropped",
            Self::Reading => "reading",
            Self::Label => "label",
            Self::Order => "order",
            Self::Disk => "disk",
        }
    }

    /// What was lost, as people read it behind a count.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Cut => "values outside of the range that the ring holds",
            Self::Columns => "rows that are not whole or have other columns",
            Self::Number => "samples with a value that is no number",
            Self::Time => "samples without a usable time",
            Self::Missing => "samples with a missing value",
            Self::Filtered => "rows left out by `where`",
            Self::Message => "messages that cannot be read",
            Self::Topic => "messages of another topic",
            Self::Dropped => "messages or readings that came too fast",
            Self::Reading => "readings that failed or came too late",
            Self::Label => "labels that cannot be used",
            Self::Order => "samples older than the one before",
            Self::Disk => "samples that were kept and are gone from the disk",
        }
    }

    /// Whether something is wrong: with all but what `where` leaves out on purpose.
    pub fn is_fault(self) -> bool {
        self != Self::Filtered
    }
}

/// Counts by kind, each with the last detail, such as `line 17, column 3 ("Glucose"): "Low" is not a
/// number`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    kinds: BTreeMap<Loss, (u64, String)>,
}

impl Losses {
    /// Counts `count` more of `loss`; nothing where it is 0. Of `detail`, the first 240 characters are
    /// kept.
    pub fn add(&mut self, loss: Loss, count: u64, detail: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        let (total, last) = self.kinds.entry(loss).or_default();
        *total = total.saturating_add(count);
        // What `where` leaves out may be most of the input: its first detail will do.
        if loss.is_fault() || last.is_empty() {
            *last = detail();
            if let Some((at, _)) = last.char_indices().nth(DETAIL_CHARS_MAX) {
                last.truncate(at);
                last.push_str("...");
            }
        }
    }

    /// How many of `loss` there were.
    pub fn count(&self, loss: Loss) -> u64 {
        self.kinds.get(&loss).map_or(0, |kind| kind.0)
    }

    /// The detail of the last `loss`; `None` where there was none.
    pub fn last(&self, loss: Loss) -> Option<&str> {
        self.kinds.get(&loss).map(|kind| kind.1.as_str())
    }

    /// The kinds that occurred, in the order of reports: how many, and the last detail.
    pub fn iter(&self) -> impl Iterator<Item = (Loss, u64, &str)> {
        self.kinds.iter().map(|(loss, (count, last))| (*loss, *count, last.as_str()))
    }

    /// Whether nothing was lost or left out.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The kind of fault that occurred most often; the first of those that occurred equally often.
    pub fn worst(&self) -> Option<(Loss, u64, &str)> {
        let faults = self.iter().filter(|(loss, ..)| loss.is_fault());
        faults.max_by_key(|(loss, count, _)| (*count, std::cmp::Reverse(*loss)))
    }

    /// All faults together: everything but what `where` leaves out.
    pub fn faults(&self) -> u64 {
        let faults = self.iter().filter(|(loss, ..)| loss.is_fault());
        faults.fold(0, |sum, (_, count, _)| sum.saturating_add(count))
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing lost");
        }
        for (at, (loss, count, last)) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{count} {}", loss.describe())?;
            if !last.is_empty() {
                write!(f, " ({last})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_by_kind_with_the_last_detail_of_each() {
        let mut losses = Losses::default();
        assert_eq!((losses.is_empty(), losses.worst()), (true, None));
        losses.add(Loss::Time, 1, || "line 24".to_owned());
        losses.add(Loss::Label, 3, || "too long".to_owned());
        losses.add(Loss::Time, 618, || "line 642".to_owned());
        losses.add(Loss::Number, 0, || panic!("nothing was lost"));
        assert_eq!((losses.count(Loss::Time), losses.last(Loss::Time)), (619, Some("line 642")));
        assert_eq!((losses.count(Loss::Number), losses.last(Loss::Number)), (0, None));
        assert_eq!(losses.worst(), Some((Loss::Time, 619, "line 642")));
        assert_eq!(losses.faults(), 622);
        let text = "619 samples without a usable time (line 642); 3 labels that cannot be used \
                    (too long)";
        assert_eq!(losses.to_string(), text);
    }

    #[test]
    fn what_where_leaves_out_is_no_fault() {
        let mut losses = Losses::default();
        losses.add(Loss::Filtered, 1000, || "line 1".to_owned());
        losses.add(Loss::Filtered, 1000, || panic!("only the first is told"));
        assert_eq!((losses.worst(), losses.faults(), losses.is_empty()), (None, 0, false));
        losses.add(Loss::Order, 2, String::new);
        losses.add(Loss::Columns, 2, String::new);
        assert_eq!(losses.worst(), Some((Loss::Columns, 2, "")), "the first of equals");
    }

    #[test]
    fn words_are_short_and_differ_and_details_are_bounded() {
        let words: std::collections::BTreeSet<_> = Loss::ALL.iter().map(|l| l.word()).collect();
        assert_eq!(words.len(), Loss::ALL.len());
        assert!(words.iter().all(|word| (1..=12).contains(&word.len())));
        assert!(Loss::ALL.is_sorted());
        let mut losses = Losses::default();
        losses.add(Loss::Number, 1, || "é".repeat(1000));
        assert_eq!(losses.last(Loss::Number).map(|text| text.chars().count()), Some(243));
    }
}
