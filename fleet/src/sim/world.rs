//! The simulation itself: one clock, one queue, the sessions and the aggregator of the field.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_agent::session::{Common, Input, LinkPolicy, Output, Resting, Session, Settings};
use dunlin_agent::state::DeviceState;
use dunlin_aggregator::aggregator::{Aggregator, Initial, Start, StartError};
use dunlin_aggregator::combine::Accumulator;
use dunlin_aggregator::io::{Input as ServerInput, Output as ServerOutput, RoundEvent};
use dunlin_aggregator::round::RoundKey;
use dunlin_aggregator::settings::Settings as ServerSettings;
use dunlin_aggregator::snapshot::{Record, Snapshot};
use dunlin_protocol::id::{DeviceId, Lineage, ModelVersion, Name};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Down, Topic, Topics};
use dunlin_protocol::wire;

use super::broker::{Broker, Shared};
use super::check::{Checks, Violation};
use super::queue::Queue;
use super::scenario::{Availability, Class, Scenario};
use super::wire::Pipe;
use super::workers::{Learner, Workers};

/// The history of every simulation.
pub(super) const LINEAGE: [u8; 16] = [5; 16];
/// Name of the aggregator.
const SERVER: &str = "dunlin-aggregator";
const HOUR_MS: f64 = 3_600_000.0;
/// A device that lost its connection tries again after this long, and up to so much more.
const RECONNECT_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400_000;

enum Event {
    ServerTick,
    ServerStart,
    Tick {
        device: u32,
        life: u32,
    },
    /// At the broker, from a device's connection.
    Said {
        device: u32,
        epoch: u32,
        said: Said,
    },
    /// At a device, on its connection.
    Heard {
        device: u32,
        epoch: u32,
        heard: Heard,
    },
    JobDone {
        device: u32,
        life: u32,
        ticket: u64,
        dropped: bool,
    },
    Connect {
        device: u32,
        life: u32,
    },
    PowerOn {
        device: u32,
    },
    PowerCut {
        device: u32,
    },
    Leave {
        device: u32,
    },
    Cut {
        device: u32,
    },
    BrokerRestart,
    ServerKill,
    Partition,
}

enum Said {
    Publish(Topic, Vec<u8>),
    Listen(Topic),
    Unlisten(Topic),
}

#[derive(Clone)]
enum Heard {
    Plan(Arc<[u8]>),
    Server(Arc<[u8]>),
    Object(Topic, Arc<[u8]>),
    Down(Down, Arc<[u8]>),
}

impl Heard {
    fn payload(&self) -> &Arc<[u8]> {
        match self {
            Self::Plan(payload)
            | Self::Server(payload)
            | Self::Object(_, payload)
            | Self::Down(_, payload) => payload,
        }
    }
}

enum Body {
    Off,
    Awake(Box<Session>),
    Resting(Box<Resting>),
}

/// One device.
struct Slot {
    body: Body,
    /// What is on its disk; empty on a device that never started.
    saved: Vec<u8>,
    /// What was there before the last write.
    before: Vec<u8>,
    presence: Option<Presence>,
    up_pipe: Pipe,
    down_pipe: Pipe,
    rng: Rng,
    tick: Option<Instant>,
    /// Topics of single objects that it listens to.
    objects: Vec<Topic>,
    epoch: u32,
    life: u32,
    class: u16,
    connected: bool,
    hears_down: bool,
    /// Parts in a million by which its clock is fast.
    drift_ppm: f32,
}

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Tally {
    /// Events that happened.
    pub events: u64,
    /// Payload bytes that reached the broker from devices.
    pub bytes_up: u64,
    /// Payload bytes that reached devices.
    pub bytes_down: u64,
    /// Jobs that were trained to their end.
    pub jobs: u64,
    /// Jobs that a device gave up for something else.
    pub dropped_jobs: u64,
    /// Power cuts, broken connections, broker restarts, aggregator kills, partitions.
    pub power_cuts: u64,
    /// Connections that broke by themselves.
    pub cuts: u64,
    /// Restarts of the broker.
    pub broker_restarts: u64,
    /// Kills of the aggregator.
    pub server_kills: u64,
    /// Partitions.
    pub partitions: u64,
}

/// What a step of the run says to its caller.
#[derive(Debug)]
pub enum Step {
    /// The aggregator reported this at this time.
    Event(Instant, RoundEvent),
    /// The run is over: all rounds are done, or the end of time has come.
    End,
    /// A rule was broken.
    Broken(Violation),
}

