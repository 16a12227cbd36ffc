//! Scripted devices, a broker that keeps retained messages and a store in memory.

use std::collections::BTreeMap;

use dunlin_link::testing::Draft;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::id::{DeviceId, ShortDigest};
use dunlin_protocol::message::{Ack, Answer, Claim, Go, Outcome, Refusal, Verdict, WorkRef};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::plan::{Plan, WorkItem};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::report::ReportHeader;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic};
use dunlin_protocol::wire;
use dunlin_protocol::work::{Score, TrainFigures, Work, WorkKind};

use crate::aggregator::{Aggregator, Initial, Start};
use crate::io::{Input, Output, RoundEvent};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::store::Store;

pub(super) use crate::example::{LINEAGE, name, settings, task};

/// When every process starts, by its own clock.
pub(super) const NOW: Instant = Instant(0);

/// Where the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// With the save done and nothing behind it.
    After(usize),
    /// With everything before the save done.
    Before(usize),
}

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) core: Aggregator,
    pub(super) now: Instant,
    pub(super) stored: Option<Snapshot>,
    /// A real store that is written too.
    pub(super) disk: Option<Store>,
    pub(super) saves: usize,
    pub(super) crash: Option<Crash>,
    pub(super) crashed: bool,
    pub(super) retained: BTreeMap<String, Vec<u8>>,
    pub(super) told: Vec<(DeviceId, Told)>,
    pub(super) events: Vec<RoundEvent>,
}

