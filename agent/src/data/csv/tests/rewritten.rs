//! Files that were written anew in place, with a program that runs and with one that did not.

use super::*;

/// Rows of these numbers, a period apart, with a header.
fn text(numbers: impl Iterator<Item = u32>, header: &str) -> String {
    let row = |n: u32| match header.starts_with('t') {
        true => format!("{:.2},{n},-{n}\n", f64::from(n) * 0.02),
        false => format!("{n},-{n}\n"),
    };
    format!("{header}\n{}", numbers.map(row).collect::<String>())
}

#[test]
fn rows_of_a_corrected_file_are_not_stored_twice() {
    for way in ["in place", "over a restart", "by a new name", "by a new name over a restart"] {
        let restart = way.ends_with("restart");
        let bench = Bench::new(TIMED);
        let path = bench.dir.path().join("imu.csv");
        fs::write(&path, text(0..6, "t,x,y")).unwrap();
        let mut running = bench.run();
        running.save();
        let corrected = text(0..9, "t,x,y").replace("0.02,1,-1", "0.02,7,-7");
        let correct = || {
            // Editors write a new file and give it the old one's name.
            let new = if way.contains("name") { path.with_extension("new") } else { path.clone() };
            fs::write(&new, &corrected).unwrap();
            fs::rename(&new, &path).unwrap();
        };
        if restart {
            drop(running);
            correct();
            running = bench.run();
        } else {
            correct();
            running.settle();
        }
        assert_eq!(running.numbers(), (0..9).collect::<Vec<_>>(), "{way}");
        let losses = running.status().losses;
        assert_eq!((losses.count(Loss::Order), losses.faults()), (6, 6));
        let last = losses.last(Loss::Order).unwrap();
        assert!(last.contains("imu.csv line 7") && last.contains("written anew"), "{last}");
        bench.rows(9..11);
        running.settle();
        assert_eq!(running.numbers(), (0..11).collect::<Vec<_>>());
    }
}

#[test]
fn a_corrected_file_without_times_is_not_read_and_the_remedy_is_told() {
    for restart in [false, true] {
        let bench = Bench::new("");
        let path = bench.dir.path().join("imu.csv");
        fs::write(&path, text(0..6, "x,y")).unwrap();
        let mut running = bench.run();
        running.save();
        let corrected = text(0..9, "x,y").replace("1,-1", "7,-7");
        for _ in 0..2 {
            fs::write(&path, &corrected).unwrap();
            if restart {
                drop(running);
                running = bench.run();
                running.save();
            } else {
                running.settle();
            }
            assert_eq!(running.numbers(), (0..6).collect::<Vec<_>>(), "{restart}");
            let problem = running.status().problem.unwrap();
            assert!(
                problem.contains("written anew") && problem.contains("data reset"),
                "{problem}"
            );
        }
    }
}

#[test]
fn a_corrected_label_file_holds_also_where_its_length_is_the_same() {
    let bench = Bench::new(TIMED);
    fs::write(bench.dir.path().join("imu.csv"), text(0..4, "t,x,y")).unwrap();
    let path = bench.dir.path().join("labels.csv");
    fs::write(&path, "start,end,label\n0,0.03,move\n0.03,0.09,move\n").unwrap();
    let mut running = bench.run();
    assert_eq!(running.texts(), ["move"; 4]);
    fs::write(&path, "start,end,label\n0,0.03,rest\n0.03,0.09,move\n").unwrap();
    running.settle();
    assert_eq!(running.texts(), ["rest", "rest", "move", "move"]);
    fs::write(&path, "start,end,label\n0,0.03,move\n0.03,0.05,rest\n0.05,0.09,move\n").unwrap();
    running.settle();
    assert_eq!(running.texts(), ["move", "move", "rest", "move"]);
    assert_eq!(running.status().losses.faults(), 0);
}

#[test]
fn a_file_without_times_that_is_cut_gives_no_row_twice() {
    for emptied_first in [false, true] {
        let bench = Bench::new("");
        let path = bench.dir.path().join("imu.csv");
        fs::write(&path, text(0..90, "x,y")).unwrap();
        let mut running = bench.run();
        running.save();
        if emptied_first {
            fs::write(&path, "").unwrap();
            running.settle();
        }
        fs::write(&path, text(0..60, "x,y")).unwrap();
        running.settle();
        assert_eq!(running.numbers(), (0..90).collect::<Vec<_>>(), "{emptied_first}");
        let problem = running.status().problem.unwrap();
        assert!(problem.contains("written anew") && problem.contains("data reset"), "{problem}");
    }
}

#[test]
fn a_log_that_is_emptied_and_goes_on_with_other_rows_is_read() {
    let bench = Bench::new("");
    let path = bench.dir.path().join("imu.csv");
    fs::write(&path, text(0..90, "x,y")).unwrap();
    let mut running = bench.run();
    running.save();
    fs::write(&path, text(90..95, "x,y")).unwrap();
    running.settle();
    assert_eq!(running.numbers(), (0..95).collect::<Vec<_>>());
}

#[test]
fn a_file_in_whose_place_a_folder_stood_for_a_while_is_read_on() {
    let bench = Bench::new("");
    let path = bench.dir.path().join("imu.csv");
    fs::write(&path, text(0..3, "x,y")).unwrap();
    let mut running = bench.run();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    running.settle();
    assert!(running.status().problem.unwrap().contains("imu.csv: cannot read"));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, text(3..6, "x,y")).unwrap();
    running.settle();
    assert_eq!(running.numbers(), (0..6).collect::<Vec<_>>());
}
