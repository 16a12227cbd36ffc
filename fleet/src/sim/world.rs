//! The simulation itself: one clock, one queue, the sessions and the aggregator of the field.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dunlin_agent::session::{LinkPolicy, Settings};
use dunlin_aggregator::aggregator::{Aggregator, StartError};
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::query::Query;
use dunlin_aggregator::settings::Settings as ServerSettings;
use dunlin_aggregator::snapshot::Snapshot;
use dunlin_protocol::id::{DeviceId, ModelVersion, Name};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topics;

use super::HOUR_MS;
use super::breakage::Breakage;
use super::broker::Broker;
use super::check::{Checks, Known, Violation};
use super::figures::{ClassFigures, Tally};
use super::hibernation::Common;
use super::profile::{Profile, Seconds};
use super::queue::Queue;
use super::scenario::{Class, Scenario};
use super::setup::Prepared;
use super::trace::Trace;
use super::workers::Workers;
use event::Event;
use population::Slot;

mod broken;
mod connection;
mod device;
mod event;
mod faults;
mod jobs;
mod population;
mod routing;
mod server;
mod watch;

/// The history of every simulation.
pub(super) const LINEAGE: [u8; 16] = [5; 16];
/// Name of the aggregator.
const SERVER: &str = "dunlin-aggregator";
/// A device that lost its connection tries again after this long, and a little more.
const RECONNECT_MS: u64 = 1_000;

/// How a scenario is run; none of it changes what comes out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that train.
    pub threads: usize,
    /// Whether to measure where the time goes.
    pub profile: bool,
    /// What is done wrong on purpose, in tests of the checks; this does change what comes out.
    pub breakage: Option<Breakage>,
}

impl Options {
    /// So many threads that train, and nothing else.
    pub fn threads(threads: usize) -> Self {
        Self { threads, profile: false, breakage: None }
    }
}

/// What a step of the run says to its caller.
#[derive(Debug)]
pub(super) enum Step {
    /// The aggregator reported this at this time.
    Event(Instant, RoundEvent),
    /// The run is over: all rounds are done, or the end of time has come.
    End,
    /// A rule was broken.
    Broken(Violation),
}

/// A running simulation.
pub(super) struct World {
    scenario: Scenario,
    trace: Option<Arc<Trace>>,
    queries: Vec<(Instant, Query)>,
    job_kib: u32,
    breakage: Option<Breakage>,
    server_settings: ServerSettings,
    device_settings: Settings,
    queue: Queue<Event>,
    slots: Vec<Slot>,
    /// Devices that are connected, and those that the broker says are online.
    connected: u32,
    present: u32,
    /// The longest that a message took, in milliseconds.
    slowest_ms: u64,
    /// How much longer a round is by the slowest clock of a device.
    drift_ms: u64,
    /// Rounds whose devices are still to be looked at.
    watched: u32,
    broker: Broker,
    server: Option<Aggregator>,
    /// What is on the aggregator's disk.
    snapshot: Option<Snapshot>,
    backup: Option<Snapshot>,
    server_connected: bool,
    /// When it was started; its clock counts from there.
    server_booted: Instant,
    /// Its number of starts and connections.
    server_epoch: u32,
    /// Since when it is connected.
    server_since: Instant,
    server_tick: Option<Instant>,
    /// Whether the aggregator dies at its next write: before it, or after it.
    server_doom: Option<bool>,
    common: Option<Common>,
    /// The plan that was published last.
    plan: Option<Plan>,
    /// Parameters of the versions that devices hold, each once.
    models: BTreeMap<ModelVersion, Arc<Vec<f32>>>,
    workers: Workers,
    rng: Rng,
    checks: Checks,
    profile: Profile,
    reported: VecDeque<(Instant, RoundEvent)>,
    /// When all rounds were done.
    finished: Option<Instant>,
    /// Whether the books are to be asked what they found.
    unsettled: bool,
    seed: u64,
    pub(super) tally: Tally,
}

