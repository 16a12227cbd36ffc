//! The loop that joins a session to MQTT, to its state file and to a trainer on its own thread.

mod inbox;
mod remote;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::time::{Duration, Instant as Clock};

use dunlin_link::{Link, LinkConfig, LinkEvent};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::Held;
use dunlin_protocol::time::Instant;
use dunlin_service::{Manager, Pulse};
use log::{error, warn};

use crate::connection::{Connection, MakeSink};
use crate::eligibility::watch::Watch;
use crate::inference::{self, Finding, Inference};
use crate::job::{JobFailure, Outcome, Survey};
use crate::ports::{Conditions, Executor, StateStore, Transport};
use crate::session::{Input, Output, Session, Settings};
use crate::state::DeviceState;
use inbox::Inbox;
pub use remote::{DeviceStatus, Remote, RunError};
use worker::Order;

/// Events that may wait for the session; of more, those are dropped that come again by resending.
const EVENTS_MAX: usize = 256;

/// Longest sleep without an event: bounds how late a stop is seen.
const NAP: Duration = Duration::from_millis(500);

enum Event {
    Link(LinkEvent),
    Survey(Result<Survey, JobFailure>),
    Held(Option<Held>),
    Done(WorkRef, Result<Outcome, JobFailure>),
    Found(Finding),
}

/// Reads what the device remembers, or makes a new secret on its first start.
///
/// # Errors
/// When the state cannot be read, or there are no random bytes for a new one.
pub fn load_state(store: &mut dyn StateStore) -> Result<DeviceState, RunError> {
    match store.load().map_err(RunError::Store)? {
        Some(bytes) => DeviceState::decode(&bytes).map_err(RunError::State),
        None => {
            let mut lottery = [0; 32];
            getrandom::fill(&mut lottery).map_err(|error| RunError::Random(error.to_string()))?;
            Ok(DeviceState::fresh(lottery))
        }
    }
}

impl Transport for Link {
    fn publish(&mut self, topic: String, payload: Vec<u8>, retain: bool) {
        Link::publish(self, topic, payload, retain);
    }
    fn subscribe(&mut self, topic: String) {
        Link::subscribe(self, topic);
    }
    fn unsubscribe(&mut self, topic: String) {
        Link::unsubscribe(self, topic);
    }
}

/// What a device is made of.
pub struct Parts {
    /// Who it is and what it can do.
    pub settings: Settings,
    /// The broker, without the last will.
    pub link: LinkConfig,
    /// Where its state is kept.
    pub store: Box<dyn StateStore>,
    /// Who trains and does other work on its data.
    pub trainer: Box<dyn Executor + Send>,
    /// When it may work; `None`: always.
    pub conditions: Option<Box<dyn Conditions + Send>>,
    /// What it says about its data between rounds, if anything.
    pub inference: Option<Inference>,
    /// Who is told how it is.
    pub manager: Manager,
}

impl Parts {
    /// A device that may always work, with nobody to tell how it is.
    pub fn new(
        settings: Settings,
        link: LinkConfig,
        store: impl StateStore + 'static,
        trainer: impl Executor + Send + 'static,
    ) -> Self {
        let (store, trainer) = (Box::new(store), Box::new(trainer));
        let (conditions, inference, manager) = (None, None, Manager::default());
        Self { settings, link, store, trainer, conditions, inference, manager }
    }
}

