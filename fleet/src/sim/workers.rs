//! Threads that train. Jobs are handed out as they begin on virtual time and their outcome is asked
//! for when they end on it: how many threads there are changes when a machine works, not what comes
//! out.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use dunlin_agent::job::{Job, JobFailure, Outcome};
use dunlin_protocol::time::Instant;

use super::figures::Judgement;

/// A trainer for any device: its data is a function of the device's number.
pub trait Learner: Send {
    /// Training windows of `device`.
    fn windows(&self, device: u32) -> u32;

    /// Does `job` for `device`; a function of both.
    ///
    /// # Errors
    /// Why it failed.
    fn run(&mut self, device: u32, job: &Job) -> Result<Outcome, JobFailure>;

    /// How well a version, `[n_model]`, does on windows that no device learns from; `None` where
    /// there is nothing to judge by.
    fn judge_unseen(&mut self, _model: &[f32]) -> Option<Judgement> {
        None
    }

    /// How well a version, `[n_model]`, does on the windows of `device`.
    fn judge_on(&mut self, _model: &[f32], _device: u32) -> Option<Judgement> {
        None
    }
}

/// A job that was begun: when it ends on virtual time, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    due: Instant,
    number: u64,
}

type Ended = Result<Outcome, JobFailure>;

#[derive(Default)]
struct State {
    /// Those that end first on virtual time come first: what is asked for next is done next.
    waiting: BTreeMap<Ticket, (u32, Box<Job>)>,
    done: BTreeMap<Ticket, Ended>,
    running: BTreeSet<Ticket>,
    /// Of those running, the ones whose outcome nobody wants any more.
    unwanted: BTreeSet<Ticket>,
    /// What a thread panicked with; the caller goes on with it.
    panicked: Option<Box<dyn Any + Send>>,
    stop: bool,
}

type Shared = Arc<(Mutex<State>, Condvar, Condvar)>;

/// Trains on threads of its own and on the caller's, which would only wait meanwhile.
pub(super) struct Workers {
    shared: Shared,
    threads: Vec<JoinHandle<()>>,
    /// The caller's own learner: counts windows, and trains while the caller waits.
    own: Box<dyn Learner>,
    tickets: u64,
}

impl Workers {
    /// The caller and `threads - 1` threads more train, each with a learner of its own.
    pub(super) fn new(threads: usize, learner: impl Fn() -> Box<dyn Learner>) -> Self {
        let shared: Shared = Arc::default();
        let thread = |_| {
            let (shared, learner) = (shared.clone(), learner());
            let thread = std::thread::Builder::new().name("trainer".into());
            // Where no thread can be had, the caller trains alone.
            thread.spawn(move || work(&shared, learner)).ok()
        };
        let threads = (1..threads).filter_map(thread).collect();
        Self { shared, threads, own: learner(), tickets: 0 }
    }

    pub(super) fn windows(&self, device: u32) -> u32 {
        self.own.windows(device)
    }

    /// Begins a job that ends at `due`; the ticket asks for its outcome.
    pub(super) fn begin(&mut self, device: u32, job: Box<Job>, due: Instant) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket { due, number: self.tickets };
        if let Ok(mut state) = self.shared.0.lock() {
            state.waiting.insert(ticket, (device, job));
            self.shared.1.notify_one();
        }
        ticket
    }

    /// Gives a ticket back: nobody wants its outcome.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        if let Ok(mut state) = self.shared.0.lock()
            && state.waiting.remove(&ticket).is_none()
            && state.done.remove(&ticket).is_none()
            && state.running.contains(&ticket)
        {
            state.unwanted.insert(ticket);
        }
    }

    /// The outcome of a job. While it is not there, the caller does the next job itself. `None` for
    /// a ticket that was given back.
    ///
    /// # Panics
    /// When a thread has panicked over a job: with its panic.
    pub(super) fn finish(&mut self, ticket: Ticket) -> Option<Ended> {
        let mut state = self.shared.0.lock().ok()?;
        loop {
            if let Some(panic) = state.panicked.take() {
                drop(state);
                resume_unwind(panic);
            }
            if let Some(outcome) = state.done.remove(&ticket) {
                return Some(outcome);
            }
            if let Some((next, (device, job))) = state.waiting.pop_first() {
                drop(state);
                let outcome = self.own.run(device, &job);
                state = self.shared.0.lock().ok()?;
                state.done.insert(next, outcome);
            } else if state.running.contains(&ticket) {
                state = self.shared.2.wait(state).ok()?;
            } else {
                return None;
            }
        }
    }
}

fn work(shared: &Shared, mut learner: Box<dyn Learner>) {
    let (state, begun, done) = &**shared;
    loop {
        let Ok(mut waiting) = state.lock() else { return };
        let (ticket, (device, job)) = loop {
            if waiting.stop {
                return;
            }
            if let Some(next) = waiting.waiting.pop_first() {
                break next;
            }
            match begun.wait(waiting) {
                Ok(again) => waiting = again,
                Err(_) => return,
            }
        };
        waiting.running.insert(ticket);
        drop(waiting);
        let outcome = catch_unwind(AssertUnwindSafe(|| learner.run(device, &job)));
        let Ok(mut state) = state.lock() else { return };
        state.running.remove(&ticket);
        match outcome {
            Err(panic) => state.panicked = Some(panic),
            Ok(outcome) if !state.unwanted.remove(&ticket) => {
                state.done.insert(ticket, outcome);
            }
            Ok(_) => {}
        }
        done.notify_all();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.0.lock() {
            state.stop = true;
        }
        self.shared.1.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
