//! What the session hears: plans, the aggregator's presence, and everything meant for this device.

use dunlin_protocol::id::DeviceId;
use dunlin_protocol::message::{Ack, Go, Verdict, WorkRef};
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::presence::Presence;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire;
use log::{info, warn};

use super::phase::Phase;
use super::transfer::Retry;
use super::{Output, Session};

impl Session {
    pub(super) fn on_message(&mut self, now: Instant, topic: &Topic, payload: &[u8]) {
        let read = match topic {
            Topic::Plan(federation)
                if *federation == self.settings.federation && payload.is_empty() =>
            {
                self.on_no_plan();
                Ok(())
            }
            Topic::Plan(federation) if *federation == self.settings.federation => {
                wire::decode::<Plan>(payload).map(|plan| self.on_plan(now, plan))
            }
            Topic::ServerState(instance) => {
                self.on_server_state(now, instance, payload);
                Ok(())
            }
            Topic::DeviceState(device) if *device == self.settings.device => {
                self.hear_of_itself(now, payload);
                Ok(())
            }
            Topic::Object(_, object, _) => self.on_object_chunk(now, *object, payload),
            Topic::Down(device, down) if *device == self.settings.device => match down {
                Down::Go => wire::decode::<Go>(payload).map(|go| self.on_go(now, &go)),
                Down::Ack => wire::decode::<Ack>(payload).map(|ack| self.on_ack(now, ack)),
                Down::Verdict => {
                    wire::decode::<Verdict>(payload).map(|verdict| self.on_verdict(now, &verdict))
                }
            },
            Topic::Plan(_)
            | Topic::Down(..)
            | Topic::DeviceState(_)
            | Topic::Up(..)
            | Topic::Out(..) => Ok(()),
        };
        if let Err(error) = read {
            self.counters.unreadable += 1;
            warn!("{}: message on {topic} refused: {error}", self.settings.device);
        }
    }

    /// Somebody removed the plan from the broker: what was heard goes on, and the aggregator says it
    /// again.
    fn on_no_plan(&self) {
        let device = &self.settings.device;
        match self.planner.plan() {
            Some(_) => {
                info!("{device}: the plan was removed from the broker; the one heard goes on")
            }
            None => info!("{device}: there is no plan on the broker"),
        }
    }

    pub(super) fn on_plan(&mut self, now: Instant, plan: Plan) {
        if let Err(heard) = self.state.plans.admits(&plan) {
            self.counters.stale_plans += 1;
            warn!(
                "{}: a plan was left out: its number is {}, and {heard} was heard. Somebody sends an old one again, or the aggregator's store was put back and its clock was behind: set that clock and start it again",
                self.settings.device, plan.sequence
            );
            return;
        }
        self.state.plans.note(&plan);
        self.uplink.hear_plan();
        if !self.planner.is_of(&plan.instance) {
            if let Some(before) = self.planner.plan() {
                let server = Topic::ServerState(before.instance.clone());
                self.push(Output::Unsubscribe(server.into()));
            }
            self.uplink.forget_server();
            self.subscribe(Topic::ServerState(plan.instance.clone()));
        }
        let open = |work: WorkRef| {
            let listed = |item: &WorkItem| item.round == work.round && item.kind == work.kind;
            plan.lineage == work.lineage && plan.work.iter().any(listed)
        };
        if self.phase.work().is_some_and(|work| !open(work)) {
            self.abandon(None, "its round is over");
        }
        let other_task =
            matches!(&self.phase, Phase::FetchingTask(get) if get.reference != plan.task);
        if other_task || self.fetches_in_vain(&plan) {
            self.abandon_download();
            self.enter(Phase::Waiting);
            self.fetch_again();
        }
        self.take_cut(now, &plan);
        self.planner.take(plan);
        let planner = &self.planner;
        self.voice.gave_up = self.voice.gave_up.take().filter(|said| planner.lists(&said.work));
        self.use_task(now);
    }

    pub(super) fn on_server_state(&mut self, now: Instant, instance: &DeviceId, payload: &[u8]) {
        if !self.planner.is_of(instance) {
            return;
        }
        let Some(presence) = Presence::decode(payload) else { return };
        if self.uplink.hear_server(&presence) {
            // An aggregator that has started or connected anew, or misses devices, may not know that
            // this one is here.
            self.voice.update_too_large = false;
            self.answer_call(now);
            self.speak_again(now);
        }
    }

    /// Says at once what waits for an answer: somebody is there again who may not have heard it.
    pub(super) fn speak_again(&mut self, now: Instant) {
        self.say_gave_up();
        match &mut self.phase {
            Phase::Claiming { item, retry } => {
                *retry = Retry::start(now, &mut self.rng);
                let work = item.work;
                self.publish_claim(work);
            }
            Phase::Sending { upload, .. } => {
                upload.assume_lost();
                upload.retry = Retry::start(now, &mut self.rng);
                self.publish_chunks();
            }
            Phase::Waiting
            | Phase::FetchingTask(_)
            | Phase::FetchingModel { .. }
            | Phase::Training { .. } => {}
        }
    }
}
