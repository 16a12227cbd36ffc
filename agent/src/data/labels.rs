//! Names of labels, and labels that come apart from their samples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dunlin_protocol::limits::{CLASSES_MAX, LABEL_CHARS_MAX};

use super::DataError;
use super::checked_text::{self, Found};
use super::ring::NO_LABEL;

const FIRST_LINE: &str = "dunlin-labels 1";
/// Longest label file that can be ours, in bytes.
const FILE_BYTES_MAX: u64 = (CLASSES_MAX * (LABEL_CHARS_MAX * 4 + 1) + 64) as u64;
/// A sample that is later than the one before by more than this has a clock of its own.
const JUMP_US: i64 = 3_600_000_000;
/// Label ranges at the most that wait for samples.
const WAITING_MAX: usize = 4096;

/// Whether two texts name the same label: they differ at most in case and outer spaces.
pub fn same_label(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// Whether `text` is `pattern`, in which each `*` stands for any characters.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    captures(pattern, text).is_some()
}

/// What each `*` of `pattern` stands for in `text`, as short as possible from the left; `None` where
/// the text is not as the pattern says.
pub fn captures<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut parts = pattern.split('*').peekable();
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut found = Vec::new();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            found.push(rest.strip_suffix(part)?);
            return Some(found);
        }
        let (before, after) = rest.split_once(part)?;
        found.push(before);
        rest = after;
    }
    rest.is_empty().then_some(found)
}

/// Other names of labels: what the input says to what the task calls it. A name with `*` stands for
/// any characters there; labels without another name are kept as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelNames(BTreeMap<String, String>);

impl LabelNames {
    /// The names of `[source.labels]`.
    pub fn new(names: BTreeMap<String, String>) -> Self {
        Self(names)
    }

    /// The name of the label that the input calls `text`.
    pub fn of<'a>(&'a self, text: &'a str) -> &'a str {
        if self.0.is_empty() {
            return text;
        }
        let text = text.trim();
        let exact = self.0.get(text).or_else(|| {
            let patterns = self.0.iter().filter(|(name, _)| name.contains('*'));
            patterns.into_iter().find(|(name, _)| matches_pattern(name, text)).map(|(_, to)| to)
        });
        exact.map_or(text, String::as_str)
    }
}

/// For each of `texts` its index among the labels of a task, where the task has it.
///
/// # Errors
/// [`DataError::Labels`] when there are texts and the task has none of them.
pub fn match_labels(texts: &[String], task: &[String]) -> Result<Vec<Option<u16>>, DataError> {
    let place = |text: &String| task.iter().position(|label| same_label(label, text));
    let found: Vec<Option<u16>> =
        texts.iter().map(|text| place(text).and_then(|at| u16::try_from(at).ok())).collect();
    if !found.is_empty() && found.iter().all(Option::is_none) {
        return Err(DataError::Labels { task: task.to_vec(), has: texts.to_vec() });
    }
    Ok(found)
}

/// The texts behind the label numbers in a ring: at most 256, in a file beside the ring.
#[derive(Debug)]
pub struct LabelTable {
    path: PathBuf,
    texts: Vec<String>,
}

