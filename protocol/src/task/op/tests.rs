use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use crate::id::{LayoutHash, Name};
use crate::task::{
    Channel, Features, Input, Layer, Op, Rate, Shape, ShapeError, Share, Target, Task, TaskSpec,
};

const CONV: Op = Op::Conv1d { out: 4, kernel: 3 };

/// Two classes from windows of `window` samples of three channels.
fn spec(window: u16, ops: &[Op]) -> TaskSpec {
    let channel =
        |name: &str| Channel { name: name.into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    let channels = ["x", "y", "z"].map(channel).into();
    TaskSpec {
        name: Name::new("sample").unwrap(),
        input: Input { channels, rate: Rate::from_millihertz(50_000), window, hop: window },
        features: Features::Raw,
        layers: ops.iter().map(|&op| Layer { op, share: Share::Shared }).collect(),
        target: Target::Classes(["a", "b"].map(|label| label.to_string()).into()),
    }
}

/// A task with each operation, whose last layers are local and frozen.
fn each_operation() -> Task {
    let mut spec = spec(
        20,
        &[
            Op::MeanPool { size: 2 },
            CONV,
            Op::MaxPool { size: 2 },
            Op::Relu,
            Op::Dense { out: 5 },
            Op::Tanh,
            Op::Dense { out: 2 },
        ],
    );
    (spec.layers[4].share, spec.layers[6].share) = (Share::Local, Share::Frozen);
    Task::new(spec).unwrap()
}

#[test]
fn each_operation_has_the_shape_and_the_parameters_that_it_says() {
    let task = each_operation();
    let shapes: Vec<_> =
        task.shapes().unwrap().iter().map(|&Shape { time, channels }| [time, channels]).collect();
    assert_eq!(shapes, [[10, 3], [8, 4], [4, 4], [4, 4], [1, 5], [1, 5], [1, 2]]);
    let slots = task.layout().slots().iter();
    let slots: Vec<_> =
        slots.map(|slot| (slot.layer, slot.range.clone(), slot.fan_in, slot.fan_out)).collect();
    let expected = [
        (1, 0..36, 9, 4),
        (1, 36..40, 9, 4),
        (4, 40..120, 16, 5),
        (4, 120..125, 16, 5),
        (6, 125..135, 5, 2),
        (6, 135..137, 5, 2),
    ];
    assert_eq!(slots, expected);
}

/// The numbers are of a Python script that follows the sentences of the wire format and of `hash`.
#[test]
fn layout_hash_and_digest_of_each_operation_stay_as_they_are() {
    let task = each_operation();
    let hash = [0xd2, 0xac, 0x70, 0x6a, 0x23, 0x1b, 0x74, 0x11];
    assert_eq!(task.layout().hash(), LayoutHash(hash));
    assert_eq!(task.digest().tag(), [0xa2, 0x96, 0x15, 0x4a]);
}

#[test]
fn costs_are_the_sums_over_the_layers() {
    let cost = each_operation().cost();
    assert_eq!((cost.params, cost.largest_slot), (137, 80));
    assert_eq!((cost.window_values, cost.inputs), (60, 60));
    assert_eq!(cost.activations, 30 + 32 + 16 + 16 + 5 + 5 + 2);
    // Eight outputs of the convolution see nine values each.
    assert_eq!((cost.widest, cost.multiply_adds), (72, 8 * 36 + 80 + 10));
    assert_eq!(cost.training_bytes(), 137 * 20 + 80 * 4 + 60 * 8 + 106 * 8);
    assert_eq!(cost.window_bytes(), 60 * 4 + 106 * 8);
}

#[test]
fn an_operation_that_does_not_fit_is_named_with_the_reason() {
    let dense = |out| Op::Dense { out };
    let zero = |layer, what| ShapeError::Zero { layer, what };
    let cases = [
        (vec![dense(0)], zero(0, "output width")),
        (vec![Op::Conv1d { out: 0, kernel: 0 }], zero(0, "output width")),
        (vec![Op::Conv1d { out: 1, kernel: 0 }], zero(0, "kernel")),
        (vec![Op::Relu, Op::MeanPool { size: 0 }], zero(1, "pool size")),
        (vec![dense(9), Op::Tanh, CONV], ShapeError::NoTime { layer: 2 }),
        (vec![dense(9), Op::MaxPool { size: 1 }], ShapeError::NoTime { layer: 1 }),
        (vec![CONV, CONV], ShapeError::TooShort { layer: 1, needs: 3, has: 2 }),
        (vec![dense(3)], ShapeError::Output { needs: 2, has: 3 }),
    ];
    for (ops, expected) in cases {
        assert_eq!(spec(4, &ops).layout(), Err(expected));
    }
}

#[test]
fn a_layer_whose_parameters_no_word_can_count_is_too_large() {
    let wide = Op::Conv1d { out: u16::MAX, kernel: 1 };
    // A weight of about 2^36 values.
    let error = spec(16, &[wide, Op::Dense { out: u16::MAX }, Op::Dense { out: 2 }]).layout();
    assert_eq!(error, Err(ShapeError::TooLarge { layer: 1 }));
    let most = spec(8192, &[Op::Dense { out: 85 }, Op::Dense { out: 2 }]).layout();
    assert!(most.is_ok());
}
