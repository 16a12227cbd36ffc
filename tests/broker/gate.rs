//! A trainer that waits until the test lets it go on.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use dunlin_agent::job::{Job, JobFailure, Outcome, Survey};
use dunlin_agent::ports::Executor;
use dunlin_protocol::task::Task;
use dunlin_tests::ToyTrainer;

use super::world::PATIENCE;

/// How often a waiting trainer asks whether its job is still wanted.
const ASK: Duration = Duration::from_millis(20);

#[derive(Default)]
struct State {
    open: bool,
    arrived: u32,
}

/// Where trainings wait. Clones are the same gate.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<State>, Condvar)>);

impl Gate {
    /// Lets everybody through from now on.
    pub(super) fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Waits until `count` trainings have arrived since the start.
    pub(super) fn wait_arrived(&self, count: u32) {
        let state = self.0.0.lock().unwrap();
        let waiting = |state: &mut State| state.arrived < count;
        let (state, late) = self.0.1.wait_timeout_while(state, PATIENCE, waiting).unwrap();
        assert!(!late.timed_out(), "only {} of {count} trainings began", state.arrived);
    }

    /// Waits at the gate; whether it opened before `stop` said to give up.
    fn pass(&self, stop: &dyn Fn() -> bool) -> bool {
        let mut state = self.0.0.lock().unwrap();
        state.arrived += 1;
        self.0.1.notify_all();
        while !state.open {
            if stop() {
                return false;
            }
            state = self.0.1.wait_timeout(state, ASK).unwrap().0;
        }
        true
    }
}

/// A [`ToyTrainer`] behind a gate.
pub(super) struct Gated {
    pub(super) toy: ToyTrainer,
    pub(super) gate: Gate,
}

impl Executor for Gated {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        self.toy.survey(task, stop)
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        if job.training().is_some() && !self.gate.pass(stop) {
            return Err(JobFailure::other("given up at the gate"));
        }
        self.toy.run(job, stop)
    }
}
