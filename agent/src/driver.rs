//! The loop that joins a session to MQTT, to its state file and to a trainer on its own thread.

mod inbox;
mod remote;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::time::{Duration, Instant as Clock};

use dunlin_link::{LinkEvent, Will};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::Ineligible;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, Topics};
use dunlin_service::{Heartbeat, ServiceNotifier};
use log::{error, info, warn};

use crate::data::trouble::DataReport;
use crate::eligibility::watch::Watch;
use crate::inference::{self, Finding, Inference};
use crate::job::{Job, JobFailure, ModelInUse, Outcome, Survey};
use crate::ports::{
    Conditions, Connect, Counters, Events, Executor, Message, StateStore, Transport,
};
use crate::session::{Input, Output, Ports, Session, Settings};
use crate::state::DeviceState;
use inbox::Inbox;
pub use remote::{DeviceStatus, Remote, RunError};
use worker::Order;

/// Events that may wait for the session; of more, those are dropped that come again by resending.
const EVENTS_MAX: usize = 256;

/// Longest sleep without an event: bounds how late a stop is seen.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

enum Event {
    Link(LinkEvent),
    Survey(Result<Survey, JobFailure>),
    Ineligible(Option<Ineligible>),
    Done(WorkRef, Result<Outcome, JobFailure>),
    Data(DataReport),
    Found(Finding),
}

/// Reads what the device remembers, or makes a new secret on its first start, and says so: a state
/// whose files are gone looks the same.
///
/// # Errors
/// When the state cannot be read, or there are no random bytes for a new one.
pub fn load_state(store: &mut dyn StateStore) -> Result<DeviceState, RunError> {
    match store.load().map_err(RunError::Store)? {
        Some(bytes) => DeviceState::decode(&bytes).map_err(RunError::State),
        None => {
            info!(
                "no state is kept here: starts as a new device, with a new secret of its draw. If it has run before, its state is lost: check state_dir"
            );
            let mut lottery = [0; 32];
            getrandom::fill(&mut lottery).map_err(RunError::Random)?;
            Ok(DeviceState::fresh(lottery))
        }
    }
}

/// What a device is made of.
pub struct Parts {
    /// Who it is and what it can do.
    pub settings: Settings,
    /// The way to the broker.
    pub connect: Box<dyn Connect>,
    /// Where its state is kept.
    pub store: Box<dyn StateStore>,
    /// Who trains and does other work on its data.
    pub trainer: Box<dyn Executor + Send>,
    /// When it may work; `None`: always.
    pub conditions: Option<Box<dyn Conditions + Send>>,
    /// What it says about its data between rounds, if anything.
    pub inference: Option<Inference>,
    /// Who is told how it is.
    pub manager: ServiceNotifier,
}

impl Parts {
    /// A device that may always work, with nobody to tell how it is. `connect` is a
    /// [`LinkConfig`](dunlin_link::LinkConfig) for a broker by MQTT.
    pub fn new(
        settings: Settings,
        connect: impl Connect + 'static,
        store: impl StateStore + 'static,
        trainer: impl Executor + Send + 'static,
    ) -> Self {
        let (connect, store, trainer) = (Box::new(connect), Box::new(store), Box::new(trainer));
        let (conditions, inference, manager) = (None, None, ServiceNotifier::default());
        Self { settings, connect, store, trainer, conditions, inference, manager }
    }
}