/// A running simulation.
pub struct World {
    scenario: Scenario,
    server_settings: ServerSettings,
    device_settings: Settings,
    topics: Topics,
    queue: Queue<Event>,
    slots: Vec<Slot>,
    broker: Broker,
    server: Option<Aggregator>,
    snapshot: Option<Snapshot>,
    server_connected: bool,
    server_tick: Option<Instant>,
    common: Option<Common>,
    /// Parameters of the versions that devices hold, each once.
    models: BTreeMap<ModelVersion, Arc<Vec<f32>>>,
    workers: Workers,
    rng: Rng,
    checks: Checks,
    reported: std::collections::VecDeque<(Instant, RoundEvent)>,
    finished: bool,
    server_heard: Option<Arc<[u8]>>,
    seed: u64,
    /// Counts so far.
    pub tally: Tally,
}

impl World {
    /// A federation at its beginning.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(
        scenario: &Scenario,
        settings: ServerSettings,
        threads: usize,
        learner: impl Fn() -> Box<dyn Learner>,
    ) -> Result<Self, StartError> {
        let layout = settings.task.layout().map_err(|_| StartError::Inconsistent("the task"))?;
        let checks = Checks::new(layout.hash(), layout.n_update(), settings.examples_max);
        let Ok(device) = Name::new("device") else { unreachable!("a constant, valid name") };
        let topics = Topics::new(settings.topics_root.clone());
        let device_settings = Settings {
            device,
            federation: settings.federation.clone(),
            topics: topics.clone(),
            memory_kib: 0,
            link: LinkPolicy::default(),
        };
        let mut this = Self {
            seed: scenario.seed,
            rng: Rng::for_stream(scenario.seed, 1),
            scenario: scenario.clone(),
            server_settings: settings,
            device_settings,
            topics,
            queue: Queue::new(),
            slots: Vec::new(),
            broker: Broker::default(),
            server: None,
            snapshot: None,
            server_connected: false,
            server_tick: None,
            common: None,
            models: BTreeMap::new(),
            workers: Workers::new(threads, learner),
            checks,
            reported: std::collections::VecDeque::new(),
            finished: false,
            server_heard: None,
            tally: Tally::default(),
        };
        this.populate();
        this.start_server()?;
        this.schedule_faults();
        Ok(this)
    }

    /// Runs until the aggregator reports something, a rule is broken or all is done.
    pub fn step(&mut self) -> Step {
        let end = hours(self.scenario.end_h);
        loop {
            if let Some((at, event)) = self.reported.pop_front() {
                self.finished |= matches!(event, RoundEvent::Finished { .. });
                return Step::Event(at, event);
            }
            if let Some(violation) = self.checks.violation() {
                return Step::Broken(violation.clone());
            }
            if self.finished || self.queue.now() > end {
                return Step::End;
            }
            let Some(event) = self.queue.pop() else {
                let now = self.queue.now();
                self.checks.broken(now, "time moves", "nothing will ever happen again".into());
                continue;
            };
            self.tally.events += 1;
            self.checks.time(self.queue.now());
            self.happen(event);
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.queue.now()
    }

    /// The aggregator, while it runs.
    pub fn server(&self) -> Option<&Aggregator> {
        self.server.as_ref()
    }

    /// Devices that are connected now.
    pub fn connected(&self) -> usize {
        self.slots.iter().filter(|slot| slot.connected).count()
    }

    fn populate(&mut self) {
        let devices = self.scenario.population.devices;
        self.slots.reserve_exact(devices as usize);
        let join_ms = ms(self.scenario.population.join_s);
        for device in 0..devices {
            let mut rng = Rng::for_stream(self.seed, 1_000 + u64::from(device));
            let class = pick(&self.scenario.classes, f64::from(rng.unit_f32()));
            let drift = self.scenario.faults.clock_drift_ppm;
            #[allow(clippy::cast_possible_truncation)]
            let drift_ppm = drift as f32 * rng.uniform(-1.0, 1.0);
            let joins = match self.scenario.population.availability {
                Availability::Always => rng.below(usize::try_from(join_ms).unwrap_or(0) + 1) as u64,
                Availability::Diurnal => next_day_start(&mut rng, 0),
            };
            self.queue.at(Instant(joins), Event::PowerOn { device });
            self.slots.push(Slot {
                body: Body::Off,
                saved: Vec::new(),
                before: Vec::new(),
                presence: None,
                up_pipe: Pipe::default(),
                down_pipe: Pipe::default(),
                rng,
                tick: None,
                objects: Vec::new(),
                epoch: 0,
                life: 0,
                class,
                connected: false,
                hears_down: false,
                drift_ppm,
            });
        }
    }

    fn schedule_faults(&mut self) {
        let faults = self.scenario.faults.clone();
        for device in 0..self.scenario.population.devices {
            let cuts = self.class(device).cuts_per_h;
            self.later(cuts, Event::Cut { device });
            self.later(faults.power_cuts_per_h, Event::PowerCut { device });
        }
        self.later(faults.broker_restarts_per_h, Event::BrokerRestart);
        self.later(faults.aggregator_kills_per_h, Event::ServerKill);
        self.later(faults.partitions_per_h, Event::Partition);
    }

    /// Lets an event happen that happens so often an hour.
    fn later(&mut self, per_h: f64, event: Event) {
        if per_h > 0.0 {
            let wait = -libm::log(1.0 - f64::from(self.rng.unit_f32())) / per_h * HOUR_MS;
            self.queue.after(wait.min(1e15) as u64, event);
        }
    }

    fn class(&self, device: u32) -> &Class {
        &self.scenario.classes[usize::from(self.slots[device as usize].class)]
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ServerTick => {
                self.server_tick = None;
                self.tell_server(ServerInput::Tick);
            }
            Event::ServerStart => {
                if self.server.is_none()
                    && let Err(error) = self.start_server()
                {
                    let now = self.queue.now();
                    self.checks.broken(now, "restarts work", error.to_string());
                }
            }
            Event::Tick { device, life } => {
                if self.slots[device as usize].life == life {
                    self.slots[device as usize].tick = None;
                    self.tell(device, Input::Tick);
                }
            }
            Event::Said { device, epoch, said } => {
                if self.is_current(device, epoch) {
                    self.said(device, said);
                }
            }
            Event::Heard { device, epoch, heard } => {
                if self.is_current(device, epoch) {
                    self.heard(device, &heard);
                }
            }
            Event::JobDone { device, life, ticket, dropped } => {
                let outcome = self.workers.finish(ticket);
                if self.slots[device as usize].life == life {
                    self.job_done(device, outcome, dropped);
                }
            }
            Event::Connect { device, life } => {
                let slot = &self.slots[device as usize];
                if slot.life == life && !slot.connected {
                    self.connect(device);
                }
            }
            Event::PowerOn { device } => self.power_on(device),
            Event::PowerCut { device } => self.power_cut(device),
            Event::Leave { device } => self.leave(device),
            Event::Cut { device } => {
                let cuts = self.class(device).cuts_per_h;
                self.later(cuts, Event::Cut { device });
                self.tally.cuts += 1;
                self.lose(device, RECONNECT_MS);
            }
            Event::BrokerRestart => self.broker_restart(),
            Event::ServerKill => self.server_kill(),
            Event::Partition => self.partition(),
        }
    }

    fn is_current(&self, device: u32, epoch: u32) -> bool {
        let slot = &self.slots[device as usize];
        slot.connected && slot.epoch == epoch
    }

    fn name(device: u32) -> DeviceId {
        match Name::new(&format!("d{device}")) {
            Ok(name) => name,
            Err(_) => unreachable!("a letter and digits"),
        }
    }

    /// The number of the device with this name.
    fn number(name: &DeviceId) -> Option<u32> {
        name.as_str().strip_prefix('d')?.parse().ok()
    }

    /// A device's own time: its clock is fast or slow.
    fn local(&self, device: u32, at: Instant) -> Instant {
        let ppm = f64::from(self.slots[device as usize].drift_ppm);
        Instant((at.0 as f64 * (1.0 + ppm * 1e-6)) as u64)
    }

    /// When a device's own time is `at`.
    fn global(&self, device: u32, at: Instant) -> Instant {
        let ppm = f64::from(self.slots[device as usize].drift_ppm);
        Instant((at.0 as f64 / (1.0 + ppm * 1e-6)).ceil() as u64)
    }

    fn power_on(&mut self, device: u32) {
        let now = self.queue.now();
        let secret = secret(self.seed, device);
        let slot = &mut self.slots[device as usize];
        if !matches!(slot.body, Body::Off) {
            return;
        }
        let state = match slot.saved.as_slice() {
            [] => Ok(DeviceState::fresh(secret)),
            saved => DeviceState::decode(saved),
        };
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                let what = format!("d{device}: {error}");
                return self.checks.broken(now, "storage is never torn", what);
            }
        };
        slot.life += 1;
        slot.tick = None;
        let settings = Settings { device: Self::name(device), ..self.device_settings.clone() };
        slot.body = Body::Awake(Box::new(Session::new(settings, state)));
        self.connect(device);
        if self.scenario.population.availability == Availability::Diurnal {
            let hours =
                -libm::log(1.0 - f64::from(self.slots[device as usize].rng.unit_f32())) * 3.0;
            self.queue.after(60_000 + (hours * HOUR_MS) as u64, Event::Leave { device });
        }
    }

    /// A device is no longer there for the federation until tomorrow.
    fn leave(&mut self, device: u32) {
        if matches!(self.slots[device as usize].body, Body::Off) {
            return;
        }
        self.tell(device, Input::Stop);
        let boot = self.slots[device as usize].presence.as_ref().map_or(0, |p| p.boot);
        self.disconnect(device);
        self.presence(device, Presence { state: State::Offline, boot });
        self.switch_off(device);
        let today = self.queue.now().0 / DAY_MS;
        let slot = &mut self.slots[device as usize];
        let next = next_day_start(&mut slot.rng, today + 1);
        self.queue.at(Instant(next), Event::PowerOn { device });
    }

    fn switch_off(&mut self, device: u32) {
        let slot = &mut self.slots[device as usize];
        let body = std::mem::replace(&mut slot.body, Body::Off);
        slot.life += 1;
        if let (Body::Resting(resting), Some(common), true) =
            (body, &self.common, slot.saved.is_empty())
        {
            slot.saved = resting.saved(common);
        }
    }

    fn power_cut(&mut self, device: u32) {
        self.later(self.scenario.faults.power_cuts_per_h, Event::PowerCut { device });
        if matches!(self.slots[device as usize].body, Body::Off) {
            return;
        }
        self.tally.power_cuts += 1;
        self.lose(device, u64::MAX);
        self.switch_off(device);
        let lost = f64::from(self.rng.unit_f32()) < self.scenario.faults.lost_write;
        let slot = &mut self.slots[device as usize];
        if lost && !slot.before.is_empty() {
            slot.saved = std::mem::take(&mut slot.before);
        }
        let back = 2_000 + slot.rng.below(60_000) as u64;
        self.queue.after(back, Event::PowerOn { device });
    }

    fn connect(&mut self, device: u32) {
        let slot = &mut self.slots[device as usize];
        slot.epoch += 1;
        slot.connected = true;
        slot.hears_down = false;
        self.tell(device, Input::Connected);
    }

    /// The broker's side of a lost connection: no listener, and the last will.
    fn disconnect(&mut self, device: u32) {
        let slot = &mut self.slots[device as usize];
        slot.connected = false;
        slot.hears_down = false;
        let objects = std::mem::take(&mut slot.objects);
        self.broker.unlisten(device, Shared::Plan);
        self.broker.unlisten(device, Shared::Server);
        for topic in objects {
            if let Topic::Object(_, digest, index) = topic {
                self.broker.unlisten(device, Shared::Object(digest, index));
            }
        }
    }

    /// Breaks a device's connection; it comes back after `back_ms` and a little more.
    fn lose(&mut self, device: u32, back_ms: u64) {
        if !self.slots[device as usize].connected {
            return;
        }
        self.disconnect(device);
        if let Some(boot) = self.slots[device as usize].presence.as_ref().map(|p| p.boot) {
            self.presence(device, Presence { state: State::Lost, boot });
        }
        if back_ms == u64::MAX {
            return;
        }
        self.tell(device, Input::Disconnected);
        let slot = &mut self.slots[device as usize];
        let back = back_ms + slot.rng.below(2_000) as u64;
        let life = slot.life;
        self.queue.after(back, Event::Connect { device, life });
    }

    /// Gives a device's session an input; wakes it if it rests.
    fn tell(&mut self, device: u32, input: Input<'_>) {
        let now = self.local(device, self.queue.now());
        let Some(mut session) = self.wake(device) else { return };
        session.handle(now, input);
        self.drain(device, session);
    }

    fn wake(&mut self, device: u32) -> Option<Box<Session>> {
        let slot = &mut self.slots[device as usize];
        match std::mem::replace(&mut slot.body, Body::Off) {
            Body::Off => None,
            Body::Awake(session) => Some(session),
            Body::Resting(resting) => {
                let common = self.common.as_ref()?;
                Some(Box::new(resting.wake(Self::name(device), &self.device_settings, common)))
            }
        }
    }

    /// Performs what a session asks for and puts it back, to rest if it can.
    fn drain(&mut self, device: u32, mut session: Box<Session>) {
        let epoch = self.slots[device as usize].epoch;
        let connected = self.slots[device as usize].connected;
        while let Some(output) = session.poll_output() {
            match output {
                Output::Publish { topic, payload, .. } => {
                    if let Some(topic) = self.topics.parse(&topic).filter(|_| connected) {
                        let bytes = payload.len();
                        self.send(device, epoch, bytes, Said::Publish(topic, payload));
                    }
                }
                Output::Subscribe(topic) => {
                    if let Some(topic) = self.topics.parse(&topic).filter(|_| connected) {
                        self.send(device, epoch, 0, Said::Listen(topic));
                    }
                }
                Output::Unsubscribe(topic) => {
                    if let Some(topic) = self.topics.parse(&topic).filter(|_| connected) {
                        self.send(device, epoch, 0, Said::Unlisten(topic));
                    }
                }
                Output::Save(state) => {
                    let slot = &mut self.slots[device as usize];
                    slot.before = std::mem::replace(&mut slot.saved, state);
                    if self.scenario.faults.lost_write == 0.0 {
                        slot.before = Vec::new();
                    }
                }
                Output::UseTask(_) => {
                    let windows = self.workers.windows(device);
                    let now = self.local(device, self.queue.now());
                    session.handle(now, Input::Windows(windows));
                }
                Output::Start(job) => self.start_job(device, Box::new(job)),
                Output::Cancel(_) | Output::Sleep { .. } => {}
            }
        }
        self.schedule_tick(device, &session);
        self.put_back(device, session);
    }

    fn schedule_tick(&mut self, device: u32, session: &Session) {
        let Some(due) = session.next_deadline() else { return };
        let due = self.global(device, due).max(self.queue.now().after(1));
        let slot = &mut self.slots[device as usize];
        if slot.tick.is_none_or(|tick| due < tick) {
            slot.tick = Some(due);
            let life = slot.life;
            self.queue.at(due, Event::Tick { device, life });
        }
    }

    fn put_back(&mut self, device: u32, session: Box<Session>) {
        if self.common.is_none() {
            self.common = session.common();
        }
        let connected = self.slots[device as usize].connected;
        let body = if self.common.is_some() && connected {
            match session.rest_now() {
                Ok(mut resting) => {
                    self.share_model(device, &mut resting);
                    Body::Resting(Box::new(resting))
                }
                Err(session) => Body::Awake(session),
            }
        } else {
            Body::Awake(session)
        };
        self.slots[device as usize].body = body;
    }

    /// Devices that hold the same version share its parameters, which must be the same bits.
    fn share_model(&mut self, device: u32, resting: &mut Resting) {
        let Some((version, params)) = resting.model() else { return };
        let known = self.models.entry(version).or_insert_with(|| params.clone());
        if !Arc::ptr_eq(known, params) {
            let same = known.len() == params.len()
                && known.iter().zip(params.iter()).all(|(a, b)| a.to_bits() == b.to_bits());
            let known = known.clone();
            if !same {
                let what = format!("d{device} has another version {version}");
                let now = self.queue.now();
                return self.checks.broken(now, "all devices have the same bits", what);
            }
            resting.share(known);
        }
    }

    fn start_job(&mut self, device: u32, job: Box<dunlin_agent::job::Job>) {
        let class = self.class(device).clone();
        let windows = f64::from(self.workers.windows(device));
        let epochs = job.training.as_ref().map_or(0.3, |training| f64::from(training.epochs));
        let slot = &mut self.slots[device as usize];
        let luck = f64::from(slot.rng.unit_f32());
        let dropped = job.training.is_some() && luck < class.drop_out;
        let took = class.ms_per_window * windows * epochs * f64::from(slot.rng.uniform(0.8, 1.2));
        let life = slot.life;
        let ticket = self.workers.begin(device, job);
        self.queue.after(1 + took as u64, Event::JobDone { device, life, ticket, dropped });
    }

    fn job_done(
        &mut self,
        device: u32,
        outcome: Option<Result<dunlin_agent::job::Trained, dunlin_agent::job::JobFailure>>,
        dropped: bool,
    ) {
        let Some(mut outcome) = outcome else { return };
        let Body::Awake(session) = &self.slots[device as usize].body else { return };
        let Some(work) = session.current_work() else { return };
        if dropped {
            self.tally.dropped_jobs += 1;
            let why = "the device was needed for something else".into();
            outcome = Err(dunlin_agent::job::JobFailure(why));
        } else {
            self.tally.jobs += 1;
        }
        self.tell(device, Input::Trained { work, outcome });
    }

    /// Gives something to a device's uplink.
    fn send(&mut self, device: u32, epoch: u32, bytes: usize, said: Said) {
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        let class = &self.scenario.classes[usize::from(slot.class)];
        let arrival = slot.up_pipe.carry(now, bytes, class.up_kbps, class, &mut slot.rng);
        if let (Some(again), Said::Publish(topic, payload)) = (arrival.again, &said) {
            let said = Said::Publish(topic.clone(), payload.clone());
            self.queue.at(again, Event::Said { device, epoch, said });
        }
        self.queue.at(arrival.at, Event::Said { device, epoch, said });
    }

    /// Gives something to a device's downlink.
    fn deliver(&mut self, device: u32, heard: Heard) {
        let now = self.queue.now();
        let slot = &mut self.slots[device as usize];
        if !slot.connected {
            return;
        }
        let (epoch, bytes) = (slot.epoch, heard.payload().len());
        let class = &self.scenario.classes[usize::from(slot.class)];
        let arrival = slot.down_pipe.carry(now, bytes, class.down_kbps, class, &mut slot.rng);
        if let Some(again) = arrival.again {
            self.queue.at(again, Event::Heard { device, epoch, heard: heard.clone() });
        }
        self.queue.at(arrival.at, Event::Heard { device, epoch, heard });
    }

    fn said(&mut self, device: u32, said: Said) {
        match said {
            Said::Publish(topic, payload) => {
                self.tally.bytes_up += payload.len() as u64;
                match topic {
                    Topic::DeviceState(_) => {
                        if let Some(presence) = Presence::decode(&payload) {
                            self.presence(device, presence);
                        }
                    }
                    Topic::Up(..) => {
                        if self.server_connected && self.broker.hears_updates {
                            let name = Self::name(device);
                            self.checks.up(&name, &payload);
                            self.tell_server_message(topic, &payload);
                        }
                    }
                    Topic::Down(..)
                    | Topic::Plan(_)
                    | Topic::Object(..)
                    | Topic::ServerState(_) => {}
                }
            }
            Said::Listen(topic) => self.listen(device, topic),
            Said::Unlisten(topic) => {
                if let Topic::Object(_, digest, index) = topic {
                    self.broker.unlisten(device, Shared::Object(digest, index));
                    self.slots[device as usize].objects.retain(|known| *known != topic);
                }
            }
        }
    }

    fn listen(&mut self, device: u32, topic: Topic) {
        match &topic {
            Topic::Down(..) => self.slots[device as usize].hears_down = true,
            Topic::Plan(_) => {
                if let Some(kept) = self.broker.listen(device, Shared::Plan) {
                    self.deliver(device, Heard::Plan(kept));
                }
            }
            Topic::ServerState(_) => {
                if let Some(kept) = self.broker.listen(device, Shared::Server) {
                    self.deliver(device, Heard::Server(kept));
                }
            }
            Topic::Object(_, digest, index) => {
                let kept = self.broker.listen(device, Shared::Object(*digest, *index));
                self.slots[device as usize].objects.push(topic.clone());
                if let Some(kept) = kept {
                    self.deliver(device, Heard::Object(topic, kept));
                }
            }
            Topic::DeviceState(_) | Topic::Up(..) => {}
        }
    }

    fn heard(&mut self, device: u32, heard: &Heard) {
        let payload = heard.payload().clone();
        self.tally.bytes_down += payload.len() as u64;
        let federation = self.device_settings.federation.clone();
        let topic = match heard {
            Heard::Plan(_) => Topic::Plan(federation),
            Heard::Server(_) => Topic::ServerState(self.server_settings.instance.clone()),
            Heard::Object(topic, _) => topic.clone(),
            Heard::Down(down, _) => Topic::Down(Self::name(device), *down),
        };
        let topic = self.topics.name(&topic);
        self.tell(device, Input::Message { topic: &topic, payload: &payload });
    }

    /// A device's presence, kept by the broker.
    fn presence(&mut self, device: u32, presence: Presence) {
        self.slots[device as usize].presence = Some(presence.clone());
        if self.server_connected && self.broker.hears_states {
            let payload = presence.encode().into_bytes();
            self.tell_server_message(Topic::DeviceState(Self::name(device)), &payload);
        }
    }

    fn start_server(&mut self) -> Result<(), StartError> {
        let start = match &self.snapshot {
            Some(snapshot) => Start::Restored(Box::new(snapshot.clone())),
            None => Start::Fresh { lineage: Lineage(LINEAGE), initial: Initial::Seed(self.seed) },
        };
        let now = self.queue.now();
        self.checks.bytes_in = 0;
        self.server = Some(Aggregator::new(self.server_settings.clone(), start, now)?);
        self.server_connected = true;
        self.tell_server(ServerInput::Connected);
        Ok(())
    }

    fn tell_server_message(&mut self, topic: Topic, payload: &[u8]) {
        self.checks.bytes_in += payload.len() as u64;
        self.tell_server(ServerInput::Message { topic, payload });
    }

    fn tell_server(&mut self, input: ServerInput<'_>) {
        let now = self.queue.now();
        let Some(server) = &mut self.server else { return };
        server.handle(now, input);
        let mut outputs = Vec::new();
        while let Some(output) = server.poll_output() {
            outputs.push(output);
        }
        let due = server.next_deadline();
        let counted = server.counters().bytes_in;
        if counted != self.checks.bytes_in {
            let what = format!("{} bytes handed over, {counted} counted", self.checks.bytes_in);
            self.checks.broken(now, "byte counters agree", what);
        }
        self.perform(outputs);
        if let Some(due) = due
            && self.server_tick.is_none_or(|tick| due < tick)
        {
            let due = due.max(now.after(1));
            self.server_tick = Some(due);
            self.queue.at(due, Event::ServerTick);
        }
    }

    fn perform(&mut self, outputs: Vec<ServerOutput>) {
        let now = self.queue.now();
        let mut written: Vec<(RoundKey, Accumulator)> = Vec::new();
        for output in outputs {
            match output {
                ServerOutput::Subscribe(filter) => {
                    self.broker.hears_updates |= filter.contains("/up/");
                    if filter.ends_with("/state") {
                        self.broker.hears_states = true;
                        self.tell_presences();
                    }
                }
                ServerOutput::Publish { topic, payload, .. } => self.publish(topic, payload),
                ServerOutput::Save(save) => {
                    self.checks.saved(now, &save);
                    for record in &save.records {
                        if let Record::Sums(key, sums) = record {
                            written.push((*key, sums.clone()));
                        }
                    }
                    self.snapshot = Snapshot::after(self.snapshot.take(), &save);
                }
                ServerOutput::Event(event) => {
                    self.checks.event(now, &event);
                    self.reported.push_back((now, event));
                }
            }
        }
        for (key, sums) in written {
            self.checks.sums(now, key, &sums);
        }
    }

    /// The aggregator hears every presence that the broker keeps.
    fn tell_presences(&mut self) {
        for device in 0..self.scenario.population.devices {
            if let Some(presence) = self.slots[device as usize].presence.clone() {
                let payload = presence.encode().into_bytes();
                self.tell_server_message(Topic::DeviceState(Self::name(device)), &payload);
            }
        }
    }

    /// A message of the aggregator at the broker.
    fn publish(&mut self, topic: Topic, payload: Vec<u8>) {
        let payload: Arc<[u8]> = payload.into();
        match topic {
            Topic::Plan(_) => self.publish_plan(payload),
            Topic::ServerState(_) => {
                let online = Presence::decode(&payload).is_some_and(|p| p.state == State::Online);
                if let Some(common) = &mut self.common {
                    common.server_online = online;
                }
                self.server_heard = Some(payload.clone());
                self.broker.retain(Shared::Server, payload.clone());
                for device in self.broker.listeners(Shared::Server) {
                    self.deliver(device, Heard::Server(payload.clone()));
                }
            }
            Topic::Object(_, digest, index) => {
                let shared = Shared::Object(digest, index);
                self.broker.retain(shared, payload.clone());
                for device in self.broker.listeners(shared) {
                    self.deliver(device, Heard::Object(topic.clone(), payload.clone()));
                }
            }
            Topic::Down(device, down) => {
                let number = Self::number(&device);
                let hears = |number: &u32| {
                    self.slots.get(*number as usize).is_some_and(|slot| slot.hears_down)
                };
                if let Some(number) = number.filter(hears) {
                    self.deliver(number, Heard::Down(down, payload));
                }
            }
            Topic::DeviceState(_) | Topic::Up(..) => {}
        }
    }

    /// A plan: devices that rest and that it does not concern hear it without waking.
    fn publish_plan(&mut self, payload: Arc<[u8]>) {
        self.broker.retain(Shared::Plan, payload.clone());
        let Ok(plan) = wire::decode::<Plan>(&payload) else { return };
        // Versions that nobody can fetch any more are held by few.
        let oldest = plan.models.iter().map(|entry| entry.version).min();
        if let Some(oldest) = oldest {
            self.models
                .retain(|version, params| *version >= oldest || Arc::strong_count(params) > 1);
        }
        let federation = self.device_settings.federation.clone();
        for device in self.broker.listeners(Shared::Plan) {
            let concerned = match (&self.slots[device as usize].body, &self.common) {
                (Body::Resting(resting), Some(common)) => {
                    resting.concerns(&federation, common, &plan)
                }
                _ => true,
            };
            if concerned {
                self.deliver(device, Heard::Plan(payload.clone()));
            } else {
                self.tally.bytes_down += payload.len() as u64;
            }
        }
        if let Some(common) = &mut self.common {
            common.plan = plan;
        }
    }

    fn server_kill(&mut self) {
        self.later(self.scenario.faults.aggregator_kills_per_h, Event::ServerKill);
        if self.server.take().is_none() {
            return;
        }
        self.tally.server_kills += 1;
        self.lose_server();
        let back = 2_000 + self.rng.below(30_000) as u64;
        self.queue.after(back, Event::ServerStart);
    }

    fn lose_server(&mut self) {
        self.server_connected = false;
        self.broker.forget_aggregator();
        let boot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.head.boot);
        let lost = Presence { state: State::Lost, boot }.encode().into_bytes();
        self.publish(Topic::ServerState(self.server_settings.instance.clone()), lost);
    }

    fn broker_restart(&mut self) {
        self.later(self.scenario.faults.broker_restarts_per_h, Event::BrokerRestart);
        self.tally.broker_restarts += 1;
        let forgets = f64::from(self.rng.unit_f32()) < self.scenario.faults.broker_forgets;
        if forgets {
            self.broker.forget_messages();
        }
        for device in 0..self.scenario.population.devices {
            if forgets {
                // No last will either: a broker that dies says nothing.
                self.slots[device as usize].presence = None;
            }
            if self.slots[device as usize].connected {
                self.disconnect(device);
                self.tell(device, Input::Disconnected);
                let slot = &mut self.slots[device as usize];
                let (life, back) = (slot.life, RECONNECT_MS + slot.rng.below(4_000) as u64);
                self.queue.after(back, Event::Connect { device, life });
            }
        }
        if self.server.is_some() {
            self.broker.forget_aggregator();
            self.tell_server(ServerInput::Disconnected);
            self.tell_server(ServerInput::Connected);
        }
    }

    /// For a minute, a tenth of the devices cannot reach the broker.
    fn partition(&mut self) {
        self.later(self.scenario.faults.partitions_per_h, Event::Partition);
        self.tally.partitions += 1;
        for device in 0..self.scenario.population.devices {
            if self.rng.below(10) == 0 {
                self.lose(device, 60_000);
            }
        }
    }
}

