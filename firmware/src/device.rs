//! The device: joins the session to a byte stream, to flash, to a sensor and to the trainer, on one
//! thread.
//!
//! While the trainer works, it asks before each step whether to stop; that is when the stream and
//! the session get their turn. So keep-alive messages go on, and a round that ended is noticed.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use dunlin_agent::job::{Job, JobFailure, JobSpec, ModelInUse, Outcome, Survey};
use dunlin_agent::network::NetworkTrainer;
use dunlin_agent::session::{
    Input, LinkPolicy, Ports, Session, Settings, batch_bytes, windows_max,
};
use dunlin_agent::state::{DeviceState, StateError};
use dunlin_agent::sums;
use dunlin_models::Backend;
use dunlin_protocol::id::{Digest, Lineage, RoundId, ShortDigest};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::{Task, TaskSpec};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, Topics};
use embedded_storage::nor_flash::NorFlash;
use log::{error, info, warn};

use crate::config::Config;
use crate::flash::{FlashError, Slots};
use crate::mqtt::{Client, ConnectRefusal, Event, Options, Will};
use crate::sensor::Sensor;

/// Longest packet that may come, in bytes: a chunk of the smallest length and its topic, or more
/// where the memory allows.
const PACKET_BYTES_MIN: usize = 6 * 1024;
/// Bytes taken from the stream at a time.
const PIECE: usize = 128;
/// Pieces taken in one turn at the most: what piled up during a slow step.
const PIECES_MAX: usize = 32;
/// Outputs of the session that may wait for room. With more the connection is given up: after the
/// next one the session says everything again.
const BACKLOG_MAX: usize = 64;

/// What the device needs of its board beside flash: a clock and a byte stream.
pub trait Port {
    /// Time since the start.
    fn now(&self) -> Instant;
    /// Takes what has come on the stream into `bytes`, without waiting; how many.
    fn read(&mut self, bytes: &mut [u8]) -> usize;
    /// Gives the stream what it takes of `bytes` without waiting; how many.
    fn write(&mut self, bytes: &[u8]) -> usize;
    /// Rests until something may have come, a few milliseconds at the most.
    fn rest(&mut self);
    /// Something worth a figure has happened: a round ended.
    fn round_ended(&mut self) {}
}

/// What the board brings along.
pub struct Parts<'a, P, F> {
    /// Its clock, and the stream to the broker.
    pub port: P,
    /// Where the state is kept: two slots.
    pub flash: F,
    /// What the page in flash says.
    pub config: Config,
    /// Flash that a recording may lie in.
    pub recording: &'a [u8],
    /// 32 secret random bytes for the first start ever.
    pub entropy: [u8; 32],
    /// Bytes of the heap: bounds what is fetched and trained.
    pub memory: usize,
}

/// Why a device cannot start, in words for the console.
pub type StartError = &'static str;

const DAMAGED: StartError = "the state in flash is damaged: erase it to start as a new device, \
    without its update and its own layers";
const OTHER_VERSION: StartError = "flash holds the state of another version: install that, or erase \
    the state to start as a new device, without its update and its own layers";

enum Order {
    UseTask(Arc<Task>),
    Run(Job),
}

struct Core<P, F> {
    port: P,
    slots: Slots<F>,
    session: Session,
    client: Client,
    orders: VecDeque<Order>,
    /// The client had no room for all that the session asked for.
    waiting: bool,
    topics: Topics,
    cancelled: bool,
    /// What the stream brought and the client has not taken yet.
    came: Vec<u8>,
    /// When to connect, while the client is away.
    wake_at: Option<Instant>,
    accepted: u32,
    /// The state could not be kept: nothing is said or done any more.
    failed: bool,
}

/// A device that has read its state.
pub struct Device<'a, P, F> {
    core: RefCell<Core<P, F>>,
    trainer: NetworkTrainer,
    sensor: Sensor<'a>,
}

