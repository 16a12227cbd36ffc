//! Label files of other forms, and labels of other names.

use super::*;

#[test]
fn columns_go_by_name_times_have_their_own_form_and_labels_the_names_of_the_task() {
    let more = "time = { column = 't', unit = 's' }\nlabels = { 4 = 'walking', 'sit*' = 'rest' }\n\
        label_file = { start = 'from', duration = 'lasts', label = 'code', delimiter = ';', \
        decimal = ',', comment = '#', time = { format = 'iso', zone = '+01:00' }, where = { who = 'me' } }\n";
    let bench = Bench::new(more);
    bench.append("imu.csv", "t,x,y\n0,0,0\n1,1,1\n2,2,2\n3,3,3\n");
    bench.append("labels.csv", "# made by hand\ncode;who;lasts;from\n4;me;1;1970-01-01 01:00:00\n");
    bench.append("labels.csv", "9;you;9;1970-01-01 01:00:00\nsitting;me;1;1970-01-01 01:00:01\n");
    bench.append("labels.csv", "run;me;1;1970-01-01 01:00:02\n4;me;x;1970-01-01 01:00:03\n");
    let running = bench.run();
    assert_eq!(running.texts(), ["walking", "rest", "run", ""]);
    let losses = running.status().losses;
    assert_eq!(losses.count(Loss::Label), 1);
    let last = losses.last(Loss::Label).unwrap();
    assert!(
        last.contains("labels.csv line 7") && last.contains("\"x\" is not a duration"),
        "{last}"
    );
}

#[test]
fn labels_that_meet_no_sample_are_told_with_both_times() {
    let bench = Bench::new(TIMED);
    bench.append("imu.csv", "t,x,y\n0,0,0\n0.02,1,1\n");
    bench.append("labels.csv", "1700000000,1700000010,walk\n1700000010,1700000020,sit\n");
    let mut running = bench.run();
    let losses = running.status().losses;
    let last = losses.last(Loss::Label).unwrap();
    assert!(last.contains("2023-11-14T22:13:20") && last.contains("0.020 s"), "{last}");
    assert_eq!(losses.count(Loss::Label), 2);
    running.settle();
    assert_eq!(running.status().losses.count(Loss::Label), 2, "it is told once");
    let early = Bench::new(TIMED);
    early.append("imu.csv", "t,x,y\n0,0,0\n0.02,1,1\n");
    early.append("labels.csv", "60,70,walk\n");
    assert!(early.run().status().losses.is_empty(), "they may wait for their samples");
}

#[test]
fn labels_may_count_the_samples_of_a_recording_without_times() {
    for (by, rows) in [("samples", "0,2,a\n2,3,b\n"), ("rows", "1,2,a\n3,3,b\n")] {
        let bench = Bench::new(&format!("label_file = {{ by = '{by}' }}"));
        bench.append("imu.csv", "x,y\n0,0\n1,1\n2,2\n3,3\n");
        bench.append("labels.csv", rows);
        assert_eq!(bench.run().texts(), ["a", "a", "b", ""], "{by}");
    }
}

#[test]
fn labels_of_a_column_get_the_names_of_the_task() {
    let bench = Bench::new("time = 't'\nlabel = 'l'\nlabels = { 1 = 'walk', 0 = '' }");
    bench.append("imu.csv", "t,x,y,l\n0,0,0,1\n0.02,1,1,0\n0.04,2,2,Sit\n");
    assert_eq!(bench.run().texts(), ["walk", "", "Sit"]);
}

impl Running {
    /// As [`Running::settle`], but until a label file that rests is taken for whole.
    fn settle_labels(&mut self) {
        (0..12).for_each(|_| self.settle());
    }
}

impl Bench {
    /// Writes a file anew in place.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Writes a file anew as most editors do: another one comes into its place.
    fn exchange(&self, name: &str, text: &str) {
        self.write("new", text);
        fs::rename(self.dir.path().join("new"), self.dir.path().join(name)).unwrap();
    }

