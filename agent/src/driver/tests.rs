//! The shell's first steps.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

use super::*;
use crate::store::FileStore;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what each thread logs apart.
struct Kept;

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        let _ = LINES.try_with(|lines| lines.borrow_mut().push(line));
    }
    fn flush(&self) {}
}

/// The state in `store`, and whether the log calls it that of a new device.
fn loaded(store: &mut FileStore) -> (DeviceState, bool) {
    LINES.take();
    let state = load_state(store).unwrap();
    (state, LINES.take().iter().any(|line| line.contains("new device")))
}

#[test]
fn a_start_without_a_state_is_told_so_that_a_lost_one_is_seen() {
    log::set_logger(&Kept).unwrap();
    log::set_max_level(LevelFilter::Info);
    let dir = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(dir.path()).unwrap();
    let (first, is_new) = loaded(&mut store);
    assert!(is_new);
    store.save(&first.encode()).unwrap();
    assert_eq!(loaded(&mut store), (first.clone(), false));
    for slot in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::remove_file(slot.unwrap().path()).unwrap();
    }
    let (other, is_new) = loaded(&mut store);
    assert!(is_new && other.lottery != first.lottery);
}