impl<'a, P: Port, F: NorFlash> Device<'a, P, F> {
    /// Reads the state, counts the start and keeps it.
    ///
    /// # Errors
    /// When flash cannot be read, is damaged, or holds the state of a newer version.
    pub fn start(parts: Parts<'a, P, F>) -> Result<Self, StartError> {
        let Parts { port, flash, config, recording, entropy, memory } = parts;
        let sensor = Sensor::new(&config, recording, windows_max(memory));
        let (slots, state) = Slots::open(flash).map_err(|error| match error {
            FlashError::Damaged => DAMAGED,
            FlashError::Device | FlashError::TooLong { .. } => "flash cannot be read",
        })?;
        let state = match state {
            Some(bytes) => DeviceState::decode(&bytes).map_err(|error| match error {
                StateError::Malformed => DAMAGED,
                StateError::Schema { .. } => OTHER_VERSION,
            })?,
            None => {
                info!("no state in flash: starts as a new device");
                DeviceState::fresh(entropy)
            }
        };
        let start = state.boot.saturating_add(1);
        let seed = state.lottery.draw(&config.federation, Lineage([0; 16]), RoundId(state.boot), 1);
        let topics = Topics::new(config.root.clone());
        let settings = Settings {
            device: config.device.clone(),
            federation: config.federation.clone(),
            topics: topics.clone(),
            memory_kib: u32::try_from(memory / 1024).unwrap_or(u32::MAX),
            link: LinkPolicy::default(),
        };
        let session = Session::new(settings, state);
        let (topic, payload) = session.last_will();
        let options = Options {
            client_id: config.device.as_str().into(),
            username: config
                .username
                .or_else(|| config.password.as_ref().map(|_| config.device.as_str().into())),
            password: config.password,
            keep_alive_s: config.keep_alive_s,
            will: Will { topic: topics.name(&topic), payload },
            packet_bytes_max: PACKET_BYTES_MIN.max(memory / 8),
            out_bytes_max: PACKET_BYTES_MIN.max(memory / 16),
        };
        let client =
            Client::new(options, seed).map_err(|_| "user name or password are too long")?;
        let mut core = Core {
            wake_at: Some(port.now()),
            port,
            slots,
            session,
            client,
            orders: VecDeque::new(),
            waiting: false,
            topics,
            cancelled: false,
            came: Vec::with_capacity(PIECE),
            accepted: 0,
            failed: false,
        };
        // The boot number must be kept before the broker hears of it.
        core.perform();
        if !core.failed {
            info!("start {start}");
        }
        Ok(Self {
            core: RefCell::new(core),
            trainer: NetworkTrainer::new(Backend::Flex).within(batch_bytes(memory)),
            sensor,
        })
    }

    /// Runs until the state cannot be kept: then start again, so that nothing is said that would be
    /// forgotten.
    pub fn run(mut self) {
        while self.turn() {}
    }

    /// One turn: what has come, and a piece of work if there is one; else rests. False when the state
    /// could not be kept.
    pub fn turn(&mut self) -> bool {
        let Self { core, trainer, sensor } = self;
        core.borrow_mut().turn();
        let order = core.borrow_mut().orders.pop_front();
        match order {
            Some(Order::UseTask(task)) => {
                let found = sensor.with_windows(&task, |train, held| {
                    Ok(Survey::of_split(train.len(), held.len()))
                });
                let survey = found.unwrap_or_else(|JobFailure { why, .. }| {
                    warn!("no training windows: {why}");
                    Survey::NOTHING
                });
                core.borrow_mut().tell(Input::Survey(survey));
            }
            Some(Order::Run(job)) => work(core, trainer, sensor, &job),
            None => core.borrow_mut().port.rest(),
        }
        !core.borrow().failed
    }
}

/// Does `job`; its outcome is not told if it was cancelled meanwhile.
fn work<P: Port, F: NorFlash>(
    core: &RefCell<Core<P, F>>,
    trainer: &mut NetworkTrainer,
    sensor: &Sensor<'_>,
    job: &Job,
) {
    core.borrow_mut().cancelled = false;
    info!("round {}: works from {}", job.work.round, digest_of(&job.model));
    let stop = || {
        let mut core = core.borrow_mut();
        core.turn();
        core.cancelled || core.failed
    };
    let outcome = match &job.spec {
        JobSpec::Sums(work) => {
            let visit = &mut |spec: &TaskSpec, each: &mut dyn FnMut(&[f32], Option<u16>)| {
                sensor.visit(&job.task, spec, &stop, each)
            };
            sums::add_up(work, &job.task, visit).map(Outcome::Sums)
        }
        JobSpec::Train(_) | JobSpec::Evaluate => sensor
            .with_windows(&job.task, |train, held| trainer.run(job, train, held, &stop))
            .map(Outcome::Trained),
    };
    let mut core = core.borrow_mut();
    if !core.cancelled {
        core.tell(Input::Done { work: job.work, outcome });
    }
}

/// Digest of a model's parameters as little-endian floats: equal where the bits are.
fn digest_of(params: &[f32]) -> ShortDigest {
    let bytes: Vec<u8> = params.iter().flat_map(|value| value.to_le_bytes()).collect();
    Digest::of(&bytes).short()
}

