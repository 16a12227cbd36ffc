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

impl Running {
    /// As [`Running::settle`], but long enough for another look at the folder.
    fn rest_and_settle(&mut self) {
        (0..30).for_each(|_| self.settle());
    }
}
