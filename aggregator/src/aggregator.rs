//! The aggregator's core: a table of open rounds, driven by inputs and the time they came.
//!
//! Nothing here reads a clock, a file, a socket or a global generator. The caller performs outputs
//! in order and calls [`Aggregator::handle`] with [`Input::Tick`] at [`Aggregator::next_deadline`].

mod announce;
mod chunk_size;
mod claims;
mod closing;
mod messages;
mod own;
mod plan_board;
mod queries;
mod rounds;
mod start;
#[cfg(test)]
mod tests;
mod uploads;
mod waits;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

use dunlin_protocol::id::{DeviceId, Lineage};
use dunlin_protocol::presence::{Ineligible, Lack, Presence, Word};
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_protocol::work::WorkKind;

use self::plan_board::PlanBoard;
use crate::control::Command;
use crate::device_registry::DeviceRegistry;
use crate::io::{Input, Output, RoundEvent};
use crate::model_store::{ModelStore, Object};
use crate::query::Queries;
use crate::round::{Round, RoundTable, Unwritten};
use crate::settings::Settings;
use crate::snapshot::{Head, Record, Save, Snapshot};
use crate::summary::{Counters, Failure};
use crate::upload_assembly::UploadAssembly;
use start::fresh;
pub use start::{Initial, Start, StartError, check_task, check_word};

/// Seconds from 1970 to 2100.
const YEAR_2100: u32 = 4_102_444_800;

/// Whether the broker can hear us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Down,
    /// Rounds may open from `settled` on, when presence messages have come in.
    Up {
        settled: Instant,
    },
}

