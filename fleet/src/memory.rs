//! A broker, an aggregator and devices in one thread on virtual time: no sockets, no clocks.
//!
//! The sessions and the aggregator are the ones that run in the field. Links keep their order,
//! as TCP does, and lose what is on its way when they are cut.

mod broker;
mod ports;
mod timeline;

use std::collections::BTreeMap;

use dunlin_agent::job::Survey;
use dunlin_agent::ports::Executor;
use dunlin_agent::session::{Input, LinkPolicy, Session, Settings};
use dunlin_agent::state::DeviceState;
use dunlin_aggregator::aggregator::{Aggregator, Start, StartError};
use dunlin_aggregator::io::{Input as AggregatorInput, Output as AggregatorOutput, RoundEvent};
use dunlin_aggregator::settings::Settings as AggregatorSettings;
use dunlin_aggregator::snapshot::Snapshot;
use dunlin_protocol::id::{FederationId, Lineage, Name};
use dunlin_protocol::presence::Ineligible;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topics;

use broker::Broker;
use ports::MemoryPorts;
use timeline::{Event, Timeline};

/// Time from a client to the broker, or from the broker to a client, in milliseconds.
pub const HOP_MS: u64 = 20;

/// Who is at an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// The one aggregator of the federation.
    Aggregator,
    /// A device by its place.
    Device(usize),
}

struct Device<T> {
    settings: Settings,
    session: Session,
    saved: Vec<u8>,
    trainer: T,
    train_ms: u64,
    /// Number of the job that runs; grows when one begins or is cancelled.
    job: u32,
    powered: bool,
}

/// A whole federation in memory.
pub struct MemoryFleet<T> {
    timeline: Timeline,
    broker: Broker,
    aggregator_settings: AggregatorSettings,
    aggregator: Option<Aggregator>,
    snapshot: Option<Snapshot>,
    devices: Vec<Device<T>>,
    /// What the links of devices added from now on cost them.
    pub device_link: LinkPolicy,
    /// Everything that the aggregator reported, with its time.
    pub log: Vec<(Instant, RoundEvent)>,
    /// Messages that devices published.
    pub device_messages: u64,
    /// Payload bytes that devices sent, and that they got, while they were connected.
    bytes: (u64, u64),
    watcher: Option<Watcher>,
}

/// Hears of every message as it arrives: when, over whose link, which way, topic and payload.
type Watcher = Box<dyn FnMut(Instant, Client, Direction, &str, &[u8])>;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker.
    Up,
    /// From the broker to the client.
    Down,
}

impl<T: Executor> MemoryFleet<T> {
    /// A federation whose devices all know the same broker; nobody is connected yet.
    pub fn new(aggregator_settings: AggregatorSettings) -> Self {
        Self {
            timeline: Timeline::default(),
            broker: Broker::default(),
            aggregator_settings,
            aggregator: None,
            snapshot: None,
            devices: Vec::new(),
            device_link: LinkPolicy::default(),
            log: Vec::new(),
            device_messages: 0,
            bytes: (0, 0),
            watcher: None,
        }
    }

    /// Adds a device and connects it; jobs take it `train_ms`. Its secret follows from its name.
    pub fn add_device(&mut self, name: Name, trainer: T, train_ms: u64) -> usize {
        let federation: FederationId = self.aggregator_settings.federation.clone();
        let topics = Topics::new(self.aggregator_settings.topics_root.clone());
        let settings = Settings {
            device: name.clone(),
            federation,
            topics,
            memory_kib: 0,
            link: self.device_link,
        };
        let seed = name.as_str().bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        let mut rng = Rng::new(seed);
        let mut secret = [0; 32];
        secret.fill_with(|| rng.next_u64().to_le_bytes()[0]);
        let state = DeviceState::fresh(secret);
        let saved = state.encode();
        let session = Session::new(settings.clone(), state);
        let device = Device { settings, session, saved, trainer, train_ms, job: 0, powered: true };
        self.devices.push(device);
        let place = self.devices.len() - 1;
        self.connect(Client::Device(place));
        place
    }

