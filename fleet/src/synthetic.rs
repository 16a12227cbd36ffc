//! Invented wrist movements: what an accelerometer and a gyroscope in a watch would see.
//!
//! The demo needs data that everybody has, that is different for each person and that takes some
//! learning. Each person has a gait, habits of posture, a way to wear the watch and a sensor with
//! errors of its own; a window is a rigid forearm moved through space for 2.56 s and measured.
//! Everything is a pure function of a seed and a person's number, so runs can be repeated. The
//! sizes of movements are plausible figures for healthy adults and not fitted to any recording.

mod motion;
mod person;
mod scene;
mod sensor;
#[cfg(test)]
mod tests;

pub use person::Person;

use dunlin_protocol::id::Name;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share, Target, TaskSpec};

/// Samples in one window: 2.56 s.
pub const WINDOW_SAMPLES: usize = 128;
/// Sampling rate in thousandths of a hertz.
pub const RATE_MILLIHERTZ: u32 = 50_000;
/// Values of one sample: acceleration x, y, z and rate of turn x, y, z.
pub const CHANNEL_COUNT: usize = 6;
/// Values of one window, `[samples, channels]`.
pub const WINDOW_VALUES: usize = WINDOW_SAMPLES * CHANNEL_COUNT;

/// The activities; a label is an index into this list.
pub const LABELS: [&str; 6] =
    ["walking", "stairs up", "stairs down", "sitting", "standing", "typing"];

/// One channel of the invented sensor and the scaling that the task uses for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelInfo {
    /// Name, such as `acc_x`. `x` points along the forearm to the fingers, `z` out of the watch.
    pub name: &'static str,
    /// Unit of the raw values: `g` with gravity, or `rad/s`.
    pub unit: &'static str,
    /// Subtracted from raw values, in `unit`.
    pub offset: f32,
    /// Multiplies the difference, in 1 / `unit`.
    pub scale: f32,
}

const fn acceleration(name: &'static str) -> ChannelInfo {
    ChannelInfo { name, unit: "g", offset: 0.0, scale: 2.0 }
}

const fn turn(name: &'static str) -> ChannelInfo {
    ChannelInfo { name, unit: "rad/s", offset: 0.0, scale: 1.0 }
}

/// The channels in the order of the values of a sample.
pub const CHANNELS: [ChannelInfo; CHANNEL_COUNT] = [
    acceleration("acc_x"),
    acceleration("acc_y"),
    acceleration("acc_z"),
    turn("gyro_x"),
    turn("gyro_y"),
    turn("gyro_z"),
];

/// Which activities a set of windows holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// As this person lives: [`Person::label_mix`], uneven and different for each person.
    Own,
    /// Each activity equally often, to within one window.
    Balanced,
}

/// What one person's watch records: `n` raw windows `[n, 128, 6]` and their labels `[n]`.
///
/// Units are those of [`CHANNELS`]. Equal arguments give equal bits on one machine; different
/// persons of one seed are independent, and so are different seeds.
pub fn person_windows(seed: u64, person: u32, n: usize, mix: Mix) -> (Vec<f32>, Vec<u16>) {
    Person::new(seed, person).windows(n, mix)
}

/// Labels `[n]` in random order, drawn from `mix` for a person who lives by `weights`.
fn draw_labels(rng: &mut Rng, n: usize, mix: Mix, weights: &[f32; LABELS.len()]) -> Vec<u16> {
    let mut labels: Vec<u16> = match mix {
        Mix::Own => (0..n).map(|_| pick(rng, weights)).collect(),
        Mix::Balanced => (0u16..).take(LABELS.len()).cycle().take(n).collect(),
    };
    rng.shuffle(&mut labels);
    labels
}

/// An index drawn with these weights, which add up to 1; the last one takes what rounding leaves.
fn pick(rng: &mut Rng, weights: &[f32]) -> u16 {
    let mut rest = rng.unit_f32();
    let mut index = 0;
    for (at, weight) in (0u16..).zip(weights) {
        index = at;
        rest -= weight;
        if rest < 0.0 {
            break;
        }
    }
    index
}

/// The task `wrist-cnn`: name an activity from one window, with a small convolutional network.
///
/// # Panics
/// Never: the name and the layers are constants, and a test builds them.
pub fn task() -> TaskSpec {
    let layer = |op| Layer { op, share: Share::Shared };
    let block = |out, pool| {
        [Op::Conv1d { out, kernel: 5 }, Op::Relu, Op::MaxPool { size: pool }].map(layer)
    };
    let mut layers: Vec<Layer> = [block(16, 2), block(24, 2), block(24, 4)].concat();
    layers.push(layer(Op::Dense { out: 6 }));
    let channel = |info: &ChannelInfo| Channel {
        name: info.name.to_owned(),
        unit: info.unit.to_owned(),
        offset: info.offset,
        scale: info.scale,
    };
    TaskSpec {
        name: Name::new("wrist-cnn").expect("a constant name"),
        input: Input {
            channels: CHANNELS.iter().map(channel).collect(),
            rate: Rate::from_millihertz(RATE_MILLIHERTZ),
            window: 128,
            hop: 64,
        },
        features: Features::Raw,
        layers,
        target: Target::Classes(LABELS.map(str::to_owned).to_vec()),
    }
}