/// Runs a device until `remote` stops it.
///
/// # Errors
/// [`RunError`] when it cannot start or its state cannot be kept.
pub fn run(parts: Parts, remote: &Remote) -> Result<(), RunError> {
    let Parts { settings, connect, mut store, trainer, conditions, inference, mut manager } = parts;
    let state = load_state(&mut *store)?;
    let topics = settings.topics.clone();
    let mut session = Session::new(settings, state);
    let (topic, payload) = session.last_will();
    let will = Will { topic: topics.name(&topic), payload };
    let (sender, events) = inbox::open(EVENTS_MAX);
    let held = Arc::new(AtomicBool::new(false));
    let heartbeat = Heartbeat::default();
    let (orders, worker) = worker::spawn(trainer, sender.clone(), held.clone(), heartbeat.clone())?;
    let watch = conditions.map(|conditions| watch(conditions, sender.clone())).transpose()?;
    let inference = match inference {
        Some(inference) => Some(classify(inference, &mut session, sender.clone())?),
        None => None,
    };
    // The boot number must be on disk before the broker hears of it.
    let (cancel, sleep) = (Arc::default(), None);
    let hands = Hands { store, topics: topics.clone(), orders, watch, inference, cancel, sleep };
    let data = DataReport::default();
    let mut device = Device { session, hands, heartbeat, held, data };
    device.perform(None)?;
    let inlet = events.inlet(sender, topics);
    let sink: Events = Arc::new(move |event| inlet.offer(event));
    let mut transport = connect.connect(will, sink).map_err(RunError::Link)?;
    manager.ready();
    let outcome = device.serve(&mut *transport, &events, remote, &mut manager);
    manager.stopping();
    let outcome = if remote.kill.load(Ordering::Relaxed) {
        device.hands.cancel.store(true, Ordering::Relaxed);
        transport.abort();
        outcome
    } else {
        let (outcome, carried) = device.leave(outcome, &mut *transport);
        if let Ok(mut status) = remote.status.lock() {
            status.link = carried;
        }
        outcome
    };
    // The sink of the connection holds the other end of the events.
    drop(transport);
    let inference = device.hands.inference.take();
    drop((device, events));
    let _ = worker.join();
    if let Some(inference) = inference {
        inference.stop(!remote.kill.load(Ordering::Relaxed));
    }
    outcome
}

struct Device {
    session: Session,
    hands: Hands,
    /// Moves on while the trainer does; the service manager is told of it.
    heartbeat: Heartbeat,
    /// Whether the device is held: then windows are not counted again.
    held: Arc<AtomicBool>,
    /// What is wrong with its data.
    data: DataReport,
}

/// What the session acts on, but for the transport.
struct Hands {
    store: Box<dyn StateStore>,
    topics: Topics,
    orders: Sender<Order>,
    watch: Option<Watch>,
    inference: Option<inference::Running>,
    cancel: Arc<AtomicBool>,
    /// How long to leave the broker, once everything before has been said.
    sleep: Option<Duration>,
}

/// Everything that the session acts on. There is always room: the transport drops what it cannot
/// carry.
struct DevicePorts<'a, 't> {
    hands: &'a mut Hands,
    transport: Option<&'a mut (dyn Transport + 't)>,
}

