//! Sessions that wait, in as few bytes as they need: what is kept of a million devices while nothing
//! concerns them.

use std::sync::Arc;

use dunlin_agent::job::Survey;
use dunlin_agent::session::{CachedVersion, IdleSession, Session, SessionCounters, Settings};
use dunlin_agent::state::{CachedTask, DeviceState, PlanMemory};
use dunlin_protocol::id::{DeviceId, FederationId, ModelVersion};
use dunlin_protocol::lottery::{Fraction, KeyedLottery};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;

/// What a hibernating session keeps for itself.
#[derive(Clone, Debug)]
pub(super) struct Hibernating {
    state: DeviceState,
    rng: Rng,
    model: Option<CachedVersion>,
    survey: Option<Survey>,
    ended: Box<[WorkRef]>,
    counters: SessionCounters,
    now: Instant,
    server: Option<u32>,
    /// The last draw that was looked at.
    draw: Option<(WorkRef, u64)>,
    lottery: Option<Box<KeyedLottery>>,
}

/// What all devices of a federation have in common, kept once.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// The task, as it was fetched and as it reads.
    task: (CachedTask, Arc<Task>),
    /// The plan that devices heard last.
    pub(super) plan: Plan,
}

/// What a plan says that the one before it did not.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// Whether it concerns everybody: another task, aggregator or history.
    for_all: bool,
    /// Work that is new, or that more devices are invited to.
    work: Vec<(WorkRef, Fraction)>,
}

impl Common {
    /// What this idle session has in common with all others; `None` where it never fetched a task.
    pub(super) fn of(idle: &IdleSession) -> Option<Self> {
        let cached = idle.state.task.clone()?;
        Some(Self { task: (cached, idle.task.clone()), plan: idle.plan.clone() })
    }

    /// What is new in `plan`.
    pub(super) fn news(&self, plan: &Plan) -> News {
        let known = &self.plan;
        let other_task = plan.task.digest != self.task.0.digest;
        let other_server = plan.instance != known.instance || plan.lineage != known.lineage;
        let new = plan.work.iter().filter(|item| !known.work.contains(item));
        let work_of = |round, kind| WorkRef { lineage: plan.lineage, round, kind };
        let work = new.map(|item| (work_of(item.round, item.kind), item.fraction)).collect();
        News { for_all: other_task || other_server, work }
    }
}

impl Hibernating {
    /// Leaves out what all sessions have in common.
    pub(super) fn new(idle: IdleSession) -> Self {
        let IdleSession {
            mut state, rng, plan, model, survey, ended, counters, now, server, ..
        } = idle;
        state.task = None;
        if state.plans.holds_only(&plan) {
            // What all have in common; it is noted again on waking.
            state.plans = PlanMemory::default();
        }
        let (draw, lottery) = (None, None);
        #[rustfmt::skip]
        let this = Self {
            state, rng, model, survey, ended, counters, now, server, draw, lottery,
        };
        this
    }

    /// Whether a plan with these news asks something of this device, which has heard the plan
    /// before: new work that it was drawn for, or anything that concerns everybody. Anything else
    /// changes nothing that hibernates.
    pub(super) fn concerns(&mut self, federation: &FederationId, news: &News) -> bool {
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
    pub(super) fn model(&self) -> Option<(ModelVersion, &Arc<Vec<f32>>)> {
        self.model.as_ref().map(|model| (model.version, &model.params))
    }

    /// Puts equal parameters, kept once for all devices, in place of this device's own.
    pub(super) fn share(&mut self, params: Arc<Vec<f32>>) {
        if let Some(model) = &mut self.model {
            model.params = params;
        }
    }

    /// The session as it was, with what it would have heard meanwhile.
    pub(super) fn wake(self, device: DeviceId, settings: &Settings, common: &Common) -> Session {
        let mut state = self.state;
        state.task = Some(common.task.0.clone());
        state.plans.note(&common.plan);
        let idle = IdleSession {
            state,
            rng: self.rng,
            task: common.task.1.clone(),
            plan: common.plan.clone(),
            model: self.model,
            survey: self.survey,
            ended: self.ended,
            counters: self.counters,
            now: self.now,
            server: self.server,
        };
        Session::from_idle(Settings { device, ..settings.clone() }, idle)
    }
}
