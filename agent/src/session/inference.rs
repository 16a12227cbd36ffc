//! Classifying on the device: which model to use, when to fetch one without any work, and what
//! results may cost.
//!
//! Work comes first: fetching for inference begins only when there is nothing else to do and gives
//! way to a claim. On a capped link, results and models for them share a part of the cap, so that
//! they cannot use up what the rounds need.

use alloc::vec::Vec;

use dunlin_protocol::backoff::{Backoff, Jitter};
use dunlin_protocol::id::{Lineage, ModelVersion, Name};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;
use log::info;

use super::holding::CachedVersion;
use super::link_costs::{ROUND_BYTES, path_bytes};
use super::phase::Phase;
use super::route::route;
use super::uplink::Uplink;
use super::{Output, Session};
use crate::job::{KeptModel, ModelInUse};
use crate::meter::{Meter, message_bytes};
use crate::state::LocalLayers;

/// How long fetching a model may take that no round waits for.
const FETCH_MS: u64 = 10 * 60_000;
/// Least time between two such fetches: a model that cannot be used must not be fetched in a loop.
const FETCH_PAUSE_MS_MIN: u64 = 1_000;
/// Waits after a model that came spoiled: ten to fifteen minutes, then twice as long each time, up to an
/// hour and a half.
const SPOILED: Backoff = Backoff::new(600_000, 3_600_000, Jitter::After);

/// What a device does with its model between rounds.
#[derive(Clone, Debug)]
pub struct InferencePolicy {
    /// Last level of the topic of results.
    pub name: Name,
    /// Least time between two models that are fetched without work, in milliseconds.
    pub fetch_every_ms: u64,
    /// Most bytes of results and of models fetched without work in any 24 hours; `None` without a
    /// data cap.
    pub cap_per_day: Option<u64>,
}

/// The session's side of inference.
#[derive(Debug)]
pub(super) struct Inference {
    policy: InferencePolicy,
    meter: Option<Meter>,
    /// When a model may be fetched again.
    fetch_at: Instant,
    /// How long after one that came spoiled.
    spoiled: Backoff,
    /// The version that the shell was told to use, until local layers change.
    announced: Option<(Lineage, ModelVersion)>,
}

impl Session {
    /// Tells the shell from now on which model to use: begins with the one that it kept, if that
    /// belongs to the task.
    pub fn infer(&mut self, policy: InferencePolicy, kept: Option<KeptModel>) {
        let meter = policy.cap_per_day.map(|cap| Meter::new(cap, 0, 0));
        let (fetch_at, spoiled, announced) = (Instant(0), SPOILED, None);
        let inference = Inference { policy, meter, fetch_at, spoiled, announced };
        self.inference = Some(inference.into());
        if let Some(kept) = kept.filter(|kept| self.suits(kept)) {
            let KeptModel { lineage, version, params, .. } = kept;
            self.holding.hold(CachedVersion { lineage, version, params });
        }
        self.offer_model();
    }

    fn suits(&self, kept: &KeptModel) -> bool {
        let fits = |task: &Task| {
            task.digest() == kept.task && task.layout().n_model() == kept.params.len()
        };
        self.holding.task().is_some_and(|task| fits(task))
    }

    /// Parameters of this device's own layers, if it has any of this task.
    pub(super) fn local_layers(&self, task: &Task) -> Option<&LocalLayers> {
        let length = task.layout().n_params() - task.layout().n_model();
        let fits =
            |local: &&LocalLayers| local.task == task.digest() && local.params.len() == length;
        self.state.local.as_ref().filter(fits)
    }

    /// This device's own layers have changed: the model in use is another one.
    pub(super) fn forget_announced(&mut self) {
        if let Some(inference) = &mut self.inference {
            inference.announced = None;
        }
    }

    /// Tells the shell to use the model held, unless it does. Versions on the way to another one
    /// are passed over, and so is a model whose local layers were never trained here.
    pub(super) fn offer_model(&mut self) {
        let (Some(inference), Some(held)) = (&self.inference, self.holding.model()) else { return };
        let known = inference.announced == Some((held.lineage, held.version));
        if known || matches!(self.phase, Phase::FetchingModel { .. }) {
            return;
        }
        let Some(task) = self.holding.task() else { return };
        let layout = task.layout();
        let local = self.local_layers(task).map(|local| local.params.clone());
        if local.is_none() && layout.n_params() > layout.n_model() {
            return;
        }
        let CachedVersion { lineage, version, params } = held.clone();
        let model = KeptModel { task: task.digest(), lineage, version, params };
        let model = ModelInUse { model, layout: layout.hash(), task: task.clone(), local };
        self.push(Output::UseModel(model.into()));
        if let Some(inference) = &mut self.inference {
            inference.announced = Some((lineage, version));
            inference.spoiled.reset();
        }
    }

