//! A federation of real agents and a real aggregator, each with its own MQTT connection.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dunlin_agent::driver::{self, Parts, Remote};
use dunlin_agent::ports::StateStore;
use dunlin_agent::session::{LinkPolicy, Settings as DeviceSettings};
use dunlin_agent::state::DeviceState;
use dunlin_agent::store::FileStore;
use dunlin_agent::trainer::{BurnTrainer, TrainerSettings};
use dunlin_aggregator::config::Config as AggregatorConfig;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::settings::{Enrolment, Settings, Weighting};
use dunlin_link::{BrokerUrl, LinkConfig};
use dunlin_models::Backend;
use dunlin_protocol::id::Name;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::topic::Topics;
use dunlin_service::ServiceNotifier;

use crate::experiment::{Experiment, FixedSource};
use crate::judge::Judge;

/// How a live federation runs.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// Address of the broker, which runs already.
    pub broker: BrokerUrl,
    /// The aggregator's settings; devices, target and quorum are filled in.
    pub federation: Settings,
    /// Seed of initial weights and of the devices' secrets.
    pub seed: u64,
    /// The backend that devices train with.
    pub backend: Backend,
    /// Share of each device's windows that only measures.
    pub holdout: f32,
}

/// One round as seen from outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveRound {
    /// Number of the round, from 1.
    pub round: u32,
    /// Accuracy of the new version on unseen persons.
    pub accuracy: f64,
    /// Mean loss of the new version on unseen persons.
    pub loss: f64,
    /// Devices whose updates are in the version.
    pub devices: u32,
    /// Claims and updates refused.
    pub refused: u32,
    /// Payload bytes that all devices gave to MQTT since the last round's end.
    pub bytes_up: u64,
    /// Payload bytes that all devices took from MQTT since the last round's end.
    pub bytes_down: u64,
    /// Seconds since the last round's end.
    pub seconds: f64,
}

/// What a federation reached.
#[derive(Clone, Debug, Default)]
pub struct LiveOutcome {
    /// Each round that made a version, in order.
    pub rounds: Vec<LiveRound>,
    /// The last version, `[n_model]`.
    pub params: Vec<f32>,
}

struct Agent {
    remote: Remote,
    thread: JoinHandle<Result<(), driver::RunError>>,
}

/// Runs `experiment` until its rounds are done; `on_round` hears of each.
///
/// Files of devices and aggregator go to `dir`, which should be empty.
///
/// # Errors
/// What went wrong, in words.
pub fn run(
    experiment: &Experiment,
    settings: &LiveSettings,
    dir: &Path,
    mut on_round: impl FnMut(&LiveRound),
) -> Result<LiveOutcome, String> {
    let mut judge = Judge::new(&experiment.task, settings.backend).map_err(text)?;
    let (events, inbox) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let config = aggregator_config(experiment, settings, dir)?;
    let aggregator_stop = stop.clone();
    let aggregator = std::thread::spawn(move || {
        dunlin_aggregator::run::run(
            &config,
            &aggregator_stop,
            ServiceNotifier::default(),
            |event, _| {
                let _ = events.send(event.clone());
            },
        )
    });
    let agents = start_agents(experiment, settings, dir)?;
    let mut outcome = LiveOutcome::default();
    let mut meter = Meter::start(&agents);
    let mut accepted = 0;
    loop {
        match inbox.recv_timeout(Duration::from_secs(300)) {
            Ok(RoundEvent::RoundPublished { summary, params, .. }) => {
                accepted += u64::from(summary.accepted);
                wait_for_verdicts(&agents, accepted);
                let mut round = meter.round(&agents);
                let score = judge.score(&params, &experiment.unseen).map_err(text)?;
                round.round = summary.key.round.0;
                round.accuracy = score.accuracy();
                round.loss = score.loss();
                round.devices = summary.accepted;
                round.refused = summary.tally.refused.values().sum();
                outcome.params = params.to_vec();
                on_round(&round);
                outcome.rounds.push(round);
            }
            Ok(RoundEvent::Finished { .. }) => break,
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err("nothing happened for five minutes; is the broker reachable?".into());
            }
            Err(RecvTimeoutError::Disconnected) => {
                let why = aggregator.join().map_err(|_| "the aggregator panicked")?;
                return Err(why.err().map_or("the aggregator stopped".into(), text));
            }
        }
    }
    stop_all(agents, &mut outcome, &meter)?;
    stop.store(true, Ordering::Relaxed);
    aggregator.join().map_err(|_| "the aggregator panicked")?.map_err(text)?;
    Ok(outcome)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn aggregator_config(
    experiment: &Experiment,
    settings: &LiveSettings,
    dir: &Path,
) -> Result<AggregatorConfig, String> {
    let names = experiment.devices.iter().map(|device| Name::new(&device.name).map_err(text));
    let mut federation = settings.federation.clone();
    federation.enrolled = Enrolment::Only(names.collect::<Result<_, String>>()?);
    let devices = u32::try_from(experiment.devices.len()).map_err(text)?;
    federation.target = devices;
    federation.quorum = devices.div_ceil(2);
    federation.min_online = devices;
    let instance = federation.instance.to_string();
    let broker = LinkConfig::new(settings.broker.clone(), &instance);
    let store = dir.join("aggregator.redb");
    let seed = Some(settings.seed);
    Ok(AggregatorConfig { settings: federation, broker, store, seed, adopt_task: None })
}