impl LabelTable {
    /// Reads the table at `path`. The flag says that there was none that could be read: label
    /// numbers in the ring then mean nothing any more and must be cleared.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn open(path: &Path) -> Result<(Self, bool), DataError> {
        let table = |texts| Self { path: path.to_owned(), texts };
        let found = checked_text::read(path, FIRST_LINE, FILE_BYTES_MAX);
        let texts = match found.map_err(DataError::io(path, "read"))? {
            Found::Nothing => return Ok((table(Vec::new()), true)),
            Found::Damaged => None,
            Found::Text(body) => Some(body.lines().map(str::to_owned).collect::<Vec<String>>()),
        };
        match texts.filter(|texts| texts.len() <= CLASSES_MAX) {
            Some(texts) => Ok((table(texts), false)),
            None => {
                log::error!(
                    "{}: not readable as label names; labels of stored samples are forgotten, \
                     those of the label file will be read again",
                    path.display()
                );
                Ok((table(Vec::new()), true))
            }
        }
    }

    /// The texts, by number.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Number of `text`; a new text gets the next number, and is on disk before this returns.
    /// [`NO_LABEL`] for an empty text. `None` when the text is longer than 32 characters, has
    /// control characters, or is the 257th.
    ///
    /// # Errors
    /// [`DataError::Io`] when the table cannot be written; it is then unchanged.
    pub fn number_of(&mut self, text: &str) -> Result<Option<u16>, DataError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Some(NO_LABEL));
        }
        let known = self.texts.iter().position(|have| have == text);
        if let Some(at) = known.or_else(|| self.texts.iter().position(|t| same_label(t, text))) {
            return Ok(u16::try_from(at).ok());
        }
        let bad = text.chars().count() > LABEL_CHARS_MAX || text.chars().any(char::is_control);
        if bad || self.texts.len() >= CLASSES_MAX {
            return Ok(None);
        }
        self.texts.push(text.to_owned());
        if let Err(error) = self.save() {
            self.texts.pop();
            return Err(error);
        }
        Ok(u16::try_from(self.texts.len() - 1).ok())
    }

    fn save(&self) -> Result<(), DataError> {
        let body: String = self.texts.iter().flat_map(|text| [text.as_str(), "\n"]).collect();
        let written = checked_text::write(&self.path, FIRST_LINE, &body);
        written.map_err(DataError::io(&self.path, "write"))
    }
}

/// A label for all samples of a time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelRange {
    /// First moment, in microseconds.
    pub start_us: i64,
    /// First moment after the range, in microseconds.
    pub end_us: i64,
    /// Number in the label table; [`NO_LABEL`] takes a label away.
    pub label: u16,
}

/// Label ranges in a form that finds the label of a moment in logarithmic time. Where ranges
/// overlap, the later one in the list wins.
#[derive(Debug, Default)]
pub struct LabelIndex {
    /// Beginnings of stretches in order of time, and the label from there to the next one.
    stretches: Vec<(i64, Option<u16>)>,
}

impl LabelIndex {
    /// Indexes `ranges`. Cost: square of their number, which is at most a batch.
    pub fn new(ranges: &[LabelRange]) -> Self {
        let mut edges: Vec<i64> = ranges.iter().flat_map(|r| [r.start_us, r.end_us]).collect();
        edges.sort_unstable();
        edges.dedup();
        let covers = |range: &&LabelRange, at| range.start_us <= at && at < range.end_us;
        let label_at = |at| ranges.iter().rev().find(|range| covers(range, at)).map(|r| r.label);
        Self { stretches: edges.into_iter().map(|at| (at, label_at(at))).collect() }
    }

    /// Label of the moment `time_us`, where a range covers it.
    pub fn label_at(&self, time_us: i64) -> Option<u16> {
        let after = self.stretches.partition_point(|&(begin, _)| begin <= time_us);
        after.checked_sub(1).and_then(|at| self.stretches[at].1)
    }
}

/// Label ranges that wait for samples yet to come. At most 4096: those that begin soonest.
#[derive(Debug, Default)]
pub struct WaitingLabels {
    /// The last of them wins; those of the text of a label file before the one of now come first.
    ranges: Vec<LabelRange>,
    before: usize,
    /// The last answer, and the moments `from..until` for which it holds.
    last: Option<(i64, i64, Option<u16>)>,
    lost: u64,
    /// Time of the last sample that was looked at.
    newest: Option<i64>,
}

