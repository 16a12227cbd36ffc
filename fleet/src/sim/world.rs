//! The simulation itself: one clock, one queue, the sessions and the aggregator of the field.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dunlin_agent::session::{Common, Input, LinkPolicy, Settings};
use dunlin_aggregator::aggregator::{Aggregator, StartError};
use dunlin_aggregator::io::{Input as ServerInput, RoundEvent};
use dunlin_aggregator::settings::Settings as ServerSettings;
use dunlin_aggregator::snapshot::Snapshot;
use dunlin_protocol::id::{DeviceId, ModelVersion, Name};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topics;

use super::broker::Broker;
use super::check::{Checks, Violation};
use super::queue::Queue;
use super::scenario::{Class, Scenario};
use super::workers::{Learner, Workers};
use event::Event;
use population::Slot;

mod device;
mod event;
mod faults;
mod jobs;
mod population;
mod routing;
mod server;

/// The history of every simulation.
pub(super) const LINEAGE: [u8; 16] = [5; 16];
/// Name of the aggregator.
const SERVER: &str = "dunlin-aggregator";
const HOUR_MS: f64 = 3_600_000.0;
/// A device that lost its connection tries again after this long, and up to so much more.
const RECONNECT_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400_000;

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
    /// Jobs that could not be trained.
    pub failed_jobs: u64,
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
    reported: VecDeque<(Instant, RoundEvent)>,
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
            reported: VecDeque::new(),
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
            Event::JobDone { device, life, work, ticket } => {
                self.job_ends(device, life, work, ticket);
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
}

/// The name of the aggregator in every simulation.
pub fn server_name() -> &'static str {
    SERVER
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

fn hours(hours: f64) -> Instant {
    Instant((hours * HOUR_MS) as u64)
}
