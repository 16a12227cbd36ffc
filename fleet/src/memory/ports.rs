//! What the session of a device in memory acts on.

use std::convert::Infallible;
use std::sync::Arc;

use dunlin_agent::job::{Job, ModelInUse};
use dunlin_agent::session::Ports;
use dunlin_agent::state::DeviceState;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::Task;
use dunlin_protocol::topic::{Topic, Topics};

use super::timeline::{Event, Timeline};
use super::{Client, HOP_MS};

/// Everything lands on the timeline, as after a hop to the broker or the time of a job.
pub(super) struct MemoryPorts<'a> {
    pub(super) timeline: &'a mut Timeline,
    pub(super) place: usize,
    pub(super) epoch: u32,
    pub(super) topics: &'a Topics,
    pub(super) saved: &'a mut Vec<u8>,
    pub(super) train_ms: u64,
    pub(super) job: &'a mut u32,
    pub(super) messages: &'a mut u64,
    /// A survey of this task was asked for.
    pub(super) task: Option<Arc<Task>>,
}

impl MemoryPorts<'_> {
    fn subscribe_or_not(&mut self, topic: &Topic, on: bool) -> bool {
        let (from, filter) = (Client::Device(self.place), self.topics.name(topic));
        self.timeline.after(HOP_MS, Event::Subscribe { from, epoch: self.epoch, filter, on });
        true
    }
}

impl Ports for MemoryPorts<'_> {
    type Error = Infallible;

    fn subscribe(&mut self, topic: &Topic) -> bool {
        self.subscribe_or_not(topic, true)
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        self.subscribe_or_not(topic, false)
    }

    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, retain: bool) -> Result<(), Vec<u8>> {
        *self.messages += 1;
        let (from, epoch, topic) =
            (Client::Device(self.place), self.epoch, self.topics.name(topic));
        self.timeline.after(HOP_MS, Event::Publish { from, epoch, topic, payload, retain });
        Ok(())
    }

    fn save(&mut self, state: &DeviceState) -> Result<(), Infallible> {
        *self.saved = state.encode();
        Ok(())
    }

    fn use_task(&mut self, task: Arc<Task>) -> Result<(), Infallible> {
        self.task = Some(task);
        Ok(())
    }

    fn use_model(&mut self, _model: ModelInUse) {}

    fn start(&mut self, job: Job) -> Result<(), Infallible> {
        *self.job += 1;
        let (device, number, job) = (self.place, *self.job, Box::new(job));
        self.timeline.after(self.train_ms, Event::JobDone { device, number, job });
        Ok(())
    }

    fn cancel(&mut self, _work: WorkRef) {
        *self.job += 1;
    }

    fn sleep(&mut self, ms: u64) {
        // What was said before is still carried: the connection is closed in order.
        let (device, epoch) = (self.place, self.epoch);
        self.timeline.after(HOP_MS + 1, Event::Leave { device, epoch });
        self.timeline.after(ms.max(HOP_MS + 2), Event::Awake { device, epoch });
    }
}
