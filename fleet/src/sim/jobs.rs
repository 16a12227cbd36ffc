//! Training: how long it takes a device, and what becomes of it.

use dunlin_agent::job::{Job, JobFailure, Outcome};
use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;

use super::scenario::Class;
use super::workers::{Ticket, Workers};

/// What an evaluation costs beside an epoch of training: no backward pass.
const EVALUATION_EPOCHS: f64 = 0.3;

/// Longest job in milliseconds: some thirty years.
const JOB_MS_MAX: f64 = 1e12;

/// What becomes of a job.
#[derive(Clone, Copy, Debug)]
pub(super) enum JobEnd {
    /// It is done; the ticket names its outcome.
    Done(Ticket),
    /// The device is needed for something else.
    Dropped,
    /// It needs more memory than the device has.
    NoMemory,
}

/// What a device draws for a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Luck {
    /// Below the share of jobs that never end, this one is dropped.
    stays: f64,
    /// How much longer than usual it takes.
    pace: f64,
}

impl Luck {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let stays = f64::from(rng.unit_f32());
        Self { stays, pace: f64::from(rng.uniform(0.8, 1.2)) }
    }
}

/// Jobs that run, and who runs them.
pub(super) struct Jobs {
    workers: Workers,
    /// Memory that training takes, in KiB.
    memory_kib: u32,
}

impl Jobs {
    pub(super) fn new(workers: Workers, memory_kib: u32) -> Self {
        Self { workers, memory_kib }
    }

    /// Training windows of `device`.
    pub(super) fn windows(&self, device: u32) -> u32 {
        self.workers.windows(device)
    }

    /// Begins a job of a device of this class: when it ends, and whether it comes to its end.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
    pub(super) fn begin(
        &mut self,
        now: Instant,
        device: u32,
        job: Box<Job>,
        class: &Class,
        luck: Luck,
    ) -> (Instant, JobEnd) {
        let training = job.training().is_some();
        if training && class.memory_kib > 0 && class.memory_kib < self.memory_kib {
            return (now.after(1), JobEnd::NoMemory);
        }
        let epochs = job.training().map_or(EVALUATION_EPOCHS, |spec| f64::from(spec.epochs));
        let windows = f64::from(self.windows(device));
        let took = (class.ms_per_window * windows * epochs * luck.pace).min(JOB_MS_MAX);
        let due = now.after(1 + took as u64);
        if training && luck.stays < class.drop_out {
            return (due, JobEnd::Dropped);
        }
        (due, JobEnd::Done(self.workers.begin(device, job, due)))
    }

    /// Nobody wants to know how a job ended.
    pub(super) fn forget(&mut self, end: JobEnd) {
        if let JobEnd::Done(ticket) = end {
            self.workers.forget(ticket);
        }
    }

    /// How a job of a device of this class ended; `None` for one that was forgotten.
    pub(super) fn end(
        &mut self,
        end: JobEnd,
        class: &Class,
    ) -> Option<Result<Outcome, JobFailure>> {
        match end {
            JobEnd::Done(ticket) => self.workers.finish(ticket),
            JobEnd::Dropped => {
                Some(Err(JobFailure::other("the device was needed for something else")))
            }
            JobEnd::NoMemory => {
                let (needed, has) = (self.memory_kib, class.memory_kib);
                Some(Err(JobFailure::new(
                    GiveUp::Memory,
                    format!("{needed} KiB are needed, {has} are there"),
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dunlin_agent::job::JobSpec;
    use dunlin_protocol::id::{Lineage, RoundId};
    use dunlin_protocol::message::WorkRef;
    use dunlin_protocol::task::Task;
    use dunlin_protocol::work::Training;

    use super::*;
    use crate::sim::toy;
    use crate::sim::workers::Learner;

    /// Has 50 windows and learns nothing.
    struct Lazy;

    impl Learner for Lazy {
        fn windows(&self, _: u32) -> u32 {
            50
        }

        fn run(&mut self, _: u32, _: &Job) -> Result<Outcome, JobFailure> {
            Ok(Outcome::Sums(Vec::new()))
        }
    }

    fn jobs() -> Jobs {
        Jobs::new(Workers::new(1, || Box::new(Lazy)), 100)
    }

    fn job(spec: JobSpec) -> Box<Job> {
        let work = WorkRef { lineage: Lineage([1; 16]), round: RoundId(1), kind: 0 };
        let task = Arc::new(Task::new(toy::task(4)).unwrap());
        Box::new(Job { work, task, spec, model: Arc::default(), local: None, seed: 1 })
    }

    fn training() -> Box<Job> {
        job(JobSpec::Train(Training::sgd(2, 10, 0.1)))
    }

    const LUCK: Luck = Luck { stays: 0.5, pace: 1.0 };

    #[test]
    fn a_job_takes_its_time_and_comes_to_an_outcome() {
        let (mut jobs, class) = (jobs(), Class::default());
        let (due, end) = jobs.begin(Instant(7), 0, training(), &class, LUCK);
        assert_eq!(due, Instant(7 + 1 + 10 * 50 * 2), "ms a window, windows, epochs");
        assert_eq!(jobs.end(end, &class), Some(Ok(Outcome::Sums(Vec::new()))));
        let (due, end) = jobs.begin(Instant(0), 0, job(JobSpec::Evaluate), &class, LUCK);
        assert_eq!(due, Instant(1 + 150), "no backward pass");
        jobs.forget(end);
        assert_eq!(jobs.end(end, &class), None);
    }

    #[test]
    fn a_device_drops_training_or_lacks_the_memory_for_it_and_still_evaluates() {
        let mut jobs = jobs();
        let unlucky = Class { drop_out: 0.6, ..Class::default() };
        let small = Class { memory_kib: 99, ..Class::default() };
        let (due, end) = jobs.begin(Instant(0), 0, training(), &unlucky, LUCK);
        assert!(matches!(end, JobEnd::Dropped) && due == Instant(1_001));
        assert!(jobs.end(end, &unlucky).is_some_and(|outcome| outcome.is_err()));
        let (due, end) = jobs.begin(Instant(0), 0, training(), &small, LUCK);
        assert!(matches!(end, JobEnd::NoMemory) && due == Instant(1));
        let Some(Err(JobFailure { why, .. })) = jobs.end(end, &small) else { panic!("it trained") };
        assert_eq!(why, "100 KiB are needed, 99 are there");
        for class in [unlucky, small] {
            let (_, end) = jobs.begin(Instant(0), 0, job(JobSpec::Evaluate), &class, LUCK);
            assert!(matches!(end, JobEnd::Done(_)));
        }
    }
}
