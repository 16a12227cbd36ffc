//! Where queries wait for a running aggregator: a folder beside its store. `NAME.toml` is a query,
//! `NAME.json` what came of it. A query stays there until it is answered, so that a restart puts it
//! again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunlin_protocol::id::Name;
use dunlin_protocol::task::Task;
use dunlin_service::config::{ConfigFileError, read_file, read_text};
use dunlin_service::file::{Durability, make_folder, replace};
use serde::Deserialize;

use super::file::{QUERY_BYTES_MAX, QueryFile};
use super::{AnswerTable, Query};

/// How long an answer lies there.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest answer that is read; 64 channels with 257 bins each need about 1 MiB.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Turns for which a query rests whose answer could not be written.
const REST_TURNS: u32 = 60;
/// Queries that are looked at in one turn at the most.
const QUERIES_MAX: usize = 64;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The file with what came of it cannot be read.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// It could not be put, or what came of it is no answer.
    #[error("query {query}: {why}")]
    Refused {
        /// Name of the query that was asked.
        query: Name,
        /// What is wrong with it, as the aggregator said it.
        why: String,
    },
}

/// What lies in place of an answer when a query could not be put.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// The folder of the queries to one aggregator.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    /// Queries whose answers could not be written: they rest for a while.
    unwritable: BTreeSet<Name>,
    /// Turns since those were forgotten last.
    turns: u32,
}

impl Spool {
    /// The folder beside `store`; it need not exist.
    pub fn beside(store: &Path) -> Self {
        let mut folder = store.as_os_str().to_owned();
        folder.push(".queries");
        Self { folder: folder.into(), unwritable: BTreeSet::new(), turns: 0 }
    }

