//! Small tasks and windows for tests.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use dunlin_protocol::id::Name;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share, Target, TaskSpec};

use crate::{Backend, Network};

/// A task on windows of `window` samples of `channels` channels, all layers shared.
pub(crate) fn task(window: u16, channels: usize, layers: &[Op], target: Target) -> TaskSpec {
    let channel = |_| Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    let channels = (0..channels).map(channel).collect();
    TaskSpec {
        name: Name::new("sample").unwrap(),
        input: Input { channels, rate: Rate::from_millihertz(50_000), window, hop: window },
        features: Features::Raw,
        layers: layers.iter().map(|&op| Layer { op, share: Share::Shared }).collect(),
        target,
    }
}

/// `n` classes named by their numbers.
pub(crate) fn classes(n: usize) -> Target {
    Target::Classes((0..n).map(|class| class.to_string()).collect())
}

/// The network of `task` with initial parameters of `seed`, biases not zero.
pub(crate) fn network(task: &TaskSpec, backend: Backend, seed: u64) -> Network {
    let mut network = Network::new(task, backend).unwrap();
    let mut rng = Rng::new(seed);
    let params = network.layout().initial_params(seed);
    let params: Vec<f32> = params.iter().map(|w| w + rng.uniform(-0.1, 0.1)).collect();
    network.set_params(&params).unwrap();
    network
}

/// `n` windows of noise and labels in `0..classes`.
pub(crate) fn noise(task: &TaskSpec, n: usize, seed: u64) -> (Vec<f32>, Vec<u16>) {
    let mut rng = Rng::new(seed);
    let values = (0..n * task.window_values()).map(|_| rng.normal()).collect();
    let classes = task.labels().len();
    let labels = match classes {
        0 => vec![],
        _ => (0..n).map(|_| u16::try_from(rng.below(classes)).unwrap()).collect(),
    };
    (values, labels)
}

/// `n` windows of one channel with a sine of one of three frequencies, which is the class.
pub(crate) fn sines(task: &TaskSpec, n: usize, seed: u64) -> (Vec<f32>, Vec<u16>) {
    let mut rng = Rng::new(seed);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let class = u16::try_from(rng.below(3)).unwrap();
        let (step, start) =
            ([0.2, 0.6, 1.4][usize::from(class)], rng.uniform(0.0, core::f32::consts::TAU));
        for t in 0..task.input.window {
            values.push((start + step * f32::from(t)).sin() + 0.2 * rng.normal());
        }
        labels.push(class);
    }
    (values, labels)
}