    /// The newest version of the plan, if this device lacks it and could fetch it.
    fn newer_version(&self) -> Option<ModelVersion> {
        let plan = self.planner.plan()?;
        let newest = plan.models.iter().map(|entry| entry.version).max()?;
        let path = route(plan, self.holding.version_of(plan), newest)?;
        (!path.is_empty()).then_some(newest)
    }

    /// Whether nothing else is to be done on the link.
    fn has_leisure(&self) -> bool {
        let heard = self.can_talk() && self.uplink.has_plan() && self.survey.is_some();
        let held_back =
            self.uplink.is_asleep() || self.budget.room_at().is_some() || self.spares_link();
        matches!(self.phase, Phase::Waiting) && heard && !held_back && self.holding.task().is_some()
    }

    /// Fetches the newest version when there is no work that brings it.
    pub(super) fn look_for_model(&mut self, now: Instant) {
        let Some(inference) = &self.inference else { return };
        if inference.fetch_at > now || !self.has_leisure() {
            return;
        }
        let pause = inference.policy.fetch_every_ms.max(FETCH_PAUSE_MS_MIN);
        let (Some(version), Some(plan)) = (self.newer_version(), self.planner.plan()) else {
            return;
        };
        let held = self.holding.version_of(plan);
        let bytes = path_bytes(&route(plan, held, version).unwrap_or_default());
        if let Some(inference) = &mut self.inference {
            inference.fetch_at = now.after(pause);
        }
        if self.spare(now, bytes) {
            self.fetch_model(now, None, version, now.after(FETCH_MS), false);
        } else {
            let device = &self.settings.device;
            info!("{device}: the data cap has no room for version {version} to classify with");
        }
    }

    /// When to look for a newer model again; `None` while there is none.
    pub(super) fn fetch_at(&self) -> Option<Instant> {
        let inference = self.inference.as_ref()?;
        let later = inference.fetch_at > self.now && self.has_leisure();
        (later && self.newer_version().is_some()).then_some(inference.fetch_at)
    }

    /// Fetches for inference wait ever longer: what was offered came spoiled.
    pub(super) fn fetch_later(&mut self, now: Instant) {
        if let Some(inference) = &mut self.inference {
            let wait = inference.spoiled.next_ms(&mut self.rng);
            inference.fetch_at = inference.fetch_at.max(now.after(wait));
        }
    }

    /// Fetches for inference may begin at once: the last one was in vain.
    pub(super) fn fetch_again(&mut self) {
        if let Some(inference) = &mut self.inference {
            inference.fetch_at = self.now;
        }
    }

    /// Whether a plan makes what is fetched for inference useless: another task or history, or the
    /// object is no longer offered.
    pub(super) fn fetches_in_vain(&self, plan: &Plan) -> bool {
        let Phase::FetchingModel { item: None, download, path, .. } = &self.phase else {
            return false;
        };
        let same_task = self.state.task.as_ref().is_some_and(|t| t.digest == plan.task.digest);
        let offered = |object: &_| plan.models.iter().any(|entry| entry.object == *object);
        let all_offered = offered(&download.reference) && path.remaining.iter().all(offered);
        !(same_task && all_offered && plan.lineage == path.lineage)
    }

    /// Publishes a result on the topic of this device, if it is connected and the data cap leaves
    /// room; whether it did. Drain [`Session::poll_output`] afterwards.
    pub fn say_result(&mut self, now: Instant, payload: Vec<u8>) -> bool {
        self.now = now;
        let Some(inference) = &self.inference else { return false };
        if !matches!(self.uplink, Uplink::Up(_)) || self.spares_link() {
            return false;
        }
        let name = inference.policy.name.clone();
        let topic = Topic::Out(self.settings.device.clone(), name);
        let length = self.settings.topics.length(&topic);
        let fits = self.spare(now, message_bytes(length, payload.len()));
        if fits {
            self.push(Output::Publish { topic: topic.into(), payload, retain: false });
        }
        fits
    }

    /// Takes `bytes` from the share of inference, if that has so many left, and the data cap has what
    /// a round needs on top.
    fn spare(&mut self, now: Instant, bytes: u64) -> bool {
        let leaves_a_round = self.budget.leaves(now, bytes.saturating_add(ROUND_BYTES));
        let Some(inference) = &mut self.inference else { return false };
        let has_room = inference.meter.as_mut().is_none_or(|meter| meter.room(now) >= bytes);
        let fits = leaves_a_round && has_room;
        if let Some(meter) = inference.meter.as_mut().filter(|_| fits) {
            meter.spend(now, bytes);
        }
        fits
    }
}