/// What a device was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Go(Go),
    Ack(Ack),
    Verdict(Verdict),
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let start = Start::Fresh { lineage: LINEAGE, initial: Initial::Seed(1) };
        Self::starting(settings, start, None)
    }

    pub(super) fn starting(settings: Settings, start: Start, crash: Option<Crash>) -> Self {
        Self::starting_on(settings, start, crash, None)
    }

    pub(super) fn starting_on(
        settings: Settings,
        start: Start,
        crash: Option<Crash>,
        disk: Option<Store>,
    ) -> Self {
        let now = Instant(0);
        let stored = match &start {
            Start::Restored(snapshot) => Some(Snapshot::clone(snapshot)),
            Start::Fresh { .. } => None,
        };
        let core = Aggregator::new(settings.clone(), start, now, 0).unwrap();
        let retained = BTreeMap::new();
        let (told, events) = (Vec::new(), Vec::new());
        #[rustfmt::skip]
        let mut world = Self {
            settings, core, now, stored, disk, saves: 0, crash, crashed: false, retained, told,
            events,
        };
        world.perform();
        world
    }

    /// A new process on the same disk and the same broker.
    pub(super) fn restart(&mut self) {
        let snapshot = self.stored.clone().unwrap();
        let start = Start::Restored(Box::new(snapshot));
        self.now = Instant(0);
        self.core = Aggregator::new(self.settings.clone(), start, self.now, 0).unwrap();
        (self.crash, self.crashed) = (None, false);
        self.perform();
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        if !self.crashed {
            self.core.handle(self.now, input);
            self.perform();
        }
    }

    fn perform(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Save(save) => {
                    self.saves += 1;
                    if self.crash == Some(Crash::Before(self.saves)) {
                        return self.crashed = true;
                    }
                    self.stored = Snapshot::after(self.stored.take(), &save);
                    self.disk.iter().for_each(|disk| disk.save(&save).unwrap());
                    if self.crash == Some(Crash::After(self.saves)) {
                        return self.crashed = true;
                    }
                }
                Output::Publish { topic, payload, retain } => self.hear(topic, payload, retain),
                Output::Event(event) => self.events.push(event),
                Output::Subscribe(_) => {}
            }
        }
    }

    fn hear(&mut self, topic: Topic, payload: Vec<u8>, retain: bool) {
        if retain && payload.is_empty() {
            self.retained.remove(&topic.to_string());
        } else if retain {
            self.retained.insert(topic.to_string(), payload.clone());
        }
        let Topic::Down(device, down) = topic else { return };
        let told = match down {
            Down::Go => Told::Go(wire::decode(&payload).unwrap()),
            Down::Ack => Told::Ack(wire::decode(&payload).unwrap()),
            Down::Verdict => Told::Verdict(wire::decode(&payload).unwrap()),
        };
        self.told.push((device, told));
    }

    /// Lets time pass, with a tick at each deadline.
    pub(super) fn wait(&mut self, span_ms: u64) {
        let end = self.now.after(span_ms);
        for _ in 0..10_000 {
            let next = self.core.next_deadline().filter(|at| *at <= end && !self.crashed);
            let Some(next) = next else {
                self.now = end;
                return self.input(Input::Tick);
            };
            self.now = self.now.max(next);
            self.input(Input::Tick);
        }
        panic!("deadlines that never end");
    }

    pub(super) fn connect(&mut self) {
        self.input(Input::Connected);
    }

    pub(super) fn presence(&mut self, device: &str, state: State, boot: u32) {
        self.says(device, &Presence::new(state, boot));
    }

    pub(super) fn says(&mut self, device: &str, presence: &Presence) {
        let payload = presence.encode();
        let topic = Topic::DeviceState(name(device));
        self.input(Input::Message { topic, payload: payload.as_bytes() });
    }

    /// Connects and brings devices online; the first round opens.
    pub(super) fn begin(&mut self, devices: &[&str]) {
        self.connect();
        devices.iter().for_each(|device| self.presence(device, State::Online, 1));
        self.wait(self.settings.settle_ms);
    }

    pub(super) fn up(&mut self, device: &str, payload: &[u8]) {
        let topic = Topic::Up(name(device), self.settings.federation.clone(), 0);
        self.input(Input::Message { topic, payload });
    }

    pub(super) fn plan(&self) -> Plan {
        wire::decode(&self.retained["v1/fed/gait/plan"]).unwrap()
    }

    /// The plan's item of this kind.
    pub(super) fn item(&self, kind: WorkKind) -> Option<WorkItem> {
        self.plan().work.into_iter().find(|item| item.kind == kind as u8)
    }

    pub(super) fn work(&self, kind: WorkKind) -> WorkRef {
        let plan = self.plan();
        let item = self.item(kind).expect("an open item");
        WorkRef { lineage: plan.lineage, round: item.round, kind: item.kind }
    }

    pub(super) fn claim(&mut self, device: &str, kind: WorkKind) -> Answer {
        let claim = claim(self.work(kind));
        self.claim_with(device, &claim)
    }

    pub(super) fn claim_with(&mut self, device: &str, claim: &Claim) -> Answer {
        self.told.clear();
        self.up(device, &wire::encode(claim).unwrap());
        match self.told.pop() {
            Some((to, Told::Go(go))) if to == name(device) => go.answer,
            other => panic!("no answer to a claim: {other:?}"),
        }
    }

    /// A good report of a device, without its payload.
    pub(super) fn header(&self, kind: WorkKind) -> Draft {
        let item = self.item(kind).expect("an open item");
        let codec = match item.work().unwrap() {
            Work::Train(work) => work.codec.id,
            Work::Evaluate | Work::Sums(_) | Work::Unknown(_) => 0,
        };
        let digest = self.task().digest();
        let header = ReportHeader::new(self.work(kind), item.base_version, digest, codec);
        let figures = TrainFigures {
            examples: if kind == WorkKind::Train { 20 } else { 0 },
            train_loss: 0.5,
            before: Score { windows: 10, correct: 5, loss_sum: 6.0 },
            after: Score { windows: 10, correct: 8, loss_sum: 3.0 },
        };
        Draft { header, figures }
    }

    /// Sends a whole object; what the device is told last.
    pub(super) fn send(&mut self, device: &str, object: &[u8]) -> Option<Told> {
        let reference = ObjectRef::of(object, self.settings.chunk_bytes).unwrap();
        self.told.clear();
        for index in 0..reference.chunks() {
            let chunk = Chunk::cut(&reference, object, index).unwrap();
            self.up(device, &chunk.encode());
        }
        self.told.last().filter(|(to, _)| *to == name(device)).map(|(_, told)| told.clone())
    }

    /// Sends a good update; it is accepted once the group is written.
    pub(super) fn train(&mut self, device: &str) -> ShortDigest {
        let header = self.header(WorkKind::Train);
        let object = object(&header, &values(device, header.header.round.0, self.n()));
        self.send(device, &object);
        ObjectRef::of(&object, 4096).unwrap().digest.short()
    }

    /// Sends an object that is refused at once; the reason.
    pub(super) fn refusal(&mut self, device: &str, object: &[u8]) -> Refusal {
        let before = self.core.params().to_vec();
        let reason = match self.send(device, object) {
            Some(Told::Verdict(Verdict { outcome: Outcome::Refused(reason), .. })) => reason,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(self.core.params(), before);
        assert!(*self.core.counters().refused.get(&reason).unwrap() > 0);
        reason
    }

    pub(super) fn task(&self) -> Task {
        Task::new(self.settings.task.clone()).unwrap()
    }

    pub(super) fn n(&self) -> usize {
        self.settings.task.layout().unwrap().n_update()
    }

    pub(super) fn accepted_verdicts(&self) -> Vec<(DeviceId, ShortDigest)> {
        let accepted = |(device, told): &(DeviceId, Told)| match told {
            Told::Verdict(Verdict { outcome: Outcome::Accepted, object, .. }) => {
                Some((device.clone(), *object))
            }
            Told::Verdict(_) | Told::Go(_) | Told::Ack(_) => None,
        };
        self.told.iter().filter_map(accepted).collect()
    }
}

pub(super) fn claim(work: WorkRef) -> Claim {
    let extensions = Extensions::NONE;
    Claim { work, boot: 1, codecs: Codec::KNOWN, memory_kib: 0, windows: 20, extensions }
}

pub(super) fn object(draft: &Draft, values: &[f32]) -> Vec<u8> {
    let payload: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    draft.object(&payload)
}

/// What `device` learns in `round`: small, and the same after every restart.
pub(super) fn values(device: &str, round: u32, n: usize) -> Vec<f32> {
    let seed = device.bytes().map(u64::from).sum::<u64>() * 1000 + u64::from(round);
    let mut rng = Rng::new(seed);
    (0..n).map(|_| rng.normal() * 0.1).collect()
}