/// The broker side of one federation: it routes what happens to the parts that own the state.
#[derive(Clone, Debug)]
pub struct Aggregator {
    settings: Settings,
    topics: Topics,
    task: Task,
    task_object: Object,
    shards: BTreeSet<u16>,
    lineage: Lineage,
    boot: u32,
    /// Versions made by training.
    published: u32,
    /// When the next training round may open.
    next_open: Instant,
    models: ModelStore,
    rounds: RoundTable,
    registry: DeviceRegistry,
    uploads: UploadAssembly,
    queries: Queries,
    plans: PlanBoard,
    own: own::OwnWords,
    told: waits::Told,
    /// Rounds in a row that all devices gave up.
    given_up: u32,
    connection: Connection,
    stopped: bool,
    finished: bool,
    now: Instant,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Aggregator {
    /// An aggregator that begins or continues a history. Its first output saves the start.
    ///
    /// `unix_s`: seconds since 1970 by the machine's clock, 0 where it has none. With it plans rise
    /// also over a store that was put back from a copy.
    ///
    /// # Errors
    /// [`StartError`] says what does not fit and what to do.
    pub fn new(
        settings: Settings,
        start: Start,
        now: Instant,
        unix_s: u64,
    ) -> Result<Self, StartError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(StartError::Settings(problems));
        }
        let task = Task::new(settings.task.clone()).map_err(StartError::unusable)?;
        let object = task.encode().and_then(|bytes| Object::new(bytes, settings.chunk_bytes));
        let task_object = object.map_err(StartError::unusable)?;
        let snapshot = match start {
            Start::Restored(snapshot) => *snapshot,
            Start::Fresh { lineage, initial } => fresh(lineage, &task, initial, settings.downlink)?,
        };
        snapshot.check_task(&task)?;
        Self::restore(settings, task, task_object, snapshot, now, unix_s)
    }

    fn restore(
        settings: Settings,
        task: Task,
        task_object: Object,
        snapshot: Snapshot,
        now: Instant,
        unix_s: u64,
    ) -> Result<Self, StartError> {
        let Snapshot { head, models, mut rounds, mut devices, mut sums, closed, .. } = snapshot;
        let mut records = vec![Record::Task(task.spec().clone())];
        let (models, rewritten) = ModelStore::restore(&settings, &task, &head, models)?;
        records.extend(rewritten);
        let mut table = RoundTable::new(head.next_round, closed, settings.commit_interval_ms);
        while let Some((key, record)) = rounds.pop_first() {
            let Some(sums) = sums.remove(&key) else {
                return Err(StartError::Inconsistent("an open round has no sum"));
            };
            if !sums.suits(&record.job, &task) || !models.contains(record.base) {
                return Err(StartError::Inconsistent("an open round belongs to another model"));
            }
            let devices = devices.remove(&key).unwrap_or_default();
            table.resume(Round::restore(record, devices, sums, now, settings.claim_wait_ms));
        }
        // A clock that is centuries off would leave no number above its own.
        let unix_s = u32::try_from(unix_s).ok().filter(|unix_s| *unix_s < YEAR_2100);
        let epoch = head.plan_epoch.saturating_add(1).max(unix_s.unwrap_or(0));
        let mut this = Self {
            topics: Topics::new(settings.topics_root.clone()),
            task,
            task_object,
            shards: settings.served_shards(),
            lineage: head.lineage,
            boot: head.boot.saturating_add(1),
            published: head.published,
            next_open: now,
            models,
            rounds: table,
            registry: DeviceRegistry::default(),
            uploads: UploadAssembly::new(settings.assembly_bytes_max),
            queries: Queries::restored(snapshot.answers),
            plans: PlanBoard::new(epoch),
            own: own::OwnWords::default(),
            told: waits::Told::default(),
            given_up: 0,
            connection: Connection::Down,
            stopped: false,
            finished: false,
            now,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            settings,
        };
        this.begin(now, records, snapshot.adopted);
        Ok(this)
    }

    /// Saves the start, and does what time alone asks for.
    fn begin(&mut self, now: Instant, mut records: Vec<Record>, adopted: bool) {
        records.insert(0, Record::Head(self.head()));
        self.save(records);
        self.event(RoundEvent::Started {
            lineage: self.lineage,
            boot: self.boot,
            version: self.models.newest(),
            resumed: self.rounds.len(),
        });
        if adopted {
            // What was added up had another meaning.
            self.end_without_result(now, Failure::Superseded, |_| true);
        }
        self.advance(now);
    }

    /// Takes one thing that happened at `now`, in milliseconds of a clock that never goes back; an
    /// earlier time counts as that of the input before. Never blocks; messages from peers never fail
    /// it. What is to be done is taken with [`Self::poll_output`] before the next input.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        let now = self.now;
        if self.stopped {
            return;
        }
        self.advance(now);
        match input {
            Input::Tick => {}
            Input::Connected => self.connected(now),
            Input::Disconnected => self.connection = Connection::Down,
            Input::Message { topic, payload } => self.message(now, topic, payload),
            Input::Oversize { bytes } => self.shrink_chunks(now, bytes),
            Input::Command(Command::Import(params)) => self.import(now, params),
            Input::Command(Command::Ask(queries)) => self.ask(now, queries),
            Input::Command(Command::Stop) => {
                self.commit(now);
                self.say_goodbye();
                self.stopped = true;
                return;
            }
        }
        self.advance(now);
        if self.plans.is_stale() {
            self.publish_plan(now);
        }
        self.check_own(now);
        self.tell_waiting(now);
    }

    /// The next thing to do; `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due at the latest; `None` while only messages can change anything.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let rounds = self.rounds.iter().flat_map(|r| [r.deadline(), r.claims_until()]);
        let opening = match self.connection {
            Connection::Up { settled } if self.may_train() => Some(self.next_open.max(settled)),
            Connection::Up { settled } => Some(settled),
            Connection::Down => None,
        };
        let alone = self.rounds.iter().filter_map(Round::ends_alone);
        let later = |at: &Instant| *at > self.now;
        let others = [self.queries.deadline(), self.registry.due(), self.own_due()];
        let others = others.into_iter().flatten();
        rounds
            .chain(alone)
            .chain(opening)
            .chain(others)
            .filter(later)
            .chain(self.rounds.due())
            .min()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is stored in every snapshot: lineage, version, start number.
    pub fn head(&self) -> Head {
        Head {
            lineage: self.lineage,
            layout: self.task.layout().hash(),
            boot: self.boot,
            version: self.models.newest(),
            published: self.published,
            next_round: self.rounds.next(),
            retired: self.models.retired().to_vec(),
            plan_epoch: self.plans.epoch(),
        }
    }

    /// The global model as devices have it, `[n_model]`.
    pub fn params(&self) -> &[f32] {
        self.models.params()
    }

    /// The task that is learned.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The rounds that are open, by rising number.
    pub fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter()
    }

    /// Enrolled devices that are online.
    pub fn online(&self) -> u32 {
        self.registry.online()
    }

    /// Enrolled devices, online or asleep, that take no work now, by their reason.
    pub fn held(&self) -> &BTreeMap<Ineligible, u32> {
        self.registry.held()
    }

    /// Enrolled devices, online or asleep, that cannot do work of a kind with what they have, by kind
    /// and by what they lack.
    pub fn unable(&self) -> &BTreeMap<(WorkKind, Lack), u32> {
        self.registry.unable()
    }

    /// Enrolled devices that are online and lack data, by their word for what they lack.
    pub fn data_trouble(&self) -> &BTreeMap<Word, u32> {
        self.registry.data_trouble()
    }

    /// Enrolled devices that are online and have answered none of the last invitations: they count
    /// again as soon as they say something.
    pub fn silent(&self) -> u32 {
        self.registry.silent()
    }

    /// Whether all rounds that were asked for are done, final evaluation included.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The message that the broker publishes, retained, when the next connection is lost: each has a
    /// last will of its own, which is to be set before it is made.
    pub fn last_will(&self) -> (Topic, Vec<u8>) {
        let state = dunlin_protocol::presence::State::Lost;
        let presence = Presence::new(state, self.boot).on(self.next_connection());
        (self.own_state(), presence.encode().into_bytes())
    }

    fn save(&mut self, records: Vec<Record>) {
        self.outputs.push_back(Output::Save(Box::new(Save { records })));
    }

    fn event(&mut self, event: RoundEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn publish(&mut self, topic: Topic, payload: Vec<u8>, retain: bool) {
        let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        self.counters.bytes_out = self.counters.bytes_out.saturating_add(bytes);
        self.outputs.push_back(Output::Publish { topic, payload, retain });
    }

    /// Writes what changed if an update of `device` waits for that: nothing may be said of it before.
    fn commit_for(&mut self, now: Instant, device: &DeviceId) {
        if self.rounds.awaits_write(device) {
            self.commit(now);
        }
    }

    /// Writes what changed in the open rounds, then tells the devices whose updates it holds.
    fn commit(&mut self, now: Instant) {
        let (records, updates) = self.rounds.commit(now);
        if !records.is_empty() {
            self.save(records);
        }
        for Unwritten { key, device, object, accepted } in updates {
            self.accept_verdict(&device, key, object);
            self.event(RoundEvent::UpdateAccepted { key, device, accepted });
        }
    }

    /// Whether a training round is wanted, time and devices apart.
    fn may_train(&self) -> bool {
        let rounds = self.settings.rounds;
        let wanted = rounds == 0 || self.published < rounds;
        wanted && !self.settings.paused && self.rounds.count(WorkKind::Train) == 0
    }

    /// Whether the devices online are known: connected for long enough to have heard of them.
    fn is_settled(&self, now: Instant) -> bool {
        match self.connection {
            Connection::Up { settled } => now >= settled,
            Connection::Down => false,
        }
    }

    /// Does everything that the time alone asks for.
    fn advance(&mut self, now: Instant) {
        for device in self.registry.expire(now) {
            self.rounds.left(&device);
        }
        if self.rounds.is_due(now) {
            self.commit(now);
        }
        self.end_where_nobody_is_left(now);
        // Each pass closes one round; a round that closes may open an evaluation.
        while let Some((key, ending)) = self.rounds.next_ending(now, self.settings.paused) {
            self.close(now, key, ending);
        }
        self.raise_fractions(now);
        self.open_queries(now);
        self.open_training(now);
        if self.rounds.is_empty() {
            self.uploads.clear();
            if !self.finished && !self.may_train() && !self.settings.paused {
                self.finished = true;
                self.event(RoundEvent::Finished { version: self.models.newest() });
            }
        }
    }
}