    /// Starts the aggregator: fresh with weights from `seed`, or from its last save.
    ///
    /// # Errors
    /// When its settings cannot be used.
    pub fn start_aggregator(&mut self, seed: u64) -> Result<(), StartError> {
        use dunlin_aggregator::aggregator::Initial;
        let start = match &self.snapshot {
            Some(snapshot) => Start::Restored(Box::new(snapshot.clone())),
            None => Start::Fresh { lineage: Lineage([5; 16]), initial: Initial::Seed(seed) },
        };
        let (settings, now) = (self.aggregator_settings.clone(), self.timeline.now);
        self.aggregator = Some(Aggregator::new(settings, start, now, now.0 / 1000)?);
        self.connect(Client::Aggregator);
        Ok(())
    }

    /// Cuts the aggregator's power; only what it saved remains.
    pub fn kill_aggregator(&mut self) {
        self.aggregator = None;
        self.disconnect(Client::Aggregator);
    }

    /// Cuts a device's power; only what it saved remains.
    pub fn kill_device(&mut self, device: usize) {
        self.devices[device].powered = false;
        self.devices[device].job += 1;
        self.disconnect(Client::Device(device));
    }

    /// Tells a device why it must not work now, or that it may.
    pub fn hold(&mut self, device: usize, held: Option<Ineligible>) {
        self.devices[device].session.handle(self.timeline.now, Input::Ineligible(held));
        self.drain_device(device);
    }

    /// Starts a device that was killed.
    ///
    /// # Panics
    /// When its own saved state cannot be read, which would be a bug.
    pub fn restart_device(&mut self, device: usize) {
        let slot = &mut self.devices[device];
        let state = DeviceState::decode(&slot.saved).unwrap_or_else(|error| panic!("{error}"));
        slot.session = Session::new(slot.settings.clone(), state);
        slot.powered = true;
        self.connect(Client::Device(device));
    }

    /// Cuts a link until [`MemoryFleet::mend`].
    pub fn break_link(&mut self, client: Client) {
        self.disconnect(client);
    }

    /// Connects a link that was cut.
    pub fn mend(&mut self, client: Client) {
        self.connect(client);
    }

    /// Cuts a link and connects it again at once.
    pub fn cut(&mut self, client: Client) {
        self.disconnect(client);
        self.connect(client);
    }

    /// Restarts the broker; without persistence it forgets what it retained.
    pub fn restart_broker(&mut self, persistent: bool) {
        let clients = self.broker.connected();
        if !persistent {
            self.broker.forget();
        }
        for client in &clients {
            self.broker.drop_will(*client); // a broker that dies publishes no wills
            self.disconnect(*client);
        }
        clients.into_iter().for_each(|client| self.connect(client));
    }

    /// Shows every message that a client's link carries to the end to `watcher`.
    pub fn watch(
        &mut self,
        watcher: impl FnMut(Instant, Client, Direction, &str, &[u8]) + 'static,
    ) {
        self.watcher = Some(Box::new(watcher));
    }

    fn carried(&mut self, client: Client, way: Direction, topic: &str, payload: &[u8]) {
        let bytes = payload.len() as u64;
        match (client, way) {
            (Client::Device(_), Direction::Up) => self.bytes.0 += bytes,
            (Client::Device(_), Direction::Down) => self.bytes.1 += bytes,
            (Client::Aggregator, _) => {}
        }
        if let Some(watcher) = &mut self.watcher {
            watcher(self.timeline.now, client, way, topic, payload);
        }
    }

    /// Payload bytes of all messages from devices that the broker took, and of all that devices
    /// got.
    pub fn device_bytes(&self) -> (u64, u64) {
        self.bytes
    }

    /// The topics of object chunks that the broker holds, with their payloads.
    pub fn retained_objects(&self) -> BTreeMap<String, Vec<u8>> {
        let objects = self.broker.retained().filter(|(topic, _)| topic.contains("/obj/"));
        objects.map(|(topic, payload)| (topic.clone(), payload.clone())).collect()
    }