/// Runs a device until `remote` stops it.
///
/// # Errors
/// [`RunError`] when it cannot start or its state cannot be kept.
pub fn run(parts: Parts, remote: &Remote) -> Result<(), RunError> {
    let Parts { settings, mut link, mut store, trainer, conditions, inference, mut manager } =
        parts;
    let state = load_state(&mut *store)?;
    let topics = settings.topics.clone();
    let mut session = Session::new(settings, state);
    let (topic, payload) = session.last_will();
    link.will = Some(dunlin_link::Will { topic, payload });
    let (sender, events) = inbox::open(EVENTS_MAX);
    let held = Arc::new(AtomicBool::new(false));
    let pulse = Pulse::default();
    let (orders, worker) = worker::spawn(trainer, sender.clone(), held.clone(), pulse.clone())?;
    let watch = conditions.map(|conditions| watch(conditions, sender.clone())).transpose()?;
    let inference = match inference {
        Some(inference) => Some(classify(inference, &mut session, sender.clone())?),
        None => None,
    };
    // The boot number must be on disk before the broker hears of it.
    let (cancel, early, sleep) = (Arc::default(), Vec::new(), None);
    let mut device =
        Device { session, store, orders, pulse, watch, held, inference, cancel, early, sleep };
    device.perform(None)?;
    let inlet = events.inlet(sender, topics);
    let sink: MakeSink = Box::new(move || {
        let inlet = inlet.clone();
        Box::new(move |event| inlet.offer(event))
    });
    let mut connection = Connection::open(link, sink).map_err(RunError::Link)?;
    manager.ready();
    let outcome = device.serve(&mut connection, &events, remote, &mut manager);
    manager.stopping();
    device.cancel.store(true, Ordering::Relaxed);
    if remote.kill.load(Ordering::Relaxed) {
        connection.abort();
    } else {
        device.session.handle(Instant(0), Input::Stop);
        let carried = connection.close(device.last_words());
        if let Ok(mut status) = remote.status.lock() {
            status.link = carried;
        }
    }
    // The sink of the connection holds the other end of the events.
    drop(connection);
    let inference = device.inference.take();
    drop((device, events));
    let _ = worker.join();
    if let Some(inference) = inference {
        inference.stop(!remote.kill.load(Ordering::Relaxed));
    }
    outcome
}

struct Device {
    session: Session,
    store: Box<dyn StateStore>,
    orders: Sender<Order>,
    /// The trainer's progress.
    pulse: Pulse,
    watch: Option<Watch>,
    /// Whether the device is held: then windows are not counted again.
    held: Arc<AtomicBool>,
    inference: Option<inference::Running>,
    cancel: Arc<AtomicBool>,
    /// Outputs from before there was a connection.
    early: Vec<Output>,
    /// How long to leave the broker, once everything before has been said.
    sleep: Option<Duration>,
}

impl Device {
    fn serve(
        &mut self,
        connection: &mut Connection,
        events: &Inbox,
        remote: &Remote,
        manager: &mut Manager,
    ) -> Result<(), RunError> {
        let clock = start_clock();
        let now = || Instant(u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX));
        let mut credentials_refused = false;
        while !remote.stop.load(Ordering::Relaxed) {
            self.perform(connection.link())?;
            if let Some(span) = self.sleep.take() {
                connection.sleep(Vec::new(), span);
                self.session.handle(now(), Input::Disconnected);
            }
            let asleep = connection.until_awake().map_err(RunError::Link)?;
            if let Ok(mut status) = remote.status.lock() {
                let (session, link) = (self.session.counters(), connection.counters());
                let inference = self.inference.as_ref();
                let inference = inference.map(inference::Running::status).unwrap_or_default();
                *status = DeviceStatus { session, link, credentials_refused, inference };
            }
            // The connection rests while it sleeps, the trainer while there is nothing to do.
            manager.alive(|| [connection.link().map(Link::pulse), self.pulse.count()]);
            manager.status(|| self.session.in_a_line());
            let due = self.session.next_deadline().map(|at| at.since(now()));
            let due = due.map(Duration::from_millis).into_iter().chain(asleep).min();
            let wait = due.map_or(NAP, |due| due.min(NAP));
            match events.recv_timeout(wait) {
                Ok(Event::Link(event)) => {
                    credentials_refused = matches!(event, LinkEvent::Refused { .. });
                    self.on_link(now(), &event);
                }
                Ok(Event::Survey(Ok(survey))) => {
                    self.session.handle(now(), Input::Survey(survey));
                }
                Ok(Event::Survey(Err(JobFailure(why)))) => {
                    warn!("no training windows: {why}");
                    self.session.handle(now(), Input::Survey(Survey::NOTHING));
                }
                Ok(Event::Held(held)) => {
                    self.held.store(held.is_some(), Ordering::Relaxed);
                    self.session.handle(now(), Input::Held(held));
                }
                Ok(Event::Done(work, outcome)) => {
                    self.tell_watch(false);
                    self.session.handle(now(), Input::Done { work, outcome });
                }
                Ok(Event::Found(finding)) => {
                    if let Some(inference) = &mut self.inference {
                        inference.on_finding(now(), &finding, &mut self.session);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.session.handle(now(), Input::Tick),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(RunError::Thread("the connection's thread has ended".into()));
                }
            }
        }
        Ok(())
    }