    /// Makes the folder, so that it belongs to the user of the aggregator, whoever asks.
    pub fn make(&self) {
        if let Err(error) = make_folder(&self.folder) {
            log::warn!("{}: {error}; nothing can be asked", self.folder.display());
        }
        // What nobody took in a day nobody waits for.
        let old = |path: &PathBuf| {
            let age = fs::metadata(path).and_then(|data| data.modified());
            age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > DAY))
        };
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let left = entries.map(|entry| entry.path()).filter(|path| {
            path.extension().is_some_and(|end| end == "json" || end == "tmp") && old(path)
        });
        left.for_each(|path| drop(fs::remove_file(path)));
    }

    #[cfg(unix)]
    fn give_to_owner_of(&self, store: &Path) {
        use std::os::unix::fs::{MetadataExt, chown};
        if let Ok(owner) = fs::metadata(store) {
            // Only root can, and only root needs to.
            let _ = chown(&self.folder, Some(owner.uid()), Some(owner.gid()));
        }
    }

    #[cfg(not(unix))]
    fn give_to_owner_of(&self, _store: &Path) {}

    fn path(&self, name: &Name, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }

    /// Puts the text of a query file there; a folder that it makes belongs to the owner of `store`.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn put(&self, store: &Path, name: &Name, text: &str) -> io::Result<()> {
        if !self.folder.exists() {
            make_folder(&self.folder)?;
            self.give_to_owner_of(store);
        }
        replace(&self.path(name, "toml"), text.as_bytes(), Durability::PowerCut)
    }

    /// Whether no query waits.
    pub fn is_empty(&self) -> bool {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        !entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|e| e == "toml"))
    }

    /// Takes a query away that nobody waits for any more, and what came of it.
    pub fn withdraw(&self, name: &Name) {
        for ending in ["toml", "json", "toml.tmp", "json.tmp"] {
            let _ = fs::remove_file(self.path(name, ending));
        }
    }

    /// The queries that wait. One that cannot be put gets its answer at once: the reason.
    pub fn waiting(&mut self, task: &Task, quorum: u32) -> Vec<Query> {
        self.turns += 1;
        if self.turns > REST_TURNS {
            (self.turns, self.unwritable) = (0, BTreeSet::new());
        }
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut queries = Vec::new();
        let paths = entries.flatten().map(|entry| entry.path());
        let asked = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
        for path in asked.take(QUERIES_MAX) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let name = stem.and_then(|stem| Name::new(stem).ok());
            let Some(name) = name.filter(|name| !self.unwritable.contains(name)) else { continue };
            let file = read_file::<QueryFile>(&path, QUERY_BYTES_MAX);
            let query = file.map_err(|error| error.to_string()).and_then(|file| {
                let problems = file.query(name.clone(), task, quorum);
                problems.map_err(|problems| {
                    problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                })
            });
            match query {
                Ok(query) => queries.push(query),
                Err(why) => {
                    log::warn!("query {name} is not put: {why}");
                    self.write(&name, &serde_json::json!({ "error": why }).to_string());
                }
            }
        }
        queries
    }

    /// Writes what came of a query.
    pub fn answer(&mut self, name: &Name, table: &AnswerTable) {
        match serde_json::to_string(table) {
            Ok(json) => self.write(name, &json),
            Err(error) => log::error!("the answer to query {name} cannot be written: {error}"),
        }
    }

    fn write(&mut self, name: &Name, json: &str) {
        if !self.path(name, "toml").exists() {
            // Nobody waits for it.
            return;
        }
        match replace(&self.path(name, "json"), json.as_bytes(), Durability::PowerCut) {
            Ok(()) => drop(fs::remove_file(self.path(name, "toml"))),
            Err(error) => {
                let path = self.path(name, "json");
                log::warn!("{}: {error}; give the folder to the aggregator's user", path.display());
                self.unwritable.insert(name.clone());
            }
        }
    }

    /// Takes what came of a query, once it is there.
    ///
    /// # Errors
    /// When it cannot be read, or the query could not be put: why.
    pub fn take(&self, name: &Name) -> Result<Option<AnswerTable>, AnswerError> {
        let path = self.path(name, "json");
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path, ANSWER_BYTES_MAX)?;
        let _ = fs::remove_file(&path);
        let refusal = || serde_json::from_str::<Refused>(&text).map_or(text.clone(), |it| it.error);
        let refused = |_| AnswerError::Refused { query: name.clone(), why: refusal() };
        serde_json::from_str(&text).map(Some).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{name, task};

    fn table() -> AnswerTable {
        AnswerTable {
            query: "q".into(),
            round: Some(1),
            devices: 2,
            failure: None,
            windows: i128::from(u64::MAX) * 3,
            labels: vec![],
            channels: vec![],
        }
    }

    #[test]
    fn a_query_waits_until_its_answer_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.redb");
        let mut spool = Spool::beside(&store);
        let task = Task::new(task(4)).unwrap();
        assert!(spool.waiting(&task, 2).is_empty());
        spool.put(&store, &name("q"), "labels = true").unwrap();
        let waiting = spool.waiting(&task, 2);
        assert_eq!((waiting.len(), waiting[0].quorum), (1, 2));
        assert_eq!(spool.take(&name("q")).unwrap(), None);
        spool.answer(&name("q"), &table());
        assert!(spool.waiting(&task, 2).is_empty());
        assert_eq!(spool.take(&name("q")).unwrap(), Some(table()));
        assert_eq!(spool.take(&name("q")).unwrap(), None);
    }

    #[test]
    fn a_query_that_cannot_be_put_is_answered_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.redb");
        let mut spool = Spool::beside(&store);
        spool.put(&store, &name("q"), "[[channels]]\nname = \"none\"").unwrap();
        fs::write(folder.path().join("a.redb.queries/notes.txt"), "x").unwrap();
        assert!(spool.waiting(&Task::new(task(4)).unwrap(), 2).is_empty());
        let error = spool.take(&name("q")).unwrap_err().to_string();
        assert!(error.contains("no channel") && !error.contains('{'), "{error}");
    }

    #[test]
    fn a_query_whose_answer_cannot_be_written_is_not_put_each_second() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.redb");
        let mut spool = Spool::beside(&store);
        let task = Task::new(task(4)).unwrap();
        spool.put(&store, &name("q"), "labels = true").unwrap();
        spool.put(&store, &name("other"), "labels = true").unwrap();
        // A folder stands where the answer belongs.
        fs::create_dir(folder.path().join("a.redb.queries/q.json")).unwrap();
        assert_eq!(spool.waiting(&task, 2).len(), 2);
        spool.answer(&name("q"), &table());
        let waiting = spool.waiting(&task, 2);
        assert_eq!((waiting.len(), &waiting[0].name), (1, &name("other")));
        fs::remove_dir(folder.path().join("a.redb.queries/q.json")).unwrap();
        let again = (0..REST_TURNS).find(|_| spool.waiting(&task, 2).len() == 2);
        assert!(again.is_some(), "it is put again once the folder may be mended");
    }
}
