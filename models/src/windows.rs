//! Windows of sensor samples, checked before a network sees them.

use core::ops::Range;

use dunlin_protocol::task::TaskSpec;

use crate::error::ModelError;

/// Windows to learn from or to ask about, already scaled by [`TaskSpec::scale`].
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    values: &'a [f32],
    labels: &'a [u16],
    window_values: usize,
}

impl<'a> Windows<'a> {
    /// Checks windows for `task`.
    ///
    /// `values`: `[n, window, channels]`, scaled, finite. `labels`: `[n]` class numbers for a
    /// classification, empty otherwise.
    ///
    /// # Errors
    /// [`ModelError`] names the first window that is wrong.
    pub fn new(task: &TaskSpec, values: &'a [f32], labels: &'a [u16]) -> Result<Self, ModelError> {
        let windows = Self::unlabelled(task, values)?;
        let needs = if task.needs_labels() { windows.len() } else { 0 };
        if labels.len() != needs {
            return Err(ModelError::LabelCount { needs, has: labels.len() });
        }
        let classes = task.labels().len();
        match labels.iter().position(|&label| usize::from(label) >= classes) {
            Some(window) => Err(ModelError::LabelRange { window, label: labels[window], classes }),
            None => Ok(Self { labels, ..windows }),
        }
    }

    /// Checks windows without labels: enough for [`crate::Network::predict`].
    ///
    /// # Errors
    /// [`ModelError`] names the first window that is wrong.
    pub fn unlabelled(task: &TaskSpec, values: &'a [f32]) -> Result<Self, ModelError> {
        let window_values = task.window_values();
        if window_values == 0 || !values.len().is_multiple_of(window_values) {
            return Err(ModelError::WindowLength { window: window_values, has: values.len() });
        }
        // A block at a time: finding that all is well takes no branch for each value.
        let well = |block: &[f32]| block.iter().fold(true, |well, value| well & value.is_finite());
        if !values.chunks(64).all(well)
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            let (window, value) = (at / window_values, at % window_values);
            return Err(ModelError::SampleNotFinite { window, value });
        }
        Ok(Self { values, labels: &[], window_values })
    }

    /// Windows in all.
    pub fn len(&self) -> usize {
        self.values.len() / self.window_values
    }

    /// Whether there is no window.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The windows of `range` only, cut to those that there are.
    pub fn select(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        let values = range.start * self.window_values..range.end * self.window_values;
        let labels = self.labels.get(range).unwrap_or_default();
        Self { values: &self.values[values], labels, window_values: self.window_values }
    }

    /// Values of one window, `[window, channels]`.
    pub(crate) fn window(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.window_values..][..self.window_values]
    }

    /// The window's class, if labels were given.
    pub(crate) fn label(&self, index: usize) -> Option<u16> {
        self.labels.get(index).copied()
    }

    /// The labels, `[n]` or empty.
    pub(crate) fn labels(&self) -> &'a [u16] {
        self.labels
    }

    /// Checks that these windows suit `task`, with labels when `labelled`.
    pub(crate) fn check_for(&self, task: &TaskSpec, labelled: bool) -> Result<(), ModelError> {
        let needs = task.window_values();
        if self.window_values != needs {
            return Err(ModelError::WindowMismatch { needs, has: self.window_values });
        }
        if labelled && task.needs_labels() && self.labels.len() != self.len() {
            return Err(ModelError::LabelCount { needs: self.len(), has: self.labels.len() });
        }
        let classes = task.labels().len();
        match self.labels.iter().position(|&label| usize::from(label) >= classes) {
            Some(window) if labelled && task.needs_labels() => {
                Err(ModelError::LabelRange { window, label: self.labels[window], classes })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks;
    use std::vec;

    #[test]
    fn bad_windows_are_refused_with_their_place() {
        let task = tasks::har_cnn();
        let mut values = vec![0.0; 2 * 128 * 9];
        assert_eq!(Windows::new(&task, &values, &[0, 5]).map(|w| w.len()), Ok(2));
        let error = |values: &[f32], labels: &[u16]| Windows::new(&task, values, labels).err();
        assert_eq!(error(&values, &[0]), Some(ModelError::LabelCount { needs: 2, has: 1 }));
        assert_eq!(
            error(&values, &[0, 6]),
            Some(ModelError::LabelRange { window: 1, label: 6, classes: 6 })
        );
        assert_eq!(
            error(&values[1..], &[0]),
            Some(ModelError::WindowLength { window: 1152, has: 2303 })
        );
        values[1152 + 7] = f32::NAN;
        let error = error(&values, &[0, 1]);
        assert_eq!(error, Some(ModelError::SampleNotFinite { window: 1, value: 7 }));
    }

    #[test]
    fn a_selection_never_reaches_past_the_end() {
        let task = tasks::har_cnn();
        let values = vec![0.0; 3 * 128 * 9];
        let windows = Windows::new(&task, &values, &[0, 1, 2]).unwrap();
        assert_eq!(windows.select(1..9).labels(), &[1, 2]);
        assert_eq!(windows.select(7..9).len(), 0);
    }
}
