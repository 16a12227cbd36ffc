//! Random changes to training windows, so that a model learns what does not depend on how a
//! sensor is worn.

use alloc::vec::Vec;

use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Channel;
use dunlin_protocol::work::Augment;

/// Changes training windows of one task.
pub(crate) struct Augmenter {
    how: Augment,
    /// Where 0 of the raw values lies behind scaling, for each channel.
    zeros: Vec<f32>,
}

impl Augmenter {
    /// For windows of `channels`.
    pub(crate) fn new(how: Augment, channels: &[Channel]) -> Self {
        let zero = |channel: &Channel| -channel.offset * channel.scale;
        Self { how, zeros: channels.iter().map(zero).collect() }
    }

    /// Whether windows stay as they are.
    pub(crate) fn is_idle(&self) -> bool {
        self.how == Augment { rotation: 0.0, gain: 0.0, shift: 0 }
    }

    /// Changes one scaled window `[samples, channels]` in place.
    ///
    /// Rotation turns channels 0 to 2, 3 to 5 and so on as vectors of the raw values, all by the
    /// same random angle about the same random axis, as if the board were worn at an angle;
    /// channels left over stay. The three scales of a vector must be equal for that. The gain acts
    /// on raw values too.
    pub(crate) fn change(&self, rng: &mut Rng, window: &mut [f32]) {
        let (how, channels) = (self.how, self.zeros.len());
        if how.rotation > 0.0 {
            let turn = rotation(rng, how.rotation);
            for sample in window.chunks_exact_mut(channels) {
                let zeros = self.zeros.as_chunks::<3>().0;
                for (vector, zero) in sample.as_chunks_mut::<3>().0.iter_mut().zip(zeros) {
                    *vector = turned(&turn, *vector, *zero);
                }
            }
        }
        if how.gain > 0.0 {
            let factor = rng.uniform(1.0 - how.gain, 1.0 + how.gain);
            for sample in window.chunks_exact_mut(channels) {
                for (value, zero) in sample.iter_mut().zip(&self.zeros) {
                    *value = zero + (*value - zero) * factor;
                }
            }
        }
        if how.shift > 0 {
            let shift = usize::from(how.shift);
            let steps = rng.below(2 * shift + 1);
            let longest = window.len() / channels - 1;
            if steps >= shift {
                shift_later(window, channels, (steps - shift).min(longest));
            } else {
                shift_earlier(window, channels, (shift - steps).min(longest));
            }
        }
    }
}

fn turned(turn: &[[f32; 3]; 3], vector: [f32; 3], zero: [f32; 3]) -> [f32; 3] {
    let raw = [vector[0] - zero[0], vector[1] - zero[1], vector[2] - zero[2]];
    let mut turned = zero;
    for (value, row) in turned.iter_mut().zip(turn) {
        *value += row[0] * raw[0] + row[1] * raw[1] + row[2] * raw[2];
    }
    turned
}

/// A rotation matrix: axis uniform on the sphere, angle uniform in `-largest..largest` radians
/// (formula of Rodrigues).
fn rotation(rng: &mut Rng, largest: f32) -> [[f32; 3]; 3] {
    let [x, y, z] = [rng.normal(), rng.normal(), rng.normal()];
    let length = libm::sqrtf(x * x + y * y + z * z).max(1e-6);
    let [x, y, z] = [x / length, y / length, z / length];
    let angle = rng.uniform(-largest, largest);
    let (s, c) = (libm::sinf(angle), libm::cosf(angle));
    let d = 1.0 - c;
    [
        [c + x * x * d, x * y * d - z * s, x * z * d + y * s],
        [y * x * d + z * s, c + y * y * d, y * z * d - x * s],
        [z * x * d - y * s, z * y * d + x * s, c + z * z * d],
    ]
}

/// Moves all samples `steps` later and repeats the first.
fn shift_later(window: &mut [f32], channels: usize, steps: usize) {
    let moved = steps * channels;
    window.copy_within(..window.len() - moved, moved);
    for at in channels..moved.max(channels) {
        window[at] = window[at - channels];
    }
}

/// Moves all samples `steps` earlier and repeats the last.
fn shift_earlier(window: &mut [f32], channels: usize, steps: usize) {
    let moved = steps * channels;
    window.copy_within(moved.., 0);
    for at in window.len() - moved..window.len() {
        window[at] = window[at - channels];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const NONE: Augment = Augment { rotation: 0.0, gain: 0.0, shift: 0 };

    fn augmenter(how: Augment, offsets: &[f32], scale: f32) -> Augmenter {
        let channel = |&offset: &f32| Channel { name: "x".into(), unit: "g".into(), offset, scale };
        Augmenter::new(how, &offsets.iter().map(channel).collect::<Vec<_>>())
    }

    #[test]
    fn rotation_keeps_the_length_of_each_raw_vector_and_the_angle_between_two() {
        let offsets = [0.8, 0.0, -0.3, 0.1, 0.0, 0.0, 0.0];
        let how = Augment { rotation: 0.5, ..NONE };
        let raw: [f32; 7] = [1.0, 2.0, 3.0, -1.0, 0.5, 2.0, 9.0];
        let mut window = raw;
        (0..7).for_each(|i| window[i] = (raw[i] - offsets[i]) * 2.5);
        augmenter(how, &offsets, 2.5).change(&mut Rng::new(3), &mut window);
        (0..7).for_each(|i| window[i] = window[i] / 2.5 + offsets[i]);
        let dot =
            |v: &[f32; 7], a: usize, b: usize| -> f32 { (0..3).map(|i| v[a + i] * v[b + i]).sum() };
        for (a, b) in [(0, 0), (3, 3), (0, 3)] {
            assert!((dot(&raw, a, b) - dot(&window, a, b)).abs() < 1e-4);
        }
        assert!((raw[0] - window[0]).abs() > 1e-3);
        assert!((window[6] - 9.0).abs() < 1e-5);
    }

    #[test]
    fn gain_acts_on_raw_values_and_stays_within_its_bounds() {
        let mut rng = Rng::new(1);
        let gain = augmenter(Augment { gain: 0.25, ..NONE }, &[1.0], 2.0);
        for _ in 0..100 {
            let mut window = [2.0];
            gain.change(&mut rng, &mut window);
            assert!((1.0..=3.0).contains(&window[0]));
        }
        let mut at_zero = [-2.0];
        gain.change(&mut rng, &mut at_zero);
        assert_eq!(at_zero, [-2.0]);
    }

    #[test]
    fn shifts_repeat_the_edge() {
        let mut later: Vec<f32> = [1., -1., 2., -2., 3., -3.].into();
        shift_later(&mut later, 2, 2);
        assert_eq!(later, [1., -1., 1., -1., 1., -1.]);
        let mut earlier: Vec<f32> = [1., -1., 2., -2., 3., -3.].into();
        shift_earlier(&mut earlier, 2, 1);
        assert_eq!(earlier, [2., -2., 3., -3., 3., -3.]);
        shift_earlier(&mut earlier, 2, 0);
        shift_later(&mut earlier, 2, 0);
        assert_eq!(earlier, [2., -2., 3., -3., 3., -3.]);
    }

    #[test]
    fn a_shift_longer_than_the_window_is_cut() {
        let mut rng = Rng::new(1);
        for _ in 0..50 {
            let mut window = [1.0, 2.0];
            augmenter(Augment { shift: 1000, ..NONE }, &[0.0], 1.0).change(&mut rng, &mut window);
            assert!(window[0] == window[1] || window == [1.0, 2.0]);
        }
    }
}
