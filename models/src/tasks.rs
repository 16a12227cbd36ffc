//! Ready-made tasks. A task is data: these are shorthands, not the only ones that work.

use alloc::string::ToString;
use alloc::vec;

use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share, Target, TaskSpec};

/// Names of the tasks that [`task`] knows.
pub const NAMES: [&str; 3] = ["har-cnn", "har-mlp", "acc-cnn"];

/// Activities of the UCI HAR data set, in the order of its class numbers (there from 1).
pub const HAR_LABELS: [&str; 6] =
    ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"];

/// The ready-made task with this name, if there is one.
pub fn task(name: &str) -> Option<TaskSpec> {
    match name {
        "har-cnn" => Some(har_cnn()),
        "har-mlp" => Some(har_mlp()),
        "acc-cnn" => Some(acc_cnn()),
        _ => None,
    }
}

/// Human activities from nine channels by a 1-D CNN of 5,734 parameters.
///
/// Samples are averaged in pairs first (25 Hz is enough for how people move), and each of the 24
/// patterns is averaged over the window last, so that it does not matter when it happened.
pub fn har_cnn() -> TaskSpec {
    let conv = |out| Op::Conv1d { out, kernel: 5 };
    let layers = [
        Op::MeanPool { size: 2 },
        conv(16),
        Op::MaxPool { size: 2 },
        Op::Relu,
        conv(24),
        Op::MaxPool { size: 2 },
        Op::Relu,
        conv(24),
        Op::Relu,
        Op::MeanPool { size: 9 },
        Op::Dense { out: 6 },
    ];
    har("har-cnn", &layers)
}

/// Human activities from 143 motion features by two dense layers, 9,606 parameters.
pub fn har_mlp() -> TaskSpec {
    let mut task = har("har-mlp", &[Op::Dense { out: 64 }, Op::Relu, Op::Dense { out: 6 }]);
    task.features = Features::Motion;
    for channel in &mut task.input.channels {
        (channel.offset, channel.scale) = (0.0, 1.0);
    }
    task
}

/// Human activities from a bare three-axis accelerometer, gravity included, by a 1-D CNN of 1,822
/// parameters: narrower than [`har_cnn`], and fed by nearly any sensor.
pub fn acc_cnn() -> TaskSpec {
    let conv = |out| Op::Conv1d { out, kernel: 5 };
    let layers = [
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
    ];
    let mut task = har("acc-cnn", &layers);
    task.input.channels.retain(|channel| channel.name.starts_with("total_acc"));
    task
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
/// 50 Hz, windows of 2.56 s that overlap by half. Scales bring each vector to a size of about 1 and
/// are the same for its three axes, so that rotations stay rotations; the offset is most of the
/// gravity of a person who stands.
fn har_input() -> Input {
    let channel = |name: &str, unit: &str, offset, scale| Channel {
        name: name.to_string(),
        unit: unit.to_string(),
        offset,
        scale,
    };
    let channels = vec![
        channel("body_acc_x", "g", 0.0, 4.0),
        channel("body_acc_y", "g", 0.0, 4.0),
        channel("body_acc_z", "g", 0.0, 4.0),
        channel("body_gyro_x", "rad/s", 0.0, 2.0),
        channel("body_gyro_y", "rad/s", 0.0, 2.0),
        channel("body_gyro_z", "rad/s", 0.0, 2.0),
        channel("total_acc_x", "g", 0.8, 2.5),
        channel("total_acc_y", "g", 0.0, 2.5),
        channel("total_acc_z", "g", 0.0, 2.5),
    ];
    Input { channels, rate: Rate::from_millihertz(50_000), window: 128, hop: 64 }
}

#[allow(clippy::expect_used)]
fn known_name(name: &str) -> Name {
    Name::new(name).expect("names in this file follow the rules")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
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
        assert_eq!(har_cnn().layout().unwrap().n_params(), 5_734);
        assert_eq!(har_mlp().layout().unwrap().n_params(), 9_606);
        assert_eq!(acc_cnn().layout().unwrap().n_params(), 1_822);
    }

    #[test]
    fn a_bare_accelerometer_has_all_channels_of_one_task() {
        let task = acc_cnn();
        let names: Vec<&str> = task.input.channels.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["total_acc_x", "total_acc_y", "total_acc_z"]);
        assert_eq!(task.window_values(), 3 * 128);
    }

    #[test]
    fn the_task_files_describe_the_ready_made_tasks() {
        for (name, file) in [
            ("har-cnn", include_str!("../tasks/har-cnn.toml")),
            ("har-mlp", include_str!("../tasks/har-mlp.toml")),
            ("acc-cnn", include_str!("../tasks/acc-cnn.toml")),
        ] {
            let described: TaskSpec = toml::from_str(file).unwrap();
            assert_eq!(Some(described), task(name), "models/tasks/{name}.toml");
        }
    }

    #[test]
    fn the_task_files_of_values_keep_the_protocols_rules_and_their_documented_size() {
        for (file, params, slow_ns) in [
            (include_str!("../tasks/glucose-forecast.toml"), 918, 300_000_000_000),
            (include_str!("../tasks/engine-life.toml"), 3_905, 3_600_000_000_000),
        ] {
            let task: TaskSpec = toml::from_str(file).unwrap();
            task.check().unwrap();
            assert_eq!(task.layout().unwrap().n_params(), params, "{}", task.name);
            assert_eq!(task.input.period_ns(), slow_ns, "{}", task.name);
            assert_eq!(toml::from_str::<TaskSpec>(&toml::to_string(&task).unwrap()), Ok(task));
        }
    }

    #[test]
    fn a_task_file_names_its_rate_once_and_no_unknown_key() {
        let file = include_str!("../tasks/glucose-forecast.toml");
        let read = |from: &str, to: &str| {
            let text = file.replace(from, to);
            toml::from_str::<TaskSpec>(&text).map_err(|error| error.to_string())
        };
        let slow = read("", "").unwrap();
        assert_eq!(read("period = \"5 min\"", "rate_hz = \"1/300\""), Ok(slow));
        let fast = read("period = \"5 min\"", "rate_millihertz = 50000").unwrap();
        for same in ["rate_hz = 50", "rate_hz = 50.0", "period = \"20 ms\""] {
            assert_eq!(read("period = \"5 min\"", same).as_ref(), Ok(&fast), "{same}");
        }
        let twice = read("period = \"5 min\"", "period = \"5 min\"\nrate_hz = 50");
        assert!(twice.unwrap_err().contains("name the rate once"));
        assert!(read("period = \"5 min\"", "").unwrap_err().contains("rate_hz, period"));
        assert!(read("5 min", "5 parsec").unwrap_err().contains("15 min"));
        assert!(read("hop = 1", "hop = 1\nhopp = 2").unwrap_err().contains("hopp"));
    }
}
