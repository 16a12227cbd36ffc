//! Networks of a size that suits a microcontroller: those that costs are measured with, and tests.

use alloc::string::ToString;
use alloc::vec::Vec;

use dunlin_models::tasks::har_cnn;
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Layer, Op, Share, Target, TaskSpec};

/// Six classes from 54 values by dense layers 54-32-6 with ReLU, 1,958 parameters: the network that
/// figures of AIfES are given for. The values are nine samples of six channels.
pub fn mlp() -> TaskSpec {
    let mut task = har_cnn();
    task.name = name("mlp-54-32-6");
    task.input.channels.truncate(6);
    (task.input.window, task.input.hop) = (9, 9);
    let scaled = |channel: &mut dunlin_protocol::task::Channel| {
        (channel.offset, channel.scale) = (0.0, 1.0);
    };
    task.input.channels.iter_mut().for_each(scaled);
    task.layers = layers(&[Op::Dense { out: 32 }, Op::Relu, Op::Dense { out: 6 }]);
    task.target = Target::Classes((0..6).map(|class: u8| class.to_string()).collect());
    task
}

/// Human activities from windows of 128 samples and nine channels by a 1-D CNN of 2,182 parameters:
/// `har-cnn` with narrower layers, in `models/tasks/har-cnn-small.toml`.
pub fn cnn() -> TaskSpec {
    let conv = |out| Op::Conv1d { out, kernel: 5 };
    let mut task = har_cnn();
    task.name = name("har-cnn-small");
    task.layers = layers(&[
        Op::MeanPool { size: 2 },
        conv(12),
        Op::MaxPool { size: 2 },
        Op::Relu,
        conv(14),
        Op::MaxPool { size: 2 },
        Op::Relu,
        conv(10),
        Op::Relu,
        Op::MeanPool { size: 9 },
        Op::Dense { out: 6 },
    ]);
    task
}

fn name(constant: &str) -> Name {
    let Ok(name) = Name::new(constant) else { unreachable!("constant, valid names") };
    name
}

fn layers(ops: &[Op]) -> Vec<Layer> {
    ops.iter().map(|&op| Layer { op, share: Share::Shared }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::wire::Message as _;

    #[test]
    fn the_networks_have_the_documented_number_of_parameters() {
        for (task, n_params) in [(mlp(), 1_958), (cnn(), 2_182)] {
            task.check().unwrap();
            assert_eq!(task.layout().unwrap().n_params(), n_params);
        }
    }

    #[test]
    fn the_task_file_for_microcontrollers_describes_the_cnn() {
        let file = include_str!("../../models/tasks/har-cnn-small.toml");
        assert_eq!(toml::from_str::<TaskSpec>(file).unwrap(), cnn());
    }
}