impl World {
    /// A federation at its beginning.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub(super) fn new(prepared: &Prepared, options: Options) -> Result<Self, StartError> {
        let (scenario, settings) = (prepared.scenario.clone(), prepared.settings.clone());
        let checks = Checks::new(known(&scenario, &settings)?, options.threads > 1);
        let Ok(device) = Name::new("device") else { unreachable!("a constant, valid name") };
        let device_settings = Settings {
            device,
            federation: settings.federation.clone(),
            topics: Topics::new(settings.topics_root.clone()),
            memory_kib: 0,
            link: LinkPolicy::default(),
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // up to a tenth of it
        let drift_ms =
            (2.0 * settings.deadline_ms as f64 * scenario.faults.clock_drift_ppm * 1e-6) as u64;
        let mut this = Self {
            seed: scenario.seed,
            rng: Rng::for_stream(scenario.seed, 1),
            trace: prepared.trace.clone(),
            queries: prepared.queries.clone(),
            job_kib: prepared.job_kib,
            breakage: options.breakage,
            scenario,
            server_settings: settings,
            device_settings,
            queue: Queue::new(),
            slots: Vec::new(),
            connected: 0,
            present: 0,
            slowest_ms: 0,
            drift_ms,
            watched: 0,
            broker: Broker::default(),
            server: None,
            snapshot: None,
            backup: None,
            server_connected: false,
            server_booted: Instant(0),
            server_epoch: 0,
            server_since: Instant(0),
            server_tick: None,
            server_doom: None,
            common: None,
            plan: None,
            models: BTreeMap::new(),
            workers: Workers::new(options.threads, || prepared.learner()),
            checks,
            profile: Profile::new(options.profile),
            reported: VecDeque::new(),
            finished: None,
            unsettled: false,
            tally: Tally::default(),
        };
        this.populate();
        this.start_server()?;
        this.schedule_faults();
        this.queue.after(0, Event::Look);
        Ok(this)
    }

    /// Runs until the aggregator reports something, a rule is broken or all is done.
    pub(super) fn step(&mut self) -> Step {
        loop {
            if let Some(violation) = self.checks.violation() {
                return Step::Broken(violation.clone());
            }
            if let Some((at, event)) = self.reported.pop_front() {
                if matches!(event, RoundEvent::Finished { .. }) {
                    self.finished.get_or_insert(at);
                }
                return Step::Event(at, event);
            }
            // The last round's devices are looked at too.
            let over = self.finished.is_some() && self.watched == 0 || self.is_over();
            if (over || std::mem::take(&mut self.unsettled))
                && let Some(violation) = self.checks.settle()
            {
                return Step::Broken(violation);
            }
            let Some(event) = self.queue.pop().filter(|_| !over) else { return Step::End };
            self.tally.events += 1;
            self.checks.time(self.queue.now());
            self.happen(event);
        }
    }

    /// The virtual time at which all rounds were done, or else the present one.
    pub(super) fn ended(&self) -> Instant {
        self.finished.unwrap_or(self.queue.now())
    }

    /// The parameters of the last version on the aggregator's disk, `[n_model]`.
    pub(super) fn params(&self) -> &[f32] {
        let snapshot = self.snapshot.as_ref();
        let model = snapshot.and_then(|snapshot| snapshot.models.get(&snapshot.head.version));
        model.map_or(&[], |model| model.published_params())
    }

    /// Where the time went.
    pub(super) fn seconds(&self) -> Seconds {
        self.profile.seconds()
    }

    /// Devices that are connected.
    pub(super) fn connected(&self) -> u32 {
        self.connected
    }

    /// What each kind of device had a part in.
    pub(super) fn classes(&self) -> Vec<ClassFigures> {
        let names = self.scenario.classes.iter().map(|class| class.name.clone());
        let mut classes: Vec<ClassFigures> =
            names.map(|name| ClassFigures { name, ..ClassFigures::default() }).collect();
        for slot in &self.slots {
            let class = &mut classes[usize::from(slot.class)];
            class.devices += 1;
            class.took_part += u32::from(slot.counted > 0);
            class.updates += u64::from(slot.counted);
        }
        classes
    }

    fn class(&self, device: u32) -> &Class {
        &self.scenario.classes[usize::from(self.slots[device as usize].class)]
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

/// What the checks know beforehand.
fn known(scenario: &Scenario, settings: &ServerSettings) -> Result<Known, StartError> {
    let task = Task::new(settings.task.clone());
    let task = task.map_err(|_| StartError::Inconsistent("the task"))?;
    Ok(Known {
        task: Arc::new(task),
        examples_max: settings.examples_max,
        weighting: settings.weighting,
        target: settings.target,
        devices: scenario.population.devices,
        patience_ms: settings.pause_ms + settings.settle_ms + 60_000,
        min_online: settings.min_online,
    })
}

/// The name of the aggregator in every simulation.
pub(super) fn server_name() -> &'static str {
    SERVER
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: up to 1e9
fn hours(hours: f64) -> Instant {
    Instant((hours * HOUR_MS) as u64)
}
