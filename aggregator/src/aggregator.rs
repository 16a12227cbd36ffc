//! The aggregator's core: a table of open rounds, driven by inputs and the time they came.
//!
//! Nothing here reads a clock, a file, a socket or a global generator. The caller performs outputs
//! in order and calls [`Aggregator::handle`] with [`Input::Tick`] at [`Aggregator::next_deadline`].

mod announce;
mod claims;
mod queries;
mod rounds;
mod start;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use dunlin_protocol::id::{DeviceId, ShortDigest};
use dunlin_protocol::limits::OBJECT_BYTES_MAX;
use dunlin_protocol::object::ObjectRef;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Held, Presence};
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_protocol::work::WorkKind;

use crate::admit;
use crate::intake::Intake;
use crate::io::{Input, Output, RoundEvent};
use crate::library::{Library, Object, Volume};
use crate::query::Queries;
use crate::roster::{Change, Roster};
use crate::round::{Progress, Round, RoundKey};
use crate::settings::{Problem, Settings};
use crate::snapshot::{ClosedRound, Head, Record, Save, Snapshot};
use crate::summary::{Counters, Failure};
pub use start::{Initial, Start, StartError, check_word};
use start::{bring_up, check_params, fresh, old_task};

/// Accepted updates that share one write to the disk at the most.
const COMMIT_UPDATES_MAX: usize = 64;

/// Seconds from 1970 to 2100.
const YEAR_2100: u32 = 4_102_444_800;

/// Check-ins that a sleeping device may miss before it no longer counts.
const SLEEPS_MISSED: u64 = 3;

/// Whether the broker can hear us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Down,
    /// Rounds may open from `settled` on, when presence messages have come in.
    Up {
        settled: Instant,
    },
}

/// Accepted updates whose verdicts wait for the next write to the disk.
#[derive(Clone, Debug, Default)]
struct Unwritten {
    updates: Vec<(RoundKey, DeviceId, ShortDigest, u32)>,
    /// When to write; set as soon as something changed.
    due: Option<Instant>,
}

