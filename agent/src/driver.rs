//! The loop that joins a session to MQTT, to its state file and to a trainer on its own thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

use dunlin_link::{Counters, Link, LinkConfig, LinkError, LinkEvent};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::Held;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::time::Instant;
use log::{error, warn};

use crate::connection::{Connection, MakeSink};
use crate::eligibility::watch::Watch;
use crate::job::{Job, JobFailure, Trained};
use crate::ports::{Conditions, StateStore, Trainer, Transport};
use crate::session::{Input, Output, Session, SessionCounters, Settings};
use crate::state::DeviceState;

/// Events that may wait for the session; more are dropped, and come again by resending.
const EVENTS_MAX: usize = 256;

/// How often windows are counted again.
const RECOUNT: Duration = Duration::from_secs(60);

/// Longest sleep without an event: bounds how late a stop is seen.
const NAP: Duration = Duration::from_millis(500);

enum Event {
    Link(LinkEvent),
    Windows(Result<u32, JobFailure>),
    Held(Option<Held>),
    Trained(WorkRef, Result<Trained, JobFailure>),
}

enum Order {
    UseTask(Arc<TaskSpec>),
    Run(Box<Job>, Arc<AtomicBool>),
}

/// What a running device shows to the outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceStatus {
    /// The session's figures.
    pub session: SessionCounters,
    /// What the connection has carried.
    pub link: Counters,
    /// Whether the broker refused this device's credentials last.
    pub credentials_refused: bool,
}

/// Handle by which another thread stops a device or looks at it.
#[derive(Clone, Debug, Default)]
pub struct Remote {
    stop: Arc<AtomicBool>,
    kill: Arc<AtomicBool>,
    status: Arc<Mutex<DeviceStatus>>,
}

impl Remote {
    /// Asks the device to leave in an orderly way.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Cuts the device off without a word, as a power cut would.
    pub fn kill(&self) {
        self.kill.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// The device's figures as of its last step.
    pub fn status(&self) -> DeviceStatus {
        self.status.lock().map(|status| *status).unwrap_or_default()
    }
}

/// Why a device stopped by itself.
#[derive(Debug)]
pub enum RunError {
    /// The connection's settings are wrong.
    Link(LinkError),
    /// The state cannot be read or written.
    Store(String),
    /// The state is of another version, or damaged.
    State(crate::state::StateError),
    /// The operating system gives no random bytes.
    Random(String),
    /// A thread could not be started or has died.
    Thread(String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Store(text) | Self::Random(text) | Self::Thread(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RunError {}

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

/// Runs a device that may always work until `remote` stops it.
///
/// # Errors
/// [`RunError`] when it cannot start or its state cannot be kept.
pub fn run(
    settings: Settings,
    link_config: LinkConfig,
    store: Box<dyn StateStore>,
    trainer: Box<dyn Trainer + Send>,
    remote: &Remote,
) -> Result<(), RunError> {
    run_under(None, settings, link_config, store, trainer, remote)
}

/// Runs a device that works only while `conditions` allow it, until `remote` stops it.
///
/// # Errors
/// [`RunError`] when it cannot start or its state cannot be kept.
pub fn run_under(
    conditions: Option<Box<dyn Conditions + Send>>,
    settings: Settings,
    mut link_config: LinkConfig,
    mut store: Box<dyn StateStore>,
    trainer: Box<dyn Trainer + Send>,
    remote: &Remote,
) -> Result<(), RunError> {
    let state = load_state(&mut *store)?;
    let session = Session::new(settings, state);
    let (topic, payload) = session.last_will();
    link_config.will = Some(dunlin_link::Will { topic, payload });
    let (sender, events) = mpsc::sync_channel(EVENTS_MAX);
    let held = Arc::new(AtomicBool::new(false));
    let (orders, worker) = spawn_worker(trainer, sender.clone(), held.clone())?;
    let watch = conditions.map(|conditions| watch(conditions, sender.clone())).transpose()?;
    // The boot number must be on disk before the broker hears of it.
    let (cancel, early) = (Arc::default(), Vec::new());
    let mut device = Device { session, store, orders, watch, held, cancel, early, sleep: None };
    device.perform(None)?;
    let sink: MakeSink = Box::new(move || {
        let sender = sender.clone();
        Box::new(move |event| sender.try_send(Event::Link(event)).is_ok())
    });
    let mut connection = Connection::open(link_config, sink).map_err(RunError::Link)?;
    let outcome = device.serve(&mut connection, &events, remote);
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
    drop((device, events));
    let _ = worker.join();
    outcome
}

struct Device {
    session: Session,
    store: Box<dyn StateStore>,
    orders: Sender<Order>,
    watch: Option<Watch>,
    /// Whether the device is held: then windows are not counted again.
    held: Arc<AtomicBool>,
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
        events: &Receiver<Event>,
        remote: &Remote,
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
                *status = DeviceStatus { session, link, credentials_refused };
            }
            let due = self.session.next_deadline().map(|at| at.since(now()));
            let due = due.map(Duration::from_millis).into_iter().chain(asleep).min();
            let wait = due.map_or(NAP, |due| due.min(NAP));
            match events.recv_timeout(wait) {
                Ok(Event::Link(event)) => {
                    credentials_refused = matches!(event, LinkEvent::Refused { .. });
                    self.on_link(now(), &event);
                }
                Ok(Event::Windows(Ok(windows))) => {
                    self.session.handle(now(), Input::Windows(windows));
                }
                Ok(Event::Windows(Err(JobFailure(why)))) => {
                    warn!("no training windows: {why}");
                    self.session.handle(now(), Input::Windows(0));
                }
                Ok(Event::Held(held)) => {
                    self.held.store(held.is_some(), Ordering::Relaxed);
                    self.session.handle(now(), Input::Held(held));
                }
                Ok(Event::Trained(work, outcome)) => {
                    self.tell_watch(false);
                    self.session.handle(now(), Input::Trained { work, outcome });
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

/// Starts the trainer's thread: it takes orders one by one and counts windows between them.
fn spawn_worker(
    mut trainer: Box<dyn Trainer + Send>,
    events: SyncSender<Event>,
    held: Arc<AtomicBool>,
) -> Result<(Sender<Order>, JoinHandle<()>), RunError> {
    let (orders, inbox) = mpsc::channel::<Order>();
    let work = move || {
        let mut task: Option<Arc<TaskSpec>> = None;
        loop {
            let event = match (inbox.recv_timeout(RECOUNT), &task) {
                (Ok(Order::UseTask(new)), _) => {
                    let windows = trainer.use_task(&new);
                    task = Some(new);
                    Event::Windows(windows)
                }
                (Ok(Order::Run(job, cancel)), _) => {
                    let stop = || cancel.load(Ordering::Relaxed);
                    let outcome = trainer.run(&job, &stop);
                    if stop() {
                        // The same work may begin again: its outcome must not be taken for that one's.
                        continue;
                    }
                    Event::Trained(job.work, outcome)
                }
                (Err(RecvTimeoutError::Timeout), _) if held.load(Ordering::Relaxed) => continue,
                (Err(RecvTimeoutError::Timeout), Some(task)) => {
                    Event::Windows(trainer.use_task(task))
                }
                (Err(RecvTimeoutError::Timeout), None) => continue,
                (Err(RecvTimeoutError::Disconnected), _) => return,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("trainer".into())
        .spawn(work)
        .map(|worker| (orders, worker))
        .map_err(|error| RunError::Thread(format!("the trainer's thread cannot start: {error}")))
}

#[cfg(test)]
mod tests;
