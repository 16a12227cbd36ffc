//! Random changes to training windows, so that a model learns what does not depend on how a
//! sensor is worn.

use dunlin_protocol::plan::Augment;
use dunlin_protocol::rng::Rng;

/// Changes one scaled window `[samples, channels]` in place.
///
/// Rotation turns channels 0 to 2, 3 to 5 and so on as vectors, all by the same random angle about
/// the same random axis, as if the board were worn at an angle; channels left over stay. It acts on
/// the *scaled* values, so the three channels of a vector need equal scales, and zero offsets if it
/// is to be a rotation about the origin of the raw values.
pub(crate) fn augment(rng: &mut Rng, how: Augment, window: &mut [f32], channels: usize) {
    if how.rotation > 0.0 {
        let turn = rotation(rng, how.rotation);
        for sample in window.chunks_exact_mut(channels) {
            for vector in sample.as_chunks_mut::<3>().0 {
                *vector =
                    turn.map(|row| row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]);
            }
        }
    }
    if how.gain > 0.0 {
        let factor = rng.uniform(1.0 - how.gain, 1.0 + how.gain);
        window.iter_mut().for_each(|value| *value *= factor);
    }
    if how.shift > 0 {
        let shift = usize::from(how.shift);
        let steps = rng.below(2 * shift + 1);
        let samples = window.len() / channels;
        if steps >= shift {
            shift_later(window, channels, (steps - shift).min(samples - 1));
        } else {
            shift_earlier(window, channels, (shift - steps).min(samples - 1));
        }
    }
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

    #[test]
    fn rotation_keeps_the_length_of_each_vector_and_the_angle_between_two() {
        let how = Augment { rotation: 0.5, ..NONE };
        let before: [f32; 7] = [1.0, 2.0, 3.0, -1.0, 0.5, 2.0, 9.0];
        let mut after = before;
        augment(&mut Rng::new(3), how, &mut after, 7);
        let dot =
            |v: &[f32; 7], a: usize, b: usize| (0..3).map(|i| v[a + i] * v[b + i]).sum::<f32>();
        for (a, b) in [(0, 0), (3, 3), (0, 3)] {
            assert!((dot(&before, a, b) - dot(&after, a, b)).abs() < 1e-4);
        }
        assert!((before[0] - after[0]).abs() > 1e-3);
        assert_eq!(after[6], 9.0);
    }

    #[test]
    fn gain_stays_within_its_bounds() {
        let mut rng = Rng::new(1);
        for _ in 0..100 {
            let mut window = [2.0];
            augment(&mut rng, Augment { gain: 0.25, ..NONE }, &mut window, 1);
            assert!((1.5..=2.5).contains(&window[0]));
        }
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
            augment(&mut rng, Augment { shift: 1000, ..NONE }, &mut window, 1);
            assert!(window[0] == window[1] || window == [1.0, 2.0]);
        }
    }
}
