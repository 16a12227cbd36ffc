//! `dunlin-fleet soak`: one scenario with many seeds, to find what breaks a rule.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use dunlin_fleet::sim::Violation;
use dunlin_fleet::sim::run::{Options, run as simulate};
use dunlin_service::output::say;
use serde::Serialize;

use super::simulate::Which;
use super::{Failure, bar, failed};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Seeds to try, from --seed on.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Seeds that run at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// Print one line of JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// What came out, over all seeds tried.
#[derive(Debug, Default, Serialize)]
struct Found {
    first_seed: u64,
    last_seed: u64,
    /// Runs that made all their versions in time.
    finished: u64,
    /// Versions made, and updates in them.
    versions: u64,
    updates: u64,
    power_cuts: u64,
    torn_writes: u64,
    failed_writes: u64,
    cuts: u64,
    partitions: u64,
    broker_restarts: u64,
    retained_changes: u64,
    server_kills: u64,
    /// The line that repeats a run, and the rule that it broke.
    broken: Vec<Broken>,
}

#[derive(Debug, Serialize)]
struct Broken {
    seed: u64,
    replay: String,
    rule: &'static str,
    what: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let prepared = arguments.which.prepare()?;
    let first = prepared.scenario.seed;
    let last = first.saturating_add(arguments.seeds - 1);
    if !arguments.json {
        say(&format!("{}: seeds {first} to {last}", prepared.scenario.name)).map_err(failed)?;
    }
    let bar = bar(last - first + 1, !arguments.json);
    bar.set_message("seeds");
    let next = AtomicU64::new(0);
    let found = Mutex::new(Found { first_seed: first, last_seed: last, ..Found::default() });
    let work = || -> Result<(), Failure> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at > last - first {
                return Ok(());
            }
            let seed = first + at;
            let prepared = prepared.with_seed(seed);
            let run = || simulate(&prepared, Options::threads(1), |_| {});
            let outcome = catch_unwind(AssertUnwindSafe(run));
            bar.inc(1);
            let Ok(mut found) = found.lock() else { return Ok(()) };
            let (rule, what) = match outcome {
                Ok(outcome) => {
                    let (outcome, _) = outcome.map_err(failed)?;
                    found.add(&outcome);
                    let Some(Violation { rule, what, .. }) = outcome.violation else { continue };
                    (rule, what)
                }
                Err(_) => ("nothing panics", "a panic; see above".to_owned()),
            };
            let replay = arguments.which.replay(seed);
            if !arguments.json {
                bar.suspend(|| say(&format!("{replay}: {rule}: {what}"))).map_err(failed)?;
            }
            found.broken.push(Broken { seed, replay, rule, what });
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads).map(|_| scope.spawn(work)).collect();
        let mut ended = threads.into_iter().map(|thread| thread.join());
        ended.try_for_each(|end| end.unwrap_or_else(|_| Err(failed("a run panicked"))))
    })?;
    bar.finish_and_clear();
    let mut found = found.into_inner().map_err(|_| failed("a run panicked"))?;
    found.broken.sort_by_key(|broken| broken.seed);
    if arguments.json {
        say(&serde_json::to_string(&found).map_err(failed)?).map_err(failed)?;
    } else {
        say(&found.text()).map_err(failed)?;
    }
    match found.broken.len() {
        0 => Ok(()),
        broken => Err(failed(format!("{broken} seeds broke a rule"))),
    }
}

impl Found {
    fn add(&mut self, outcome: &dunlin_fleet::sim::figures::Outcome) {
        let tally = &outcome.tally;
        self.finished += u64::from(outcome.finished);
        self.versions +=
            outcome.rounds.iter().filter(|round| round.version.is_some()).count() as u64;
        self.updates += outcome.accepted;
        self.power_cuts += tally.power_cuts;
        self.torn_writes += tally.torn_writes;
        self.failed_writes += tally.failed_writes;
        self.cuts += tally.cuts;
        self.partitions += tally.partitions;
        self.broker_restarts += tally.broker_restarts;
        self.retained_changes += tally.spoiled;
        self.server_kills += tally.server_kills;
    }

    fn text(&self) -> String {
        format!(
            "{} of {} finished, {} versions of {} updates; {} power cuts, {} torn and {} failed \
             writes, {} broken connections, {} partitions, {} broker restarts, {} retained \
             messages changed, {} aggregator kills\n{} broke a rule",
            self.finished,
            self.last_seed - self.first_seed + 1,
            self.versions,
            self.updates,
            self.power_cuts,
            self.torn_writes,
            self.failed_writes,
            self.cuts,
            self.partitions,
            self.broker_restarts,
            self.retained_changes,
            self.server_kills,
            self.broken.len()
        )
    }
}
