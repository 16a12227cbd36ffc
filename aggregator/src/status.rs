//! What an operator sees: the state of the federation, as text and as JSON.
//!
//! A running aggregator keeps its status in `<store>.status.json`, because its store is locked.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use dunlin_protocol::presence::{Ineligible, Lack};
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::WorkKind;
use dunlin_service::file::{Durability, replace};
use serde::{Deserialize, Serialize};

use crate::aggregator::Aggregator;
use crate::report;
use crate::round::RoundKey;
use crate::snapshot::Snapshot;
use crate::store::{Store, StoreError, StoreProblem};
use crate::summary::{Counters, RoundSummary};
use crate::trouble;

/// Ended rounds that a status shows.
pub const ROUNDS_SHOWN: usize = 20;
/// Longest status file that is read in bytes.
const STATUS_BYTES_MAX: u64 = 1024 * 1024;

/// One open round, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenRound {
    /// Number and kind of the round.
    pub key: RoundKey,
    /// The version that it starts from.
    pub base: u32,
    /// Updates that are in its sum.
    pub accepted: u32,
    /// Updates that it wants; with them it closes.
    pub target: u32,
    /// Devices that were told to go and have not ended.
    pub working: u32,
    /// Time left in milliseconds: to its end if nobody else comes, or to its deadline.
    pub remaining_ms: u64,
}

/// What a running aggregator knows beyond its store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Enrolled devices that are connected.
    pub online: u32,
    /// Enrolled devices that take no work now, by their reason.
    #[serde(default)]
    pub held: BTreeMap<Ineligible, u32>,
    /// Enrolled devices that cannot do work with what they have, by kind of work (`train`, `evaluate`,
    /// `sums`) and by what they lack.
    #[serde(default)]
    pub unable: BTreeMap<String, BTreeMap<Lack, u32>>,
    /// Enrolled devices whose own data lack something, by their word for it: `cut`, `off_rate`,
    /// `windows` (have none) and so on.
    #[serde(default)]
    pub data: BTreeMap<String, u32>,
    /// Why no training round is open; `None` while one is.
    #[serde(default)]
    pub waiting: Option<String>,
    /// Whether all rounds that were asked for are done.
    pub finished: bool,
    /// Counts since its start.
    pub counters: Counters,
}

/// The state of a federation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The lineage in hexadecimal digits.
    pub lineage: String,
    /// Starts of the program.
    pub boot: u32,
    /// Version of the global model.
    pub version: u32,
    /// Whether the task has classes, so that windows are right or wrong.
    #[serde(default)]
    pub classes: bool,
    /// Rounds that are open, by rising number.
    pub open: Vec<OpenRound>,
    /// Rounds that ended, the oldest first, at most [`ROUNDS_SHOWN`].
    pub ended: Vec<RoundSummary>,
    /// What a running aggregator wrote last; `None` when none is running.
    pub live: Option<Live>,
}

impl Status {
    /// The status of a running aggregator.
    pub fn live(
        core: &Aggregator,
        now: dunlin_protocol::time::Instant,
        ended: Vec<RoundSummary>,
    ) -> Self {
        let open = core.rounds().map(|round| OpenRound {
            key: round.key(),
            base: round.base().0,
            accepted: round.accepted(),
            target: round.bounds().target,
            working: round.working(),
            remaining_ms: round.ends_by().since(now),
        });
        let (online, held, finished) = (core.online(), core.held().clone(), core.is_finished());
        let (data, waiting) = (report::data(core), report::waiting(core));
        let mut unable: BTreeMap<String, BTreeMap<Lack, u32>> = BTreeMap::new();
        for ((kind, lack), count) in core.unable() {
            unable.entry(kind.word().to_owned()).or_default().insert(*lack, *count);
        }
        Self {
            lineage: core.head().lineage.to_string(),
            boot: core.head().boot,
            version: core.head().version.0,
            classes: core.task().needs_labels(),
            open: open.collect(),
            ended,
            live: Some(Live {
                online,
                held,
                unable,
                data,
                waiting,
                finished,
                counters: core.counters().clone(),
            }),
        }
    }

