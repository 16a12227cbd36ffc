//! A federation on one machine: a broker, agents and an aggregator, each with its own connection.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dunlin_agent::driver::{self, DeviceStatus, Parts, Remote};
use dunlin_agent::inference::Inference;
use dunlin_agent::ports::Executor;
use dunlin_agent::session::{LinkPolicy, Settings as DeviceSettings};
use dunlin_agent::store::FileStore;
use dunlin_aggregator::config::Config;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::report;
use dunlin_aggregator::settings::{Enrolment, Settings, Weighting};
use dunlin_aggregator::store::Store;
use dunlin_aggregator::summary::Counters;
use dunlin_link::LinkConfig;
use dunlin_link::testing::{Mosquitto, new_folder};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::topic::Topics;
use dunlin_protocol::work::WorkKind;
use dunlin_service::ServiceNotifier;
use dunlin_tests::{ToyTrainer, name, toy_task};
use tempfile::TempDir;

/// How long to wait for what must come; the machine may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// Name and account of the aggregator, as in the shipped ACL.
pub(super) const AGGREGATOR: &str = "dunlin-aggregator";

/// Waits for something that nothing but looking again can tell about.
#[allow(clippy::disallowed_methods)]
pub(super) fn nap(time: Duration) {
    std::thread::sleep(time);
}

/// How long a test has waited is told by nothing but a clock.
#[allow(clippy::disallowed_methods)]
pub(super) fn clock() -> Instant {
    Instant::now()
}

/// Looks again and again until `there` holds.
pub(super) fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let start = clock();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "never came: {what}");
        nap(Duration::from_millis(20));
    }
}

/// Rounds of exactly `devices` devices over a dense task of `window * 10 + 10` parameters.
pub(super) fn settings(window: u16, devices: u32, rounds: u32) -> Settings {
    let mut settings = Settings::new(name("gait"), name(AGGREGATOR), toy_task(window));
    settings.codec = Codec::F32;
    settings.weighting = Weighting::Equal;
    settings.enrolled = Enrolment::Any;
    settings.target = devices;
    settings.quorum = devices;
    settings.min_online = devices;
    settings.rounds = rounds;
    settings.clip_norm = 1000.0;
    settings.chunk_bytes = 4096;
    settings.settle_ms = 100;
    settings.pause_ms = 50;
    settings.claim_wait_ms = 1000;
    settings.commit_interval_ms = 50;
    settings
}

/// The name of the device whose updates are those of `ToyTrainer::of(place)`.
pub(super) fn device_name(place: u8) -> String {
    format!("device-{place}")
}

struct Agent {
    remote: Remote,
    thread: JoinHandle<Result<(), driver::RunError>>,
}

type Log = Arc<(Mutex<(Vec<RoundEvent>, Counters)>, Condvar)>;

struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), dunlin_aggregator::run::RunError>>,
}

/// A broker of a test.
pub(super) trait Broker {
    /// A plain client configuration for it.
    fn client(&self, client_id: &str) -> LinkConfig;
}

impl Broker for Mosquitto {
    fn client(&self, client_id: &str) -> LinkConfig {
        Mosquitto::client(self, client_id)
    }
}

/// One federation. What still runs is cut off when it is dropped.
pub(super) struct World<B: Broker = Mosquitto> {
    pub(super) broker: B,
    pub(super) settings: Settings,
    /// Passwords of accounts; empty where everybody is let in.
    pub(super) passwords: BTreeMap<String, String>,
    /// What the links of devices started from now on cost.
    pub(super) device_link: LinkPolicy,
    folder: TempDir,
    agents: BTreeMap<String, Agent>,
    aggregator: Option<Running>,
    log: Log,
}

impl World {
    /// On a broker that lets everybody in; `None` where Mosquitto is not installed.
    pub(super) fn new(settings: Settings) -> Option<Self> {
        Some(Self::on(Mosquitto::anonymous()?, settings))
    }
}

impl<B: Broker> World<B> {
    /// On this broker.
    pub(super) fn on(broker: B, settings: Settings) -> Self {
        Self {
            broker,
            settings,
            passwords: BTreeMap::new(),
            device_link: LinkPolicy::default(),
            folder: new_folder(),
            agents: BTreeMap::new(),
            aggregator: None,
            log: Arc::default(),
        }
    }

    /// The connection of the client with this name, past any relay.
    pub(super) fn link(&self, client: &str) -> LinkConfig {
        let mut link = self.broker.client(client);
        if let Some(password) = self.passwords.get(client) {
            link.username = Some(client.to_owned());
            link.password = Some(password.clone());
        }
        link
    }

