use std::collections::BTreeMap;

use dunlin_protocol::id::{Name, RoundId};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;
use dunlin_protocol::work::WorkKind;
use redb::ReadableTableMetadata;

use super::*;
use crate::aggregator::{Aggregator, Initial, Start};
use crate::control::Command;
use crate::example::{LINEAGE, settings};
use crate::io::{Input, Output};
use crate::round::{Progress, RoundKey};
use crate::snapshot::Record;

/// Performs the outputs on the disk and in memory; both must say the same.
fn perform(core: &mut Aggregator, store: &Store, memory: &mut Option<Snapshot>) {
    while let Some(output) = core.poll_output() {
        if let Output::Save(save) = output {
            store.save(&save).unwrap();
            *memory = Snapshot::after(memory.take(), &save);
            assert_eq!(store.load().unwrap(), *memory);
        }
    }
}

#[test]
fn a_store_gives_back_what_was_saved_also_after_it_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), None);
    let start = Start::Fresh { lineage: LINEAGE, initial: Initial::Seed(1) };
    let mut core = Aggregator::new(settings(), start, Instant(0), 0).unwrap();
    let mut memory = None;
    perform(&mut core, &store, &mut memory);
    core.handle(Instant(0), Input::Connected);
    for device in ["d0", "d1", "d2"] {
        let payload = Presence::new(State::Online, 1).encode();
        let topic = Topic::DeviceState(Name::new(device).unwrap());
        core.handle(Instant(0), Input::Message { topic, payload: payload.as_bytes() });
    }
    for second in 1..200 {
        core.handle(Instant(second * 1000), Input::Tick);
        perform(&mut core, &store, &mut memory);
    }
    // Who answered no invitation counts again with a word.
    for device in ["d0", "d1", "d2"] {
        let payload = Presence::new(State::Online, 1).on(2).encode();
        let topic = Topic::DeviceState(Name::new(device).unwrap());
        core.handle(Instant(200_000), Input::Message { topic, payload: payload.as_bytes() });
    }
    for second in 200..240 {
        core.handle(Instant(second * 1000), Input::Tick);
        perform(&mut core, &store, &mut memory);
    }
    let n_model = core.params().len();
    core.handle(Instant(240_000), Input::Command(Command::Import(&vec![0.5; n_model])));
    perform(&mut core, &store, &mut memory);
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), memory);
    let history = store.history(100).unwrap();
    assert_eq!(history.len(), 4, "three rounds too few, one superseded");
    assert_eq!(store.history(2).unwrap(), history[2..]);
}

#[test]
fn a_store_that_is_open_elsewhere_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let _first = Store::open(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error.problem(), StoreProblem::InUse), "{error}");
}

#[test]
fn other_files_and_newer_stores_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    for garbage in [vec![7; 3], vec![7; 100_000]] {
        std::fs::write(&path, garbage).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error.problem(), StoreProblem::NotOurs), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    write_meta(&path, |meta| {
        meta.insert("something", b"else".as_slice()).unwrap();
    });
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error.problem(), StoreProblem::NotOurs), "{error}");
    write_meta(&path, |meta| {
        meta.insert("magic", MAGIC).unwrap();
        meta.insert("schema", 99_u32.to_le_bytes().as_slice()).unwrap();
    });
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error.problem(), StoreProblem::Schema { found: 99 }), "{error}");
    assert!(error.to_string().contains("schema 99"));
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    drop(Store::open(&path).unwrap());
    write_meta(&path, |meta| {
        meta.insert("head", [1_u8, 2, 3].as_slice()).unwrap();
    });
    let error = Store::open(&path).unwrap().load().unwrap_err();
    assert!(matches!(error.problem(), StoreProblem::Corrupt { record: "head" }), "{error}");
}

#[test]
fn a_folder_that_is_missing_is_an_error_with_the_path() {
    let error = Store::open(Path::new("/nonexistent/a.redb")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/a.redb"), "{error}");
}

#[test]
fn a_store_is_brought_up_once_and_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    for (file, rounds) in [(V2, 9), (V3, 10)] {
        let first = recorded(folder.path(), file);
        let (before, history) = (first.load().unwrap(), first.history(100).unwrap());
        assert_eq!(history.len(), rounds, "six of training, three of evaluation, a query");
        drop(first);
        let again = Store::open(&folder.path().join("a.redb")).unwrap();
        assert_eq!((again.load().unwrap(), again.history(100).unwrap()), (before, history));
    }
}

#[test]
fn a_newer_store_is_refused_and_not_a_byte_of_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    drop(recorded(folder.path(), V2));
    write_schema(&path, 99);
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error.problem(), StoreProblem::Schema { found: 99 }), "{error}");
    assert!(std::fs::read(&path).unwrap() == before);
}

#[test]
fn a_device_that_comes_and_goes_does_not_make_the_log_grow() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.redb")).unwrap();
    let key = RoundKey { round: RoundId(1), kind: WorkKind::Sums };
    let device = |name: &str| Name::new(name).unwrap();
    let twice = [Progress::Granted, Progress::Gone];
    let mut records = vec![Record::Progress(key, device("b"), Progress::Granted)];
    let flaps = twice.into_iter().cycle().take(70_001);
    records.extend(flaps.map(|progress| Record::Progress(key, device("a"), progress)));
    store.save(&Save { records }).unwrap();
    let read = store.database.begin_read().unwrap();
    let entries = read.open_table(PROGRESS).unwrap().len().unwrap();
    assert!(entries < 5_000, "{entries}");
    let rounds = super::load::read_progress(&read).unwrap();
    let last = BTreeMap::from([(device("a"), Progress::Granted), (device("b"), Progress::Granted)]);
    assert_eq!(rounds, BTreeMap::from([(key, last)]));
}

/// Stores that `tests/stored/README.md` describes.
pub(crate) const V2: &[u8] = include_bytes!("../../../tests/stored/v2/aggregator.redb");
pub(crate) const V3: &[u8] = include_bytes!("../../../tests/stored/v3/aggregator.redb");

/// A recorded store, opened in `folder`.
pub(crate) fn recorded(folder: &Path, file: &[u8]) -> Store {
    let path = folder.join("a.redb");
    std::fs::write(&path, file).unwrap();
    Store::open(&path).unwrap()
}

/// Makes the store at `path` one of version `schema`.
pub(crate) fn write_schema(path: &Path, schema: u32) {
    write_meta(path, |meta| {
        meta.insert("schema", schema.to_le_bytes().as_slice()).unwrap();
    });
}

fn write_meta(path: &Path, write: impl FnOnce(&mut redb::Table<'_, &'static str, &'static [u8]>)) {
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    write(&mut transaction.open_table(META).unwrap());
    transaction.commit().unwrap();
}
