//! A broker, an aggregator and devices in one thread on virtual time: no sockets, no clocks.
//!
//! The sessions and the aggregator are the ones that run in the field. Links keep their order,
//! as TCP does, and lose what is on its way when they are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use dunlin_agent::job::{Job, ModelInUse, Survey};
use dunlin_agent::ports::Executor;
use dunlin_agent::session::{Input, LinkPolicy, Ports, Session, Settings};
use dunlin_agent::state::DeviceState;
use dunlin_aggregator::aggregator::{Aggregator, Start, StartError};
use dunlin_aggregator::io::{Input as AggregatorInput, Output as AggregatorOutput, RoundEvent};
use dunlin_aggregator::settings::Settings as AggregatorSettings;
use dunlin_aggregator::snapshot::Snapshot;
use dunlin_protocol::id::{FederationId, Lineage, Name};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::Held;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, Topics};

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

#[derive(Clone, Debug)]
enum Event {
    Wake(Client),
    /// At the broker, from a client's connection of this number.
    Publish {
        from: Client,
        epoch: u32,
        topic: String,
        payload: Vec<u8>,
        retain: bool,
    },
    Subscribe {
        from: Client,
        epoch: u32,
        filter: String,
        on: bool,
    },
    /// At a client, on its connection of this number.
    Deliver {
        to: Client,
        epoch: u32,
        topic: String,
        payload: Vec<u8>,
    },
    /// A device has left the broker in an orderly way.
    Leave {
        device: usize,
        epoch: u32,
    },
    /// A device that slept connects again, unless its power was cut meanwhile.
    Awake {
        device: usize,
        epoch: u32,
    },
    JobDone {
        device: usize,
        /// Number of the device's job.
        number: u32,
        job: Box<Job>,
    },
}

/// What happens when, in the order in which it was asked for.
#[derive(Debug, Default)]
struct Timeline {
    now: Instant,
    sequence: u64,
    events: BTreeMap<(Instant, u64), Event>,
}

impl Timeline {
    fn after(&mut self, delay_ms: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now.after(delay_ms), self.sequence), event);
    }
}

/// One end's connection: its number grows with each reconnect.
#[derive(Debug, Default)]
struct Connection {
    epoch: u32,
    up: bool,
    filters: BTreeSet<String>,
    will: Option<(String, Vec<u8>)>,
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
    retained: BTreeMap<String, Vec<u8>>,
    connections: BTreeMap<Client, Connection>,
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
type Watcher = Box<dyn FnMut(Instant, Client, Way, &str, &[u8])>;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
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
            retained: BTreeMap::new(),
            connections: BTreeMap::new(),
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
    pub fn hold(&mut self, device: usize, held: Option<Held>) {
        self.devices[device].session.handle(self.timeline.now, Input::Held(held));
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
        let clients: Vec<Client> =
            self.connections.iter().filter(|(_, c)| c.up).map(|(client, _)| *client).collect();
        if !persistent {
            self.retained.clear();
        }
        for client in &clients {
            if let Some(connection) = self.connections.get_mut(client) {
                connection.will = None; // a broker that dies publishes no wills
            }
            self.disconnect(*client);
        }
        clients.into_iter().for_each(|client| self.connect(client));
    }

    /// Shows every message that a client's link carries to the end to `watcher`.
    pub fn watch(&mut self, watcher: impl FnMut(Instant, Client, Way, &str, &[u8]) + 'static) {
        self.watcher = Some(Box::new(watcher));
    }

