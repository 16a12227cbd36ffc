//! x
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use dunlin_models::{Backend, Network, Windows, tasks};
use dunlin_protocol::plan::{Augment, Training};
fn main() {
    let name = std::env::args().nth(1).unwrap();
    let epochs = std::env::args().nth(2).unwrap().parse().unwrap();
    let task = tasks::task(&name).unwrap();
    let mut s = 1u32;
    let values: Vec<f32> = (0..320 * task.window_values())
        .map(|_| {
            s = s.wrapping_mul(1664525).wrapping_add(1013904223);
            (s >> 8) as f32 / 8388608.0 - 1.0
        })
        .collect();
    let labels: Vec<u16> = (0..320).map(|i| i % 6).collect();
    let windows = Windows::new(&task, &values, &labels).unwrap();
    let mut network = Network::new(&task, Backend::Flex).unwrap();
    network.set_params(&network.layout().initial_params(1)).unwrap();
    let training = Training {
        epochs,
        batch: 32,
        learning_rate: 0.01,
        momentum: 0.9,
        weight_decay: 0.0,
        prox: 0.0,
        label_smoothing: 0.0,
        augment: Augment::default(),
    };
    println!("{:?}", network.train(&windows, &training, 1, &mut || false));
}
