//! One person: gait, posture, tempo, the mix of activities and the watch.

use dunlin_protocol::rng::Rng;

use super::motion::Activity;
use super::sensor::Watch;
use super::{LABELS, Mix, WINDOW_SAMPLES, WINDOW_VALUES, draw_labels};

/// Sampling interval in seconds.
const INTERVAL: f32 = 0.02;
/// Keeps the stream of a person's traits apart from the stream of the windows.
const WINDOWS_STREAM: u64 = 0x77_72_69_73_74;
/// Concentration of the label mix (Dirichlet): at 2 the rarest of six activities is below 5 % for
/// every second person.
const MIX_CONCENTRATION: f32 = 2.0;

/// Someone who wears a watch: a pure function of a seed and a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    seed: u64,
    number: u32,
    mix: [f32; LABELS.len()],
    traits: Traits,
    watch: Watch,
}

/// What stays the same from window to window. Factors are around 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Traits {
    /// Steps a second when walking.
    pub(super) step_hz: f32,
    /// Amplitude of the arm swing when walking, in radians.
    pub(super) swing: f32,
    /// Factor for the rise and fall of the body.
    pub(super) bounce: f32,
    /// Factor for heel strikes.
    pub(super) impact: f32,
    /// Factors for the tempo of walking, stairs up and stairs down.
    pub(super) tempo: [f32; 3],
    /// Factors for the vigour of walking, stairs up and stairs down.
    pub(super) vigour: [f32; 3],
    /// Second harmonic of the arm swing, part of the first.
    pub(super) harmonic: f32,
    /// Lag of roll behind the swing, in turns.
    pub(super) roll_lag: f32,
    /// Distance from the shoulder to the watch, in metres.
    pub(super) reach: f32,
    /// Angle of the hanging forearm below the horizontal, in radians.
    pub(super) hang: f32,
    /// Roll of the hanging forearm: back of the hand ahead (0) or outwards (a quarter turn).
    pub(super) hang_roll: f32,
    /// Probability that a walking arm is bent: something in the hand, or a hand on the rail.
    pub(super) bent: f32,
    /// Weights of three postures when sitting: lap, arm rest, hand at the face.
    pub(super) sit_habits: [f32; 3],
    /// Weights of three postures when standing: hanging, folded arms, phone in hand.
    pub(super) stand_habits: [f32; 3],
    /// Shift of each posture, in radians: pitch and roll.
    pub(super) posture: [f32; 2],
    /// Factor for sway, fidgeting and tremor.
    pub(super) restless: f32,
    /// Key strokes a second.
    pub(super) key_hz: f32,
    /// Size of a key stroke at the wrist, in g.
    pub(super) key_size: f32,
}

impl Person {
    /// Person `number` of the population `seed`.
    pub fn new(seed: u64, number: u32) -> Self {
        let mut rng = Rng::for_stream(seed, u64::from(number));
        // By turns and not by chance, so that a fleet of a few devices has both arms.
        let watch = Watch::new(number % 3 != 1, &mut rng);
        let traits = Traits::new(&mut rng);
        let mix = dirichlet(&mut rng, [MIX_CONCENTRATION; LABELS.len()]);
        Self { seed, number, mix, traits, watch }
    }

    /// Steps a second when this person walks, on average.
    pub fn step_hz(&self) -> f32 {
        self.traits.step_hz
    }

    /// Whether the watch is on the left arm.
    pub fn wears_left(&self) -> bool {
        self.watch.left
    }

    /// The part of each activity in this person's life, in the order of [`LABELS`]; the sum is 1.
    pub fn label_mix(&self) -> [f32; LABELS.len()] {
        self.mix
    }

    /// `n` raw windows `[n, 128, 6]` in g and rad/s, and their labels `[n]`.
    pub fn windows(&self, n: usize, mix: Mix) -> (Vec<f32>, Vec<u16>) {
        let mut rng = Rng::for_stream(self.seed ^ WINDOWS_STREAM, u64::from(self.number));
        let labels = draw_labels(&mut rng, n, mix, &self.mix);
        let mut values = Vec::with_capacity(n * WINDOW_VALUES);
        for label in &labels {
            self.window(Activity::of_label(*label), &mut rng, &mut values);
        }
        (values, labels)
    }

