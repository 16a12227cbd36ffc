//! Programs that are killed and started again, while samples are filled in, spread, held back or
//! brought to another rate on their way into the ring.

use dunlin_protocol::rng::Rng;

use super::*;

/// What ends a program.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It is killed; the samples are on disk, the position may be old.
    Killed,
    /// It is stopped, and saves everything.
    Stopped,
}

/// Reads a growing file with programs that end now and then, as `end` says; the last one is stopped.
fn read(keys: &str, text: &str, end: Option<End>, rng: &mut Rng) -> Vec<Record> {
    let bench = Bench::new(keys);
    let mut rest = text;
    let mut running = bench.run();
    while !rest.is_empty() {
        let most = if end.is_some() { 1 + rng.below(1500) } else { rest.len() };
        let (piece, after) = rest.split_at(most.min(rest.len()));
        bench.append("imu.csv", piece);
        running.settle();
        rest = after;
        if rng.below(3) == 0 {
            running.save();
        }
        if let Some(end) = end.filter(|_| rng.below(2) == 0) {
            if end == End::Stopped {
                running.stop();
            }
            drop(running);
            running = bench.run();
        }
    }
    running.stop();
    running.records()
}

impl Running {
    fn stop(&mut self) {
        lock(&self.store).finish();
        self.save();
    }
}

/// Rows 20 ms apart, some missing, some unreadable.
fn rows(rng: &mut Rng, time: impl Fn(u32) -> String) -> String {
    let mut text = "t,x,y\n".to_owned();
    for n in 0..400_u32 {
        match rng.below(12) {
            0 => {}
            1 => text.push_str("what?\n"),
            _ => text.push_str(&format!("{},{},{}\n", time(n), n % 30, n % 7)),
        }
    }
    text
}

/// Compares what many short programs and one long one make of a file; times may differ by
/// `tolerance_us`.
fn compare(keys: &str, text: &str, end: End, tolerance_us: u64, rng: &mut Rng) {
    let expected = read(keys, text, None, rng);
    let found = read(keys, text, Some(end), rng);
    assert!(expected.len() > 200, "{keys}: {}", expected.len());
    let bare = |record: &Record| (record.sequence, record.label, record.values.clone());
    let (a, b): (Vec<_>, Vec<_>) =
        (expected.iter().map(bare).collect(), found.iter().map(bare).collect());
    let apart = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let near = |all: &[Record]| {
        let near = apart.saturating_sub(3)..(apart + 4).min(all.len());
        all[near].iter().map(|r| (r.time_us, r.values.clone())).collect::<Vec<_>>()
    };
    let (near_a, near_b) = (near(&expected), near(&found));
    let lengths = (found.len(), expected.len());
    assert!(a == b, "{keys}: {lengths:?} at {apart}: {near_b:?} instead of {near_a:?}");
    for (a, b) in expected.iter().zip(&found) {
        let apart = a.time_us.abs_diff(b.time_us);
        assert!(apart <= tolerance_us, "{keys}: {} is {} us away", a.sequence, apart);
    }
}

#[test]
fn filled_samples_come_once_whenever_the_program_ends() {
    for seed in 0..6 {
        let rng = &mut Rng::new(seed);
        let text = rows(rng, |n| format!("{:.2}", f64::from(n) * 0.02));
        for end in [End::Killed, End::Stopped] {
            compare(TIMED, &text, end, 0, rng);
            compare("", &text, end, 0, rng);
        }
    }
}

#[test]
fn rows_of_one_second_come_once_whenever_the_program_ends() {
    for seed in 0..6 {
        let rng = &mut Rng::new(seed);
        let text = rows(rng, |n| (n / 50).to_string());
        compare(TIMED, &text, End::Killed, 0, rng);
        // A stopped program cannot know how many rows the second was to have.
        compare(TIMED, &text, End::Stopped, 350_000, rng);
    }
}

#[test]
fn another_rate_is_made_of_the_same_samples_after_a_crash() {
    for seed in 0..4 {
        let rng = &mut Rng::new(seed);
        let text = rows(rng, |n| format!("{:.4}", f64::from(n) * 0.023));
        compare("time = 't'\nresample = true\nmissing_max_s = 0.2", &text, End::Killed, 0, rng);
    }
}