    /// Four samples, a period apart.
    fn four(more: &str) -> Self {
        let bench = Self::new(more);
        bench.append("imu.csv", "t,x,y\n");
        bench.rows(0..4);
        bench
    }
}

#[test]
fn what_is_gone_from_a_label_file_is_gone_from_samples_that_are_kept() {
    for restart in [false, true] {
        for exchange in [false, true] {
            let bench = Bench::four(TIMED);
            bench.write("labels.csv", "start,end,label\n0,0.03,walk\n0.03,0.09,sit\n");
            let mut running = bench.run();
            running.settle_labels();
            let texts = [
                ("0,0.03,walk\n0.05,0.09,sit\n", ["walk", "walk", "", "sit"]),
                ("0.02,0.05,run\n", ["", "run", "run", ""]),
                ("0,0.03,walk", ["walk", "walk", "", ""]),
            ];
            for (text, expected) in texts {
                let text = format!("start,end,label\n{text}");
                let write = if exchange { Bench::exchange } else { Bench::write };
                if restart {
                    drop(running);
                    write(&bench, "labels.csv", &text);
                    running = bench.run();
                } else {
                    write(&bench, "labels.csv", &text);
                }
                running.settle_labels();
                assert_eq!(running.texts(), expected, "{restart} {exchange}");
            }
            assert_eq!(running.status().losses.faults(), 0);
        }
    }
}

#[test]
fn a_row_that_was_moved_is_not_in_force_at_both_places() {
    let bench = Bench::four(TIMED);
    bench.write("labels.csv", "0,0.03,walk\n");
    let mut running = bench.run();
    running.settle_labels();
    bench.exchange("labels.csv", "0.03,0.09,walk\n");
    running.settle_labels();
    assert_eq!(running.texts(), ["", "", "walk", "walk"]);
}

#[test]
fn rows_that_wait_for_their_samples_can_be_taken_back() {
    let bench = Bench::four(TIMED);
    bench.write("labels.csv", "0,0.05,walk\n0.09,0.2,sit\n");
    let mut running = bench.run();
    running.settle_labels();
    bench.write("labels.csv", "0,0.05,walk\n0.13,0.2,sit\n");
    running.settle_labels();
    bench.rows(4..8);
    running.settle();
    assert_eq!(running.texts(), ["walk", "walk", "walk", "", "", "", "", "sit"]);
}

#[test]
fn a_label_file_that_is_just_written_takes_no_label_away_and_one_that_stays_empty_does() {
    let bench = Bench::four(TIMED);
    let whole = "start,end,label\n0,0.03,walk\n0.03,0.09,sit\n";
    bench.write("labels.csv", whole);
    let mut running = bench.run();
    running.settle_labels();
    let all = ["walk", "walk", "sit", "sit"];
    bench.write("labels.csv", "start,end,label\n0,0.01,run\n");
    running.settle();
    assert_eq!(running.texts(), ["run", "walk", "sit", "sit"]);
    bench.write("labels.csv", whole);
    running.settle_labels();
    assert_eq!(running.texts(), all);
    fs::remove_file(bench.dir.path().join("labels.csv")).unwrap();
    running.settle_labels();
    assert_eq!(running.texts(), all, "a file that is not there says nothing");
    drop(running);
    let mut running = bench.run();
    running.settle_labels();
    assert_eq!(running.texts(), all);
    bench.write("labels.csv", whole);
    running.settle_labels();
    let emptied = fs::File::create(bench.dir.path().join("labels.csv")).unwrap();
    running.settle_labels();
    assert_eq!(running.texts(), all, "it may be written just now");
    emptied.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    running.settle_labels();
    assert_eq!(running.texts(), [""; 4]);
}

