//! Samples of one message.

use super::*;

/// A reading of a glucose sensor, which gives one in five minutes.
fn reading(minutes: i64, value: f32) -> OwnedReading {
    OwnedReading { time_us: minutes * 60_000_000, label: String::new(), values: vec![value] }
}

fn sorted(intake: &mut Intake, batch: &[(i64, f32)]) -> Vec<(i64, f32)> {
    let mut batch: Vec<_> = batch.iter().map(|&(at, value)| reading(at, value)).collect();
    intake.sort(&mut batch);
    batch.iter().map(|reading| (reading.time_us / 60_000_000, reading.values[0])).collect()
}

fn glucose() -> Intake {
    Intake::new(&IntakeConfig::default(), &["glucose".to_owned()], 300_000_000_000)
}

#[test]
fn a_message_with_the_newest_first_comes_in_order() {
    let found = sorted(&mut glucose(), &[(15, 4.0), (10, 3.0), (5, 2.0), (0, 1.0)]);
    assert_eq!(found, [(0, 1.0), (5, 2.0), (10, 3.0), (15, 4.0)]);
    let found = sorted(&mut glucose(), &[(10, 3.0), (0, 1.0), (15, 4.0), (5, 2.0)]);
    assert_eq!(found, [(0, 1.0), (5, 2.0), (10, 3.0), (15, 4.0)]);
}

#[test]
fn what_an_earlier_message_brought_is_dropped_without_a_word() {
    let mut intake = glucose();
    sorted(&mut intake, &[(10, 3.0), (5, 2.0), (0, 1.0)]);
    assert_eq!(sorted(&mut intake, &[(15, 4.0), (10, 3.0), (5, 2.0), (15, 4.0)]), [(15, 4.0)]);
    assert_eq!(sorted(&mut intake, &[(15, 4.0)]), []);
    assert_eq!(losses(&mut intake), []);
}

#[test]
fn what_comes_late_is_counted_unless_the_clock_was_set_back() {
    let mut intake = glucose();
    sorted(&mut intake, &[(100, 1.0), (105, 2.0)]);
    let found = sorted(&mut intake, &[(95, 9.0), (105, 3.0), (110, 4.0)]);
    assert_eq!(found, [(105, 3.0), (110, 4.0)], "another value of one time is not the same");
    let [(Loss::Order, 1, detail)] = &losses(&mut intake)[..] else { panic!("another loss") };
    assert_eq!(detail, "a sample of 5700000000 us came after one of 6300000000 us");
    assert_eq!(sorted(&mut intake, &[(0, 1.0), (5, 1.0)]), [(0, 1.0), (5, 1.0)]);
    assert_eq!(sorted(&mut intake, &[(10, 1.0)]), [(10, 1.0)]);
    assert_eq!(losses(&mut intake), []);
}

#[test]
fn rows_of_one_time_keep_their_order_and_equal_ones_stay() {
    let mut intake = Intake::new(&IntakeConfig::default(), &["x".to_owned()], 250_000_000);
    let second = |at: i64, value| OwnedReading {
        time_us: at * 1_000_000,
        label: String::new(),
        values: vec![value],
    };
    let values = [(9, 4.0), (9, 4.0), (9, 3.0), (8, 2.0), (8, 2.0), (8, 2.0), (8, 1.0)];
    let mut batch: Vec<_> = values.iter().map(|&(at, value)| second(at, value)).collect();
    intake.sort(&mut batch);
    let found: Vec<f32> = batch.iter().map(|reading| reading.values[0]).collect();
    assert_eq!(found, [1.0, 2.0, 2.0, 2.0, 3.0, 4.0, 4.0], "the newest came first");
    let mut out = Vec::new();
    for reading in &batch {
        intake.take(reading.lend(), &mut |at, _, _| out.push(at));
    }
    assert_eq!(out, [8_000_000, 8_250_000, 8_500_000, 8_750_000, 9_000_000]);
}