impl Device {
    fn serve(
        &mut self,
        transport: &mut dyn Transport,
        events: &Inbox,
        remote: &Remote,
        manager: &mut ServiceNotifier,
    ) -> Result<(), RunError> {
        let clock = start_clock();
        let now = || Instant(u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX));
        let mut credentials_refused = false;
        while !remote.stop.load(Ordering::Relaxed) {
            self.perform(Some(&mut *transport))?;
            if let Some(span) = self.hands.sleep.take() {
                transport.sleep(span);
                self.session.handle(now(), Input::Disconnected);
            }
            let asleep = transport.until_awake().map_err(RunError::Link)?;
            if let Ok(mut status) = remote.status.lock() {
                let (session, link) = (self.session.counters(), transport.counters());
                let inference = self.hands.inference.as_ref();
                let inference = inference.map(inference::Running::status).unwrap_or_default();
                *status = DeviceStatus { session, link, credentials_refused, inference };
            }
            // The connection rests while it sleeps, the trainer while there is nothing to do.
            manager.alive(|| [transport.heartbeat(), self.heartbeat.count()]);
            manager.status(|| self.data.behind(self.session.in_a_line()));
            let due = self.session.next_deadline().map(|at| at.since(now()));
            let due = due.map(Duration::from_millis).into_iter().chain(asleep).min();
            let wait = due.map_or(POLL_INTERVAL, |due| due.min(POLL_INTERVAL));
            match events.recv_timeout(wait) {
                Ok(Event::Link(event)) => {
                    credentials_refused = matches!(event, LinkEvent::Refused { .. });
                    let lost = matches!(event, LinkEvent::Disconnected { .. });
                    let connected = event == LinkEvent::Connected;
                    self.on_link(now(), event);
                    if connected {
                        let (topic, payload) = self.session.last_will();
                        let topic = self.hands.topics.name(&topic);
                        transport.set_will(Will { topic, payload });
                    }
                    if let Some(bytes) = transport.oversize().filter(|_| lost) {
                        self.session.handle(now(), Input::Oversize(bytes));
                    }
                }
                Ok(Event::Survey(Ok(survey))) => {
                    self.session.handle(now(), Input::Survey(survey));
                }
                Ok(Event::Survey(Err(JobFailure { why, .. }))) => {
                    warn!("no training windows: {why}");
                    self.session.handle(now(), Input::Survey(Survey::NOTHING));
                }
                Ok(Event::Ineligible(held)) => {
                    self.held.store(held.is_some(), Ordering::Relaxed);
                    self.session.handle(now(), Input::Ineligible(held));
                }
                Ok(Event::Done(work, outcome)) => {
                    self.hands.tell_watch(false);
                    self.session.handle(now(), Input::Done { work, outcome });
                }
                Ok(Event::Data(report)) => {
                    self.session.handle(now(), Input::DataTrouble(report.trouble()));
                    if let Some(line) = report.odder_than(&self.data) {
                        warn!("{line}");
                    }
                    self.data = report;
                }
                Ok(Event::Found(finding)) => {
                    if let Some(inference) = &mut self.hands.inference {
                        inference.on_finding(now(), &finding, &mut self.session);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.session.handle(now(), Input::Tick),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(RunError::Ended("the connection's thread has ended"));
                }
            }
        }
        Ok(())
    }

    fn on_link(&mut self, now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Connected => self.session.handle(now, Input::Connected),
            LinkEvent::Disconnected { reason } => {
                warn!("connection lost: {reason}");
                self.session.handle(now, Input::Disconnected);
            }
            LinkEvent::Refused { reason } => {
                error!(
                    "the broker refuses this device: {reason}; check [broker] username, password and certificates"
                );
                self.session.handle(now, Input::Disconnected);
            }
            LinkEvent::SubscribeRefused { topic } => {
                warn!("the broker refuses the subscription to {topic}: check its ACL");
            }
            LinkEvent::Message { topic, payload } => match self.hands.topics.parse(&topic) {
                Some(topic) => {
                    self.session.handle(now, Input::Message { topic, payload: &payload });
                }
                None => log::debug!("{topic}: not a topic of ours"),
            },
        }
    }

    /// Performs what the session asks for.
    fn perform<'t>(
        &mut self,
        transport: Option<&mut (dyn Transport + 't)>,
    ) -> Result<(), RunError> {
        let mut ports = DevicePorts { hands: &mut self.hands, transport };
        self.session.perform(&mut ports).map(|_| ())
    }

    /// Leaves the broker in an orderly way: does what is still to be done, unless the state could not
    /// be kept: then nothing that came behind it may be said. What the transport has carried in all.
    fn leave(
        &mut self,
        outcome: Result<(), RunError>,
        transport: &mut dyn Transport,
    ) -> (Result<(), RunError>, Counters) {
        let outcome = outcome.and_then(|()| self.perform(Some(&mut *transport)));
        if outcome.is_err() {
            while self.session.poll_output().is_some() {}
        }
        self.hands.cancel.store(true, Ordering::Relaxed);
        self.session.handle(Instant(0), Input::Stop);
        (outcome, transport.close(self.last_words()))
    }

    /// What the session says as it stops.
    fn last_words(&mut self) -> Vec<Message> {
        let topics = &self.hands.topics;
        let outputs = std::iter::from_fn(|| self.session.poll_output());
        let message = |output| match output {
            Output::Publish { topic, payload, retain } => {
                Some((topics.name(&topic), payload, retain))
            }
            Output::Subscribe(_)
            | Output::Unsubscribe(_)
            | Output::Save
            | Output::UseTask(_)
            | Output::UseModel(_)
            | Output::Start(_)
            | Output::Sleep { .. }
            | Output::Cancel(_) => None,
        };
        outputs.filter_map(message).collect()
    }
}