    /// The status that a store tells of an aggregator that is not running.
    pub fn stored(snapshot: &Snapshot, ended: Vec<RoundSummary>) -> Self {
        use crate::round::Progress;
        let open = snapshot.rounds.values().map(|round| {
            let devices = snapshot.devices.get(&round.key);
            let count = |counts: fn(&Progress) -> bool| {
                let n =
                    devices.map_or(0, |d| d.values().filter(|progress| counts(progress)).count());
                u32::try_from(n).unwrap_or(u32::MAX)
            };
            OpenRound {
                key: round.key,
                base: round.base.0,
                accepted: count(|progress| matches!(progress, Progress::Accepted(_))),
                target: round.bounds.target,
                working: count(|progress| matches!(progress, Progress::Granted)),
                remaining_ms: round.remaining_ms,
            }
        });
        Self {
            lineage: snapshot.head.lineage.to_string(),
            boot: snapshot.head.boot,
            version: snapshot.head.version.0,
            classes: snapshot.task.as_ref().is_some_and(TaskSpec::needs_labels),
            open: open.collect(),
            ended,
            live: None,
        }
    }

    /// Reads the status from the store at `path`, or from the file that a running aggregator
    /// keeps beside it. `None` when there is no history yet.
    ///
    /// # Errors
    /// [`StatusError`] when neither can be read.
    pub fn read(path: &Path) -> Result<Option<Self>, StatusError> {
        if !path.exists() {
            return Ok(None);
        }
        let store = match Store::open(path) {
            Ok(store) => store,
            Err(error) if matches!(error.problem(), StoreProblem::InUse) => {
                return read_file(&file_of(path)).map(Some);
            }
            Err(error) => return Err(StatusError::Store(error)),
        };
        let Some(snapshot) = store.load().map_err(StatusError::Store)? else { return Ok(None) };
        let ended = store.history(ROUNDS_SHOWN).map_err(StatusError::Store)?;
        Ok(Some(Self::stored(&snapshot, ended)))
    }

    /// Writes the status beside the store at `path`.
    ///
    /// # Errors
    /// [`std::io::Error`] when the disk refuses.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        // It is old in seconds: a power cut may take it.
        replace(&file_of(path), &serde_json::to_vec_pretty(self)?, Durability::Process)
    }
}

fn file_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".status.json");
    name.into()
}

fn read_file(path: &Path) -> Result<Status, StatusError> {
    let named = |source| StatusError::File { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(|error| named(error.into()))?.len();
    if bytes > STATUS_BYTES_MAX {
        return Err(named(format!("{bytes} bytes, at most {STATUS_BYTES_MAX} are read").into()));
    }
    let bytes = fs::read(path).map_err(|error| named(error.into()))?;
    serde_json::from_slice(&bytes).map_err(|error| named(error.into()))
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The running aggregator's status file cannot be read.
    #[error("the store is in use, and {} cannot be read: {source}; try again", .path.display())]
    File {
        /// The status file, beside the store.
        path: PathBuf,
        /// Why it cannot be read.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StatusError {
    /// Whether a person has to change something.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_config())
    }
}

/// A line of counts by reason; none where there are none.
fn write_counts<R: fmt::Display, N: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    counts: &BTreeMap<R, N>,
) -> fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    let counts = counts.iter().map(|(reason, count)| format!("{reason} {count}"));
    writeln!(f, "{what}: {}", counts.collect::<Vec<_>>().join(", "))
}

/// What a device does for work of this kind, for people.
fn doing(kind: &str) -> &str {
    if kind == WorkKind::Sums.word() { "answer queries" } else { kind }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lineage, boot, version, .. } = self;
        writeln!(f, "lineage {lineage}, start {boot}, version {version}")?;
        for summary in &self.ended {
            writeln!(f, "{}", report::ended(summary, self.classes))?;
        }
        for round in &self.open {
            let OpenRound { key, base, accepted, target, working, remaining_ms } = round;
            let seconds = remaining_ms / 1000;
            writeln!(
                f,
                "{key} is open on version {base}: {accepted} of {target} updates, {working} \
                 device(s) at work, {seconds} s left at the most"
            )?;
        }
        let Some(live) = &self.live else { return f.write_str("not running") };
        let Live { online, held, unable, data, waiting, finished, counters } = live;
        write_counts(f, "held", held)?;
        for (kind, lacks) in unable {
            write_counts(f, &format!("cannot {}", doing(kind)), lacks)?;
        }
        if let Some(trouble) = trouble::in_words(data) {
            writeln!(f, "data trouble: {trouble}; dunlin-agent doctor on the device says more")?;
        }
        if let Some(waiting) = waiting {
            writeln!(f, "no training round is open: {waiting}")?;
        }
        write_counts(f, "claims refused", &counters.claims_refused)?;
        write_counts(f, "updates refused", &counters.refused)?;
        write_counts(f, "gave up", &counters.gave_up)?;
        let rest = if *finished { ", all rounds are done" } else { "" };
        let (accepted, refused) = (counters.accepted, counters.refused.values().sum::<u64>());
        write!(
            f,
            "running: {online} device(s) online, {accepted} update(s) accepted and {refused} \
             refused since the start{rest}"
        )
    }
}
