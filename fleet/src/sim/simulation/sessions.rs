//! Sessions: what each is told, and what it asks for.

use std::sync::Arc;

use dunlin_agent::job::{Job, ModelInUse, Survey};
use dunlin_agent::session::{Input, Ports, Session};
use dunlin_agent::state::DeviceState;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::Task;
use dunlin_protocol::topic::Topic;

use super::Simulation;
use super::event::{Event, Said};
use crate::sim::breakage::Breakage;
use crate::sim::check::rule;
use crate::sim::devices::{Body, Written};
use crate::sim::hibernation::Hibernating;
use crate::sim::profile::Part;

impl Simulation {
    /// Gives a device's session an input; wakes it if it hibernates.
    pub(super) fn tell(&mut self, device: u32, input: Input<'_>) {
        let now = self.devices[device].local(self.queue.now());
        let Some(mut session) = self.wake(device) else { return };
        let before = self.profile.enter(Part::Devices);
        session.handle(now, input);
        self.profile.enter(before);
        self.drain(device, session);
    }

    fn wake(&mut self, device: u32) -> Option<Box<Session>> {
        match self.devices[device].take_body() {
            Body::Off => None,
            Body::Awake(session) => Some(session),
            Body::Hibernating(hibernating) => {
                let settings = self.devices.settings(device);
                self.hibernation.wake(*hibernating, settings).map(Box::new)
            }
        }
    }

    /// Performs what a session asks for and puts it back, to hibernate if it can.
    fn drain(&mut self, device: u32, mut session: Box<Session>) {
        let epoch = self.devices[device].link.epoch();
        loop {
            let mut ports = SimPorts { simulation: self, device, epoch, new_task: false };
            if session.perform(&mut ports).is_err() {
                let back = 2_000 + self.devices[device].rng.below(20_000) as u64;
                return self.crash(device, back);
            }
            if !ports.new_task {
                break;
            }
            let survey = Survey::of(self.jobs.windows(device));
            let now = self.devices[device].local(self.queue.now());
            session.handle(now, Input::Survey(survey));
        }
        self.compare_counts(device, &session);
        self.schedule_tick(device, &session);
        self.put_back(device, session);
    }

    /// A session and its link must have counted the same bytes.
    fn compare_counts(&mut self, device: u32, session: &Session) {
        let (counted, carried) = (session.counters(), self.devices[device].link.counted());
        if carried != (counted.bytes_out, counted.bytes_in) {
            let what = format!(
                "d{device} counts {} bytes out and {} in, its link {} and {}",
                counted.bytes_out, counted.bytes_in, carried.0, carried.1
            );
            self.checks.broken(self.queue.now(), rule::BYTES, what);
        }
    }

    fn schedule_tick(&mut self, device: u32, session: &Session) {
        let Some(due) = session.next_deadline() else { return };
        let one = &mut self.devices[device];
        if let Some(due) = one.set_tick(self.queue.now(), due) {
            let life = one.life();
            self.queue.at(due, Event::Tick { device, life });
        }
    }

    fn put_back(&mut self, device: u32, session: Box<Session>) {
        let body = if self.devices[device].link.is_connected() {
            match session.into_idle() {
                Ok(idle) => {
                    let mut hibernating = self.hibernation.begin(idle);
                    self.share_model(device, &mut hibernating);
                    Body::Hibernating(Box::new(hibernating))
                }
                Err(session) => Body::Awake(session),
            }
        } else {
            Body::Awake(session)
        };
        self.devices[device].put_back(body);
    }

    /// Devices that hold the same version share its parameters, which must be the same bits.
    fn share_model(&mut self, device: u32, hibernating: &mut Hibernating) {
        if self.breakage == Some(Breakage::OtherBits) && device % 10 == 3 {
            let changed = |params: &Arc<Vec<f32>>| params.iter().map(|value| -value).collect();
            let changed: Option<Vec<f32>> = hibernating.model().map(|(_, params)| changed(params));
            changed.into_iter().for_each(|params| hibernating.share(Arc::new(params)));
        }
        let own = |version| self.server.published(version);
        if let Err(version) = self.hibernation.share_model(hibernating, own) {
            let what = format!("d{device} has another version {version}");
            self.checks.broken(self.queue.now(), rule::SAME_BITS, what);
        }
    }

    fn publishes(&mut self, device: u32, epoch: u32, topic: Topic, mut payload: Vec<u8>) {
        if self.breakage == Some(Breakage::ShortUpdates) && matches!(topic, Topic::Up(..)) {
            payload.pop();
        }
        let bytes = payload.len();
        self.devices[device].link.said(bytes as u64);
        let again = matches!(topic, Topic::DeviceState(_)) && self.devices[device].link.hears_own();
        if again && self.breakage == Some(Breakage::SaidOnce) {
            return;
        }
        self.send(device, epoch, bytes, Said::Publish(topic, payload));
    }

    /// Writes a device's state; whether its program goes on after that.
    fn write_state(&mut self, device: u32, state: &[u8]) -> bool {
        let written = self.devices.write(device, state);
        self.tally.torn_writes += u64::from(written == Written::Torn);
        self.tally.failed_writes += u64::from(written == Written::Failed);
        written == Written::Whole
    }
}

/// What a simulated session acts on.
struct SimPorts<'a> {
    simulation: &'a mut Simulation,
    device: u32,
    epoch: u32,
    /// A survey was asked for.
    new_task: bool,
}

/// The power went, or the disk failed.
struct Crashed;

impl Ports for SimPorts<'_> {
    type Error = Crashed;

    fn subscribe(&mut self, topic: &Topic) -> bool {
        self.simulation.send(self.device, self.epoch, 0, Said::Listen(topic.clone()));
        true
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        self.simulation.send(self.device, self.epoch, 0, Said::Unlisten(topic.clone()));
        true
    }

    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, _retain: bool) -> Result<(), Vec<u8>> {
        self.simulation.publishes(self.device, self.epoch, topic.clone(), payload);
        Ok(())
    }

    fn save(&mut self, state: &DeviceState) -> Result<(), Crashed> {
        let goes_on = self.simulation.write_state(self.device, &state.encode());
        if goes_on { Ok(()) } else { Err(Crashed) }
    }

    fn use_task(&mut self, _task: Arc<Task>) -> Result<(), Crashed> {
        self.new_task = true;
        Ok(())
    }

    // Simulated devices do not classify.
    fn use_model(&mut self, _model: ModelInUse) {}

    fn start(&mut self, job: Job) -> Result<(), Crashed> {
        self.simulation.start_job(self.device, Box::new(job));
        Ok(())
    }

    fn cancel(&mut self, _work: WorkRef) {
        self.simulation.stop_training(self.device);
    }

    // Simulated links are always up.
    fn sleep(&mut self, _ms: u64) {}
}
