//! Sessions that wait, in as few bytes as they need: what is kept of a million devices while nothing
//! concerns them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_agent::job::Survey;
use dunlin_agent::session::{
    CachedVersion, IdleSession, KnownServer, Session, SessionCounters, Settings,
};
use dunlin_agent::state::{CachedTask, DeviceState, PlanMemory};
use dunlin_protocol::id::{FederationId, ModelVersion};
use dunlin_protocol::lottery::{Fraction, KeyedLottery};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
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
    server: KnownServer,
    connection: u32,
    say_at: Option<Instant>,
    /// The last draw that was looked at.
    draw: Option<(WorkRef, u64)>,
    lottery: Option<Box<KeyedLottery>>,
}

/// What all devices of a federation have in common, kept once.
#[derive(Clone, Debug)]
struct Common {
    /// The task, as it was fetched and as it reads.
    task: (CachedTask, Arc<Task>),
    /// The plan that devices heard last.
    plan: Plan,
}

/// What is kept once for all sessions that hibernate.
#[derive(Clone, Debug, Default)]
pub(super) struct Hibernation {
    /// What they have in common, once one of them has fetched the task.
    common: Option<Common>,
    /// The plan that was published last.
    plan: Option<Plan>,
    /// Parameters of the versions that they hold, each once.
    models: BTreeMap<ModelVersion, Arc<Vec<f32>>>,
}

/// What a plan says that the one before it did not.
#[derive(Clone, Debug)]
pub(super) struct PlanNews {
    /// Whether it concerns everybody: another task, aggregator or history.
    for_all: bool,
    /// Work that is new, or that more devices are invited to.
    work: Vec<(WorkRef, Fraction)>,
}

impl Common {
    /// What this idle session has in common with all others; `None` where it never fetched a task.
    fn of(idle: &IdleSession) -> Option<Self> {
        let cached = idle.state.task.clone()?;
        Some(Self { task: (cached, idle.task.clone()), plan: idle.plan.clone() })
    }

    /// What is new in `plan`.
    fn news(&self, plan: &Plan) -> PlanNews {
        let known = &self.plan;
        let other_task = plan.task.digest != self.task.0.digest;
        let other_server = plan.instance != known.instance || plan.lineage != known.lineage;
        let new = plan.work.iter().filter(|item| !known.work.contains(item));
        let work_of = |round, kind| WorkRef { lineage: plan.lineage, round, kind };
        let work = new.map(|item| (work_of(item.round, item.kind), item.fraction)).collect();
        PlanNews { for_all: other_task || other_server, work }
    }
}

impl Hibernation {
    /// Lets a session hibernate.
    pub(super) fn begin(&mut self, idle: IdleSession) -> Hibernating {
        if self.common.is_none() {
            self.common = Common::of(&idle);
            // This device may have heard an older plan than the others will.
            if let (Some(common), Some(plan)) = (&mut self.common, &self.plan) {
                common.plan = plan.clone();
            }
        }
        Hibernating::new(idle)
    }

    /// Wakes a session, with what it would have heard meanwhile.
    pub(super) fn wake(&self, hibernating: Hibernating, settings: Settings) -> Option<Session> {
        Some(hibernating.wake(settings, self.common.as_ref()?))
    }

    /// Takes the plan that is published; what is new in it, where somebody may hibernate.
    pub(super) fn published(&mut self, plan: Plan) -> Option<PlanNews> {
        // Versions that nobody can fetch any more are held by few.
        if let Some(oldest) = plan.models.iter().map(|entry| entry.version).min() {
            self.models.retain(|version, _| *version >= oldest);
        }
        let news = self.common.as_mut().map(|common| {
            let news = common.news(&plan);
            common.plan = plan.clone();
            news
        });
        self.plan = Some(plan);
        news
    }

