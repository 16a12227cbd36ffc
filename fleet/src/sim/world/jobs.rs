//! Training: how long it takes a device, and its outcome.

use dunlin_agent::job::{Job, JobFailure, Trained};
use dunlin_agent::session::Input;
use dunlin_protocol::message::WorkRef;

use super::World;
use super::event::Event;
use super::population::Body;
use crate::sim::workers::Ticket;

/// What an evaluation costs beside an epoch of training: no backward pass.
const EVALUATION_EPOCHS: f64 = 0.3;

impl World {
    /// Begins a job; its end is drawn now, and whether it comes to one.
    pub(super) fn start_job(&mut self, device: u32, work: WorkRef, job: Box<Job>) {
        let class = self.class(device);
        let (ms_per_window, drop_out) = (class.ms_per_window, class.drop_out);
        let windows = f64::from(self.workers.windows(device));
        let training = job.training.as_ref();
        let epochs = training.map_or(EVALUATION_EPOCHS, |training| f64::from(training.epochs));
        let slot = &mut self.slots[device as usize];
        let luck = f64::from(slot.rng.unit_f32());
        let took = ms_per_window * windows * epochs * f64::from(slot.rng.uniform(0.8, 1.2));
        let due = self.queue.now().after(1 + took as u64);
        let dropped = training.is_some() && luck < drop_out;
        let ticket = (!dropped).then(|| self.workers.begin(device, job, due));
        let life = self.slots[device as usize].life;
        self.queue.at(due, Event::JobDone { device, life, work, ticket });
    }

    /// A job ends; one without a ticket was given up for something else.
    pub(super) fn job_ends(
        &mut self,
        device: u32,
        life: u32,
        work: WorkRef,
        ticket: Option<Ticket>,
    ) {
        let slot = &self.slots[device as usize];
        let wanted = match &slot.body {
            Body::Awake(session) => slot.life == life && session.current_work() == Some(work),
            Body::Off | Body::Resting(_) => false,
        };
        if !wanted {
            ticket.into_iter().for_each(|ticket| self.workers.forget(ticket));
            return;
        }
        let outcome = match ticket {
            Some(ticket) => self.workers.finish(ticket),
            None => Some(Err(JobFailure("the device was needed for something else".into()))),
        };
        match (&outcome, ticket) {
            (Some(Ok(Trained { .. })), _) => self.tally.jobs += 1,
            (_, None) => self.tally.dropped_jobs += 1,
            (Some(Err(_)), Some(_)) | (None, _) => self.tally.failed_jobs += 1,
        }
        if let Some(outcome) = outcome {
            self.tell(device, Input::Trained { work, outcome });
        }
    }
}