impl WaitingLabels {
    /// Keeps `range` for later samples.
    pub fn add(&mut self, range: LabelRange) {
        self.last = None;
        self.ranges.push(range);
        if self.ranges.len() > WAITING_MAX {
            let last = (0..self.ranges.len()).max_by_key(|&at| self.ranges[at].start_us);
            if let Some(at) = last {
                self.ranges.remove(at);
                self.before -= usize::from(at < self.before);
            }
            self.lost += 1;
        }
    }

    /// What is added from now on is of another text of the label file.
    pub fn begin(&mut self) {
        self.before = self.ranges.len();
    }

    /// Drops the ranges of the texts before.
    pub fn forget_before(&mut self) {
        self.ranges.drain(..std::mem::take(&mut self.before));
        self.last = None;
    }

    /// Drops all ranges: none is meant for samples to come. Gives how many would have lasted beyond
    /// `until_us`.
    pub fn end(&mut self, until_us: i64) -> u64 {
        let ranges = std::mem::take(&mut self.ranges);
        (self.last, self.before) = (None, 0);
        ranges.iter().filter(|range| range.end_us > until_us).count() as u64
    }

    /// Label for a new sample of the moment `time_us`; ranges that are over are dropped.
    pub fn label_at(&mut self, time_us: i64) -> Option<u16> {
        if let Some((from, until, label)) = self.last
            && (from..until).contains(&time_us)
        {
            return label;
        }
        // One sample from the far future, by a clock that was wrong, must not take all ranges along.
        let jumped = self.newest.is_some_and(|newest| time_us.saturating_sub(newest) > JUMP_US);
        if !jumped {
            let is_over = |range: &&LabelRange| range.end_us <= time_us;
            self.before -= self.ranges.iter().take(self.before).filter(is_over).count();
            self.ranges.retain(|range| range.end_us > time_us);
        }
        self.newest = Some(time_us);
        let covers = |range: &&LabelRange| range.start_us <= time_us && time_us < range.end_us;
        let current = self.ranges.iter().rev().find(covers);
        let label = current.map(|range| range.label);
        let edges = self.ranges.iter().flat_map(|range| [range.start_us, range.end_us]);
        let until = edges.filter(|&edge| edge > time_us).min().unwrap_or(i64::MAX);
        self.last = Some((time_us, until, label));
        label
    }

