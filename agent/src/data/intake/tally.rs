//! Counts of what a stage could not use, until somebody asks.

use crate::data::Loss;

/// What a stage could not use since it was asked last.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<(Loss, u64, String)>);

impl Tally {
    /// Counts one more; `detail` says what was wrong with it, and what to do.
    pub(super) fn lose(&mut self, loss: Loss, detail: String) {
        match self.0.iter_mut().find(|(kind, ..)| *kind == loss) {
            Some((_, count, last)) => {
                *count += 1;
                *last = detail;
            }
            None => self.0.push((loss, 1, detail)),
        }
    }

    /// Takes one kind out.
    pub(super) fn next(&mut self) -> Option<(Loss, u64, String)> {
        self.0.pop()
    }
}
