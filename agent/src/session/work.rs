//! Taking part: from the first open work that the draw gives to this device, over its claim, to the
//! verdict.

use alloc::vec::Vec;

use dunlin_protocol::codec::Codec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::give_up::{GaveUp, GiveUp};
use dunlin_protocol::message::{Answer, Claim, Go, Outcome, Refusal, Verdict, WorkRef};
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, shard_of};
use dunlin_protocol::wire;
use log::{info, warn};

use super::feedback::UpdateOutcome;
use super::phase::{Item, Phase};
use super::planner::work_of;
use super::route::route;
use super::transfer::Retry;
use super::{Output, Session};

impl Session {
    /// Begins the first open work that the draw gives to this device.
    pub(super) fn look_for_work(&mut self, now: Instant) {
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
    pub(super) fn next_item(&mut self) -> Option<Item> {
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
            let fits = self.has_memory_to_send(&item);
            if item.train().is_some() {
                self.voice.update_too_large = !fits;
            }
            if fits {
                return Some(item);
            }
            self.abandon_download();
            self.end_work(item.work);
        }
    }

    /// The item as this device would do it, if it can, was drawn and has not done it yet.
    pub(super) fn wanted(&self, plan: &Plan, item: &WorkItem) -> Option<Item> {
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

    pub(super) fn publish_up(&mut self, payload: Vec<u8>) {
        let Some(plan) = self.planner.plan() else { return };
        let (device, federation) = (&self.settings.device, &self.settings.federation);
        let shard = shard_of(device, plan.shards);
        let topic = Topic::Up(device.clone(), federation.clone(), shard);
        self.push(Output::Publish { topic: topic.into(), payload, retain: false });
    }

    pub(super) fn publish_claim(&mut self, work: WorkRef) {
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

    pub(super) fn on_go(&mut self, now: Instant, go: &Go) {
        let Phase::Claiming { item, retry } = &mut self.phase else { return };
        if go.work != item.work {
            return;
        }
        match go.answer {
            // The plan names this history: another aggregator of the federation answers.
            Answer::NoGo(Refusal::WrongLineage) if self.planner.is_in(&go.work.lineage) => {}
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
                    self.settle_work(go.work, UpdateOutcome::Counted);
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
    pub(super) fn end_work(&mut self, work: WorkRef) {
        self.planner.end(work);
        self.enter(Phase::Waiting);
    }

    /// Notes that nothing comes for `work`, and says so, if the device was told to go.
    pub(super) fn give_up(&mut self, work: WorkRef, reason: GiveUp, why: &str) {
        let told_to_go = match &self.phase {
            Phase::FetchingModel { item, .. } => item.is_some(),
            Phase::Training { .. } | Phase::Sending { .. } => true,
            Phase::Waiting | Phase::FetchingTask(_) | Phase::Claiming { .. } => false,
        };
        if told_to_go {
            self.voice.gave_up = Some(GaveUp::new(work, reason, why));
            self.say_gave_up();
        }
    }

    /// Gives the current work up; the aggregator is told the reason, unless it ended the work itself.
    pub(super) fn abandon(&mut self, reason: Option<GiveUp>, why: &str) {
        let Some(work) = self.phase.work() else {
            if self.phase.is_idle() {
                self.abandon_download();
                self.enter(Phase::Waiting);
            }
            return;
        };
        info!("{}: gives up round {}: {why}", self.settings.device, work.round);
        self.counters.abandoned += 1;
        if let Some(reason) = reason {
            self.give_up(work, reason, why);
        }
        self.abandon_download();
        match self.phase {
            Phase::Training { .. } => self.push(Output::Cancel(work)),
            Phase::Sending { .. } => self.settle(UpdateOutcome::Unknown),
            Phase::Waiting
            | Phase::FetchingTask(_)
            | Phase::Claiming { .. }
            | Phase::FetchingModel { .. } => {}
        }
        self.end_work(work);
    }

    pub(super) fn on_verdict(&mut self, now: Instant, verdict: &Verdict) {
        let Phase::Sending { work, upload, .. } = &mut self.phase else { return };
        if verdict.object != upload.digest() {
            return;
        }
        let (work, round) = (*work, work.round);
        if verdict.work.lineage != work.lineage {
            // Another aggregator of the federation, which the plan does not name.
            return;
        }
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
        self.settle(UpdateOutcome::of(verdict.outcome));
        self.end_work(work);
    }
}