/// The broker side of one federation.
#[derive(Clone, Debug)]
pub struct Aggregator {
    settings: Settings,
    topics: Topics,
    task: Task,
    task_object: Object,
    update_ranges: Vec<Range<usize>>,
    head: Head,
    library: Library,
    /// The current version before it was written for devices, `[n_model]`.
    exact: Vec<f32>,
    momentum: Vec<f32>,
    rounds: BTreeMap<RoundKey, Round>,
    closed: BTreeMap<WorkKind, ClosedRound>,
    /// Retired objects whose chunks are still to be removed from the broker.
    unremoved: Vec<ObjectRef>,
    shards: BTreeSet<u16>,
    roster: Roster,
    intake: Intake,
    unwritten: Unwritten,
    queries: Queries,
    connection: Connection,
    next_open: Instant,
    plan_stale: bool,
    /// Different plans published since the start, and the last of them.
    plans: u32,
    last_plan: Option<Plan>,
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
        let unusable =
            |text: String| StartError::Settings(vec![Problem { key: "task".into(), text }]);
        let task = Task::new(settings.task.clone());
        let task = task.map_err(|error| unusable(error.to_string()))?;
        let object = task.encode().and_then(|bytes| Object::new(bytes, settings.chunk_bytes));
        let task_object = object.map_err(|error| unusable(error.to_string()))?;
        let snapshot = match start {
            Start::Restored(snapshot) => *snapshot,
            Start::Fresh { lineage, initial } => fresh(lineage, &task, initial, settings.downlink)?,
        };
        snapshot.check_task(&task)?;
        let mut this = Self {
            topics: Topics::new(settings.topics_root.clone()),
            update_ranges: task.layout().update_ranges(),
            task,
            task_object,
            head: snapshot.head.clone(),
            library: Library::new(),
            exact: Vec::new(),
            momentum: Vec::new(),
            rounds: BTreeMap::new(),
            closed: snapshot.closed.clone(),
            unremoved: Vec::new(),
            shards: settings.served_shards(),
            roster: Roster::default(),
            intake: Intake::new(settings.assembly_bytes_max),
            unwritten: Unwritten::default(),
            queries: Queries::restored(snapshot.answers.clone()),
            connection: Connection::Down,
            next_open: now,
            plan_stale: false,
            plans: 0,
            last_plan: None,
            stopped: false,
            finished: false,
            now,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            settings,
        };
        this.restore(snapshot, now, unix_s)?;
        Ok(this)
    }

    fn restore(&mut self, snapshot: Snapshot, now: Instant, unix_s: u64) -> Result<(), StartError> {
        let adopted = snapshot.adopted;
        let mut records = vec![Record::Task(self.task.spec().clone())];
        let (n_model, n_update) = (self.task.layout().n_model(), self.task.layout().n_update());
        for (version, mut record) in snapshot.models {
            check_params(&record.params, n_model)?;
            if version == self.head.version {
                if !record.momentum.is_empty() && record.momentum.len() != n_update {
                    return Err(StartError::Inconsistent("the momentum has another length"));
                }
                self.exact = record.params.clone();
                self.momentum = record.momentum.clone();
            }
            let old = bring_up(&mut record.written, self.settings.chunk_bytes)?;
            if !old.is_empty() || self.head.boot == 0 {
                records.push(Record::Model(record.clone()));
            }
            if !old.is_empty() {
                let task = old_task(&self.task, self.settings.chunk_bytes);
                self.head.retired.extend(old.into_iter().chain(task.ok()));
            }
            let given = record.given().to_vec();
            let volume = Volume::restore(given, record.written, self.settings.chunk_bytes);
            let volume = volume.map_err(|_| StartError::Inconsistent("a model is too large"))?;
            self.library.insert(version, volume);
        }
        if !self.library.contains_key(&self.head.version) {
            return Err(StartError::Inconsistent("the current model is missing"));
        }
        let mut sums = snapshot.sums;
        for (key, record) in snapshot.rounds {
            let Some(sums) = sums.remove(&key) else {
                return Err(StartError::Inconsistent("an open round has no sum"));
            };
            if !sums.suits(&record.job, &self.task) || !self.library.contains_key(&record.base) {
                return Err(StartError::Inconsistent("an open round belongs to another model"));
            }
            let wait = self.settings.claim_wait_ms;
            self.rounds.insert(key, Round::restore(record, sums, now, wait));
        }
        self.head.boot = self.head.boot.saturating_add(1);
        // A clock that is centuries off would leave no number above its own.
        let unix_s = u32::try_from(unix_s).ok().filter(|unix_s| *unix_s < YEAR_2100);
        self.head.plan_epoch = self.head.plan_epoch.saturating_add(1).max(unix_s.unwrap_or(0));
        records.insert(0, Record::Head(self.head.clone()));
        self.save(records);
        self.event(RoundEvent::Started {
            lineage: self.head.lineage,
            boot: self.head.boot,
            version: self.head.version,
            resumed: self.rounds.len(),
        });
        if adopted {
            // What was added up had another meaning.
            self.end_without_result(now, Failure::Superseded, |_| true);
        }
        self.advance(now);
        Ok(())
    }

    /// Takes one thing that happened at `now`. Never blocks; messages from peers never fail it.
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
            Input::Import(params) => self.import(now, params),
            Input::Ask(queries) => self.ask(now, queries),
            Input::Stop => {
                self.commit(now);
                self.say_goodbye();
                self.stopped = true;
                return;
            }
        }
        self.advance(now);
        if self.plan_stale {
            self.publish_plan(now);
        }
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
        let rounds = self.rounds.values().flat_map(|r| [r.deadline, r.claims_until]);
        let opening = match self.connection {
            Connection::Up { settled } if self.may_train() => Some(self.next_open.max(settled)),
            Connection::Up { settled } => Some(settled),
            Connection::Down => None,
        };
        let later = |at: &Instant| *at > self.now;
        let queries = self.queries.deadline();
        rounds.chain(opening).chain(queries).filter(later).chain(self.unwritten.due).min()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is stored in every snapshot: lineage, version, start number.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The global model as devices have it, `[n_model]`.
    pub fn params(&self) -> &[f32] {
        self.library.get(&self.head.version).map_or(&[], |volume| &volume.given)
    }

    /// The task that is learned.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The open rounds.
    pub fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.rounds.values()
    }

    /// Enrolled devices that are online.
    pub fn online(&self) -> u32 {
        self.roster.online()
    }

    /// Enrolled devices, online or asleep, that take no work now, by their reason.
    pub fn held(&self) -> &BTreeMap<Held, u32> {
        self.roster.held()
    }

    /// Whether all rounds that were asked for are done, final evaluation included.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The message that the broker publishes, retained, when this process is gone.
    pub fn last_will(&self) -> (Topic, Vec<u8>) {
        let state = dunlin_protocol::presence::State::Lost;
        let presence = Presence::new(state, self.head.boot);
        let topic = Topic::ServerState(self.settings.instance.clone());
        (topic, presence.encode().into_bytes())
    }

    fn message(&mut self, now: Instant, topic: Topic, payload: &[u8]) {
        let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        self.counters.bytes_in = self.counters.bytes_in.saturating_add(bytes);
        match topic {
            Topic::DeviceState(device) => self.presence(now, &device, payload),
            Topic::Up(device, federation, shard)
                if federation == self.settings.federation && self.shards.contains(&shard) =>
            {
                self.up(now, device, payload);
            }
            Topic::Up(..)
            | Topic::Out(..)
            | Topic::Down(..)
            | Topic::Plan(_)
            | Topic::Object(..)
            | Topic::ServerState(_) => self.counters.unreadable += 1,
        }
    }

    fn presence(&mut self, now: Instant, device: &DeviceId, payload: &[u8]) {
        if !self.settings.enrolled.admits(device) {
            return;
        }
        let presence = match payload {
            [] => None,
            bytes => match Presence::decode(bytes) {
                Some(presence) => Some(presence),
                None => return self.counters.unreadable += 1,
            },
        };
        let asleep_until = now.after(SLEEPS_MISSED * self.check_in(now));
        match self.roster.take(device, presence, asleep_until) {
            Change::Left => {
                let working = |round: &Round| round.progress(device) == Some(Progress::Granted);
                for round in self.rounds.values_mut().filter(|round| working(round)) {
                    round.note(device, Progress::Gone);
                }
            }
            Change::Came | Change::None => {}
        }
    }

    /// Longest update object that a device may send now in bytes.
    fn object_bytes_max(&self) -> usize {
        let vectors = self.rounds.values().map(|round| round.job.vector(&self.task));
        let open = vectors.map(|vector| admit::payload_bytes_max(&vector));
        // An update may come late, after its round.
        let update = self.settings.codec.payload_bytes_max(self.task.layout().n_update());
        let payload = open.fold(update, usize::max);
        (admit::HEADER_BYTES_MAX + payload).min(OBJECT_BYTES_MAX as usize)
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

    /// Notes that something is to be written with the next group.
    fn write_soon(&mut self, now: Instant) {
        let due = now.after(self.settings.commit_interval_ms);
        self.unwritten.due.get_or_insert(due);
    }

    /// Writes what changed in the open rounds, then tells the devices whose updates it holds.
    fn commit(&mut self, now: Instant) {
        self.unwritten.due = None;
        let mut records = Vec::new();
        for round in self.rounds.values_mut().filter(|round| round.unsaved) {
            round.unsaved = false;
            records.push(Record::Round(round.record(now)));
        }
        let mut changed: Vec<RoundKey> = self.unwritten.updates.iter().map(|u| u.0).collect();
        changed.sort_unstable();
        changed.dedup();
        for key in changed {
            if let Some(sums) = self.rounds.get(&key).and_then(Round::sums) {
                records.push(Record::Sums(key, sums.clone()));
            }
        }
        if !records.is_empty() {
            self.save(records);
        }
        for (key, device, object, accepted) in std::mem::take(&mut self.unwritten.updates) {
            self.accept_verdict(&device, key, object);
            self.event(RoundEvent::UpdateAccepted { key, device, accepted });
        }
    }

    /// Whether a training round is wanted, time and devices apart.
    fn may_train(&self) -> bool {
        let rounds = self.settings.rounds;
        let wanted = rounds == 0 || self.head.published < rounds;
        wanted
            && !self.settings.paused
            && !self.rounds.keys().any(|key| key.kind == WorkKind::Train)
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
        self.roster.expire(now);
        let due = self.unwritten.due.is_some_and(|due| now >= due);
        if due || self.unwritten.updates.len() >= COMMIT_UPDATES_MAX {
            self.commit(now);
        }
        // Each pass closes one round; a round that closes may open an evaluation.
        while let Some((key, ending)) = self.next_ending(now) {
            self.close(now, key, ending);
        }
        self.raise_fractions(now);
        self.open_queries(now);
        self.open_training(now);
        if self.rounds.is_empty() {
            self.intake.clear();
            if !self.finished && !self.may_train() && !self.settings.paused {
                self.finished = true;
                self.event(RoundEvent::Finished { version: self.head.version });
            }
        }
    }
}
