//! Jobs of devices: begun, given up and done.

use dunlin_agent::job::Job;
use dunlin_agent::session::Input;
use dunlin_protocol::message::WorkRef;

use super::Simulation;
use super::event::Event;
use crate::sim::jobs::{JobEnd, Luck};
use crate::sim::profile::Part;

impl Simulation {
    /// Begins a job; its end is drawn now, and whether it comes to one.
    pub(super) fn start_job(&mut self, device: u32, job: Box<Job>) {
        let (now, work) = (self.queue.now(), job.work);
        let luck = Luck::draw(&mut self.devices[device].rng);
        let class = self.devices.class(device);
        let (due, end) = self.jobs.begin(now, device, job, class, luck);
        let one = &mut self.devices[device];
        one.begin_training(now);
        let life = one.life();
        self.queue.at(due, Event::JobDone { device, life, work, end });
    }

    /// A device stops training, for whatever reason.
    pub(super) fn stop_training(&mut self, device: u32) {
        if let Some(trained_ms) = self.devices[device].end_training(self.queue.now()) {
            self.tally.device_ms = self.tally.device_ms.saturating_add(trained_ms);
        }
    }

    /// A job ends.
    pub(super) fn job_ends(&mut self, device: u32, life: u32, work: WorkRef, end: JobEnd) {
        if !self.devices[device].wants(life, work) {
            return self.jobs.forget(end);
        }
        self.stop_training(device);
        let before = self.profile.enter(Part::Training);
        let outcome = self.jobs.end(end, self.devices.class(device));
        self.profile.enter(before);
        let Some(outcome) = outcome else { return };
        let dropped = matches!(end, JobEnd::Dropped);
        self.tally.jobs += u64::from(outcome.is_ok());
        self.tally.dropped_jobs += u64::from(dropped);
        self.tally.failed_jobs += u64::from(outcome.is_err() && !dropped);
        self.tell(device, Input::Done { work, outcome });
    }
}