/// The name of the aggregator in every simulation.
pub fn server_name() -> &'static str {
    SERVER
}

fn secret(seed: u64, device: u32) -> [u8; 32] {
    let mut rng = Rng::for_stream(seed ^ 0x5EC2_E75E, u64::from(device));
    let mut secret = [0; 32];
    for part in secret.chunks_mut(8) {
        part.copy_from_slice(&rng.next_u64().to_le_bytes());
    }
    secret
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

fn hours(hours: f64) -> Instant {
    Instant((hours * HOUR_MS) as u64)
}

/// The class that a number from 0 to 1 falls to.
fn pick(classes: &[Class], mut luck: f64) -> u16 {
    for (at, class) in (0..).zip(classes) {
        if luck < class.share {
            return at;
        }
        luck -= class.share;
    }
    u16::try_from(classes.len().saturating_sub(1)).unwrap_or(0)
}

/// When a device comes on day `day`: likelier at night than by day, by four to one.
fn next_day_start(rng: &mut Rng, day: u64) -> u64 {
    loop {
        let hour = f64::from(rng.unit_f32()) * 24.0;
        let weight = 2.5 + 1.5 * libm::cos((hour - 2.0) / 24.0 * core::f64::consts::TAU);
        if f64::from(rng.unit_f32()) * 4.0 < weight {
            return day * DAY_MS + (hour * HOUR_MS) as u64;
        }
    }
}
