use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::task::{Op, Share, Task};
use crate::wire::WireError;

/// A task that names `outputs` values, of two channels and windows of four samples.
fn task(rate: Rate, target: Target, outputs: u16) -> TaskSpec {
    let channel = |name: &str| Channel {
        name: name.to_string(),
        unit: "mg/dL".to_string(),
        offset: 100.0,
        scale: 0.02,
    };
    let channels = vec![channel("glucose"), channel("insulin")];
    TaskSpec {
        name: Name::new("cgm").unwrap(),
        input: Input { channels, rate, window: 4, hop: 1 },
        features: Features::Raw,
        layers: vec![Layer { op: Op::Dense { out: outputs }, share: Share::Shared }],
        target,
    }
}

fn values() -> Target {
    let channel = Channel { name: "rul".into(), unit: "cycles".into(), offset: 100.0, scale: 0.01 };
    Target::Values(vec![channel])
}

fn steps(steps: u16, channels: &[&str]) -> Target {
    Target::ForecastSteps { steps, channels: channels.iter().map(|c| c.to_string()).collect() }
}

const FIFTEEN_MIN: u64 = 900_000_000_000;

#[test]
fn a_task_says_schema_2_where_it_can_and_3_where_it_must() {
    let (fast, slow) = (Rate::from_millihertz(50_000), Rate::from_period_ns(FIFTEEN_MIN));
    for (rate, target, outputs, schema) in [
        (fast, Target::Reconstruct, 8, 2),
        (fast, Target::Forecast, 2, 2),
        (Rate::from_period_ns(20_000_000), Target::Forecast, 2, 2),
        (slow, Target::Forecast, 2, 3),
        (fast, values(), 1, 3),
        (slow, values(), 1, 3),
        (fast, steps(2, &[]), 4, 3),
        (slow, steps(3, &["glucose"]), 3, 3),
    ] {
        let spec = task(rate, target, outputs);
        let task = Task::new(spec.clone()).unwrap();
        let object = task.encode().unwrap();
        assert_eq!((object[0], object[1]), (schema, 16));
        assert_eq!(Task::decode(&object).unwrap(), task);
        let stored = postcard::to_allocvec(&spec).unwrap();
        assert_eq!(postcard::from_bytes::<TaskSpec>(&stored).unwrap(), spec);
        // No task is written in two ways.
        let mut other = object.clone();
        other[0] = 5 - schema;
        assert!(matches!(Task::decode(&other), Err(WireError::Invalid(_))), "{schema}");
        other[0] = 4;
        assert_eq!(Task::decode(&other), Err(WireError::Schema { found: 4 }));
    }
}

#[test]
fn slow_rates_give_tasks_digests_of_their_own() {
    let digest = |rate| Task::new(task(rate, Target::Forecast, 2)).unwrap().digest();
    let rates = [
        Rate::from_millihertz(1),
        Rate::from_period_ns(FIFTEEN_MIN),
        Rate::from_period_ns(FIFTEEN_MIN + 1),
        Rate::new(3, 350_000_000).unwrap(),
    ];
    for (at, rate) in rates.into_iter().enumerate() {
        assert!(rates[..at].iter().all(|before| digest(*before) != digest(rate)), "{rate}");
    }
    assert_eq!(digest(rates[0]), digest(Rate::from_period_text("1000 s").unwrap()));
}

#[test]
fn a_rate_that_is_not_in_lowest_terms_is_refused() {
    let spec = task(Rate::from_period_ns(FIFTEEN_MIN), Target::Forecast, 2);
    let good = crate::wire::encode(&spec).unwrap();
    let without = good.len() - postcard::to_allocvec(&(1_u64, FIFTEEN_MIN)).unwrap().len();
    for (samples, ns) in [(2, 2 * FIFTEEN_MIN), (0, 1), (1, 0), (1, 20_000_000)] {
        let mut bytes = good[..without].to_vec();
        bytes.extend(postcard::to_allocvec(&(samples, ns)).unwrap());
        assert_eq!(Task::decode(&bytes), Err(WireError::Malformed), "{samples} in {ns}");
    }
    assert_eq!(Task::decode(&good[..without]), Err(WireError::Truncated));
}

#[test]
fn rules_of_targets_name_what_is_wrong() {
    let fast = Rate::from_millihertz(50_000);
    let refused = |target, outputs| match Task::new(task(fast, target, outputs)) {
        Err(WireError::Invalid(rule)) => rule,
        other => panic!("{other:?}"),
    };
    assert!(refused(steps(0, &[]), 1).contains("1 step"));
    assert!(refused(steps(4, &[]), 8).contains("fewer than the window"));
    assert!(refused(steps(1, &["x"]), 1).contains("input channels"));
    assert!(refused(steps(1, &["glucose", "glucose"]), 2).contains("once"));
    assert!(refused(Target::Values(vec![]), 1).contains("1 to 64 values"));
    let Target::Values(mut channels) = values() else { panic!() };
    channels[0].scale = 0.0;
    assert!(refused(Target::Values(channels.clone()), 1).contains("scale"));
    channels[0].scale = 1.0;
    assert!(refused(Target::Values([&channels[..], &channels].concat()), 2).contains("once"));
    channels[0].name = "glucose".into();
    assert!(refused(Target::Values(channels), 1).contains("no input"));
    let too_slow = Rate::from_period_ns(crate::task::PERIOD_NS_MAX + 1);
    assert!(Task::new(task(too_slow, Target::Forecast, 2)).is_err());
}

#[test]
fn windows_with_values_are_scaled_channel_by_channel_and_value_by_value() {
    let spec = task(Rate::from_millihertz(50_000), values(), 1);
    assert_eq!((spec.sample_values(), spec.window_values(), spec.visible_samples()), (8, 9, 4));
    let mut window = [150.0, 100.0, 150.0, 100.0, 150.0, 100.0, 150.0, 100.0, 50.0].repeat(2);
    spec.scale(&mut window);
    let expected = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, -0.5].repeat(2);
    assert_eq!(window, expected);
    let spec = task(Rate::from_millihertz(50_000), steps(3, &["insulin"]), 3);
    assert_eq!((spec.visible_samples(), spec.output_values()), (1, 3));
    assert_eq!(spec.named_channels(), [1]);
    assert_eq!(spec.output_channels()[0].name, "insulin");
}