    fn carried(&mut self, client: Client, way: Way, topic: &str, payload: &[u8]) {
        let bytes = payload.len() as u64;
        match (client, way) {
            (Client::Device(_), Way::Up) => self.bytes.0 += bytes,
            (Client::Device(_), Way::Down) => self.bytes.1 += bytes,
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
        let objects = self.retained.iter().filter(|(topic, _)| topic.contains("/obj/"));
        objects.map(|(topic, payload)| (topic.clone(), payload.clone())).collect()
    }

    /// Whether a client is connected.
    pub fn is_connected(&self, client: Client) -> bool {
        self.connections.get(&client).is_some_and(|connection| connection.up)
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
        let epoch = self.connections.get(&client).map_or(0, |connection| connection.epoch);
        self.timeline
            .after(HOP_MS, Event::Publish { from: client, epoch, topic, payload, retain: false });
    }

    /// Lets everything happen up to `until`, or until `stop` says so after an event; whether it did.
    pub fn run(&mut self, until: Instant, mut stop: impl FnMut(&Self) -> bool) -> bool {
        while let Some((&key, _)) = self.timeline.events.first_key_value() {
            if key.0 > until {
                break;
            }
            let Some(event) = self.timeline.events.remove(&key) else { break };
            self.timeline.now = key.0;
            self.happen(event);
            if stop(self) {
                return true;
            }
        }
        self.timeline.now = self.timeline.now.max(until);
        false
    }

    fn is_current(&self, client: Client, epoch: u32) -> bool {
        self.connections.get(&client).is_some_and(|c| c.up && c.epoch == epoch)
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
        let connection = self.connections.entry(client).or_default();
        connection.epoch += 1;
        connection.up = true;
        connection.will = will;
        self.tell(client, Told::Connected);
    }

    fn disconnect(&mut self, client: Client) {
        let Some(connection) = self.connections.get_mut(&client) else { return };
        connection.up = false;
        connection.filters.clear();
        if let Some((topic, payload)) = connection.will.take() {
            self.route(topic, payload, true);
        }
        self.tell(client, Told::Disconnected);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(client) => self.tell(client, Told::Tick),
            Event::Publish { from, epoch, topic, payload, retain } => {
                if self.is_current(from, epoch) {
                    self.carried(from, Way::Up, &topic, &payload);
                    self.route(topic, payload, retain);
                }
            }
            Event::Subscribe { from, epoch, filter, on } => {
                if self.is_current(from, epoch) {
                    self.subscribe(from, epoch, filter, on);
                }
            }
            Event::Deliver { to, epoch, topic, payload } => {
                if self.is_current(to, epoch) {
                    self.carried(to, Way::Down, &topic, &payload);
                    self.tell(to, Told::Message(&topic, &payload));
                }
            }
            Event::Leave { device, epoch } => {
                let client = Client::Device(device);
                if self.is_current(client, epoch) {
                    if let Some(connection) = self.connections.get_mut(&client) {
                        connection.will = None;
                    }
                    self.disconnect(client);
                }
            }
            Event::Awake { device, epoch } => {
                let client = Client::Device(device);
                let same = self.connections.get(&client).is_some_and(|c| c.epoch == epoch && !c.up);
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

    fn subscribe(&mut self, from: Client, epoch: u32, filter: String, on: bool) {
        let Some(connection) = self.connections.get_mut(&from) else { return };
        if !on {
            connection.filters.remove(&filter);
            return;
        }
        let matching = self.retained.iter().filter(|(topic, _)| matches(&filter, topic));
        let kept: Vec<(String, Vec<u8>)> =
            matching.map(|(topic, payload)| (topic.clone(), payload.clone())).collect();
        connection.filters.insert(filter);
        for (topic, payload) in kept {
            self.timeline.after(HOP_MS, Event::Deliver { to: from, epoch, topic, payload });
        }
    }

    fn route(&mut self, topic: String, payload: Vec<u8>, retain: bool) {
        let hears = |c: &Connection| c.up && c.filters.iter().any(|filter| matches(filter, &topic));
        let listening = self.connections.iter().filter(|(_, connection)| hears(connection));
        let to: Vec<(Client, u32)> = listening.map(|(client, c)| (*client, c.epoch)).collect();
        for (to, epoch) in to {
            let (topic, payload) = (topic.clone(), payload.clone());
            self.timeline.after(HOP_MS, Event::Deliver { to, epoch, topic, payload });
        }
        if retain && payload.is_empty() {
            self.retained.remove(&topic);
        } else if retain {
            self.retained.insert(topic, payload);
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
        let epoch = self.connections.get(&Client::Aggregator).map_or(0, |c| c.epoch);
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
        let epoch = self.connections.get(&client).map_or(0, |c| c.epoch);
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

/// What the session of a device in memory acts on.
struct MemoryPorts<'a> {
    timeline: &'a mut Timeline,
    place: usize,
    epoch: u32,
    topics: &'a Topics,
    saved: &'a mut Vec<u8>,
    train_ms: u64,
    job: &'a mut u32,
    messages: &'a mut u64,
    /// A survey of this task was asked for.
    task: Option<Arc<Task>>,
}

impl MemoryPorts<'_> {
    fn subscribe_or_not(&mut self, topic: &Topic, on: bool) -> bool {
        let (from, filter) = (Client::Device(self.place), self.topics.name(topic));
        self.timeline.after(HOP_MS, Event::Subscribe { from, epoch: self.epoch, filter, on });
        true
    }
}

impl Ports for MemoryPorts<'_> {
    type Error = Infallible;

    fn subscribe(&mut self, topic: &Topic) -> bool {
        self.subscribe_or_not(topic, true)
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        self.subscribe_or_not(topic, false)
    }

    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, retain: bool) -> Result<(), Vec<u8>> {
        *self.messages += 1;
        let (from, epoch, topic) =
            (Client::Device(self.place), self.epoch, self.topics.name(topic));
        self.timeline.after(HOP_MS, Event::Publish { from, epoch, topic, payload, retain });
        Ok(())
    }

    fn save(&mut self, state: &DeviceState) -> Result<(), Infallible> {
        *self.saved = state.encode();
        Ok(())
    }

    fn use_task(&mut self, task: Arc<Task>) -> Result<(), Infallible> {
        self.task = Some(task);
        Ok(())
    }

    fn use_model(&mut self, _model: ModelInUse) {}

    fn start(&mut self, job: Job) -> Result<(), Infallible> {
        *self.job += 1;
        let (device, number, job) = (self.place, *self.job, Box::new(job));
        self.timeline.after(self.train_ms, Event::JobDone { device, number, job });
        Ok(())
    }

    fn cancel(&mut self, _work: WorkRef) {
        *self.job += 1;
    }

    fn sleep(&mut self, ms: u64) {
        // What was said before is still carried: the connection is closed in order.
        let (device, epoch) = (self.place, self.epoch);
        self.timeline.after(HOP_MS + 1, Event::Leave { device, epoch });
        self.timeline.after(ms.max(HOP_MS + 2), Event::Awake { device, epoch });
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

/// Whether an MQTT filter with `+` levels matches a topic.
fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    let fits = filter
        .split('/')
        .all(|level| levels.next().is_some_and(|found| level == "+" || level == found));
    fits && levels.next().is_none()
}
