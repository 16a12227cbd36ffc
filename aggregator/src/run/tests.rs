//! The shell without a broker.

use dunlin_link::{BrokerUrl, LinkConfig};
use redb::{Database, TableDefinition};

use super::*;
use crate::example::{LINEAGE, settings};

/// A store with a summary that cannot be read.
fn damaged(path: &std::path::Path) -> Store {
    drop(Store::open(path).unwrap());
    let history: TableDefinition<u64, &[u8]> = TableDefinition::new("history");
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(history).unwrap().insert(1_u64, b"no summary".as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    Store::open(path).unwrap()
}

#[test]
fn an_aggregator_goes_on_where_its_history_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let store = damaged(&path);
    assert!(store.history(ROUNDS_SHOWN).is_err());
    let start = Start::Fresh { lineage: LINEAGE, initial: Initial::Seed(1) };
    let core = Aggregator::new(settings(), start, Instant(0), 0).unwrap();
    let url: BrokerUrl = "mqtt://localhost".parse().unwrap();
    let broker = LinkConfig::new(url, "agg-1");
    let (settings, store_path) = (settings(), path.clone());
    let config = Config { settings, broker, store: store_path, seed: None, adopt_task: None };
    let (topics, spool) = (Topics::default(), Spool::beside(&path));
    let (status_written, status_wait_ms, queries_due) = (Instant(0), 0, Instant(0));
    let (config, link) = (&config, None);
    #[rustfmt::skip]
    let mut shell = Shell {
        config, store, topics, core, link, spool, status_written, status_wait_ms, queries_due,
    };
    shell.write_status(Instant(0));
    let written = std::fs::read(folder.path().join("a.redb.status.json")).unwrap();
    let status: Status = serde_json::from_slice(&written).unwrap();
    assert!(status.ended.is_empty() && status.live.is_some());
    shell.perform(&mut |_, _| {}).unwrap();
    assert!(shell.store.load().unwrap().is_some(), "rounds are kept as ever");
}
