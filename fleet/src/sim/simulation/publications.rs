//! Messages of the aggregator at the broker, on their way to devices.

use std::sync::Arc;

use dunlin_protocol::plan::Plan;
use dunlin_protocol::topic::Topic;
use dunlin_protocol::wire;

use super::Simulation;
use super::event::Heard;
use crate::sim::broker::Shared;
use crate::sim::profile::Part;

impl Simulation {
    /// A message of the aggregator at the broker.
    pub(super) fn publish(&mut self, topic: Topic, payload: Vec<u8>) {
        let payload: Arc<[u8]> = payload.into();
        match topic {
            Topic::Plan(_) => self.publish_plan(payload),
            Topic::ServerState(_) => {
                self.old_words.note(Shared::Server, &payload);
                self.broker.retain(Shared::Server, payload.clone());
                for device in self.broker.listeners(Shared::Server) {
                    self.deliver(device, Heard::Server(payload.clone()));
                }
                self.echo(topic, payload);
            }
            Topic::Object(_, digest, index) => {
                let shared = Shared::Object(digest, index);
                self.broker.retain(shared, payload.clone());
                for device in self.broker.listeners(shared) {
                    self.deliver(device, Heard::Object(topic.clone(), payload.clone()));
                }
            }
            Topic::Down(device, down) => {
                let number = self.devices.number(&device);
                let hears = |number: &u32| self.devices[*number].link.hears_down();
                if let Some(number) = number.filter(hears) {
                    self.deliver(number, Heard::Down(down, payload));
                }
            }
            Topic::DeviceState(_) | Topic::Up(..) | Topic::Out(..) => {}
        }
    }

    /// A plan: devices that rest and that it does not concern hear it without waking.
    fn publish_plan(&mut self, payload: Arc<[u8]>) {
        self.old_words.note(Shared::Plan, &payload);
        let misled = std::mem::take(&mut self.misled_by);
        self.broker.retain(Shared::Plan, payload.clone());
        let Ok(plan) = wire::decode::<Plan>(&payload) else { return };
        let before = self.profile.enter(Part::Checks);
        self.checks.plan(&plan);
        self.profile.enter(before);
        let news = self.hibernation.published(plan);
        let now = self.queue.now();
        for device in self.broker.listeners(Shared::Plan) {
            // Some may have joined with another plan, and rest.
            if misled || self.devices.must_hear(device, now, news.as_ref()) {
                self.deliver(device, Heard::Plan(payload.clone()));
            } else {
                self.tally.bytes_down += payload.len() as u64;
            }
        }
    }

    /// The broker's side of the aggregator's lost connection: its last will.
    pub(super) fn lose_server(&mut self) {
        self.broker.forget_aggregator();
        let (topic, lost) = self.server.last_will();
        self.publish(topic, lost);
    }
}