    /// Appends one window `[128, 6]` of `activity`.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn window(&self, activity: Activity, rng: &mut Rng, values: &mut Vec<f32>) {
        let scene = activity.scene(&self.traits, rng);
        for sample in 0..WINDOW_SAMPLES {
            let truth = scene.measure(sample as f32 * INTERVAL, self.watch.left);
            values.extend(self.watch.sample(truth, rng));
        }
    }
}

impl Traits {
    fn new(rng: &mut Rng) -> Self {
        Self {
            step_hz: (1.85 + 0.08 * rng.normal()).clamp(1.5, 2.2),
            swing: 0.28 * factor(rng, 0.22),
            bounce: factor(rng, 0.15),
            impact: factor(rng, 0.16),
            tempo: [1.0, 0.76 * factor(rng, 0.035), 1.13 * factor(rng, 0.035)],
            vigour: [factor(rng, 0.08), factor(rng, 0.1), factor(rng, 0.1)],
            harmonic: rng.uniform(0.03, 0.12),
            roll_lag: rng.uniform(0.15, 0.3),
            reach: rng.uniform(0.48, 0.6),
            hang: 1.36 + 0.07 * rng.normal(),
            hang_roll: 0.9 + 0.16 * rng.normal(),
            bent: rng.uniform(0.0, 0.08),
            sit_habits: dirichlet(rng, [3.0, 2.0, 0.4]),
            stand_habits: dirichlet(rng, [4.0, 0.5, 0.6]),
            posture: [0.06 * rng.normal(), 0.07 * rng.normal()],
            restless: factor(rng, 0.25),
            key_hz: rng.uniform(3.5, 6.5),
            key_size: 0.1 * factor(rng, 0.2),
        }
    }
}

/// A factor around 1 whose logarithm has this deviation; at most 2.5 deviations away.
pub(super) fn factor(rng: &mut Rng, deviation: f32) -> f32 {
    (deviation * rng.normal().clamp(-2.5, 2.5)).exp()
}

/// Parts of a whole, drawn from the Dirichlet distribution: in the long run in proportion to
/// `weights`, and the smaller their sum, the more uneven.
fn dirichlet<const N: usize>(rng: &mut Rng, weights: [f32; N]) -> [f32; N] {
    let parts = weights.map(|weight| gamma(rng, weight).max(1e-6));
    let sum: f32 = parts.iter().sum();
    parts.map(|part| part / sum)
}

/// A number from the gamma distribution with this shape and scale 1 (Marsaglia and Tsang, 2000).
fn gamma(rng: &mut Rng, shape: f32) -> f32 {
    if shape < 1.0 {
        let root = (1.0 - rng.unit_f32()).powf(1.0 / shape);
        return gamma(rng, shape + 1.0) * root;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = rng.normal();
        let cube = (1.0 + c * normal).powi(3);
        let log_u = (1.0 - rng.unit_f32()).ln();
        if cube > 0.0 && log_u < 0.5 * normal * normal + d - d * cube + d * cube.ln() {
            return d * cube;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_numbers_have_their_shape_as_mean() {
        for shape in [0.5_f32, 1.0, 3.0] {
            let mut rng = Rng::new(3);
            let sum: f64 = (0..20_000).map(|_| f64::from(gamma(&mut rng, shape))).sum();
            let mean = sum / 20_000.0;
            assert!((mean - f64::from(shape)).abs() < 0.05 * f64::from(shape) + 0.02, "{mean}");
        }
    }

    #[test]
    fn a_label_mix_adds_up_to_one_and_differs_between_persons() {
        let mixes: Vec<_> = (0..8).map(|number| Person::new(1, number).label_mix()).collect();
        for mix in &mixes {
            assert!((mix.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let spread = |label: usize| {
            let parts = mixes.iter().map(|mix| mix[label]);
            parts.clone().fold(0.0, f32::max) - parts.fold(1.0, f32::min)
        };
        assert!((0..LABELS.len()).all(|label| spread(label) > 0.15));
    }

    #[test]
    fn both_wrists_occur() {
        let left = (0..40).filter(|number| Person::new(9, *number).wears_left()).count();
        assert_eq!(left, 27);
    }
}
