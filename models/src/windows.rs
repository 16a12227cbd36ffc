//! Windows of sensor samples, checked before a network sees them.

use alloc::vec::Vec;
use core::ops::Range;

use dunlin_protocol::task::TaskSpec;

use crate::error::ModelError;

/// Windows that are made when they are asked for, where there is no room for all of them at once:
/// read from flash, or cut from a ring of samples.
pub trait ReadWindows {
    /// How many windows there are.
    fn len(&self) -> usize;

    /// Writes window `index` to `out: [window, channels]`, scaled by the task.
    fn read(&self, index: usize, out: &mut [f32]);

    /// The class of window `index`; `None` where the task has no classes.
    fn label(&self, index: usize) -> Option<u16>;

    /// Whether there is no window.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where the values of windows come from.
#[derive(Clone, Copy)]
enum Values<'a> {
    /// `[n, window, channels]`, and `[n]` labels or none.
    Held(&'a [f32], &'a [u16]),
    /// `len` windows of a reader, from window `first` on.
    Read { reader: &'a dyn ReadWindows, first: usize, len: usize },
}

/// Windows to train on or to infer from, already scaled by [`TaskSpec::scale`].
#[derive(Clone, Copy)]
pub struct Windows<'a> {
    values: Values<'a>,
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
        let windows = Self { values: Values::Held(values, labels), ..windows };
        let needs = if task.needs_labels() { windows.len() } else { 0 };
        if labels.len() != needs {
            return Err(ModelError::LabelCount { needs, has: labels.len() });
        }
        windows.check_for(task, true)?;
        Ok(windows)
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
        Ok(Self { values: Values::Held(values, &[]), window_values })
    }

    /// Windows that `reader` makes for `task`, one at a time; their labels are checked now. A value
    /// that is not finite shows as [`ModelError::Diverged`] once it is trained on.
    ///
    /// # Errors
    /// [`ModelError`] names the first window whose label is wrong.
    pub fn reading(task: &TaskSpec, reader: &'a dyn ReadWindows) -> Result<Self, ModelError> {
        let values = Values::Read { reader, first: 0, len: reader.len() };
        let windows = Self { values, window_values: task.window_values() };
        windows.check_for(task, true)?;
        Ok(windows)
    }

    /// How many windows there are, after any [`Windows::select`].
    pub fn len(&self) -> usize {
        match self.values {
            Values::Held(values, _) => values.len() / self.window_values,
            Values::Read { len, .. } => len,
        }
    }

    /// Whether there is no window.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The windows of `range` only, cut to those that there are.
    pub fn select(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        let values = match self.values {
            Values::Held(values, labels) => {
                let labels = labels.get(range.clone()).unwrap_or_default();
                let n = self.window_values;
                Values::Held(&values[range.start * n..range.end * n], labels)
            }
            Values::Read { reader, first, .. } => {
                Values::Read { reader, first: first + range.start, len: range.len() }
            }
        };
        Self { values, ..*self }
    }

    /// Values of one window, `[window, channels]`; `room` is where they lie if they must be made.
    pub(crate) fn window<'b>(&self, index: usize, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match self.values {
            Values::Held(values, _) => &values[index * self.window_values..][..self.window_values],
            Values::Read { reader, first, .. } => {
                room.resize(self.window_values, 0.0);
                reader.read(first + index, room);
                room
            }
        }
    }

    /// The window's class, if labels were given.
    pub(crate) fn label(&self, index: usize) -> Option<u16> {
        match self.values {
            Values::Held(_, labels) => labels.get(index).copied(),
            Values::Read { reader, first, .. } => reader.label(first + index),
        }
    }

    /// The labels in their order; none where there are none.
    pub(crate) fn labels(&self) -> impl Iterator<Item = u16> {
        (0..self.len()).map_while(|index| self.label(index))
    }

    /// Checks that these windows suit `task`, with labels when `labelled`.
    pub(crate) fn check_for(&self, task: &TaskSpec, labelled: bool) -> Result<(), ModelError> {
        let needs = task.window_values();
        if self.window_values != needs {
            return Err(ModelError::WindowMismatch { needs, has: self.window_values });
        }
        if !labelled || !task.needs_labels() {
            return Ok(());
        }
        let has = self.labels().count();
        if has != self.len() {
            return Err(ModelError::LabelCount { needs: self.len(), has });
        }
        let classes = task.labels().len();
        match self.labels().enumerate().find(|(_, label)| usize::from(*label) >= classes) {
            Some((window, label)) => Err(ModelError::LabelRange { window, label, classes }),
            None => Ok(()),
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

    /// Windows `n` values apart, each full of its own number.
    struct Numbers<'a>(&'a [u16]);

    impl ReadWindows for Numbers<'_> {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn read(&self, index: usize, out: &mut [f32]) {
            out.fill(index as f32);
        }
        fn label(&self, index: usize) -> Option<u16> {
            self.0.get(index).copied()
        }
    }

    #[test]
    fn windows_that_are_made_on_demand_are_selected_and_checked_like_held_ones() {
        let task = tasks::har_cnn();
        let windows = Windows::reading(&task, &Numbers(&[0, 1, 2, 3])).unwrap();
        let part = windows.select(1..3);
        assert!(part.labels().eq([1, 2]) && part.len() == 2);
        assert_eq!(part.select(1..9).window(0, &mut Vec::new()), [2.0; 128 * 9]);
        let error = Windows::reading(&task, &Numbers(&[0, 6])).err();
        assert_eq!(error, Some(ModelError::LabelRange { window: 1, label: 6, classes: 6 }));
    }

    #[test]
    fn a_selection_never_reaches_past_the_end() {
        let task = tasks::har_cnn();
        let values = vec![0.0; 3 * 128 * 9];
        let windows = Windows::new(&task, &values, &[0, 1, 2]).unwrap();
        assert!(windows.select(1..9).labels().eq([1, 2]));
        assert_eq!(windows.select(7..9).len(), 0);
    }
}