fn start_agents(
    experiment: &Experiment,
    settings: &LiveSettings,
    dir: &Path,
) -> Result<Vec<Agent>, String> {
    let mut agents = Vec::new();
    for (place, device) in experiment.devices.iter().enumerate() {
        let mut store = FileStore::open(&dir.join(&device.name)).map_err(text)?;
        if store.load().map_err(text)?.is_none() {
            let mut rng = Rng::for_stream(settings.seed, place as u64);
            let mut secret = [0; 32];
            secret.fill_with(|| rng.next_u64().to_le_bytes()[0]);
            store.save(&DeviceState::fresh(secret).encode()).map_err(text)?;
        }
        let session = DeviceSettings {
            device: Name::new(&device.name).map_err(text)?,
            federation: settings.federation.federation.clone(),
            topics: Topics::new(settings.federation.topics_root.clone()),
            memory_kib: 0,
            link: LinkPolicy::default(),
        };
        let trainer = TrainerSettings { backend: settings.backend, holdout: settings.holdout };
        let source = Box::new(FixedSource(device.windows.clone()));
        let trainer = BurnTrainer::new(source, trainer);
        let link = LinkConfig::new(settings.broker.clone(), &device.name);
        let remote = Remote::default();
        let control = remote.clone();
        let thread = std::thread::spawn(move || {
            driver::run(Parts::new(session, link, store, trainer), &control)
        });
        agents.push(Agent { remote, thread });
    }
    Ok(agents)
}

/// Stops the agents and adds what they still said to the last round.
fn stop_all(agents: Vec<Agent>, outcome: &mut LiveOutcome, meter: &Meter) -> Result<(), String> {
    agents.iter().for_each(|agent| agent.remote.stop());
    let mut bytes = (0, 0);
    for agent in agents {
        agent.thread.join().map_err(|_| "an agent panicked")?.map_err(text)?;
        let link = agent.remote.status().link;
        bytes = (bytes.0 + link.payload_bytes_up, bytes.1 + link.payload_bytes_down);
    }
    if let Some(last) = outcome.rounds.last_mut() {
        last.bytes_up += bytes.0.saturating_sub(meter.bytes.0);
        last.bytes_down += bytes.1.saturating_sub(meter.bytes.1);
    }
    Ok(())
}

/// What the agents have carried, and when it was read last.
struct Meter {
    bytes: (u64, u64),
    at: Instant,
}

impl Meter {
    #[allow(clippy::disallowed_methods)] // a shell that tells people how long rounds take
    fn start(agents: &[Agent]) -> Self {
        Self { bytes: carried(agents), at: Instant::now() }
    }

    /// Bytes and seconds since the last call.
    fn round(&mut self, agents: &[Agent]) -> LiveRound {
        let now = Self::start(agents);
        let round = LiveRound {
            bytes_up: now.bytes.0.saturating_sub(self.bytes.0),
            bytes_down: now.bytes.1.saturating_sub(self.bytes.1),
            seconds: (now.at - self.at).as_secs_f64(),
            ..LiveRound::default()
        };
        *self = now;
        round
    }
}

/// Waits a moment until the devices have heard that all `accepted` updates are in, so that the
/// bytes of a round are counted in that round.
#[allow(clippy::disallowed_methods)] // nothing tells when a figure of another thread changes
fn wait_for_verdicts(agents: &[Agent], accepted: u64) {
    let one = |agent: &Agent| u64::from(agent.remote.status().session.accepted);
    for _ in 0..250 {
        if agents.iter().map(one).sum::<u64>() >= accepted {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn carried(agents: &[Agent]) -> (u64, u64) {
    agents.iter().map(|agent| agent.remote.status().link).fold((0, 0), |(up, down), link| {
        (up + link.payload_bytes_up, down + link.payload_bytes_down)
    })
}

/// Settings for a demonstration: everybody takes part in every round, nobody waits.
///
/// # Errors
/// Never for names that are constants here.
pub fn demonstration(experiment: &Experiment) -> Result<Settings, String> {
    let name = |text_: &str| Name::new(text_).map_err(text);
    let mut settings =
        Settings::new(name("demo")?, name("dunlin-aggregator")?, experiment.task.clone());
    experiment.recipe.apply(&mut settings);
    settings.overselect = 1.0;
    settings.pause_ms = 0;
    settings.settle_ms = 200;
    settings.claim_wait_ms = 1_000;
    settings.commit_interval_ms = 20;
    settings.deadline_ms = 120_000;
    settings.clip_norm = 20.0;
    settings.max_abs = 8.0;
    settings.weighting = Weighting::Examples { cap: 4096 };
    Ok(settings)
}