impl<P: Port, F: NorFlash> Core<P, F> {
    /// Moves bytes and time on.
    fn turn(&mut self) {
        let now = self.port.now();
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            self.client.connect(now);
        }
        for _ in 0..PIECES_MAX {
            if self.came.is_empty() {
                let mut piece = [0; PIECE];
                let count = self.port.read(&mut piece);
                self.came.extend_from_slice(&piece[..count]);
            }
            let idle = self.came.is_empty();
            self.receive(now);
            if idle || !self.came.is_empty() {
                break;
            }
        }
        self.client.tick(now);
        if self.session.next_deadline().is_some_and(|at| at <= now) {
            self.tell(Input::Tick);
        }
        let written = self.port.write(self.client.output());
        self.client.written(written);
        if self.waiting {
            self.perform();
        }
    }

    /// Gives the client what came. It stops at each message; what it does not take for lack of room
    /// waits here.
    fn receive(&mut self, now: Instant) {
        loop {
            let taken = self.client.receive(now, &self.came);
            self.came.drain(..taken);
            let mut idle = taken == 0;
            while let Some(event) = self.client.poll_event() {
                idle = false;
                self.on_event(event);
            }
            if idle {
                break;
            }
        }
    }

    /// Tells the session, and does what it asks for.
    fn tell(&mut self, input: Input<'_>) {
        if self.failed {
            return;
        }
        let now = self.port.now();
        self.session.handle(now, input);
        self.perform();
        let accepted = self.session.counters().accepted;
        if accepted != self.accepted {
            self.accepted = accepted;
            self.port.round_ended();
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.tell(Input::Connected);
                self.client.set_will(self.session.last_will().1);
            }
            Event::Disconnected(why) => {
                warn!("connection lost: {why}");
                self.tell(Input::Disconnected);
            }
            Event::Failed(why) => info!("no connection: {why}"),
            Event::Refused(ConnectRefusal::Credentials | ConnectRefusal::NotAuthorized) => {
                error!("the broker refuses this device: check username and password");
            }
            Event::Refused(
                ConnectRefusal::Protocol | ConnectRefusal::ClientId | ConnectRefusal::Unavailable,
            ) => warn!("the broker refuses this device"),
            Event::Message { topic, payload } => {
                if let Some(topic) = self.topics.parse(&topic) {
                    self.tell(Input::Message { topic, payload: &payload });
                }
            }
            Event::SubscribeRefused { topic } => {
                warn!("the broker refuses the subscription to {topic}: check its ACL");
            }
            Event::TooLong { bytes } => {
                warn!("a message of {bytes} bytes was skipped: no memory for it");
            }
        }
    }

    /// The session, and what it acts on.
    fn split<'a>(
        &'a mut self,
        now: Instant,
        left: &'a mut bool,
    ) -> (&'a mut Session, BoardPorts<'a, F>) {
        let Self { slots, client, orders, topics, session, cancelled, wake_at, .. } = self;
        (session, BoardPorts { now, slots, client, orders, topics, cancelled, wake_at, left })
    }

    /// Does what the session asks for, as far as there is room.
    fn perform(&mut self) {
        if self.failed {
            return;
        }
        let now = self.port.now();
        let mut left = false;
        let (session, mut ports) = self.split(now, &mut left);
        match session.perform(&mut ports) {
            Ok(all) => {
                self.waiting = !all;
                if !all && self.session.backlog() > BACKLOG_MAX {
                    self.client.stream_broke(now);
                }
            }
            Err(error) => {
                // Better no update than one that might be counted twice.
                error!("the state cannot be kept: {error:?}");
                self.failed = true;
            }
        }
        if left {
            self.tell(Input::Disconnected);
        }
    }
}

/// What the session acts on.
struct BoardPorts<'a, F> {
    now: Instant,
    slots: &'a mut Slots<F>,
    client: &'a mut Client,
    orders: &'a mut VecDeque<Order>,
    topics: &'a Topics,
    cancelled: &'a mut bool,
    wake_at: &'a mut Option<Instant>,
    /// The session had the broker left.
    left: &'a mut bool,
}

impl<F> BoardPorts<'_, F> {
    /// Whether something that is meant for the broker is dealt with. Without a connection nothing is
    /// said: the session says everything again after the next one.
    fn dealt_with(&self, said: bool) -> bool {
        said || !self.client.is_connected()
    }
}

impl<F: NorFlash> Ports for BoardPorts<'_, F> {
    type Error = FlashError;

    fn subscribe(&mut self, topic: &Topic) -> bool {
        let said = self.client.subscribe(self.now, &self.topics.name(topic));
        self.dealt_with(said)
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        let said = self.client.unsubscribe(self.now, &self.topics.name(topic));
        self.dealt_with(said)
    }

    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, retain: bool) -> Result<(), Vec<u8>> {
        let topic = self.topics.name(topic);
        if self.client.exceeds_room(&topic, &payload) {
            let bytes = payload.len();
            error!("a message of {bytes} bytes was not sent: the plan's chunks are too long");
            return Ok(());
        }
        let said = self.client.publish(self.now, &topic, &payload, retain);
        if self.dealt_with(said) { Ok(()) } else { Err(payload) }
    }

    fn save(&mut self, state: &DeviceState) -> Result<(), FlashError> {
        self.slots.save(&state.encode())
    }

    fn use_task(&mut self, task: Arc<Task>) -> Result<(), FlashError> {
        self.orders.push_back(Order::UseTask(task));
        Ok(())
    }

    fn use_model(&mut self, _model: ModelInUse) {}

    fn start(&mut self, job: Job) -> Result<(), FlashError> {
        self.orders.push_back(Order::Run(job));
        Ok(())
    }

    fn cancel(&mut self, work: WorkRef) {
        *self.cancelled = true;
        self.orders.retain(|order| !matches!(order, Order::Run(job) if job.work == work));
    }

    fn sleep(&mut self, ms: u64) {
        self.client.disconnect();
        *self.wake_at = Some(self.now.after(ms));
        *self.left = true;
    }
}

#[cfg(test)]
mod tests;