    /// Lets a session share its version's parameters with the others that hold it: those of the
    /// first, or else the aggregator's `own`, while it has them.
    ///
    /// # Errors
    /// The version, when its parameters are not the same bits.
    pub(super) fn share_model<'a>(
        &mut self,
        hibernating: &mut Hibernating,
        own: impl FnOnce(ModelVersion) -> Option<&'a [f32]>,
    ) -> Result<(), ModelVersion> {
        let Some((version, params)) = hibernating.model() else { return Ok(()) };
        let known = self.models.entry(version).or_insert_with(|| {
            own(version).map_or_else(|| params.clone(), |own| Arc::new(own.to_vec()))
        });
        if Arc::ptr_eq(known, params) {
            return Ok(());
        }
        let same = known.len() == params.len()
            && known.iter().zip(params.iter()).all(|(a, b)| a.to_bits() == b.to_bits());
        if !same {
            return Err(version);
        }
        hibernating.share(known.clone());
        Ok(())
    }
}

impl Hibernating {
    /// Leaves out what all sessions have in common.
    fn new(idle: IdleSession) -> Self {
        let IdleSession {
            mut state,
            rng,
            plan,
            model,
            survey,
            ended,
            counters,
            now,
            server,
            connection,
            say_at,
            ..
        } = idle;
        state.task = None;
        if state.plans.holds_only(&plan) {
            // What all have in common; it is noted again on waking.
            state.plans = PlanMemory::default();
        }
        let (draw, lottery) = (None, None);
        #[rustfmt::skip]
        let this = Self {
            state, rng, model, survey, ended, counters, now, server, connection, say_at, draw,
            lottery,
        };
        this
    }

    /// Whether a plan with these news asks something of this device, which has heard the plan
    /// before: new work that it was drawn for, or anything that concerns everybody. Anything else
    /// changes nothing that hibernates.
    pub(super) fn concerns(&mut self, federation: &FederationId, news: &PlanNews) -> bool {
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

    /// What the device said last of itself: one that hibernates is online and not held.
    pub(super) fn said(&self) -> Presence {
        Presence::new(State::Online, self.state.boot).on(self.connection)
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
    fn wake(self, settings: Settings, common: &Common) -> Session {
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
            connection: self.connection,
            say_at: self.say_at,
        };
        Session::from_idle(settings, idle)
    }
}

#[cfg(test)]
mod tests {
    use dunlin_protocol::id::Lineage;

    use super::*;

    /// A session that holds a version with these parameters.
    fn holding(version: u32, params: &[f32]) -> Hibernating {
        let (lineage, version) = (Lineage([1; 16]), ModelVersion(version));
        Hibernating {
            state: DeviceState::fresh([1; 32]),
            rng: Rng::new(1),
            model: Some(CachedVersion { lineage, version, params: Arc::new(params.to_vec()) }),
            survey: None,
            ended: Box::default(),
            counters: SessionCounters::default(),
            now: Instant(0),
            server: KnownServer::default(),
            connection: 1,
            say_at: None,
            draw: None,
            lottery: None,
        }
    }

    #[test]
    fn equal_versions_are_kept_once() {
        let mut hibernation = Hibernation::default();
        let (mut one, mut other) = (holding(3, &[0.0, 1.0]), holding(3, &[0.0, 1.0]));
        assert_eq!(hibernation.share_model(&mut one, |_| None), Ok(()));
        assert_eq!(hibernation.share_model(&mut other, |_| None), Ok(()));
        let (one, other) = (one.model().unwrap().1, other.model().unwrap().1);
        assert!(Arc::ptr_eq(one, other));
    }

    #[test]
    fn other_bits_than_those_of_the_aggregator_or_of_the_first_are_told() {
        let mut hibernation = Hibernation::default();
        let own = [0.0_f32, 1.0];
        let mut differs = holding(3, &[-0.0, 1.0]);
        let told = hibernation.share_model(&mut differs, |_| Some(&own[..]));
        assert_eq!(told, Err(ModelVersion(3)), "equal as numbers, not as bits");
        assert_eq!(hibernation.share_model(&mut holding(3, &own), |_| None), Ok(()));
        let told = hibernation.share_model(&mut holding(3, &[0.0]), |_| None);
        assert_eq!(told, Err(ModelVersion(3)));
    }
}
