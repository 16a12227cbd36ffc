//! What is wrong with the data of a device: counts by reason for its federation, and a line for
//! whoever looks after it.

use dunlin_protocol::presence::{DataTrouble, TROUBLES_MAX};

use super::looks::Oddities;
use super::{LeftOut, SourceStatus};

/// Most reasons that are told at a time.
pub const REASONS_MAX: usize = TROUBLES_MAX;
/// Longest line in characters.
const LINE_CHARS_MAX: usize = 300;

/// What is wrong with the data of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataReport {
    /// Reasons with their counts, the weightiest first, at most [`REASONS_MAX`]; empty where all is
    /// well. Each word has at most 12 letters: those of [`Loss::word`](super::Loss::word), `windows`
    /// with 0 where there are none, and then why: `short_rows`, `off_rate`, `unlabelled`, `misfit`;
    /// `constant` and `off_scale` with the number of such channels; and where there is room, `filled` and
    /// `held`, what the intake made up, in powers of two, so that a device does not speak each minute.
    pub reasons: Vec<(&'static str, u64)>,
    /// The same for people, with the last detail; empty where all is well.
    pub line: String,
}

/// What looking for the windows of a task came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// No task is known yet.
    NoTask,
    /// So many windows, and what cutting left out.
    Windows(usize, LeftOut),
    /// The source cannot serve the task: why.
    Misfit(String),
}

impl DataReport {
    /// The line, where channels are odd that were not before: nothing else tells of them.
    pub fn odder_than(&self, before: &Self) -> Option<&str> {
        let count = |report: &Self, word: &str| {
            report.reasons.iter().find(|(found, _)| *found == word).map_or(0, |(_, count)| *count)
        };
        let odder =
            ["constant", "off_scale"].iter().any(|word| count(self, word) > count(before, word));
        odder.then_some(&*self.line)
    }

    /// What there is to tell of a source, its windows and their values.
    pub fn of(status: &SourceStatus, looked: &Looked, odd: &Oddities) -> Self {
        let mut reasons: Vec<(&'static str, u64)> = Vec::new();
        let mut texts: Vec<String> = status.problem.iter().cloned().collect();
        match looked {
            Looked::Windows(0, left_out) => {
                reasons.push(("windows", 0));
                reasons.extend(why(left_out));
                texts.push(left_out.to_string());
            }
            Looked::Misfit(problem) => {
                reasons.extend([("windows", 0), ("misfit", 1)]);
                texts.push(format!("no windows: {problem}"));
            }
            Looked::Windows(..) => {
                let counts = [("constant", odd.constant), ("off_scale", odd.off_scale)];
                reasons.extend(counts.into_iter().filter(|(_, count)| *count > 0));
                texts.extend((!odd.text.is_empty()).then(|| odd.text.clone()));
            }
            Looked::NoTask => {}
        }
        let mut lost: Vec<_> = status.losses.iter().filter(|loss| loss.0.is_fault()).collect();
        lost.sort_by_key(|&(_, count, _)| std::cmp::Reverse(count));
        for (loss, count, _) in &lost {
            match reasons.iter_mut().find(|reason| reason.0 == loss.word()) {
                Some(known) => known.1 = known.1.max(*count),
                None => reasons.push((loss.word(), *count)),
            }
        }
        let made_up = [("filled", status.filled), ("held", status.held)];
        let made_up = made_up.into_iter().filter(|(_, count)| *count > 0);
        reasons.extend(made_up.map(|(word, count)| (word, 1 << count.ilog2())));
        reasons.truncate(REASONS_MAX);
        for (place, (loss, count, last)) in lost.into_iter().take(REASONS_MAX).enumerate() {
            let what = loss.describe();
            let detail =
                if place == 0 && !last.is_empty() { format!(" ({last})") } else { String::new() };
            texts.push(format!("{count} {what}{detail}"));
        }
        if status.filled > 0 {
            texts.push(format!("{} single missing samples filled in", status.filled));
        }
        if status.held > 0 {
            texts.push(format!("{} missing values held or interpolated", status.held));
        }
        texts.extend(status.hints.values().cloned());
        let line = texts.join("; ").chars().take(LINE_CHARS_MAX).collect();
        Self { reasons, line }
    }
}

impl DataReport {
    /// What the federation is told; `None` where all is well.
    pub fn trouble(&self) -> Option<DataTrouble> {
        let trouble: DataTrouble = self.reasons.iter().copied().collect();
        (!trouble.is_empty()).then_some(trouble)
    }

