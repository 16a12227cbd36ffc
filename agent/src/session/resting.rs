//! A session that waits, in as few bytes as it needs: what a simulation keeps of a million devices
//! while nothing concerns them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use dunlin_protocol::id::{DeviceId, FederationId, Lineage, ModelVersion};
use dunlin_protocol::lottery::{Fraction, KeyedLottery};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;

use super::data_budget::DataBudget;
use super::eligibility::Eligibility;
use super::phase::Phase;
use super::planner::{Planner, work_of};
use super::uplink::Uplink;
use super::{Session, SessionCounters, Settings};
use crate::job::Survey;
use crate::state::{CachedTask, DeviceState, PlanMemory};

/// Whether the draw gives `item` to this device.
pub(super) fn drawn(
    state: &DeviceState,
    federation: &FederationId,
    plan: &Plan,
    item: &WorkItem,
) -> bool {
    state.lottery.selects(federation, plan.lineage, item.round, item.kind, item.fraction)
}

/// What a waiting session keeps. Task and plan, the same for all devices, are kept by the caller.
#[derive(Clone, Debug)]
pub struct Resting {
    state: DeviceState,
    rng: Rng,
    model: Option<(Lineage, ModelVersion, Arc<Vec<f32>>)>,
    survey: Option<Survey>,
    ended: Box<[WorkRef]>,
    counters: SessionCounters,
    now: Instant,
    server_online: bool,
    /// The last draw that was looked at.
    draw: Option<(WorkRef, u64)>,
    lottery: Option<Box<KeyedLottery>>,
}

/// What all devices of a federation have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// The task, as it was fetched and as it reads.
    pub task: (CachedTask, Arc<Task>),
    /// The plan that devices heard last.
    pub plan: Plan,
}

/// What a plan says that the one before it did not.
#[derive(Clone, Debug)]
pub struct News {
    /// Whether it concerns everybody: another task, aggregator or history.
    for_all: bool,
    /// Work that is new, or that more devices are invited to.
    work: Vec<(WorkRef, Fraction)>,
}

impl Common {
    /// What is new in `plan`.
    pub fn news(&self, plan: &Plan) -> News {
        let known = &self.plan;
        let other_task = plan.task.digest != self.task.0.digest;
        let other_server = plan.instance != known.instance || plan.lineage != known.lineage;
        let new = plan.work.iter().filter(|item| !known.work.contains(item));
        let work = new.map(|item| (work_of(plan, item), item.fraction)).collect();
        News { for_all: other_task || other_server, work }
    }
}

impl Session {
    /// What this session has in common with all others; `None` before it has task and plan.
    pub fn common(&self) -> Option<Common> {
        let (cached, task) = (self.state.task.clone()?, self.task.clone()?);
        let plan = self.planner.plan().cloned()?;
        Some(Common { task: (cached, task), plan })
    }

    /// The work that the session is at.
    pub fn current_work(&self) -> Option<WorkRef> {
        self.phase.work()
    }

    /// Puts a session to rest that is connected and waits for work, with nothing to be done for it.
    ///
    /// # Errors
    /// The session itself while anything is under way or it is held, or its link has a cost of its
    /// own.
    pub fn rest_now(self) -> Result<Resting, Box<Self>> {
        let idle = matches!(self.phase, Phase::Waiting) && self.outputs.is_empty();
        let up = matches!(self.uplink, Uplink::Up(_));
        let settled = up && self.uplink.has_plan() && self.survey.is_some();
        let plain = self.settings.link == super::LinkPolicy::default();
        let plain = plain && !self.eligibility.is_held() && self.inference.is_none();
        if !(idle && settled && plain) || self.task.is_none() || self.state.pending.is_some() {
            return Err(Box::new(self));
        }
        let mut state = self.state;
        state.task = None;
        if self.planner.plan().is_some_and(|plan| state.plans.holds_only(plan)) {
            // What all have in common; it is noted again on waking.
            state.plans = PlanMemory::default();
        }
        Ok(Resting {
            state,
            rng: self.rng,
            model: self.model,
            survey: self.survey,
            ended: self.planner.into_ended(),
            counters: self.counters,
            now: self.now,
            server_online: self.uplink.has_server(),
            draw: None,
            lottery: None,
        })
    }
}

impl Resting {
    /// Whether a plan with these news asks something of this device, which has heard the plan
    /// before: new work that it was drawn for, or anything that concerns everybody. Anything else
    /// changes nothing that rests.
    pub fn concerns(&mut self, federation: &FederationId, news: &News) -> bool {
        news.for_all
            || news.work.iter().any(|(work, fraction)| {
                !self.ended.contains(work) && fraction.takes(self.draw(federation, *work))
            })
    }

    /// The draw for `work`: the same however often the fraction is raised.
    fn draw(&mut self, federation: &FederationId, work: WorkRef) -> u64 {
        match self.draw {
            Some((known, draw)) if known == work => draw,
            Some(_) | None => {
                let WorkRef { lineage, round, kind } = work;
                let key = &self.state.lottery;
                let lottery = self.lottery.get_or_insert_with(|| Box::new(key.keyed()));
                let draw = lottery.draw(federation, lineage, round, kind);
                self.draw = Some((work, draw));
                draw
            }
        }
    }

    /// The version that the device holds and its parameters, `[n_model]`.
    pub fn model(&self) -> Option<(ModelVersion, &Arc<Vec<f32>>)> {
        self.model.as_ref().map(|(_, version, params)| (*version, params))
    }

    /// Puts equal parameters, kept once for all devices, in place of this device's own.
    pub fn share(&mut self, params: Arc<Vec<f32>>) {
        if let Some((_, _, own)) = &mut self.model {
            *own = params;
        }
    }

    /// The session as it was, with what it would have heard meanwhile.
    pub fn wake(self, device: DeviceId, settings: &Settings, common: &Common) -> Session {
        let mut state = self.state;
        state.task = Some(common.task.0.clone());
        state.plans.note(&common.plan);
        Session {
            settings: Settings { device, ..settings.clone() },
            state,
            rng: self.rng,
            uplink: Uplink::settled(self.now, self.server_online),
            planner: Planner::resumed(common.plan.clone(), self.ended),
            task: Some(common.task.1.clone()),
            task_too_large: false,
            model: self.model,
            survey: self.survey,
            phase: Phase::Waiting,
            outputs: VecDeque::new(),
            now: self.now,
            budget: DataBudget::new(settings.link, 0),
            eligibility: Eligibility::default(),
            counters: self.counters,
            inference: None,
        }
    }
}
