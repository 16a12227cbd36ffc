//! The holdout: a share of the windows of each class that only measures and is never trained on.

use alloc::vec::Vec;

/// Says of one window after the other, in the order of time, whether it is for training.
///
/// The last ones of each class are held out, because neighbouring windows overlap. At least one
/// window of each class stays for training. Deterministic.
pub struct Holdout {
    /// Windows of each class that are still to be trained on.
    left: Vec<usize>,
}

impl Holdout {
    /// Holds out the rounded `share` in `0..=1` of the windows of each class. `labels`: of all
    /// windows; where there are no classes, the same for each.
    pub fn new(labels: impl Iterator<Item = u16>, share: f32) -> Self {
        let mut left = Vec::new();
        for label in labels.map(usize::from) {
            left.resize(left.len().max(label + 1), 0);
            left[label] += 1;
        }
        left.iter_mut().for_each(|total| *total -= n_held_out(*total, share));
        Self { left }
    }

    /// Whether the next window, which has this label, is for training.
    pub fn trains(&mut self, label: u16) -> bool {
        let Some(left) = self.left.get_mut(usize::from(label)) else { return false };
        let trains = *left > 0;
        *left = left.saturating_sub(1);
        trains
    }
}

/// How many of `total` windows of one class are for training.
pub fn for_training(total: usize, share: f32) -> usize {
    total - n_held_out(total, share)
}

/// How many of `total` windows are held out: the rounded share, but never all.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn n_held_out(total: usize, share: f32) -> usize {
    let share = if share.is_finite() { f64::from(share.clamp(0.0, 1.0)) } else { 0.0 };
    (libm::round(total as f64 * share) as usize).min(total.saturating_sub(1))
}