    /// `line` with what is wrong behind it.
    pub fn behind(&self, line: String) -> String {
        if self.line.is_empty() { line } else { format!("{line}; data: {}", self.line) }
    }
}

/// What left out most, where there are no windows.
fn why(left_out: &LeftOut) -> Option<(&'static str, u64)> {
    let LeftOut { unlabelled, off_rate, cut, rows_ended, .. } = *left_out;
    if left_out.is_other_rate() {
        return Some(("off_rate", off_rate.max(rows_ended)));
    }
    let reasons = [
        ("off_rate", off_rate),
        ("cut", cut),
        ("unlabelled", unlabelled),
        ("short_rows", rows_ended),
    ];
    let there = reasons.into_iter().filter(|reason| reason.1 > 0);
    // Whole windows that were refused say more than rows that ended.
    let windows = there.clone().filter(|reason| reason.0 != "short_rows");
    windows.max_by_key(|reason| reason.1).or_else(|| there.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, Losses};
    use super::*;

    fn status(lost: &[(Loss, u64, &str)]) -> SourceStatus {
        let mut losses = Losses::default();
        lost.iter().for_each(|(loss, count, last)| losses.add(*loss, *count, || (*last).into()));
        SourceStatus { samples: 10, accepted: 10, losses, ..SourceStatus::default() }
    }

    fn told_of(status: &SourceStatus, looked: &Looked) -> DataReport {
        DataReport::of(status, looked, &Oddities::default())
    }

    #[test]
    fn odd_channels_and_what_the_intake_made_up_are_told_beside_windows() {
        let odd = Oddities { constant: 2, off_scale: 1, text: "x is always 0 g".into() };
        let status = SourceStatus {
            filled: 700,
            held: 5,
            ..status(&[(Loss::Cut, 3, ""), (Loss::Time, 1, "")])
        };
        let windows = Looked::Windows(7, LeftOut::default());
        let report = DataReport::of(&status, &windows, &odd);
        let reasons = [("constant", 2), ("off_scale", 1), ("cut", 3), ("time", 1)];
        assert_eq!(report.reasons, reasons, "what was made up goes last");
        assert!(report.line.starts_with("x is always 0 g; 3 values outside"), "{}", report.line);
        let calm = SourceStatus { losses: Losses::default(), ..status };
        let report = DataReport::of(&calm, &windows, &Oddities::default());
        assert_eq!(report.reasons, [("filled", 512), ("held", 4)]);
        let line = "700 single missing samples filled in; 5 missing values held or interpolated";
        assert_eq!(report.line, line);
    }

    #[test]
    fn a_source_without_trouble_has_nothing_to_tell() {
        let filtered = status(&[(Loss::Filtered, 900, "line 7")]);
        for looked in [Looked::NoTask, Looked::Windows(3, LeftOut::default())] {
            assert_eq!(told_of(&filtered, &looked), DataReport::default());
        }
    }

    #[test]
    fn losses_are_told_with_the_worst_first_and_its_last_detail() {
        let lost = [
            (Loss::Cut, 18, "99"),
            (Loss::Columns, 1, ""),
            (Loss::Time, 619, "line 24"),
            (Loss::Label, 2, ""),
            (Loss::Order, 3, ""),
        ];
        let report = told_of(&status(&lost), &Looked::NoTask);
        assert_eq!(report.reasons, [("time", 619), ("cut", 18), ("order", 3), ("label", 2)]);
        let told = report.trouble().unwrap();
        assert_eq!(told.to_string(), r#"{"time":619,"cut":18,"order":3,"label":2}"#);
        assert!(report.behind("waits".into()).starts_with("waits; data: 619"));
        assert_eq!(DataReport::default().trouble(), None);
        assert_eq!(DataReport::default().behind("waits".into()), "waits");
        let start = "619 samples without a usable time (line 24); 18 values outside";
        assert!(report.line.starts_with(start), "{}", report.line);
    }

    #[test]
    fn no_windows_are_told_with_their_reason() {
        let left_out = LeftOut { samples: 99, off_rate: 5, unlabelled: 2, ..LeftOut::default() };
        let report = told_of(&status(&[]), &Looked::Windows(0, left_out));
        assert_eq!(report.reasons, [("windows", 0), ("off_rate", 5)]);
        assert!(!report.line.is_empty());
        let left_out =
            LeftOut { rows_ended: 40, longest_row: 39, window: 128, ..LeftOut::default() };
        let report = told_of(&status(&[(Loss::Number, 7, "x")]), &Looked::Windows(0, left_out));
        assert_eq!(report.reasons, [("windows", 0), ("short_rows", 40), ("number", 7)]);
        let report = told_of(&status(&[]), &Looked::Misfit("another rate".into()));
        assert_eq!(report.reasons, [("windows", 0), ("misfit", 1)]);
        assert_eq!(report.line, "no windows: another rate");
    }

    #[test]
    fn words_are_short_and_the_line_is_bounded() {
        let long = "é".repeat(1000);
        let status = SourceStatus { problem: Some(long), ..status(&[]) };
        let report = told_of(&status, &Looked::NoTask);
        assert_eq!(report.line.chars().count(), LINE_CHARS_MAX);
        let words =
            ["windows", "short_rows", "off_rate", "unlabelled", "misfit", "constant", "off_scale"];
        assert!(words.iter().all(|word| word.len() <= 12));
    }
}
