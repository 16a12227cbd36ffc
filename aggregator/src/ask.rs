//! `dunlin-aggregator query`: puts a query and waits for its answer.

use std::fs::TryLockError;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use dunlin_aggregator::config::Config;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::query::AnswerTable;
use dunlin_aggregator::query::file::{QUERY_BYTES_MAX, QueryFile};
use dunlin_aggregator::query::spool::Spool;
use dunlin_aggregator::run;
use dunlin_aggregator::status::Status;
use dunlin_aggregator::store::Store;
use dunlin_protocol::id::Name;
use dunlin_protocol::task::Task;
use dunlin_protocol::work::WorkKind;
use dunlin_service::config::read_text;
use dunlin_service::output::say;
use dunlin_service::{ServiceNotifier, signals};

use crate::Outcome;

/// How often to look for the answer.
const LOOK: Duration = Duration::from_millis(200);
/// Lines of progress after which an aggregator that does not run has not just been started again.
const FREE_MAX: u32 = 15;
/// Looks between two lines of progress.
const LOOKS_PER_LINE: u32 = 10;

/// A query that cannot be asked: another try would not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(String);

/// Puts the query in `file` and prints the answer.
pub(crate) fn run(mut config: Config, file: &Path, json: bool) -> Outcome {
    let text = read_text(file, QUERY_BYTES_MAX).map_err(|error| Unusable(error.to_string()))?;
    let query: QueryFile =
        toml::from_str(&text).map_err(|error| Unusable(format!("{}: {error}", file.display())))?;
    let task = Task::new(config.settings.task.clone())?;
    let name = name_of(file)?;
    query
        .query(name.clone(), &task, config.settings.quorum)
        .map_err(|problems| Unusable(format!("{} cannot be asked:{problems:#}", file.display())))?;
    let runs = in_use(&config.store);
    if !runs && (!config.store.exists() || Store::open(&config.store)?.load()?.is_none()) {
        let store = config.store.display();
        return Err(format!("{store} holds no federation yet: start the aggregator first").into());
    }
    let spool = Spool::beside(&config.store);
    spool.put(&config.store, &name, &text).map_err(|error| {
        let store = config.store.display();
        format!("no query can be put beside {store}: {error}; run this as the aggregator's user")
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, (signal, signalled)) = (Arc::clone(&stop), mpsc::channel());
    let (mine, folder) = (name.clone(), spool.clone());
    signals::on_stop(move || {
        // Whoever asked does not wait any more.
        folder.withdraw(&mine);
        flag.store(true, Ordering::Relaxed);
        let _ = signal.send(());
    })?;
    let mut answer = if runs { wait(&config, &spool, &name, &signalled)? } else { Waited::Alone };
    if matches!(answer, Waited::Alone) {
        config.settings.paused = true;
        answer = put(&config, &spool, &name, &stop)?;
    }
    spool.withdraw(&name);
    let Waited::Answer(table) = answer else {
        return Err("stopped before there was an answer".into());
    };
    say(&if json { serde_json::to_string_pretty(&*table)? } else { table.to_string() })?;
    match table.failure {
        None => Ok(()),
        Some(_) => Err("too few devices answered; lower `quorum`, or ask again later".into()),
    }
}

/// What waiting came to.
enum Waited {
    Answer(Box<AnswerTable>),
    Stopped,
    /// No aggregator runs on the store.
    Alone,
}

/// Whether an aggregator runs on `store`: it holds the file's lock. Opening the store would take that
/// away from one that starts.
fn in_use(store: &Path) -> bool {
    let file = std::fs::File::open(store);
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A name that no other query has.
fn name_of(file: &Path) -> Result<Name, Box<dyn std::error::Error>> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("query");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let stem: String = stem.chars().take(32).map(plain).collect();
    Ok(Name::new(&format!("{stem}-{}-{}", run::unix_s(), std::process::id()))?)
}

/// Waits for the aggregator that runs.
fn wait(
    config: &Config,
    spool: &Spool,
    name: &Name,
    stop: &Receiver<()>,
) -> Result<Waited, Box<dyn std::error::Error>> {
    let (mut looks, mut free, mut said) = (0_u32, 0, String::new());
    while stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if let Some(table) = spool.take(name)? {
            return Ok(Waited::Answer(table.into()));
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS_PER_LINE) {
            free = if in_use(&config.store) { 0 } else { free + 1 };
            if free > FREE_MAX {
                return Ok(Waited::Alone);
            }
            let line = if free > 0 {
                "the aggregator has stopped; waits for it".into()
            } else {
                progress(config)
            };
            if line != said {
                let _ = writeln!(std::io::stderr(), "{line}");
                said = line;
            }
        }
    }
    Ok(Waited::Stopped)
}

/// How far the query is, as the aggregator wrote it down last.
fn progress(config: &Config) -> String {
    let Some(status) = Status::read(&config.store).ok().flatten() else { return String::new() };
    let online = status.live.as_ref().map_or(0, |live| live.online);
    let mut queries = status.open.iter().filter(|round| round.key.kind == WorkKind::Sums);
    match queries.next_back() {
        Some(round) => {
            format!("{} of {} device(s) have answered", round.accepted, round.target)
        }
        None => format!("not asked yet: {online} device(s) are online"),
    }
}

/// Puts the query from this process, as no aggregator runs, and any other that is put meanwhile.
fn put(
    config: &Config,
    spool: &Spool,
    name: &Name,
    stop: &Arc<AtomicBool>,
) -> Result<Waited, Box<dyn std::error::Error>> {
    let (done, folder) = (Arc::clone(stop), spool.clone());
    let on_event = |event: &RoundEvent, _: &_| {
        let answered =
            matches!(event, RoundEvent::Answered { .. } | RoundEvent::AnsweredBefore { .. });
        if answered && folder.is_empty() {
            done.store(true, Ordering::Relaxed);
        }
    };
    run::run(config, stop, ServiceNotifier::default(), on_event)?;
    Ok(spool.take(name)?.map_or(Waited::Stopped, |table| Waited::Answer(table.into())))
}