    /// Whether a client is connected.
    pub fn is_connected(&self, client: Client) -> bool {
        self.broker.is_connected(client)
    }

    /// The virtual time in milliseconds since the start.
    pub fn now(&self) -> Instant {
        self.timeline.now
    }

    /// The session of the device at place `device`, from 0.
    pub fn session(&self, device: usize) -> &Session {
        &self.devices[device].session
    }

    /// The aggregator while it runs.
    pub fn aggregator(&self) -> Option<&Aggregator> {
        self.aggregator.as_ref()
    }

    /// Publishes as if from `client`: what a broken or hostile device might say.
    pub fn inject(&mut self, client: Client, topic: String, payload: Vec<u8>) {
        let epoch = self.broker.epoch(client);
        self.timeline
            .after(HOP_MS, Event::Publish { from: client, epoch, topic, payload, retain: false });
    }

    /// Lets everything happen up to `until`, or until `stop` says so after an event; whether it did.
    pub fn run(&mut self, until: Instant, mut stop: impl FnMut(&Self) -> bool) -> bool {
        while let Some(event) = self.timeline.next(until) {
            self.happen(event);
            if stop(self) {
                return true;
            }
        }
        self.timeline.now = self.timeline.now.max(until);
        false
    }

    fn connect(&mut self, client: Client) {
        let will = match client {
            Client::Aggregator => self.aggregator.as_ref().map(|aggregator| {
                let topics = Topics::new(self.aggregator_settings.topics_root.clone());
                let (topic, payload) = aggregator.last_will();
                (topics.name(&topic), payload)
            }),
            Client::Device(place) => {
                let session = &self.devices[place].session;
                let (topic, payload) = session.last_will();
                Some((session.topics().name(&topic), payload))
            }
        };
        self.broker.connect(client, will);
        self.tell(client, Told::Connected);
    }

