//! Training: how long it takes a device, and its outcome.

use dunlin_agent::job::{Job, JobFailure};
use dunlin_agent::session::Input;
use dunlin_protocol::message::WorkRef;

use super::World;
use super::event::Event;
use super::population::Body;
use crate::sim::profile::Part;
use crate::sim::workers::Ticket;

/// What an evaluation costs beside an epoch of training: no backward pass.
const EVALUATION_EPOCHS: f64 = 0.3;

/// Longest job in milliseconds: some thirty years.
const JOB_MS_MAX: f64 = 1e12;

/// What becomes of a job.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It is done.
    Done(Ticket),
    /// The device is needed for something else.
    Dropped,
    /// It needs more memory than the device has.
    NoMemory,
}

impl World {
    /// Begins a job; its end is drawn now, and whether it comes to one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
    pub(super) fn start_job(&mut self, device: u32, work: WorkRef, job: Box<Job>) {
        let class = self.class(device);
        let (ms_per_window, drop_out, memory_kib) =
            (class.ms_per_window, class.drop_out, class.memory_kib);
        let windows = f64::from(self.workers.windows(device));
        let training = job.training();
        let epochs = training.map_or(EVALUATION_EPOCHS, |training| f64::from(training.epochs));
        let slot = &mut self.slots[device as usize];
        let luck = f64::from(slot.rng.unit_f32());
        let took = ms_per_window * windows * epochs * f64::from(slot.rng.uniform(0.8, 1.2));
        let took = took.min(JOB_MS_MAX);
        let mut due = self.queue.now().after(1 + took as u64);
        let fate = if training.is_some() && memory_kib > 0 && memory_kib < self.job_kib {
            due = self.queue.now().after(1);
            Fate::NoMemory
        } else if training.is_some() && luck < drop_out {
            Fate::Dropped
        } else {
            Fate::Done(self.workers.begin(device, job, due))
        };
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        slot.trains_since = Some(now);
        let life = slot.life;
        self.queue.at(due, Event::JobDone { device, life, work, fate });
    }

    /// A device stops training, for whatever reason.
    pub(super) fn job_time(&mut self, device: u32) {
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        if let Some(since) = slot.trains_since.take() {
            slot.trained_ms = now.since(since);
            self.tally.device_ms = self.tally.device_ms.saturating_add(slot.trained_ms);
        }
    }

    /// A job ends.
    pub(super) fn job_ends(&mut self, device: u32, life: u32, work: WorkRef, fate: Fate) {
        let slot = &self.slots[device as usize];
        let wanted = match &slot.body {
            Body::Awake(session) => {
                let training = session.phase_name() == "training";
                slot.life == life && training && session.current_work() == Some(work)
            }
            Body::Off | Body::Hibernating(_) => false,
        };
        if !wanted {
            if let Fate::Done(ticket) = fate {
                self.workers.forget(ticket);
            }
            return;
        }
        self.job_time(device);
        let outcome = match fate {
            Fate::Done(ticket) => {
                let before = self.profile.enter(Part::Training);
                let outcome = self.workers.finish(ticket);
                self.profile.enter(before);
                let Some(outcome) = outcome else { return };
                self.tally.jobs += u64::from(outcome.is_ok());
                self.tally.failed_jobs += u64::from(outcome.is_err());
                outcome
            }
            Fate::Dropped => {
                self.tally.dropped_jobs += 1;
                Err(JobFailure("the device was needed for something else".into()))
            }
            Fate::NoMemory => {
                self.tally.failed_jobs += 1;
                let has = self.class(device).memory_kib;
                Err(JobFailure(format!("{} KiB are needed, {has} are there", self.job_kib)))
            }
        };
        self.tell(device, Input::Done { work, outcome });
    }
}
