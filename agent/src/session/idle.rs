//! A session that is idle, as data: what has to be kept of it so that it can go on later as if nothing
//! had been between. Whoever has many sessions, or sleeps deeply, keeps this instead.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use dunlin_protocol::limits::CHUNK_BYTES_MAX;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;

use super::data_budget::DataBudget;
use super::eligibility::Eligibility;
use super::holding::{CachedVersion, Holding};
use super::phase::Phase;
use super::planner::Planner;
use super::uplink::{KnownServer, Uplink};
use super::voice::Voice;
use super::waiting::Told;
use super::{Session, SessionCounters, Settings};
use crate::job::Survey;
use crate::state::DeviceState;

/// What an idle session consists of, but for its settings.
#[derive(Clone, Debug)]
pub struct IdleSession {
    /// What it would remember after a restart.
    pub state: DeviceState,
    /// Its generator, for the moments at which it says things again.
    pub rng: Rng,
    /// The task in use.
    pub task: Arc<Task>,
    /// The plan heard last.
    pub plan: Plan,
    /// The model version that it holds, if any.
    pub model: Option<CachedVersion>,
    /// What there is to work with.
    pub survey: Option<Survey>,
    /// Work that it is done with, the oldest first.
    pub ended: Box<[WorkRef]>,
    /// What it has counted so far.
    pub counters: SessionCounters,
    /// The time of its last input.
    pub now: Instant,
    /// What it knows of the plan's aggregator.
    pub server: KnownServer,
    /// The number of its connection.
    pub connection: u32,
    /// When it says its state again, if it does.
    pub say_at: Option<Instant>,
}

impl Session {
    /// Takes a session apart that is connected and waits for work, with nothing to be done for it.
    ///
    /// # Errors
    /// The session itself while anything is under way, it is held, it classifies, or its link has a
    /// cost of its own.
    pub fn into_idle(mut self) -> Result<IdleSession, Box<Self>> {
        let idle = matches!(self.phase, Phase::Waiting) && self.outputs.is_empty();
        let up = matches!(self.uplink, Uplink::Up(_));
        let settled = up && self.uplink.has_plan() && self.survey.is_some();
        let plain = self.settings.link == super::LinkPolicy::default();
        let plain = plain && !self.eligibility.is_held() && self.inference.is_none();
        let plain = plain && self.voice.is_plain();
        if !(idle && settled && plain) || self.state.pending.is_some() {
            return Err(Box::new(self));
        }
        let (Some(task), Some(plan)) = (self.holding.task().cloned(), self.planner.plan().cloned())
        else {
            return Err(Box::new(self));
        };
        Ok(IdleSession {
            state: self.state,
            rng: self.rng,
            task,
            plan,
            model: self.holding.take_model(),
            survey: self.survey,
            ended: self.planner.into_ended(),
            counters: self.counters,
            now: self.now,
            server: self.uplink.server(),
            connection: self.voice.connection,
            say_at: self.uplink.say_at(),
        })
    }

    /// The session that was taken apart, connected as it was.
    pub fn from_idle(settings: Settings, idle: IdleSession) -> Self {
        let budget = DataBudget::new(settings.link, 0);
        let said = Presence::new(State::Online, idle.state.boot).on(idle.connection);
        Self {
            settings,
            state: idle.state,
            rng: idle.rng,
            uplink: Uplink::settled(idle.now, idle.server, idle.say_at),
            planner: Planner::resumed(idle.plan, idle.ended),
            holding: Holding::new(idle.task, idle.model),
            survey: idle.survey,
            phase: Phase::Waiting,
            outputs: VecDeque::new(),
            now: idle.now,
            budget,
            eligibility: Eligibility::default(),
            voice: Voice::resumed(said),
            told: Told::default(),
            counters: idle.counters,
            chunk_bytes_max: CHUNK_BYTES_MAX,
            inference: None,
        }
    }

    /// The work that the session is at.
    pub fn current_work(&self) -> Option<WorkRef> {
        self.phase.work()
    }
}