#[test]
fn labels_of_a_file_that_was_moved_away_stay() {
    for restart in [false, true] {
        let bench = Bench::four(TIMED);
        bench.write("labels.csv", "0,0.03,walk\n");
        let mut running = bench.run();
        running.settle_labels();
        let (from, to) = (bench.dir.path().join("labels.csv"), bench.dir.path().join("labels.1"));
        if restart {
            drop(running);
            fs::rename(from, to).unwrap();
            bench.write("labels.csv", "");
            running = bench.run();
        } else {
            fs::rename(from, to).unwrap();
            bench.write("labels.csv", "");
        }
        running.settle_labels();
        bench.append("labels.csv", "0.03,0.05,sit\n0.05,0.09,run\n");
        running.settle_labels();
        assert_eq!(running.texts(), ["walk", "walk", "sit", "run"], "{restart}");
        bench.write("labels.csv", "0.030,0.05,sit\n");
        running.settle_labels();
        assert_eq!(running.texts(), ["walk", "walk", "sit", ""], "{restart}");
    }
}

#[test]
fn a_sample_whose_row_is_gone_has_no_label_though_it_came_with_one() {
    let bench = Bench::new("time = 't'\nlabel = 'l'");
    bench.append("imu.csv", "t,x,y,l\n0,0,0,walk\n0.02,1,1,walk\n");
    bench.write("labels.csv", "0.02,0.05,sit\n");
    let mut running = bench.run();
    running.settle_labels();
    assert_eq!(running.texts(), ["walk", "sit"]);
    bench.write("labels.csv", "0.03,0.05,sit\n");
    running.settle_labels();
    assert_eq!(running.texts(), ["walk", ""]);
}

#[test]
fn a_last_row_without_a_line_end_counts_once_the_file_rests() {
    let bench = Bench::four(TIMED);
    bench.write("labels.csv", "0,0.03,walk\n0.03,0.09,sit");
    let mut running = bench.run();
    assert_eq!(running.texts(), ["walk", "walk", "", ""]);
    running.settle_labels();
    assert_eq!(running.texts(), ["walk", "walk", "sit", "sit"]);
    bench.append("labels.csv", "ting\n");
    running.settle_labels();
    assert_eq!(running.texts(), ["walk", "walk", "sitting", "sitting"]);
    assert_eq!(running.status().losses.faults(), 0);
}

#[test]
fn ranges_that_contradict_each_other_are_told_until_they_are_mended() {
    let bench = Bench::four(TIMED);
    bench.write("labels.csv", "0,0.03,walk\n0.03,0.05,walk\n0.01,0.04,sit\n0,0.01,\n");
    let mut running = bench.run();
    running.settle_labels();
    let hints = running.status().hints;
    let text = hints.values().next().unwrap();
    assert!(text.contains("labels.csv: 1 ranges overlap") && text.contains("2 and 3"), "{text}");
    bench.write("labels.csv", "0,0.03,walk\n0.03,0.05,sit\n");
    running.settle_labels();
    assert_eq!(running.status().hints.len(), 0);
}

#[test]
fn rows_that_are_read_as_seconds_are_told() {
    let bench = Bench::new("");
    bench.append("imu.csv", "x,y\n");
    (0..50).for_each(|n| bench.append("imu.csv", &format!("{n},0\n")));
    bench.write("labels.csv", "1,25,walk\n26,50,sit\n");
    let hints = bench.run().status().hints;
    let text = hints.values().next().unwrap();
    assert!(text.contains("labels.csv") && text.contains("by = \"rows\""), "{text}");
    let right = Bench::new("label_file = { by = 'rows' }");
    right.append("imu.csv", "x,y\n1,1\n2,2\n3,3\n");
    right.write("labels.csv", "1,2,walk\n3,3,sit\n");
    assert_eq!(right.run().status().hints.len(), 0);
}

#[test]
fn a_label_file_without_the_columns_names_them_whatever_rows_follow() {
    let bench =
        Bench::four("time = 't'\nlabel_file = { start = 'begin', end = 'end', label = 'what' }");
    bench.write("labels.csv", "start,end,what\n0,0.03,walk\n0.03,0.09,sit\n");
    let losses = bench.run().status().losses;
    let last = losses.last(Loss::Label).unwrap();
    assert!(last.contains("no column for begin; it has 3: start, end, what"), "{last}");
}
