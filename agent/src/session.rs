//! The device's state machine: what happened goes in, what to do comes out.
//!
//! Call [`Session::handle`] with each input and the time, then drain [`Session::poll_output`], and
//! call again with [`Input::Tick`] at [`Session::next_deadline`] at the latest.

mod check_in;
mod data_budget;
mod eligibility;
mod feedback;
mod fetch;
mod hold;
mod holding;
mod idle;
mod inference;
mod io;
mod link_costs;
mod memory;
mod perform;
mod phase;
mod planner;
mod route;
mod send;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod uplink;

use alloc::collections::VecDeque;
use alloc::{boxed::Box, string::String, vec::Vec};

use dunlin_protocol::codec::Codec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::id::{DeviceId, Lineage};
use dunlin_protocol::message::{Ack, Answer, Claim, Go, Outcome, Refusal, Verdict, WorkRef};
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic, Topics, shard_of};
use dunlin_protocol::wire;
use log::{debug, info, warn};

use crate::job::Survey;
use crate::meter::{CONNECT_BYTES, message_bytes};
use crate::state::DeviceState;
use data_budget::DataBudget;
pub use data_budget::LinkPolicy;
use eligibility::Eligibility;
use feedback::Fate;
pub use holding::CachedVersion;
use holding::Holding;
pub use idle::IdleSession;
pub use inference::InferencePolicy;
pub use io::{Input, Output, SessionCounters, Settings};
pub use memory::{batch_bytes, training_kib, windows_max};
pub use perform::Ports;
use phase::{Item, Phase};
use planner::{Planner, work_of};
use route::route;
use transfer::Retry;
use uplink::Uplink;

/// How long after a connection a missing plan is worth a warning.
const PLAN_WAIT_MS: u64 = 60_000;

/// The state machine of one device.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    state: DeviceState,
    rng: Rng,
    uplink: Uplink,
    planner: Planner,
    holding: Holding,
    survey: Option<Survey>,
    phase: Phase,
    outputs: VecDeque<Output>,
    /// The time of the last input.
    now: Instant,
    budget: DataBudget,
    eligibility: Eligibility,
    counters: SessionCounters,
    /// What is needed to classify between rounds, if the device does.
    inference: Option<Box<inference::Inference>>,
}

impl Session {
    /// A session that starts with what the device remembers; counts the start and saves it.
    pub fn new(settings: Settings, mut state: DeviceState) -> Self {
        state.boot = state.boot.saturating_add(1);
        let seed = Lineage([0; 16]);
        let boot = dunlin_protocol::id::RoundId(state.boot);
        let rng = Rng::new(state.lottery.draw(&settings.device, seed, boot, 0));
        let budget = DataBudget::new(settings.link, state.spent);
        let mut this = Self {
            settings,
            state,
            rng,
            uplink: Uplink::Down,
            planner: Planner::default(),
            holding: Holding::default(),
            survey: None,
            phase: Phase::Waiting,
            outputs: VecDeque::new(),
            now: Instant(0),
            budget,
            eligibility: Eligibility::default(),
            counters: SessionCounters::default(),
            inference: None,
        };
        this.restore_task();
        this.save();
        this
    }

