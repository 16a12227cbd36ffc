//! The device's state machine: what happened goes in, what to do comes out.
//!
//! Call [`Session::handle`] with each input and the time, then drain [`Session::poll_output`], and
//! call again with [`Input::Tick`] at [`Session::next_deadline`] at the latest.

mod check_in;
mod chunk_size;
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
mod messages;
mod perform;
mod phase;
mod planner;
mod route;
mod send;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod unable;
mod uplink;
mod voice;
mod waiting;
mod work;

use alloc::collections::VecDeque;
use alloc::{boxed::Box, string::String, vec::Vec};

use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::id::Lineage;
use dunlin_protocol::limits::CHUNK_BYTES_MAX;
use dunlin_protocol::message::{Outcome, Refusal};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic, Topics};
use log::{debug, warn};

use crate::job::Survey;
use crate::meter::{CONNECT_BYTES, message_bytes};
use crate::state::DeviceState;
use data_budget::DataBudget;
pub use data_budget::LinkPolicy;
use eligibility::Eligibility;
pub use holding::CachedVersion;
use holding::Holding;
pub use idle::IdleSession;
pub use inference::InferencePolicy;
pub use io::{Input, Output, SessionCounters, Settings};
pub use memory::{batch_bytes, training_kib, windows_max};
pub use perform::Ports;
use phase::Phase;
use planner::Planner;
pub use uplink::KnownServer;
use uplink::Uplink;
use voice::Voice;
pub use waiting::Waiting;

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
    voice: Voice,
    told: waiting::Told,
    counters: SessionCounters,
    /// Longest chunk in bytes that the broker may be expected to let through.
    chunk_bytes_max: u32,
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
            voice: Voice::default(),
            told: waiting::Told::default(),
            counters: SessionCounters::default(),
            chunk_bytes_max: CHUNK_BYTES_MAX,
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
            Input::Ineligible(held) => self.on_held(now, held),
            Input::Oversize(bytes) => self.on_oversize(now, bytes),
            Input::DataTrouble(trouble) => self.on_trouble(trouble),
            Input::Tick => {}
            // The last word: nothing is begun or said behind it.
            Input::Stop => return self.say_state(State::Offline),
        }
        self.check_time(now);
        self.check_room(now);
        self.look_for_work(now);
        self.note_unable();
        self.check_voice(now);
        self.look_for_model(now);
        self.offer_model();
        self.explain_waiting(now);
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
        let (plan, room, voice) = (self.uplink.plan_due(), self.budget.room_at(), self.voice_due());
        let times = [phase, retry, plan, room, patience, fetch, voice];
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
        for (kind, lack) in self.voice.unable.iter() {
            line.push_str(&alloc::format!("; cannot {}: {lack}", kind.word()));
        }
        line
    }

    /// The topic and payload that the broker publishes when the device's next connection is lost: each
    /// connection has a last will of its own, which is to be set before it is made.
    pub fn last_will(&self) -> (Topic, Vec<u8>) {
        let connection = self.voice.connection.saturating_add(1);
        let presence = Presence::new(State::Lost, self.state.boot).on(connection);
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
        self.begin_voice();
        self.say_state(State::Online);
        // Behind its own word, so that the broker gives that back and not one of before.
        self.subscribe(Topic::DeviceState(self.settings.device.clone()));
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
            let fetches = matches!(self.phase, Phase::FetchingModel { .. });
            let reason = if fetches { GiveUp::Base } else { GiveUp::Deadline };
            self.abandon(Some(reason), "its deadline has passed");
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
                self.say_missing(now);
                self.restart_download();
            }
            Phase::Waiting | Phase::Training { .. } => {}
        }
    }
}