    /// The aggregator's file.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.path().join("aggregator.redb")
    }

    /// A folder for this test's files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts an aggregator on a thread of this process.
    pub(super) fn start_aggregator(&mut self) {
        self.start_aggregator_on(self.link(AGGREGATOR));
    }

    /// The same over this connection.
    pub(super) fn start_aggregator_on(&mut self, broker: LinkConfig) {
        let settings = self.settings.clone();
        let config =
            Config { settings, broker, store: self.store(), seed: Some(1), adopt_task: None };
        let (stop, log) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.log));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            dunlin_aggregator::run::run(
                &config,
                &stopped,
                ServiceNotifier::default(),
                |event, counters| {
                    let mut seen = log.0.lock().unwrap();
                    seen.0.push(event.clone());
                    seen.1 = counters.clone();
                    log.1.notify_all();
                },
            )
        });
        self.aggregator = Some(Running { stop, thread });
    }

    /// Ends the aggregator in an orderly way.
    pub(super) fn stop_aggregator(&mut self) {
        if let Some(Running { stop, thread }) = self.aggregator.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap().unwrap();
        }
    }

    /// Starts devices `0..devices`, each an exact trainer.
    pub(super) fn start_devices(&mut self, devices: u8) {
        (0..devices).for_each(|place| self.start_device(place));
    }

    /// Starts one device with its exact trainer.
    pub(super) fn start_device(&mut self, place: u8) {
        let link = self.link(&device_name(place));
        self.start_agent(place, ToyTrainer::of(place), link);
    }

    /// Starts the device of this place on what it remembers.
    pub(super) fn start_agent(
        &mut self,
        place: u8,
        trainer: impl Executor + Send + 'static,
        link: LinkConfig,
    ) {
        self.start_with(place, trainer, link, None);
    }

    /// Starts one device with its exact trainer that also classifies.
    pub(super) fn start_classifying(&mut self, place: u8, inference: Inference) {
        let link = self.link(&device_name(place));
        self.start_with(place, ToyTrainer::of(place), link, Some(inference));
    }

    fn start_with(
        &mut self,
        place: u8,
        trainer: impl Executor + Send + 'static,
        link: LinkConfig,
        inference: Option<Inference>,
    ) {
        let device = device_name(place);
        let settings = DeviceSettings {
            device: name(&device),
            federation: self.settings.federation.clone(),
            topics: Topics::default(),
            memory_kib: 0,
            link: self.device_link,
        };
        let store = FileStore::open(&self.folder.path().join(&device)).unwrap();
        let remote = Remote::default();
        let theirs = remote.clone();
        let thread = std::thread::spawn(move || {
            let parts = Parts::new(settings, link, store, trainer);
            driver::run(Parts { inference, ..parts }, &theirs)
        });
        self.agents.insert(device, Agent { remote, thread });
    }

    /// Cuts a device off without a word.
    pub(super) fn kill_device(&mut self, place: u8) {
        let agent = self.agents.remove(&device_name(place)).unwrap();
        agent.remote.kill();
        agent.thread.join().unwrap().unwrap();
    }

    /// Ends a device in an orderly way.
    pub(super) fn stop_device(&mut self, place: u8) {
        let agent = self.agents.remove(&device_name(place)).unwrap();
        agent.remote.stop();
        agent.thread.join().unwrap().unwrap();
    }

    /// What a device shows.
    pub(super) fn status(&self, place: u8) -> DeviceStatus {
        self.agents[&device_name(place)].remote.status()
    }

    fn is_running(&self) -> bool {
        self.aggregator.as_ref().is_some_and(|running| !running.thread.is_finished())
    }

    /// Waits for an event, past ones included, for which `choose` gives something.
    pub(super) fn wait_event<T>(&self, choose: impl Fn(&RoundEvent) -> Option<T>) -> T {
        let end = clock() + PATIENCE;
        let mut seen = self.log.0.lock().unwrap();
        loop {
            if let Some(value) = seen.0.iter().find_map(&choose) {
                return value;
            }
            let waiting = self.is_running() && clock() < end;
            assert!(waiting, "never came; seen: {}", story(&seen.0, &seen.1));
            seen = self.log.1.wait_timeout(seen, Duration::from_millis(200)).unwrap().0;
        }
    }

    /// Waits until so many events for which `choose` holds have happened.
    pub(super) fn wait_events(&self, count: usize, choose: impl Fn(&RoundEvent) -> bool) {
        let end = clock() + PATIENCE;
        let mut seen = self.log.0.lock().unwrap();
        while seen.0.iter().filter(|event| choose(event)).count() < count {
            let waiting = self.is_running() && clock() < end;
            assert!(waiting, "{count} are wanted; seen: {}", story(&seen.0, &seen.1));
            seen = self.log.1.wait_timeout(seen, Duration::from_millis(200)).unwrap().0;
        }
    }

    /// What `choose` gives of the events so far.
    #[allow(dead_code)] // only the tests with microcontrollers look back
    pub(super) fn events<T>(&self, choose: impl Fn(&RoundEvent) -> Option<T>) -> Vec<T> {
        self.log.0.lock().unwrap().0.iter().filter_map(choose).collect()
    }

    /// Waits until all rounds are done.
    pub(super) fn wait_finished(&self) {
        self.wait_event(|event| matches!(event, RoundEvent::Finished { .. }).then_some(()));
    }

    /// The aggregator's counts as of its last event.
    pub(super) fn counters(&self) -> Counters {
        self.log.0.lock().unwrap().1.clone()
    }

    /// Ends agents and aggregator in an orderly way.
    pub(super) fn stop(&mut self) {
        for agent in self.agents.values() {
            agent.remote.stop();
        }
        for (_, agent) in std::mem::take(&mut self.agents) {
            agent.thread.join().unwrap().unwrap();
        }
        self.stop_aggregator();
    }

    /// Ends everything and checks that the model is what `rounds` rounds make of the mean of
    /// these devices: an update that was lost or counted twice would show.
    pub(super) fn assert_each_counted_once(&mut self, places: &[u8], rounds: u32) {
        self.stop();
        let steps = places.iter().map(|place| f64::from(ToyTrainer::of(*place).step));
        let mean = steps.sum::<f64>() / f64::from(u32::try_from(places.len()).unwrap());
        self.assert_moved(mean * f64::from(rounds), rounds);
    }

    /// The last version has this number, and each value has moved so far since the first.
    fn assert_moved(&self, expected: f64, versions: u32) {
        let (first, last, version) = self.models();
        assert_eq!(version, versions, "versions");
        for (then, now) in first.iter().zip(&last) {
            let moved = f64::from(now - then);
            assert!((moved - expected).abs() < 1e-5, "moved {moved}, expected {expected}");
        }
    }

    /// Ends everything and checks that the model is what rounds make of the means of the devices that
    /// were accepted in each: which ones is not known beforehand where some come late.
    pub(super) fn assert_accepted_counted_once(&mut self, rounds: u32) {
        self.stop();
        let mut steps: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        let accepted = self.events(|event| match event {
            RoundEvent::UpdateAccepted { key, device, .. } if key.kind == WorkKind::Train => {
                Some((*key, device.clone()))
            }
            _ => None,
        });
        for (key, device) in accepted {
            let place = device.as_str().rsplit('-').next().unwrap().parse().unwrap();
            steps.entry(key).or_default().push(f64::from(ToyTrainer::of(place).step));
        }
        let mean = |steps: &Vec<f64>| steps.iter().sum::<f64>() / steps.len() as f64;
        self.assert_moved(steps.values().map(mean).sum(), rounds);
    }

    /// The first and the last model and the number of the last, from the aggregator's file.
    pub(super) fn models(&self) -> (Vec<f32>, Vec<f32>, u32) {
        let layout = self.settings.task.layout().unwrap();
        let first = layout.model_of(&layout.initial_params(1));
        let snapshot = Store::open(&self.store()).unwrap().load().unwrap().unwrap();
        let version = snapshot.head.version;
        let last = snapshot.models[&version].master_params.clone();
        assert_eq!(first.len(), last.len());
        (first, last, version.0)
    }
}

/// The last events and the counts, for people.
fn story(events: &[RoundEvent], counters: &Counters) -> String {
    let last = events.iter().skip(events.len().saturating_sub(40));
    let lines: Vec<String> = last.map(|event| report::line(event, true).1).collect();
    format!("{}\n{counters:?}", lines.join("\n"))
}

impl<B: Broker> Drop for World<B> {
    fn drop(&mut self) {
        self.agents.values().for_each(|agent| agent.remote.kill());
        if let Some(running) = &self.aggregator {
            running.stop.store(true, Ordering::Relaxed);
        }
    }
}
