//! Files whose rows can be read, or cannot, and that make no windows: silence would be no answer.

use super::*;

impl Running {
    /// As [`Running::settle`], but long enough for another look at what lies there.
    fn rest(&mut self) {
        (0..30).for_each(|_| self.settle());
    }
}

#[test]
fn a_file_without_any_sample_says_why() {
    let where_key = "where = { x = '9' }";
    for (keys, text, expected) in [
        ("", "", "imu.csv: is empty so far"),
        ("", "x,y\n", "imu.csv: has no rows so far"),
        (
            "",
            "x,y\r1,1\r2,2\r",
            "imu.csv: its rows end with carriage returns alone: set row_end = \"\\r\"",
        ),
        (
            where_key,
            "x,y\n1,1\n2,2\n",
            "leaves out all of its 2 rows, the last with column 0 (\"x\"): \"2\"",
        ),
    ] {
        let bench = Bench::new(keys);
        bench.append("imu.csv", text);
        let mut running = bench.run();
        running.rest();
        let problem = running.status().problem.unwrap();
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn carriage_returns_may_end_rows() {
    let bench = Bench::new("row_end = \"\\r\"");
    bench.append("imu.csv", "x,y\r1,1\r2,2\r");
    assert_eq!(bench.run().numbers(), [1, 2]);
}

#[test]
fn a_problem_of_a_file_without_samples_ends_with_the_first_sample() {
    let bench = Bench::new("");
    bench.append("imu.csv", "");
    let mut running = bench.run();
    running.rest();
    assert!(running.status().problem.is_some());
    bench.append("imu.csv", "x,y\n1,1\n");
    running.rest();
    assert_eq!((running.numbers(), running.status().problem), (vec![1], None));
}

#[test]
fn rows_that_go_backwards_or_come_twice_are_told() {
    for (expected, text) in [
        ("newest first", (0..30).rev().map(|n| format!("{},{n},0\n", n * 2)).collect::<String>()),
        ("come twice", (0..30).map(|n| format!("{0},{n},0\n{0},{n},0\n", n * 2)).collect()),
    ] {
        let bench = Bench::new("time = { column = 't', unit = 'ms' }");
        bench.append("imu.csv", &format!("t,x,y\n{text}"));
        let mut running = bench.run();
        running.rest();
        let hints = running.status().hints;
        assert!(hints["order"].contains(expected), "{hints:?}");
    }
}

#[test]
fn a_first_row_that_is_taken_for_a_header_is_told() {
    for (text, hints) in [("0.5,0.1\n1,1\n", 1), ("0,1\n1,1\n", 0), ("x,y\n1,1\n", 0)] {
        let mut bench = Bench::new("");
        let places = [("x", 0), ("y", 1)];
        let places = places.map(|(name, place)| (name.to_owned(), super::Column::Index(place)));
        bench.config.sampling.channels.extend(places);
        bench.append("imu.csv", text);
        let found = bench.run().status().hints;
        assert_eq!(found.len(), hints, "{found:?}");
        assert!(found.values().all(|text| text.contains("header = false")), "{found:?}");
    }
}

#[test]
fn samples_that_are_gone_from_the_ring_are_counted_and_read_again() {
    let bench = Bench::new(TIMED);
    bench.append("imu.csv", "t,x,y\n");
    bench.rows(0..9);
    let mut running = bench.run();
    running.save();
    drop(running);
    let ring = OpenOptions::new().write(true).open(bench.state().join("samples.ring"));
    ring.unwrap().set_len(4096).unwrap();
    let running = bench.run();
    assert_eq!(running.status().losses.count(Loss::Disk), 9);
    assert_eq!(running.numbers(), (0..9).collect::<Vec<_>>());
}