impl Hands {
    /// The trainer begins or ends its work.
    fn tell_watch(&self, training: bool) {
        self.watch.iter().for_each(|watch| watch.training(training));
    }

    fn order(&self, order: Order) -> Result<(), RunError> {
        let dead = |_| RunError::Ended("the trainer's thread has ended");
        self.orders.send(order).map_err(dead)
    }
}

impl Ports for DevicePorts<'_, '_> {
    type Error = RunError;

    fn subscribe(&mut self, topic: &Topic) -> bool {
        if let Some(transport) = &mut self.transport {
            let name = self.hands.topics.name(topic);
            // A chunk that is lost is asked for again.
            if matches!(topic, Topic::Object(..)) {
                transport.subscribe_once(name);
            } else {
                transport.subscribe(name);
            }
        }
        true
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        if let Some(transport) = &mut self.transport {
            transport.unsubscribe(self.hands.topics.name(topic));
        }
        true
    }

    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, retain: bool) -> Result<(), Vec<u8>> {
        if let Some(transport) = &mut self.transport {
            transport.publish((self.hands.topics.name(topic), payload, retain));
        }
        Ok(())
    }

    fn save(&mut self, state: &DeviceState) -> Result<(), RunError> {
        self.hands.store.save(&state.encode()).map_err(RunError::Store)
    }

    fn use_task(&mut self, task: Arc<Task>) -> Result<(), RunError> {
        self.hands.order(Order::UseTask(task))
    }

    fn use_model(&mut self, model: ModelInUse) {
        if let Some(inference) = &mut self.hands.inference {
            inference.use_model(model);
        }
    }

    fn start(&mut self, job: Job) -> Result<(), RunError> {
        self.hands.cancel = Arc::new(AtomicBool::new(false));
        self.hands.order(Order::Run(Box::new(job), self.hands.cancel.clone()))?;
        self.hands.tell_watch(true);
        Ok(())
    }

    fn cancel(&mut self, _work: WorkRef) {
        self.hands.cancel.store(true, Ordering::Relaxed);
        self.hands.tell_watch(false);
    }

    fn sleep(&mut self, ms: u64) {
        self.hands.sleep = Some(Duration::from_millis(ms));
    }
}

#[allow(clippy::disallowed_methods)] // the shell's one clock
fn start_clock() -> Clock {
    Clock::now()
}

/// Starts the thread that classifies.
fn classify(
    inference: Inference,
    session: &mut Session,
    events: SyncSender<Event>,
) -> Result<inference::Running, RunError> {
    let sink = move |finding| {
        // A result that finds no room is one of many; only the device's end ends the thread.
        !matches!(events.try_send(Event::Found(finding)), Err(TrySendError::Disconnected(_)))
    };
    let what = "the thread that classifies cannot start";
    let running = inference::Running::start(inference, session, sink);
    running.map_err(|source| RunError::Thread { what, source })
}

/// Says under which conditions the device begins, as the first of all events, and watches them from
/// then on.
fn watch(
    mut conditions: Box<dyn Conditions + Send>,
    events: SyncSender<Event>,
) -> Result<Watch, RunError> {
    let tell = move |held| events.try_send(Event::Ineligible(held)).is_ok();
    let held = conditions.held(false);
    tell(held);
    let what = "the conditions cannot be watched";
    Watch::start(conditions, held, tell).map_err(|source| RunError::Thread { what, source })
}

#[cfg(test)]
mod tests;