    fn on_link(&mut self, now: Instant, event: &LinkEvent) {
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
            LinkEvent::Message { topic, payload } => {
                self.session.handle(now, Input::Message { topic, payload });
            }
        }
    }

    /// Performs what the session asks for; without a connection, messages wait.
    fn perform(&mut self, link: Option<&Link>) -> Result<(), RunError> {
        let early = std::mem::take(&mut self.early);
        for output in early {
            self.perform_one(output, link)?;
        }
        while let Some(output) = self.session.poll_output() {
            self.perform_one(output, link)?;
        }
        Ok(())
    }

    fn perform_one(&mut self, output: Output, link: Option<&Link>) -> Result<(), RunError> {
        match (output, link) {
            (Output::Save(state), _) => self.store.save(&state).map_err(RunError::Store)?,
            (Output::UseTask(task), _) => self.order(Order::UseTask(task))?,
            (Output::UseModel(model), _) => {
                if let Some(inference) = &mut self.inference {
                    inference.use_model(model);
                }
            }
            (Output::Start(job), _) => {
                self.cancel = Arc::new(AtomicBool::new(false));
                self.order(Order::Run(Box::new(job), self.cancel.clone()))?;
                self.tell_watch(true);
            }
            (Output::Cancel(_), _) => {
                self.cancel.store(true, Ordering::Relaxed);
                self.tell_watch(false);
            }
            (Output::Sleep { ms }, _) => self.sleep = Some(Duration::from_millis(ms)),
            (Output::Subscribe(topic), Some(link)) => link.subscribe(topic),
            (Output::Unsubscribe(topic), Some(link)) => link.unsubscribe(topic),
            (Output::Publish { topic, payload, retain }, Some(link)) => {
                link.publish(topic, payload, retain);
            }
            (output, None) => self.early.push(output),
        }
        Ok(())
    }

    /// The trainer begins or ends its work.
    fn tell_watch(&self, training: bool) {
        self.watch.iter().for_each(|watch| watch.training(training));
    }

    fn order(&self, order: Order) -> Result<(), RunError> {
        let dead = |_| RunError::Thread("the trainer's thread has ended".into());
        self.orders.send(order).map_err(dead)
    }

    /// What is still to be said before leaving.
    fn last_words(&mut self) -> Vec<(String, Vec<u8>, bool)> {
        let outputs = std::iter::from_fn(|| self.session.poll_output());
        outputs
            .filter_map(|output| match output {
                Output::Publish { topic, payload, retain } => Some((topic, payload, retain)),
                Output::Subscribe(_)
                | Output::Unsubscribe(_)
                | Output::Save(_)
                | Output::UseTask(_)
                | Output::UseModel(_)
                | Output::Start(_)
                | Output::Sleep { .. }
                | Output::Cancel(_) => None,
            })
            .collect()
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
    let failed =
        |error| RunError::Thread(format!("the thread that classifies cannot start: {error}"));
    inference::Running::start(inference, session, sink).map_err(failed)
}

/// Says under which conditions the device begins, as the first of all events, and watches them from
/// then on.
fn watch(
    mut conditions: Box<dyn Conditions + Send>,
    events: SyncSender<Event>,
) -> Result<Watch, RunError> {
    let tell = move |held| events.try_send(Event::Held(held)).is_ok();
    let held = conditions.held(false);
    tell(held);
    let failed = |error| RunError::Thread(format!("the conditions cannot be watched: {error}"));
    Watch::start(conditions, held, tell).map_err(failed)
}
