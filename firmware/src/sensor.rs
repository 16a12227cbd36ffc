//! Where training windows come from on a device without files.
//!
//! A port adds its own sensor as one more [`ReadWindows`]: how many windows there are, and how to
//! write one of them, scaled by the task, where it is asked to.

mod generator;
mod recording;

use alloc::vec::Vec;

use dunlin_models::ReadWindows;

pub use generator::Generator;
pub use recording::{RecordedWindows, Recording, RecordingError, RecordingHeader};

/// Some of the windows of a sensor, in its order.
pub struct Part<'a> {
    all: &'a dyn ReadWindows,
    picked: Vec<u16>,
}

impl<'a> Part<'a> {
    /// Parts `all` into those to train on and those held back: the last `held_back_percent` of each
    /// class, rounded, because neighbouring windows overlap; never all of a class.
    pub fn split(all: &'a dyn ReadWindows, held_back_percent: u8) -> (Self, Self) {
        let len = u16::try_from(all.len()).unwrap_or(u16::MAX);
        let class = |index: u16| usize::from(all.label(index.into()).unwrap_or(0));
        let classes = (0..len).map(|index| class(index) + 1).max().unwrap_or(0);
        let mut left = alloc::vec![0usize; classes];
        (0..len).for_each(|index| left[class(index)] += 1);
        let kept = |total: usize| {
            let held = (total * usize::from(held_back_percent) + 50) / 100;
            total - held.min(total.saturating_sub(1))
        };
        left.iter_mut().for_each(|total| *total = kept(*total));
        let (mut train, mut held) = (Vec::new(), Vec::new());
        for index in 0..len {
            let left = &mut left[class(index)];
            if *left > 0 {
                train.push(index)
            } else {
                held.push(index)
            }
            *left = left.saturating_sub(1);
        }
        (Self { all, picked: train }, Self { all, picked: held })
    }

    fn index(&self, index: usize) -> usize {
        self.picked.get(index).copied().unwrap_or(0).into()
    }
}

impl ReadWindows for Part<'_> {
    fn len(&self) -> usize {
        self.picked.len()
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        self.all.read(self.index(index), out);
    }

    fn label(&self, index: usize) -> Option<u16> {
        self.all.label(self.index(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Labels(&'static [u16]);

    impl ReadWindows for Labels {
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
    fn the_last_share_of_each_class_is_held_back_and_never_all() {
        let all = Labels(&[0, 1, 0, 1, 0, 0, 1, 1, 2]);
        let (train, held) = Part::split(&all, 25);
        assert_eq!(
            (train.picked, held.picked),
            (alloc::vec![0, 1, 2, 3, 4, 6, 8], alloc::vec![5, 7])
        );
        assert_eq!(Part::split(&all, 100).0.picked, [0, 1, 8]);
        let (train, held) = Part::split(&all, 0);
        assert_eq!((train.len(), held.len()), (9, 0));
    }
}
