//! Scaled windows, ready for training.

use super::LeftOut;
use crate::holdout::{Holdout, for_training};

/// Scaled windows of one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowSet {
    /// `[n, window, channels]`, scaled by the task, sample by sample; oldest window first.
    pub values: Vec<f32>,
    /// `[n]`: index into the labels of the task; empty for tasks without labels.
    pub labels: Vec<u16>,
    /// Values of one window: `window * channels`.
    pub window_values: usize,
    /// What the source left out, and why.
    pub left_out: LeftOut,
}

/// How many windows there are of each label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowCounts {
    by_label: Vec<usize>,
    /// What the source left out, and why.
    pub left_out: LeftOut,
}

impl WindowCounts {
    /// Counts by label, in the order of the task's labels; one count where it has none.
    pub fn new(mut by_label: Vec<usize>) -> Self {
        while by_label.last() == Some(&0) {
            by_label.pop();
        }
        Self { by_label, left_out: LeftOut::default() }
    }

    /// The same windows, beside which the source left this out.
    pub fn with_left_out(self, left_out: LeftOut) -> Self {
        Self { left_out, ..self }
    }

    /// The windows of `set`.
    pub fn of(set: &WindowSet) -> Self {
        let counts = match set.labels.as_slice() {
            [] => Self::new(vec![set.len()]),
            labels => Self::of_labels(labels.iter().copied()),
        };
        counts.with_left_out(set.left_out.clone())
    }

    /// Windows with these labels.
    pub fn of_labels(labels: impl Iterator<Item = u16>) -> Self {
        let mut by_label = Vec::new();
        for label in labels.map(usize::from) {
            by_label.resize(by_label.len().max(label + 1), 0);
            by_label[label] += 1;
        }
        Self { by_label, left_out: LeftOut::default() }
    }

    /// Windows of each label, in the order of the task's labels: those of the last labels may be missing
    /// where there are none. One count where the task has no labels.
    pub fn by_label(&self) -> &[usize] {
        &self.by_label
    }

    /// Windows of all labels together.
    pub fn total(&self) -> usize {
        self.by_label.iter().sum()
    }

    /// Those to train on: as many as [`WindowSet::split`] leaves.
    pub fn for_training(&self, holdout: f32) -> usize {
        self.by_label.iter().map(|&count| for_training(count, holdout)).sum()
    }
}

/// One scaled window as it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveWindow {
    /// Time of its last sample in microseconds, on the clock of the sensor: tells one window from
    /// the next.
    pub end_us: i64,
    /// `[window, channels]`, scaled by the task, sample by sample.
    pub values: Vec<f32>,
}

impl WindowSet {
    /// The windows, each with its label if they have labels.
    pub fn iter(&self) -> impl Iterator<Item = (&[f32], Option<u16>)> {
        let windows = self.values.chunks_exact(self.window_values.max(1));
        windows.enumerate().map(|(at, window)| (window, self.labels.get(at).copied()))
    }

    /// A set without windows, whose windows would have `window_values` values.
    pub fn empty(window_values: usize) -> Self {
        Self { window_values, ..Self::default() }
    }

    /// Number of windows in the set.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.window_values).unwrap_or(0)
    }

    /// Whether there are no windows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of window `index`: `[window, channels]`.
    ///
    /// # Panics
    /// If `index` is not below [`WindowSet::len`].
    pub fn window(&self, index: usize) -> &[f32] {
        &self.values[index * self.window_values..][..self.window_values]
    }

    /// Parts the windows into those to train on and those held out for evaluation.
    ///
    /// `holdout`: share in `0..=1` of each label, or of all windows where there are no labels; see
    /// [`Holdout`]. Both parts keep the order of time.
    ///
    /// Works in place: on a small board the windows are most of what is in memory.
    pub fn split(mut self, holdout: f32) -> (Self, Self) {
        let count = self.len();
        let label_of = |window: usize| self.labels.get(window).copied().unwrap_or(0);
        let mut holdout = Holdout::new((0..count).map(label_of), holdout);
        let mut held = Self::empty(self.window_values);
        let mut stays = 0;
        for window in 0..count {
            if holdout.trains(self.labels.get(window).copied().unwrap_or(0)) {
                self.move_window(window, stays);
                stays += 1;
            } else {
                held.values.extend_from_slice(self.window(window));
                held.labels.extend(self.labels.get(window));
            }
        }
        self.values.truncate(stays * self.window_values);
        self.labels.truncate(stays);
        (self, held)
    }

    /// Puts window `from` in the place of window `to`.
    fn move_window(&mut self, from: usize, to: usize) {
        let n = self.window_values;
        self.values.copy_within(from * n..(from + 1) * n, to * n);
        if let Some(&label) = self.labels.get(from) {
            self.labels[to] = label;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[u16]) -> WindowSet {
        let values = (0..labels.len()).flat_map(|w| [w as f32, w as f32]).collect();
        WindowSet { values, labels: labels.to_vec(), window_values: 2, ..WindowSet::default() }
    }

    fn numbers(set: &WindowSet) -> Vec<f32> {
        (0..set.len()).map(|w| set.window(w)[0]).collect()
    }

    #[test]
    fn the_last_share_of_each_label_is_held_out() {
        let (train, held) = set(&[0, 1, 0, 1, 0, 0, 1, 1]).split(0.25);
        assert_eq!(numbers(&train), [0.0, 1.0, 2.0, 3.0, 4.0, 6.0]);
        assert_eq!(numbers(&held), [5.0, 7.0]);
        assert_eq!((train.labels, held.labels), (vec![0, 1, 0, 1, 0, 1], vec![0, 1]));
    }

    #[test]
    fn without_labels_the_last_share_of_all_windows_is_held_out() {
        let mut unlabelled = set(&[0; 10]);
        unlabelled.labels.clear();
        let (train, held) = unlabelled.split(0.3);
        assert_eq!(numbers(&train), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(numbers(&held), [7.0, 8.0, 9.0]);
        assert!(train.labels.is_empty() && held.labels.is_empty());
    }

    #[test]
    fn counts_leave_as_many_windows_for_training_as_the_windows_themselves() {
        let mut unlabelled = set(&[0; 7]);
        unlabelled.labels.clear();
        for set in [set(&[0, 3, 0, 3, 3, 1]), set(&[2; 9]), unlabelled, WindowSet::empty(2)] {
            let counts = WindowCounts::of(&set);
            assert_eq!(counts.total(), set.len());
            for share in [0.0, 0.2, 0.25, 0.5, 0.9, 1.0, f32::NAN] {
                assert_eq!(counts.for_training(share), set.clone().split(share).0.len(), "{share}");
            }
        }
        assert_eq!(WindowCounts::new(vec![2, 0, 1, 0]), WindowCounts::of(&set(&[2, 0, 0])));
    }

    #[test]
    fn one_window_of_each_label_always_stays_for_training() {
        for share in [0.9, 1.0, 7.0, f32::INFINITY, f32::NAN, -1.0] {
            let (train, held) = set(&[0, 1, 1, 1]).split(share);
            assert!(train.labels.contains(&0) && train.labels.contains(&1), "{share}");
            assert_eq!(train.len() + held.len(), 4);
        }
        let (train, held) = WindowSet::empty(6).split(0.2);
        assert!(train.is_empty() && held.is_empty());
        assert_eq!(WindowSet::default().len(), 0);
    }
}
