use alloc::string::ToString;

use super::*;
use crate::id::Name;
use crate::task::{Channel, Features, Input, Layer, Op, Rate, Share};

fn channel(name: &str, scale: f32) -> Channel {
    Channel { name: name.into(), unit: "mg/dL".into(), offset: 100.0, scale }
}

/// Two channels, windows of four samples.
fn task(target: Target, outputs: u16) -> TaskSpec {
    let channels = vec![channel("glucose", 0.5), channel("insulin", 2.0)];
    TaskSpec {
        name: Name::new("cgm").unwrap(),
        input: Input { channels, rate: Rate::from_period_ns(300_000_000_000), window: 4, hop: 1 },
        features: Features::Raw,
        layers: vec![Layer { op: Op::Dense { out: outputs }, share: Share::Shared }],
        target,
    }
}

fn steps() -> TaskSpec {
    task(Target::ForecastSteps { steps: 2, channels: vec!["glucose".into()] }, 2)
}

#[test]
fn figures_are_those_of_the_errors_in_the_unit() {
    let task = steps();
    let mut fit = Fit::new(&task);
    // Scaled by 0.5: errors of 1 and -3 mg/dL, values 104 and 110 mg/dL, last 102.
    fit.add(&[2.5, 3.5], &[2.0, 5.0], Some(&[1.0]), 1);
    // No error; values 100 and 102, last 100.
    fit.add(&[0.0, 1.0], &[0.0, 1.0], Some(&[0.0]), 1);
    let [figures] = &FitFigures::of(&task, 2, &fit.numbers())[..] else { panic!() };
    assert_eq!((figures.values, figures.mse, figures.mae), (4, 2.5, 1.0));
    assert_eq!(figures.mse_scaled, 0.625);
    // Squared differences to the last value: 4, 64, 0, 4.
    assert_eq!(figures.repeated_mse, Some(18.0));
    // Mean 104, squares of differences 0, 36, 16, 4: 56 in all, the model's are 10.
    assert!((figures.r2.unwrap() - (1.0 - 10.0 / 56.0)).abs() < 1e-12);
    assert_eq!(
        figures.to_string(),
        "glucose: MSE 2.50 (mg/dL)^2, MAE 1.00 mg/dL, R2 0.821, repeating the last value has MSE \
         18.0: 86.1 % less"
    );
}

#[test]
fn sums_of_devices_are_those_of_all_windows_whatever_the_order() {
    let task = steps();
    let windows: Vec<([f32; 2], [f32; 2], f32)> = (0..30_u8)
        .map(|n| {
            let x = f32::from(n) * 0.37;
            ([x, x * 0.9], [libm::sinf(x), libm::cosf(x)], x * 0.1)
        })
        .collect();
    let of = |part: &[([f32; 2], [f32; 2], f32)]| {
        let mut fit = Fit::new(&task);
        part.iter().for_each(|(said, is, last)| fit.add(said, is, Some(&[*last]), 1));
        fit.numbers()
    };
    let mut sums = vec![0_i128; FIT_SUMS];
    for part in windows.chunks(7) {
        of(part).iter().zip(&mut sums).for_each(|(number, sum)| *sum += number);
    }
    // Each device rounds its sum once.
    let close = |(a, b): (&i128, i128)| (a - b).abs() <= 3;
    assert!(sums.iter().zip(of(&windows)).all(close), "{sums:?}");
}

#[test]
fn a_report_carries_the_sums_and_a_wrong_number_is_refused() {
    let task = task(Target::Forecast, 2);
    let mut fit = Fit::new(&task);
    fit.add(&[0.5, -1.0], &[0.25, 1.0], Some(&[0.0, 0.0]), 2);
    let extensions = Fit::extensions(&[&fit, &fit]).unwrap();
    let numbers = [fit.numbers(), fit.numbers()].concat();
    assert_eq!(read_fits(&extensions, &task, 2), Ok(Some(numbers.clone())));
    assert!(read_fits(&extensions, &task, 1).is_err());
    assert_eq!(read_fits(&Extensions::NONE, &task, 2), Ok(None));
    for (at, wrong) in [(0, -1), (1, -1), (2, -5), (4, -1), (3, SUM_MAX + 1), (0, SUM_MAX + 1)] {
        let mut numbers = numbers.clone();
        numbers[at] = wrong;
        let bytes = write_integers(&numbers).unwrap();
        let lie = Extensions(vec![Extension { number: FIT_EXTENSION, bytes }]);
        assert!(read_fits(&lie, &task, 2).is_err(), "{at}");
    }
}

#[test]
fn sums_of_the_most_channels_fit_into_an_extension() {
    let mut task = task(Target::Reconstruct, 40);
    task.input.channels = vec![channel("x", 1.0); FIT_CHANNELS_MAX];
    let mut fit = Fit::new(&task);
    assert_eq!(fit.0.len(), FIT_CHANNELS_MAX);
    let wild = [f32::MAX, f32::NAN].repeat(20);
    fit.add(&wild, &[f32::MIN; 40], None, FIT_CHANNELS_MAX);
    let extensions = Fit::extensions(&[&fit, &fit]).unwrap();
    assert!(extensions.check_form().is_ok());
    let read = read_fits(&extensions, &task, 2).unwrap().unwrap();
    assert!(is_beyond(&read) && !is_beyond(&Fit::new(&task).numbers()));
    task.input.channels.push(channel("y", 1.0));
    assert_eq!(fit_channels(&task).len(), 1);
    assert_eq!(fit_channels(&task)[0].name, "all channels");
}

#[test]
fn classes_have_no_sums_and_no_windows_no_figures() {
    let classes = task(Target::Classes(vec!["a".into(), "b".into()]), 2);
    assert_eq!(Fit::extensions(&[&Fit::new(&classes)]), Ok(Extensions::NONE));
    assert!(FitFigures::of(&steps(), 0, &[0; FIT_SUMS]).is_empty());
    let still = FitFigures::of(&steps(), 1, &[0; FIT_SUMS]);
    assert_eq!((still[0].r2, still[0].skill()), (None, None));
}

#[test]
fn three_digits_of_a_number_are_told_however_small_it_is() {
    for (number, text) in [
        (0.005_55, "0.00555"),
        (0.5, "0.500"),
        (0.25, "0.250"),
        (85.21, "85.2"),
        (1234.4, "1234"),
        (0.0, "0"),
        (-0.012_34, "-0.0123"),
        (1e-9, "1.00e-9"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(Significant(number).to_string(), text);
    }
}
