//! What can be seen of rows as a whole, though each of them can be read: ranges that contradict each
//! other, numbers of rows that are read as times, and rows in an order that makes no windows.

use super::table::quoted;
use crate::data::labels::LabelRange;
use crate::data::ring::NO_LABEL;
use crate::data::time::show_us;

/// Ranges that are remembered.
const RANGES_MAX: usize = 4096;
/// Rows at the least before their order is judged.
const ROWS_MIN: u64 = 20;

/// The ranges of a label file, and which of them contradict each other.
#[derive(Debug, Default)]
pub(super) struct Clashes {
    ranges: Vec<(LabelRange, u64)>,
    count: u64,
    /// The lines of the last two.
    last: (u64, u64),
}

impl Clashes {
    /// Takes the range of line `number`.
    pub(super) fn add(&mut self, range: LabelRange, number: u64) {
        let clashes = |(other, _): &&(LabelRange, u64)| {
            let both = range.start_us < other.end_us && other.start_us < range.end_us;
            let labels = [range.label, other.label];
            both && labels[0] != labels[1] && !labels.contains(&NO_LABEL)
        };
        if let Some((_, other)) = self.ranges.iter().rev().find(clashes) {
            self.count += 1;
            self.last = (*other, number);
        }
        if self.ranges.len() < RANGES_MAX {
            self.ranges.push((range, number));
        }
    }

    /// Beginnings and ends of the first ranges.
    pub(super) fn spans(&self) -> impl Iterator<Item = (i64, i64)> {
        self.ranges.iter().map(|(range, _)| (range.start_us, range.end_us))
    }

    /// What contradicts what, for people.
    pub(super) fn text(&self) -> Option<String> {
        let Self { count, last: (first, second), .. } = self;
        (*count > 0).then(|| {
            format!(
                "{count} ranges overlap an earlier one of another label, the last lines {first} and \
                 {second}; the later line holds: where that is no correction, mend them"
            )
        })
    }
}

/// Whether starts and ends that are read as times look like numbers of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct RowNumbers {
    ranges: u64,
    /// Whether one of them is no whole number.
    others: bool,
    latest: u64,
    latest_us: i64,
}

impl RowNumbers {
    /// Takes the texts of a start and an end, which is read as `end_us` microseconds.
    pub(super) fn add(&mut self, texts: [&str; 2], end_us: i64) {
        self.ranges += 1;
        self.latest_us = self.latest_us.max(end_us);
        for text in texts {
            let number = text.parse::<u64>();
            self.others |= number.is_err();
            self.latest = self.latest.max(number.unwrap_or(0));
        }
    }

    /// What to set where all are whole numbers up to that of the rows of the recording, which as times
    /// would lie behind its end: `rows`, and `until_us` microseconds.
    pub(super) fn advice(&self, rows: u64, until_us: i64) -> Option<String> {
        let Self { ranges, others, latest, latest_us } = *self;
        let like_rows = ranges > 0 && !others && latest <= rows && latest_us > until_us;
        like_rows.then(|| {
            format!(
                "starts and ends are whole numbers up to {latest} and are read as times, but the \
                 recording ends at {}; it has {rows} rows: if they count rows, set by = \"rows\" in \
                 source.label_file (from 1, the last one included), or by = \"samples\" (from 0)",
                show_us(until_us)
            )
        })
    }
}

/// The order of the rows of a recording that have times.
#[derive(Debug, Default)]
pub(super) struct RowOrder {
    rows: u64,
    /// Steps back, and rows that are in pairs of two equal ones.
    back: u64,
    paired: u64,
    /// Equal rows so far.
    run: u64,
    first: Option<(i64, u32)>,
    last: Option<(i64, u32)>,
    /// Whether it began anew with its first row.
    again: bool,
}

impl RowOrder {
    /// Takes the next row.
    pub(super) fn add(&mut self, time_us: i64, values: &[f32]) {
        let mut hasher = crc32fast::Hasher::new();
        values.iter().for_each(|value| hasher.update(&value.to_bits().to_le_bytes()));
        let row = (time_us, hasher.finalize());
        self.rows += 1;
        if self.last.is_some_and(|last| time_us < last.0) {
            self.back += 1;
            self.again |= self.first == Some(row) && self.rows > ROWS_MIN;
        }
        if self.last == Some(row) {
            self.run += 1;
        } else {
            self.end_run();
            self.run = 1;
        }
        self.first.get_or_insert(row);
        self.last = Some(row);
    }

    fn end_run(&mut self) {
        if self.run == 2 {
            self.paired += 2;
        }
    }

    /// What is odd about the rows so far, and what to do.
    pub(super) fn advice(&self) -> Option<&'static str> {
        let paired = if self.run == 2 { self.paired + 2 } else { self.paired };
        let most = |count: u64| self.rows >= ROWS_MIN && count * 10 >= self.rows * 9;
        if most(self.back + 1) {
            Some(
                "its rows go backwards, newest first, and make no windows so: write them oldest first, \
                 such as with: (head -n 1 FILE; tail -n +2 FILE | tac), and then dunlin-agent data \
                 reset",
            )
        } else if most(paired) {
            Some(
                "its rows come twice, each with the same time and values as the one before: take the \
                 copies out, such as with uniq, and then dunlin-agent data reset",
            )
        } else if self.again {
            Some(
                "its rows come twice: it begins again with its first row: take the copies out, and then \
                 dunlin-agent data reset",
            )
        } else {
            None
        }
    }
}

/// A few of `names`, for people.
pub(super) fn few(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| quoted(name)).collect();
    let more = if names.len() > shown.len() { " and more" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_go_backwards_or_come_twice_are_seen() {
        let advice = |times: &mut dyn Iterator<Item = i64>| {
            let mut order = RowOrder::default();
            times.for_each(|time| order.add(time, &[0.5]));
            order.advice().unwrap_or("")
        };
        assert_eq!(advice(&mut (0..100)), "");
        assert!(advice(&mut (0..100).rev()).contains("newest first"));
        assert!(advice(&mut (0..100).map(|n| n / 2)).contains("come twice, each"));
        assert!(advice(&mut (0..100).map(|n| n % 50)).contains("begins again"));
        assert_eq!(advice(&mut (0..100).map(|n| n / 10)), "", "times are coarse");
        assert_eq!(advice(&mut (0..10).rev()), "", "too few to tell");
    }

    #[test]
    fn numbers_of_rows_are_told_from_times() {
        let advice = |ranges: &[([&str; 2], i64)], rows, until_us| {
            let mut numbers = RowNumbers::default();
            ranges.iter().for_each(|(texts, end_us)| numbers.add(*texts, *end_us));
            numbers.advice(rows, until_us)
        };
        let ranges = [(["250", "1232"], 1_232_000_000), (["1233", "1392"], 1_392_000_000)];
        let text = advice(&ranges, 1500, 30_000_000).unwrap();
        assert!(text.contains("up to 1392") && text.contains("by = \"rows\""), "{text}");
        assert_eq!(advice(&ranges, 100, 30_000_000), None, "more than there are rows");
        assert_eq!(advice(&ranges, 100_000, 2_000_000_000), None, "they may be seconds");
        assert_eq!(advice(&[(["2.5", "9"], 9_000_000)], 1500, 0), None, "not whole");
    }
}
