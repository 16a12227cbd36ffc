//! A folder of recordings as one source.

use super::*;

fn bench(more: &str) -> Bench {
    let mut bench = Bench::new(more);
    fs::create_dir(bench.dir.path().join("day")).unwrap();
    bench.config.input.path = bench.dir.path().join("day");
    bench
}

#[test]
fn files_are_read_one_after_the_other_and_each_once() {
    let bench = bench("label_from = 'filename'\nlabels = { 'walk*' = 'move' }\nskip = ['index*']");
    let mut running = bench.run();
    assert!(running.status().problem.unwrap().contains("day/*.csv: not there yet"));
    bench.append("day/index.csv", "file,what\n");
    bench.append("day/rest_1.csv", "x,y\n1,1\n2,2");
    bench.append("day/walk_2.csv", "x,y\n3,3\n4,4\n");
    bench.append("day/notes.txt", "x,y\n9,9\n");
    running.rest_and_settle();
    assert_eq!(
        running.numbers(),
        [1, 2, 3, 4],
        "the first is whole though its last line has no end"
    );
    assert_eq!(running.texts(), ["rest_1", "rest_1", "move", "move"]);
    let times: Vec<i64> = running.records().iter().map(|r| r.time_us / 1000).collect();
    assert_eq!(times, [0, 20, 1020, 1040], "recordings are apart");
    running.save();
    drop(running);
    bench.append("day/walk_2.csv", "5,5\n");
    let mut running = bench.run();
    assert_eq!(running.numbers(), [1, 2, 3, 4, 5]);
    bench.append("day/x.csv", "y,x\n6,6\n");
    running.rest_and_settle();
    assert_eq!(running.numbers(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(running.status().losses.faults(), 0);
}

#[test]
fn an_index_labels_fourteen_files_of_one_person_whole_or_by_rows() {
    for whole in [true, false] {
        let columns = if whole { "" } else { "start = 'first', end = 'last', " };
        let bench = bench(&format!(
            "files = 'rec*.csv'\nlabels = {{ 1 = 'walk', 2 = 'rest' }}\n\
             label_file = {{ file = 'name', by = 'rows', {columns}label = 'what' }}"
        ));
        bench.append("labels.csv", "what,name,first,last\n");
        for number in 1..=14 {
            let label = 1 + number % 2;
            bench.append("labels.csv", &format!("{label},data/rec{number:02}.csv,1,2\n"));
            bench.append(&format!("day/rec{number:02}.csv"), &format!("x,y\n{number},0\n20,0\n"));
        }
        let mut running = bench.run();
        let expected: Vec<&str> =
            (1..=14).flat_map(|n| [if n % 2 == 0 { "walk" } else { "rest" }; 2]).collect();
        assert_eq!(running.texts(), expected, "{whole}");
        running.save();
        drop(running);
        bench.append("day/rec14.csv", "3,0\n");
        bench.append("day/rec15.csv", "x,y\n15,0\n");
        let running = bench.run();
        let more = if whole { "walk" } else { "" };
        assert_eq!(running.texts()[26..], ["walk", "walk", more, ""], "{whole}");
        let losses = running.status().losses;
        assert!(losses.last(Loss::Label).unwrap().contains("no row for rec15.csv"));
    }
}

#[test]
fn an_index_may_go_by_what_is_in_the_names_of_the_files() {
    let keys = "files = 'acc_exp*_user*.csv'\nheader = false\n\
        label_file = { delimiter = ' ', by = 'rows', where = { 0 = '{1}', 1 = '{2}' }, label = 2, start = 3, end = 4 }";
    let mut bench = bench(keys);
    bench.config.sampling.channels.clear();
    let places = [("x", 0), ("y", 1)];
    let places = places.map(|(name, place)| (name.to_owned(), super::Column::Index(place)));
    bench.config.sampling.channels.extend(places);
    bench.append("labels.csv", "1 1 5 1 2\n1 2 4 1 3\n2 1 4 2 3\n");
    bench.append("day/acc_exp01_user01.csv", "1,0\n2,0\n3,0\n");
    bench.append("day/acc_exp02_user01.csv", "4,0\n5,0\n6,0\n");
    assert_eq!(bench.run().texts(), ["5", "5", "", "", "4", "4"]);
}

impl Running {
    /// As [`Running::settle`], but long enough for another look at the folder.
    fn rest_and_settle(&mut self) {
        (0..30).for_each(|_| self.settle());
    }
}

#[test]
fn a_range_of_rows_ends_with_its_recording_and_that_is_told() {
    let bench = bench(
        "files = 'rec*.csv'\n\
         label_file = { file = 'name', by = 'rows', start = 'first', end = 'last', label = 'what' }",
    );
    bench.append("labels.csv", "what,name,first,last\nwalk,rec1.csv,2,600\nrest,rec2.csv,2,3\n");
    bench.append("day/rec1.csv", "x,y\n1,0\n2,0\n3,0\n");
    bench.append("day/rec2.csv", "x,y\n4,0\n5,0\n6,0\n");
    bench.append("day/rec3.csv", "x,y\n7,0\n");
    let running = bench.run();
    assert_eq!(running.texts(), ["", "walk", "walk", "", "rest", "rest", ""]);
    let losses = running.status().losses;
    assert_eq!(losses.count(Loss::Label), 2, "{losses}");
}

#[test]
fn an_index_without_the_columns_or_the_row_says_what_it_has_instead() {
    let keys = |file: &str| format!("label_file = {{ file = '{file}', label = 'what' }}");
    for (file, expected) in [
        (
            "recording",
            "labels.csv line 1: the header has no column for recording; it has 2: what, name",
        ),
        (
            "name",
            "has no row for rec1.csv; it has rows for column 1 (\"name\"): \"rec7.csv\"; column",
        ),
    ] {
        let bench = bench(&keys(file));
        bench.append("labels.csv", "what,name\nwalk,rec7.csv\nsit,rec8.csv\nsit,rec8.csv\n");
        bench.append("day/rec1.csv", "x,y\n1,0\n");
        let losses = bench.run().status().losses;
        let last = losses.last(Loss::Label).unwrap();
        assert!(last.contains(expected), "{last}");
        assert_eq!(losses.count(Loss::Label), 1, "{last}");
    }
}

#[test]
fn names_of_recordings_that_are_numbers_are_compared_as_numbers() {
    let bench = bench("label_file = { file = 'name', label = 'what' }");
    bench.append("labels.csv", "what,name\nwalk,1\nsit,02\n");
    bench.append("day/01.csv", "x,y\n1,0\n");
    bench.append("day/2.csv", "x,y\n2,0\n");
    assert_eq!(bench.run().texts(), ["walk", "sit"]);
}

#[test]
fn an_index_that_is_changed_says_that_recordings_keep_their_labels() {
    for restart in [false, true] {
        let bench = bench("label_file = { file = 'name', label = 'what' }");
        bench.append("labels.csv", "what,name\nwalk,rec1\n");
        bench.append("day/rec1.csv", "x,y\n1,0\n");
        bench.append("day/rec2.csv", "x,y\n2,0\n");
        bench.append("labels.csv", "sit,rec2\n");
        let mut running = bench.run();
        running.rest_and_settle();
        assert_eq!(running.status().losses.count(Loss::Label), 0, "rows may be added");
        running.save();
        let corrected = "what,name\nrun,rec1\nsit,rec2\n";
        if restart {
            drop(running);
            fs::write(bench.dir.path().join("labels.csv"), corrected).unwrap();
            running = bench.run();
        } else {
            fs::write(bench.dir.path().join("labels.csv"), corrected).unwrap();
        }
        running.rest_and_settle();
        assert_eq!(running.texts(), ["walk", "sit"]);
        let losses = running.status().losses;
        let last = losses.last(Loss::Label).unwrap();
        assert!(last.contains("was changed") && last.contains("data reset"), "{last}");
        assert_eq!(losses.count(Loss::Label), 1);
    }
}

#[test]
fn recordings_whose_times_all_begin_with_zero_keep_their_own_labels() {
    let bench = bench(
        "time = 't'\nlabel_file = { file = 'name', start = 'from', end = 'to', label = 'what' }",
    );
    bench.append("labels.csv", "what,name,from,to\nwalk,rec1,0,0.03\nsit,rec2,0.01,0.05\n");
    for (name, value) in [("rec1", 1), ("rec2", 2)] {
        let rows: String = (0..3).map(|n| format!("0.0{},{value},0\n", n * 2)).collect();
        bench.append(&format!("day/{name}.csv"), &format!("t,x,y\n{rows}"));
    }
    let mut running = bench.run();
    let expected = ["walk", "walk", "", "", "sit", "sit"];
    assert_eq!(running.texts(), expected);
    running.save();
    drop(running);
    assert_eq!(bench.run().texts(), expected);
}

#[test]
fn a_recording_that_sorts_before_those_read_is_told() {
    let bench = bench("");
    bench.append("day/b.csv", "x,y\n1,1\n");
    bench.append("day/c.csv", "x,y\n2,2\n");
    let mut running = bench.run();
    running.rest_and_settle();
    assert_eq!(running.status().hints.get("passed"), None);
    bench.append("day/a.csv", "x,y\n3,3\n");
    running.rest_and_settle();
    let hints = running.status().hints;
    let text = &hints["passed"];
    assert!(text.contains("day/c.csv: a file came that sorts before it, a.csv"), "{text}");
    assert_eq!(running.numbers(), [1, 2]);
}

#[test]
fn a_folder_without_recordings_names_what_it_has_and_its_label_file_is_none() {
    let mut bench = bench("");
    bench.config.sampling.labels_path = Some(bench.dir.path().join("day/labels.csv"));
    bench.append("day/labels.csv", "0,1,walk\n");
    bench.append("day/rec1.txt", "x,y\n1,1\n");
    let running = bench.run();
    let problem = running.status().problem.unwrap();
    assert!(problem.contains("\"rec1.txt\"") && problem.contains("set source.files"), "{problem}");
    bench.append("day/rec1.csv", "x,y\n1,1\n");
    let mut running = {
        drop(running);
        bench.run()
    };
    running.rest_and_settle();
    assert_eq!(running.texts(), ["walk"]);
    assert_eq!(running.status().losses.faults(), 0);
}

#[test]
fn rows_of_an_index_that_are_read_as_seconds_are_told() {
    let bench = bench("label_file = { file = 'name', start = 'from', end = 'to', label = 'what' }");
    bench.append("labels.csv", "what,name,from,to\nwalk,rec1,1,25\n");
    let rows: String = (0..30).map(|n| format!("{n},0\n")).collect();
    bench.append("day/rec1.csv", &format!("x,y\n{rows}"));
    let mut running = bench.run();
    running.rest_and_settle();
    let hints = running.status().hints;
    let text = hints.values().next().unwrap();
    assert!(text.contains("rec1.csv") && text.contains("by = \"rows\""), "{text}");
}
