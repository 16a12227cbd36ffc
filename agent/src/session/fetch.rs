//! Fetching: the task when a plan names a new one, the base version when a round begins.

use alloc::sync::Arc;
use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::id::{ModelVersion, ShortDigest};
use dunlin_protocol::limits::FETCH_TOPICS;
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;
use dunlin_protocol::wire::WireError;
use dunlin_protocol::work::Work;
use log::{error, warn};

use super::phase::{FetchPath, Item, Phase};
use super::route::route;
use super::transfer::Download;
use super::{Output, Session};
use crate::job::{Job, JobSpec};
use crate::state::{CachedTask, Pending};

/// Times that a version may come spoiled before it is given up.
const SPOILED_MAX: u8 = 3;

impl Session {
    /// Makes the remembered task current, if there is one.
    pub(super) fn restore_task(&mut self) {
        let cached = self.state.task.as_ref();
        let Some(task) = cached.and_then(|cached| Task::decode(&cached.object).ok()) else {
            return;
        };
        self.adopt_task(task);
    }

    /// Makes `task` current; one that this device has no memory for leaves it without a task.
    fn adopt_task(&mut self, task: Task) {
        self.survey = None;
        self.voice.update_too_large = false;
        self.forget_announced();
        if !self.has_memory_to_train(&task) {
            return self.holding.refuse_task();
        }
        let task = Arc::new(task);
        self.holding.use_task(task.clone());
        self.push(Output::UseTask(task));
    }

    /// Fetches the plan's task unless it is the current one.
    pub(super) fn use_task(&mut self, now: Instant) {
        let Some(wanted) = self.planner.plan().map(|plan| plan.task) else { return };
        let known = self.state.task.as_ref().map(|cached| cached.digest);
        if known == Some(wanted.digest) && self.holding.knows_task() {
            return self.check_plan();
        }
        if !self.has_memory_for_task(&wanted) {
            // What it could do for an older task is of no use to this plan.
            self.holding.drop_task();
            self.survey = None;
            return;
        }
        if matches!(&self.phase, Phase::Waiting) {
            let download = Download::new(wanted, now, &mut self.rng);
            self.enter(Phase::FetchingTask(download));
            self.request_chunks();
        }
    }

    /// Says so once when the plan contradicts its task: nothing that it asks for is done then.
    fn check_plan(&mut self) {
        let odd = |plan| self.holding.task().is_some() && !self.holding.fits(plan);
        let is_odd = self.planner.plan().is_some_and(odd);
        if self.planner.note_odd(is_odd) {
            error!(
                "{}: the plan names another layout than its task has: no work is done for it",
                self.settings.device
            );
        }
    }

    /// Answers a go: fetches the base version, or sends the update that a restart left over.
    pub(super) fn begin(&mut self, now: Instant, item: Item, deadline: Instant) {
        let kept = self.finished(&item).map(|kept| kept.object.clone());
        if let Some(object) = kept {
            return self.send(now, item.work, deadline, object);
        }
        if !item.needs_model() {
            return self.start_job(item, deadline);
        }
        let version = item.base_version;
        self.fetch_model(now, Some(item), version, deadline, false);
    }

    /// The finished update for `item`, where there is one.
    pub(super) fn finished(&self, item: &Item) -> Option<&Pending> {
        let pending = self.state.pending.as_ref()?;
        let same = pending.work == item.work && pending.base_version == item.base_version;
        same.then_some(pending)
    }

    /// Fetches what the device lacks of a version, from an anchor if it must be. `item`: the work
    /// that starts from it.
    pub(super) fn fetch_model(
        &mut self,
        now: Instant,
        item: Option<Item>,
        version: ModelVersion,
        deadline: Instant,
        from_anchor: bool,
    ) {
        let (Some(plan), Some(_)) = (self.planner.plan(), self.holding.task()) else { return };
        let held = self.holding.version_of(plan).filter(|_| !from_anchor);
        match route(plan, held, version) {
            Some(remaining) => {
                let (lineage, from_anchor) = (plan.lineage, from_anchor || held.is_none());
                self.follow(
                    now,
                    item,
                    deadline,
                    FetchPath { lineage, version, remaining, from_anchor },
                );
            }
            None => self.abandon(Some(GiveUp::Base), "its base version is no longer offered"),
        }
    }

    /// Fetches the next object of the path; at its end, starts the job if there is one.
    fn follow(&mut self, now: Instant, item: Option<Item>, deadline: Instant, mut path: FetchPath) {
        let Some(reference) = path.remaining.pop_front() else {
            return match item {
                Some(item) => self.start_job(item, deadline),
                None => self.enter(Phase::Waiting),
            };
        };
        if !self.has_memory_for_model(&reference) {
            return self
                .abandon(Some(GiveUp::Memory), "there is no memory to fetch its base version");
        }
        let download = Download::new(reference, now, &mut self.rng);
        self.enter(Phase::FetchingModel { item, deadline, download, path });
        self.request_chunks();
    }

    fn download(&mut self) -> Option<&mut Download> {
        match &mut self.phase {
            Phase::FetchingTask(download) | Phase::FetchingModel { download, .. } => Some(download),
            Phase::Waiting
            | Phase::Claiming { .. }
            | Phase::Training { .. }
            | Phase::Sending { .. } => None,
        }
    }

    pub(super) fn object_topic(&self, reference: &ObjectRef, index: u16) -> Topic {
        let federation = self.settings.federation.clone();
        Topic::Object(federation, reference.digest.short(), index)
    }