    /// Takes one thing that happened. Never blocks, never reads a clock.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        self.budget.connection(now, self.uplink.is_connected());
        match input {
            Input::Connected => self.on_connected(now),
            Input::Disconnected => self.uplink.lose(),
            Input::Message { topic, payload } => {
                self.counters.bytes_in += payload.len() as u64;
                self.spend(message_bytes(self.settings.topics.length(&topic), payload.len()));
                self.on_message(now, &topic, payload);
            }
            Input::Survey(survey) => self.survey = Some(survey),
            Input::Done { work, outcome } => self.on_done(now, work, outcome),
            Input::Held(held) => self.on_held(now, held),
            Input::Tick => {}
            // The last word: nothing is begun or said behind it.
            Input::Stop => return self.say_state(State::Offline),
        }
        self.check_time(now);
        self.check_room(now);
        self.look_for_work(now);
        self.say_held();
        self.look_for_model(now);
        self.offer_model();
        self.rest(now);
    }

    /// The next thing to do; `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Things to do that nobody has polled yet.
    pub fn backlog(&self) -> usize {
        self.outputs.len()
    }

    /// When [`Session::handle`] must be called at the latest; `None`: only when something happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        let retry = if self.can_talk() { self.phase.retry_at() } else { None };
        let waits = self.settings.link.intermittent && !self.uplink.is_asleep();
        let since = self.uplink.since().filter(|_| waits);
        let patience = since.map(|at| at.after(PLAN_WAIT_MS)).filter(|at| *at > self.now);
        let (phase, fetch) = (self.phase.deadline(), self.fetch_at());
        let times = [phase, retry, self.uplink.plan_due(), self.budget.room_at(), patience, fetch];
        times.into_iter().flatten().min()
    }

    /// Figures for an operator.
    pub fn counters(&self) -> SessionCounters {
        self.counters
    }

    /// What the device is doing, in a word or two.
    pub fn phase_name(&self) -> &'static str {
        self.phase.name()
    }

    /// How the device is, in one line for `systemctl status`.
    pub fn in_a_line(&self) -> String {
        let link = match (&self.uplink, self.uplink.has_server()) {
            (Uplink::Asleep | Uplink::Leaving(_), _) => "asleep until its next check-in",
            (Uplink::Down, _) => "not connected",
            (Uplink::Up(_), false) => "connected, no aggregator heard",
            (Uplink::Up(_), true) => "connected",
        };
        let (windows, accepted) = (self.windows(), self.counters.accepted);
        let mut line = alloc::format!("{link}; {}", self.phase.name());
        if let Some(work) = self.phase.work() {
            line.push_str(&alloc::format!(" for round {}", work.round));
        }
        line.push_str(&alloc::format!("; {windows} windows, {accepted} updates accepted"));
        line
    }

    /// The topic and payload that the broker publishes when the device is lost.
    pub fn last_will(&self) -> (Topic, Vec<u8>) {
        let presence = Presence::new(State::Lost, self.state.boot);
        (Topic::DeviceState(self.settings.device.clone()), presence.encode().into())
    }

    /// The topic tree of the device's broker.
    pub fn topics(&self) -> &Topics {
        &self.settings.topics
    }

    /// What the device remembers: what is to be kept when [`Output::Save`] comes up.
    pub fn state(&self) -> &DeviceState {
        &self.state
    }

    fn say_state(&mut self, state: State) {
        let topic = Topic::DeviceState(self.settings.device.clone());
        let held = self.eligibility.say(self.phase.work().is_some());
        let presence = Presence { state, boot: self.state.boot, held };
        let payload = presence.encode().into();
        self.push(Output::Publish { topic: topic.into(), payload, retain: true });
    }

    fn subscribe(&mut self, topic: Topic) {
        self.push(Output::Subscribe(topic.into()));
    }

    fn save(&mut self) {
        self.state.spent = self.budget.spent();
        self.push(Output::Save);
    }

    /// Training windows at hand.
    fn windows(&self) -> u32 {
        self.survey.map_or(0, |survey| survey.windows)
    }

    /// Whether somebody is there to hear: the broker, and behind it the aggregator.
    fn can_talk(&self) -> bool {
        self.uplink.has_server()
    }

    fn enter(&mut self, phase: Phase) {
        debug!("{}: {} -> {}", self.settings.device, self.phase.name(), phase.name());
        self.phase = phase;
    }

    fn on_connected(&mut self, now: Instant) {
        self.uplink = Uplink::connected(now, now.after(PLAN_WAIT_MS));
        self.spend(CONNECT_BYTES);
        self.say_state(State::Online);
        for down in Down::ALL {
            self.subscribe(Topic::Down(self.settings.device.clone(), down));
        }
        self.subscribe(Topic::Plan(self.settings.federation.clone()));
        if let Some(plan) = self.planner.plan() {
            let server = Topic::ServerState(plan.instance.clone());
            self.subscribe(server);
        }
        self.restart_download();
    }

    fn on_message(&mut self, now: Instant, topic: &Topic, payload: &[u8]) {
        let read = match topic {
            Topic::Plan(federation) if *federation == self.settings.federation => {
                wire::decode::<Plan>(payload).map(|plan| self.on_plan(now, plan))
            }
            Topic::ServerState(instance) => {
                self.on_server_state(now, instance, payload);
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

    fn on_plan(&mut self, now: Instant, plan: Plan) {
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
            self.abandon("its round is over");
        }
        let other_task =
            matches!(&self.phase, Phase::FetchingTask(get) if get.reference != plan.task);
        if other_task || self.fetches_in_vain(&plan) {
            self.abandon_download();
            self.enter(Phase::Waiting);
            self.fetch_again();
        }
        self.planner.take(plan);
        self.use_task(now);
    }

    fn on_server_state(&mut self, now: Instant, instance: &DeviceId, payload: &[u8]) {
        if !self.planner.is_of(instance) {
            return;
        }
        let Some(presence) = Presence::decode(payload) else { return };
        if self.uplink.hear_server(&presence) {
            // What the broker holds may be a last will of an earlier start that came late: an
            // aggregator that starts now would not know that this device is here.
            self.say_state(State::Online);
            self.speak_again(now);
        }
    }

    /// Says at once what waits for an answer: somebody is there again who may not have heard it.
    fn speak_again(&mut self, now: Instant) {
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

    /// Gives up what is late, and says again what waits too long for an answer.
    fn check_time(&mut self, now: Instant) {
        if self.uplink.plan_due().is_some_and(|due| due <= now) {
            self.uplink.miss_plan();
            warn!(
                "{}: no plan of federation {} in {} s: check the federation's name, the broker's ACL and whether its aggregator runs",
                self.settings.device,
                self.settings.federation,
                PLAN_WAIT_MS / 1000
            );
        }
        if self.phase.deadline().is_some_and(|deadline| deadline <= now) {
            self.abandon("its deadline has passed");
        }
        if !self.can_talk() || self.phase.retry_at().is_none_or(|at| at > now) {
            return;
        }
        match &mut self.phase {
            Phase::Claiming { item, retry } => {
                retry.again(now, &mut self.rng);
                let work = item.work;
                self.publish_claim(work);
            }
            Phase::Sending { upload, .. } => {
                upload.retry.again(now, &mut self.rng);
                upload.assume_lost();
                self.publish_chunks();
            }
            Phase::FetchingTask(download) | Phase::FetchingModel { download, .. } => {
                download.retry.again(now, &mut self.rng);
                self.restart_download();
            }
            Phase::Waiting | Phase::Training { .. } => {}
        }
    }

    /// Begins the first open work that the draw gives to this device.
    fn look_for_work(&mut self, now: Instant) {
        let held_back = self.budget.room_at().is_some() || self.uplink.is_asleep();
        let idle = self.phase.is_idle() && !held_back;
        if !idle || !self.can_talk() || self.survey.is_none() {
            return;
        }
        let Some(item) = self.next_item() else { return };
        if !self.affords_round(&item) {
            return;
        }
        // A version to classify with comes along with the work.
        self.abandon_download();
        let work = item.work;
        info!("{}: asks to take part in round {}", self.settings.device, work.round);
        let retry = Retry::start(now, &mut self.rng);
        self.enter(Phase::Claiming { item, retry });
        self.publish_claim(work);
    }

    /// The first item of the plan that this device would do; those that it has no memory for end here.
    fn next_item(&mut self) -> Option<Item> {
        loop {
            let (Some(plan), Some(_)) = (self.planner.plan(), self.holding.task()) else {
                return None;
            };
            let mut items = plan.work.iter().filter_map(|item| self.wanted(plan, item));
            let first = items.next()?;
            // An update that is finished comes first: other work would drop it.
            let is_finished = |item: &Item| self.finished(item).is_some();
            let item = if is_finished(&first) { None } else { items.find(is_finished) };
            let item = item.unwrap_or(first);
            if self.has_memory_to_send(&item) {
                return Some(item);
            }
            self.abandon_download();
            self.end_work(item.work);
        }
    }

    /// The item as this device would do it, if it can, was drawn and has not done it yet.
    fn wanted(&self, plan: &Plan, item: &WorkItem) -> Option<Item> {
        let work = work_of(plan, item);
        let asked = item.work().ok()?;
        let kind = asked.kind()?;
        let is_open = self.holding.fits(plan) && !self.planner.has_ended(&work);
        if !is_open || !self.survey?.allows(kind) {
            return None;
        }
        if kind.needs_model()
            && route(plan, self.holding.version_of(plan), item.base_version).is_none()
        {
            return None;
        }
        let federation = &self.settings.federation;
        let lottery = &self.state.lottery;
        let drawn = lottery.selects(federation, plan.lineage, item.round, item.kind, item.fraction);
        let item = Item { work, base_version: item.base_version, asked };
        (drawn && self.may_begin(&item)).then_some(item)
    }

    fn publish_up(&mut self, payload: Vec<u8>) {
        let Some(plan) = self.planner.plan() else { return };
        let (device, federation) = (&self.settings.device, &self.settings.federation);
        let shard = shard_of(device, plan.shards);
        let topic = Topic::Up(device.clone(), federation.clone(), shard);
        self.push(Output::Publish { topic: topic.into(), payload, retain: false });
    }

    fn publish_claim(&mut self, work: WorkRef) {
        let claim = Claim {
            work,
            boot: self.state.boot,
            codecs: Codec::KNOWN,
            memory_kib: self.settings.memory_kib,
            windows: self.windows(),
            extensions: Extensions::NONE,
        };
        if let Ok(payload) = wire::encode(&claim) {
            self.publish_up(payload);
        }
    }

    fn on_go(&mut self, now: Instant, go: &Go) {
        let Phase::Claiming { item, retry } = &mut self.phase else { return };
        if go.work != item.work {
            return;
        }
        match go.answer {
            Answer::NoGo(Refusal::Busy) => retry.again(now, &mut self.rng),
            Answer::NoGo(reason) => {
                let round = go.work.round;
                let device = &self.settings.device;
                if reason == Refusal::NotEnrolled {
                    warn!("{device}: not enrolled: add it to `enrolled` of the aggregator");
                } else {
                    info!("{device}: not taken in round {round}: {reason}");
                }
                if reason == Refusal::Duplicate {
                    self.settle_work(go.work, Fate::Counted);
                }
                self.counters.refused += 1;
                self.end_work(go.work);
            }
            Answer::Go => {
                let deadline = now.after(go.deadline.since(go.now));
                let item = item.clone();
                self.begin(now, item, deadline);
            }
        }
    }

    /// Remembers that `work` has ended and waits for the next.
    fn end_work(&mut self, work: WorkRef) {
        self.planner.end(work);
        self.enter(Phase::Waiting);
    }

    /// Gives the current work up.
    fn abandon(&mut self, why: &str) {
        let Some(work) = self.phase.work() else {
            if self.phase.is_idle() {
                self.abandon_download();
                self.enter(Phase::Waiting);
            }
            return;
        };
        info!("{}: gives up round {}: {why}", self.settings.device, work.round);
        self.counters.abandoned += 1;
        self.abandon_download();
        match self.phase {
            Phase::Training { .. } => self.push(Output::Cancel(work)),
            Phase::Sending { .. } => self.settle(Fate::Unknown),
            Phase::Waiting
            | Phase::FetchingTask(_)
            | Phase::Claiming { .. }
            | Phase::FetchingModel { .. } => {}
        }
        self.end_work(work);
    }

    fn on_verdict(&mut self, now: Instant, verdict: &Verdict) {
        let Phase::Sending { work, upload, .. } = &mut self.phase else { return };
        if verdict.object != upload.digest() {
            return;
        }
        let (work, round) = (*work, work.round);
        match verdict.outcome {
            Outcome::Accepted => {
                info!("{}: update of round {round} accepted", self.settings.device);
                self.counters.accepted += 1;
            }
            Outcome::Refused(Refusal::Busy) => {
                upload.retry.again(now, &mut self.rng);
                return;
            }
            Outcome::Refused(Refusal::Digest) if upload.restart() => {
                info!("{}: update of round {round} arrived spoiled", self.settings.device);
                upload.retry.again(now, &mut self.rng);
                return;
            }
            Outcome::Refused(reason) => {
                warn!("{}: update of round {round} refused: {reason}", self.settings.device);
                self.counters.refused += 1;
            }
        }
        self.settle(Fate::of(verdict.outcome));
        self.end_work(work);
    }
}