    /// Ranges dropped because too many waited.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn range(start_us: i64, end_us: i64, label: u16) -> LabelRange {
        LabelRange { start_us, end_us, label }
    }

    #[test]
    fn a_table_keeps_its_numbers_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels");
        let (mut table, fresh) = LabelTable::open(&path).unwrap();
        assert!(fresh);
        assert_eq!(table.number_of(" Walking ").unwrap(), Some(0));
        assert_eq!(table.number_of("sitting").unwrap(), Some(1));
        let (mut table, fresh) = LabelTable::open(&path).unwrap();
        assert!(!fresh && table.texts() == ["Walking", "sitting"]);
        assert_eq!(table.number_of("WALKING").unwrap(), Some(0));
        assert_eq!(table.number_of("").unwrap(), Some(NO_LABEL));
        assert_eq!(table.number_of("a\nb").unwrap(), None);
        assert_eq!(table.number_of(&"x".repeat(33)).unwrap(), None);
    }

    #[test]
    fn a_table_is_bounded_and_notices_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels");
        let (mut table, _) = LabelTable::open(&path).unwrap();
        for number in 0..256u16 {
            assert_eq!(table.number_of(&format!("label {number}")).unwrap(), Some(number));
        }
        assert_eq!(table.number_of("one too many").unwrap(), None);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (table, fresh) = LabelTable::open(&path).unwrap();
        assert!(fresh && table.texts().is_empty());
    }

    #[test]
    fn labels_are_matched_by_text_and_no_match_at_all_is_an_error() {
        let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let task = texts(&["sitting", "Walking"]);
        let found = match_labels(&texts(&["WALKING", "running", "SITTING"]), &task).unwrap();
        assert_eq!(found, [Some(1), None, Some(0)]);
        assert_eq!(match_labels(&[], &task).unwrap(), []);
        let error = match_labels(&texts(&["running"]), &task).unwrap_err().to_string();
        assert!(error.contains("running") && error.contains("sitting"), "{error}");
    }

    #[test]
    fn labels_get_the_names_of_the_task_also_by_patterns() {
        let names = [("4", "walking"), ("walk_*", "Walking"), ("*", "other"), ("7", "")];
        let names = names.map(|(from, to)| (from.to_owned(), to.to_owned()));
        let names = LabelNames::new(names.into_iter().collect());
        let renamed = [" 4 ", "walk_01", "x", "7"].map(|text| names.of(text));
        assert_eq!(renamed, ["walking", "other", "other", ""], "the first pattern by name wins");
        assert_eq!(LabelNames::default().of("x"), "x");
        let fits = |pattern| matches_pattern(pattern, "acc_exp01_user01.txt");
        assert!(fits("acc_*.txt") && fits("*") && fits("*exp*user01*") && !fits("*.csv"));
        assert!(!fits("acc") && fits("acc_exp01_user01.txt") && !fits("gyro*"));
        assert_eq!(captures("acc_exp*_user*.txt", "acc_exp01_user02.txt"), Some(vec!["01", "02"]));
        assert_eq!(captures("a*b", "a"), None);
        assert_eq!(captures("ab*b", "ab"), None, "nothing is counted twice");
    }

    #[test]
    fn the_later_of_two_ranges_wins_and_ends_are_outside() {
        let index = LabelIndex::new(&[range(0, 10, 1), range(5, 8, 2), range(20, 30, NO_LABEL)]);
        let labels: Vec<Option<u16>> = [-1, 0, 5, 7, 8, 10, 25].map(|t| index.label_at(t)).into();
        let expected = [None, Some(1), Some(2), Some(2), Some(1), None, Some(NO_LABEL)];
        assert_eq!(labels, expected);
        assert_eq!(LabelIndex::default().label_at(0), None);
    }

    #[test]
    fn waiting_ranges_of_the_text_before_can_be_dropped() {
        let mut waiting = WaitingLabels::default();
        waiting.add(range(0, 10, 1));
        waiting.add(range(20, 30, 1));
        waiting.begin();
        waiting.add(range(25, 40, 2));
        assert_eq!([5, 15, 22, 27].map(|t| waiting.label_at(t)), [Some(1), None, Some(1), Some(2)]);
        waiting.forget_before();
        assert_eq!([22, 27, 35].map(|t| waiting.label_at(t)), [None, Some(2), Some(2)]);
    }

    #[test]
    fn waiting_ranges_are_bounded_and_the_farthest_is_lost_first() {
        let mut waiting = WaitingLabels::default();
        (0..4096).for_each(|n| waiting.add(range(n * 10, n * 10 + 10, 0)));
        waiting.add(range(5, 7, 1));
        assert_eq!(waiting.lost(), 1);
        assert_eq!(waiting.label_at(5), Some(1));
        assert_eq!(waiting.label_at(8), Some(0));
        assert_eq!(waiting.label_at(4094 * 10), Some(0));
        assert_eq!(waiting.label_at(4095 * 10), None);
        assert_eq!(waiting.label_at(0), None, "what is over is dropped");
    }

    #[test]
    fn one_sample_from_the_far_future_takes_no_waiting_range_along() {
        let mut waiting = WaitingLabels::default();
        let minute = 60_000_000;
        waiting.add(LabelRange { start_us: minute, end_us: 2 * minute, label: 7 });
        assert_eq!(waiting.label_at(0), None);
        assert_eq!(waiting.label_at(i64::MAX / 2), None, "no range covers it");
        assert_eq!(waiting.label_at(minute + 1), Some(7));
        assert_eq!(waiting.label_at(2 * minute), None);
        assert_eq!(waiting.label_at(minute + 2), None, "what is over is dropped");
    }
}