    pub(super) fn request_chunks(&mut self) {
        if self.spares_link() {
            return;
        }
        let now = self.now;
        let Some(download) = self.download().filter(|download| !download.rests(now)) else {
            return;
        };
        let (reference, open) = (download.reference, download.requested());
        let room = FETCH_TOPICS.saturating_sub(open);
        let most =
            (0..room).take_while(|more| self.affords_chunk(reference.chunk_len(), open + more));
        let most = most.count();
        let Some(download) = self.download() else { return };
        let indices = download.next_requests(most);
        for index in indices {
            let topic = self.object_topic(&reference, index);
            self.subscribe(topic);
        }
    }

    /// Asks again for everything that has not come: a new subscription brings retained chunks.
    pub(super) fn restart_download(&mut self) {
        self.abandon_download();
        self.request_chunks();
    }

    /// Unsubscribes from the chunks that have not come.
    pub(super) fn abandon_download(&mut self) {
        let Some(download) = self.download() else { return };
        let (reference, indices) = (download.reference, download.forget_requests());
        for index in indices {
            let topic = self.object_topic(&reference, index);
            self.push(Output::Unsubscribe(topic.into()));
        }
    }

    pub(super) fn on_object_chunk(
        &mut self,
        now: Instant,
        object: ShortDigest,
        payload: &[u8],
    ) -> Result<(), WireError> {
        let mut rng = self.rng.clone();
        let Some(download) = self.download() else { return Ok(()) };
        // An empty message clears a retained chunk: the object is being retired.
        if download.reference.digest.short() != object || payload.is_empty() {
            return Ok(());
        }
        let chunk = Chunk::decode(payload)?;
        if chunk.object != object || !download.take(&chunk, now, &mut rng) {
            return Ok(());
        }
        let reference = download.reference;
        let object = download.is_complete().then(|| download.finish(now, &mut rng));
        let spoiled = download.spoiled();
        self.rng = rng;
        let topic = self.object_topic(&reference, chunk.index);
        self.push(Output::Unsubscribe(topic.into()));
        self.ask_for_lost(&reference);
        match object {
            Some(Ok(bytes)) => self.on_object(now, &reference, bytes),
            Some(Err(error)) => {
                // A task is asked for again as long as the plan names it, ever more seldom.
                if spoiled >= SPOILED_MAX {
                    self.give_up_version(now);
                }
                Err(error)
            }
            None => {
                self.request_chunks();
                Ok(())
            }
        }
    }

    /// An object of the version being fetched came spoiled each time: takes an anchor, or if that was
    /// it, gives up what the version is for.
    fn give_up_version(&mut self, now: Instant) {
        let Phase::FetchingModel { item, deadline, path, .. } = &self.phase else { return };
        let (item, version, deadline) = (item.clone(), path.version, *deadline);
        if !path.from_anchor {
            self.abandon_download();
            return self.fetch_model(now, item, version, deadline, true);
        }
        if item.is_none() {
            self.fetch_later(now);
        }
        self.abandon(Some(GiveUp::Base), "its base version came spoiled each time");
    }

    fn on_object(
        &mut self,
        now: Instant,
        reference: &ObjectRef,
        bytes: alloc::vec::Vec<u8>,
    ) -> Result<(), WireError> {
        if matches!(self.phase, Phase::FetchingTask(_)) {
            self.enter(Phase::Waiting);
            let task = Task::decode(&bytes)?;
            self.state.task = Some(CachedTask { digest: reference.digest, object: bytes });
            self.adopt_task(task);
            if self.inference.is_some() {
                // A device that classifies needs its task after a restart, also if it never trains.
                self.save();
            }
            self.use_task(now);
            return Ok(());
        }
        let Phase::FetchingModel { item, deadline, path, .. } = &mut self.phase else {
            return Ok(());
        };
        let (item, deadline) = (item.clone(), *deadline);
        let remaining = core::mem::take(&mut path.remaining);
        let FetchPath { lineage, version: wanted, from_anchor, .. } = *path;
        match self.holding.take_object(lineage, &bytes) {
            Ok(version) if !remaining.is_empty() || version == wanted => {
                let path = FetchPath { lineage, version: wanted, remaining, from_anchor };
                self.follow(now, item, deadline, path);
            }
            Err(error) if !from_anchor => {
                warn!("{}: takes an anchor: {error}", self.settings.device);
                self.fetch_model(now, item, wanted, deadline, true);
            }
            Ok(_) | Err(_) => {
                error!(
                    "{}: version {wanted} does not fit the plan's task: the aggregator serves mixed tasks",
                    self.settings.device
                );
                self.holding.take_model();
                self.abandon(Some(GiveUp::Misfit), "its model does not fit the task");
            }
        }
        Ok(())
    }

    fn start_job(&mut self, item: Item, deadline: Instant) {
        let Some(task) = self.holding.task() else { return };
        let model = match (self.holding.model(), item.needs_model()) {
            (Some(held), true) => held.params.clone(),
            (_, false) => Arc::default(),
            (None, true) => return,
        };
        let spec = match &item.asked {
            Work::Train(work) => JobSpec::Train(work.training.clone()),
            Work::Evaluate => JobSpec::Evaluate,
            Work::Sums(work) => JobSpec::Sums(work.clone()),
            Work::Unknown(_) => return,
        };
        let local = self.local_layers(task);
        let job = Job {
            work: item.work,
            task: task.clone(),
            spec,
            model,
            local: local.map(|local| local.params.clone()),
            seed: self.work_seed(item.work, 1),
        };
        self.push(Output::Start(job.into()));
        self.enter(Phase::Training { item, deadline });
    }
}
