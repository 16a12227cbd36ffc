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
