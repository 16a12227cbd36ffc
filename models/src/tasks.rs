//! Ready-made tasks. A task is data: these are shorthands, not the only ones that work.

use alloc::string::ToString;
use alloc::vec::Vec;

use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Share, Target, TaskSpec};

/// Names of the tasks that [`task`] knows.
pub const NAMES: [&str; 2] = ["har-cnn", "har-mlp"];

/// Activities of the UCI HAR data set, in the order of its class numbers (there from 1).
pub const HAR_LABELS: [&str; 6] =
    ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"];

/// The ready-made task with this name, if there is one.
pub fn task(name: &str) -> Option<TaskSpec> {
    match name {
        "har-cnn" => Some(har_cnn()),
        "har-mlp" => Some(har_mlp()),
        _ => None,
    }
}

/// Human activities from nine channels by a 1-D CNN of 6,454 parameters.
pub fn har_cnn() -> TaskSpec {
    let conv = |out| Op::Conv1d { out, kernel: 5 };
    let layers = [
        conv(16),
        Op::MaxPool { size: 2 },
        Op::Relu,
        conv(24),
        Op::MaxPool { size: 2 },
        Op::Relu,
        conv(24),
        Op::MaxPool { size: 4 },
        Op::Relu,
        Op::Dense { out: 6 },
    ];
    har("har-cnn", &layers)
}

/// Human activities from nine channels by two dense layers, 74,182 parameters.
pub fn har_mlp() -> TaskSpec {
    har("har-mlp", &[Op::Dense { out: 64 }, Op::Relu, Op::Dense { out: 6 }])
}

fn har(name: &str, layers: &[Op]) -> TaskSpec {
    TaskSpec {
        name: known_name(name),
        input: har_input(),
        features: Features::Raw,
        layers: layers.iter().map(|&op| Layer { op, share: Share::Shared }).collect(),
        target: Target::Classes(HAR_LABELS.map(|label| label.to_string()).into()),
    }
}

/// The nine channels of the UCI HAR data set (Anguita et al., ESANN 2013): a phone on the waist,
/// 50 Hz, windows of 2.56 s that overlap by half. Scales bring each vector to a size of about 1
/// and are the same for its three axes, so that rotations stay rotations.
fn har_input() -> Input {
    let vectors = [
        (["body_acc_x", "body_acc_y", "body_acc_z"], "g", 4.0),
        (["body_gyro_x", "body_gyro_y", "body_gyro_z"], "rad/s", 1.5),
        (["total_acc_x", "total_acc_y", "total_acc_z"], "g", 1.0),
    ];
    let channel = |name: &str, unit: &str, scale| Channel {
        name: name.to_string(),
        unit: unit.to_string(),
        offset: 0.0,
        scale,
    };
    let channels: Vec<Channel> = vectors
        .iter()
        .flat_map(|(names, unit, scale)| names.map(|name| channel(name, unit, *scale)))
        .collect();
    Input { channels, rate_millihertz: 50_000, window: 128, hop: 64 }
}

#[allow(clippy::expect_used)]
fn known_name(name: &str) -> Name {
    Name::new(name).expect("names in this file follow the rules")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::wire::Message as _;

    #[test]
    fn each_named_task_passes_the_protocols_checks() {
        for name in NAMES {
            let task = task(name).unwrap();
            assert_eq!(task.name.as_str(), name);
            task.check().unwrap();
        }
        assert!(task("har-transformer").is_none());
    }

    #[test]
    fn the_models_have_the_documented_number_of_parameters() {
        assert_eq!(har_cnn().layout().unwrap().n_params(), 6_454);
        assert_eq!(har_mlp().layout().unwrap().n_params(), 74_182);
    }
}
