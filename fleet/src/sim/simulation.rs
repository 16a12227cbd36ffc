//! The whole as it runs: one clock, one queue, and the parts between which everything is routed.

use std::sync::Arc;

use dunlin_aggregator::aggregator::StartError;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::Settings as ServerSettings;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;

use super::breakage::Breakage;
use super::broker::Broker;
use super::chance::Chance;
use super::check::{Checks, Known, Violation};
use super::devices::Devices;
use super::figures::{ClassFigures, Tally};
use super::hibernation::Hibernation;
use super::jobs::Jobs;
use super::profile::{Profile, Seconds};
use super::queue::Queue;
use super::scenario::Scenario;
use super::server_host::ServerHost;
use super::setup::Prepared;
use super::watch::Watch;
use super::workers::Workers;
use event::Event;
use reports::Reports;

mod connection;
mod event;
mod faults;
mod looks;
mod messages;
mod power;
mod publications;
mod reports;
mod retained;
mod server;
mod sessions;
mod training;

/// Who lost the connection tries again after this long, and a little more.
const RECONNECT_MS: u64 = 1_000;

/// How a scenario is run; none of it changes what comes out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that train, the deciding one included; 1 or more.
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
#[allow(clippy::large_enum_variant)] // there is one at a time
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
pub(super) struct Simulation {
    scenario: Scenario,
    breakage: Option<Breakage>,
    queue: Queue<Event>,
    chance: Chance,
    devices: Devices,
    hibernation: Hibernation,
    jobs: Jobs,
    broker: Broker,
    old_words: retained::OldWords,
    /// Whether another plan than the aggregator's last may stand on the broker.
    misled_by: bool,
    server: ServerHost,
    reports: Reports,
    watch: Watch,
    checks: Checks,
    profile: Profile,
    pub(super) tally: Tally,
}

impl Simulation {
    /// A federation at its beginning.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub(super) fn new(prepared: &Prepared, options: Options) -> Result<Self, StartError> {
        let (scenario, settings) = (&prepared.scenario, &prepared.settings);
        let workers = Workers::new(options.threads, || prepared.learner());
        let mut this = Self {
            scenario: scenario.clone(),
            breakage: options.breakage,
            queue: Queue::new(),
            chance: Chance::new(scenario.seed),
            devices: Devices::new(prepared, options.breakage),
            hibernation: Hibernation::default(),
            jobs: Jobs::new(workers, prepared.job_kib),
            broker: Broker::new(scenario.population.devices),
            old_words: retained::OldWords::default(),
            misled_by: false,
            server: ServerHost::new(prepared, options.breakage),
            reports: Reports::default(),
            watch: Watch::new(settings.deadline_ms, scenario.faults.clock_drift_ppm),
            checks: Checks::new(known(scenario, settings)?, options.threads > 1),
            profile: Profile::new(options.profile),
            tally: Tally::default(),
        };
        this.schedule_joins();
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
            if let Some((at, event)) = self.reports.take() {
                return Step::Event(at, event);
            }
            // The last round's devices are looked at too.
            let finished = self.reports.finished().is_some();
            let over = finished && !self.watch.goes_on() || self.is_over();
            if let Some(violation) = self.checks.settle(over) {
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
        self.reports.finished().unwrap_or(self.queue.now())
    }

    /// The parameters of the last version on the aggregator's disk, `[n_model]`.
    pub(super) fn params(&self) -> &[f32] {
        self.server.params()
    }

    /// Where the time went.
    pub(super) fn seconds(&self) -> Seconds {
        self.profile.seconds()
    }

    /// Devices that are connected.
    pub(super) fn connected(&self) -> u32 {
        self.devices.connected()
    }

    /// What each kind of device had a part in.
    pub(super) fn classes(&self) -> Vec<ClassFigures> {
        self.devices.figures()
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