    fn disconnect(&mut self, client: Client) {
        let Some(will) = self.broker.disconnect(client) else { return };
        if let Some((topic, payload)) = will {
            self.route(&topic, &payload, true);
        }
        self.tell(client, Told::Disconnected);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(client) => self.tell(client, Told::Tick),
            Event::Publish { from, epoch, topic, payload, retain } => {
                if self.broker.is_current(from, epoch) {
                    self.carried(from, Direction::Up, &topic, &payload);
                    self.route(&topic, &payload, retain);
                }
            }
            Event::Subscribe { from, epoch, filter, on } => {
                if self.broker.is_current(from, epoch) {
                    for (topic, payload) in self.broker.subscribe(from, filter, on) {
                        let kept = Event::Deliver { to: from, epoch, topic, payload };
                        self.timeline.after(HOP_MS, kept);
                    }
                }
            }
            Event::Deliver { to, epoch, topic, payload } => {
                if self.broker.is_current(to, epoch) {
                    self.carried(to, Direction::Down, &topic, &payload);
                    self.tell(to, Told::Message(&topic, &payload));
                }
            }
            Event::Leave { device, epoch } => {
                let client = Client::Device(device);
                if self.broker.is_current(client, epoch) {
                    self.broker.drop_will(client);
                    self.disconnect(client);
                }
            }
            Event::Awake { device, epoch } => {
                let client = Client::Device(device);
                let same = self.broker.epoch(client) == epoch && !self.broker.is_connected(client);
                if same && self.devices[device].powered {
                    self.connect(client);
                }
            }
            Event::JobDone { device, number, job } => {
                if self.devices[device].job != number {
                    return;
                }
                let outcome = self.devices[device].trainer.run(&job, &|| false);
                let input = Input::Done { work: job.work, outcome };
                self.devices[device].session.handle(self.timeline.now, input);
                self.drain_device(device);
            }
        }
    }

    fn route(&mut self, topic: &str, payload: &[u8], retain: bool) {
        for (to, epoch) in self.broker.publish(topic, payload, retain) {
            let (topic, payload) = (topic.to_owned(), payload.to_vec());
            self.timeline.after(HOP_MS, Event::Deliver { to, epoch, topic, payload });
        }
    }

    fn tell(&mut self, client: Client, told: Told<'_>) {
        match client {
            Client::Device(place) => {
                let device = &mut self.devices[place];
                if let Some(input) =
                    told.for_device(&device.settings.topics).filter(|_| device.powered)
                {
                    device.session.handle(self.timeline.now, input);
                    self.drain_device(place);
                }
            }
            Client::Aggregator => self.tell_aggregator(&told),
        }
    }

    fn tell_aggregator(&mut self, told: &Told<'_>) {
        let topics = Topics::new(self.aggregator_settings.topics_root.clone());
        let Some(aggregator) = &mut self.aggregator else { return };
        let input = match told {
            Told::Connected => AggregatorInput::Connected,
            Told::Disconnected => AggregatorInput::Disconnected,
            Told::Tick => AggregatorInput::Tick,
            Told::Message(topic, payload) => match topics.parse(topic) {
                Some(topic) => AggregatorInput::Message { topic, payload },
                None => return,
            },
        };
        aggregator.handle(self.timeline.now, input);
        let mut outputs = Vec::new();
        while let Some(output) = aggregator.poll_output() {
            outputs.push(output);
        }
        let wake = aggregator.next_deadline();
        let epoch = self.broker.epoch(Client::Aggregator);
        for output in outputs {
            match output {
                AggregatorOutput::Subscribe(filter) => {
                    let from = Client::Aggregator;
                    self.timeline.after(HOP_MS, Event::Subscribe { from, epoch, filter, on: true });
                }
                AggregatorOutput::Publish { topic, payload, retain } => {
                    let (from, topic) = (Client::Aggregator, topics.name(&topic));
                    self.timeline
                        .after(HOP_MS, Event::Publish { from, epoch, topic, payload, retain });
                }
                AggregatorOutput::Save(save) => {
                    self.snapshot = Snapshot::after(self.snapshot.take(), &save);
                }
                AggregatorOutput::Event(event) => self.log.push((self.timeline.now, event)),
            }
        }
        self.wake_at(Client::Aggregator, wake);
    }

    fn wake_at(&mut self, client: Client, wake: Option<Instant>) {
        if let Some(at) = wake {
            self.timeline.after(at.since(self.timeline.now).max(1), Event::Wake(client));
        }
    }

    fn drain_device(&mut self, place: usize) {
        let client = Client::Device(place);
        let epoch = self.broker.epoch(client);
        loop {
            let Self { timeline, devices, device_messages, .. } = self;
            let Device { settings, session, saved, trainer, train_ms, job, .. } =
                &mut devices[place];
            let (topics, train_ms, task) = (&settings.topics, *train_ms, None);
            #[rustfmt::skip]
            let mut ports = MemoryPorts {
                timeline, place, epoch, topics, saved, train_ms, job, task,
                messages: device_messages,
            };
            let Ok(_) = session.perform(&mut ports);
            let Some(task) = ports.task else { break };
            let survey = trainer.survey(&task, &|| false).unwrap_or(Survey::NOTHING);
            session.handle(timeline.now, Input::Survey(survey));
        }
        let wake = self.devices[place].session.next_deadline();
        self.wake_at(client, wake);
    }
}

enum Told<'a> {
    Connected,
    Disconnected,
    Tick,
    Message(&'a str, &'a [u8]),
}

impl<'a> Told<'a> {
    /// As a device hears it; `None` on topics that are not ours.
    fn for_device(&self, topics: &Topics) -> Option<Input<'a>> {
        Some(match *self {
            Self::Connected => Input::Connected,
            Self::Disconnected => Input::Disconnected,
            Self::Tick => Input::Tick,
            Self::Message(topic, payload) => {
                Input::Message { topic: topics.parse(topic)?, payload }
            }
        })
    }
}
