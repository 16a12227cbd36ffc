//! The shell: connects the core to a broker, a store and a clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use dunlin_link::{Link, LinkError, LinkEvent, QueueLimits, Will};
use dunlin_protocol::id::Lineage;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topics;
use dunlin_service::ServiceNotifier;

use crate::aggregator::{Aggregator, Initial, Start, StartError};
use crate::config::Config;
use crate::control::Command;
use crate::inbox::{Inbox, Limits, inbox};
use crate::io::{Input, Output, RoundEvent};
use crate::query::AnswerTable;
use crate::query::spool::Spool;
use crate::report;
use crate::snapshot::Snapshot;
use crate::status::{ROUNDS_SHOWN, Status};
use crate::store::{Store, StoreError};
use crate::summary::Counters;

/// What may wait to be sent at the least: all objects at once, as after each connection.
const QUEUE: QueueLimits = QueueLimits { messages: 65_536, bytes: 256 * 1024 * 1024 };
/// Longest wait before looking whether to stop, in milliseconds.
const WAIT_MS_MAX: u64 = 200;
/// Connections in a row that must end over a packet before chunks are made smaller.
const OVERSIZE_TIMES: u32 = 2;
/// How often the spool is looked at for queries, in milliseconds.
const QUERIES_MS: u64 = 1_000;
/// How often the status file is written while nothing happens, in milliseconds.
const STATUS_MS: u64 = 10_000;
/// The same while updates come.
const STATUS_UPDATES_MS: u64 = 1_000;

/// Why the aggregator stopped or did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The store cannot be used or refused a write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored does not go with the configuration.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The connection cannot be set up.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The operating system gave no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The thread of the connection ended.
    #[error("the thread of the MQTT connection ended; see the log")]
    LinkEnded,
}

impl RunError {
    /// Whether a person has to change something, so that another start would not help.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Start(_) => true,
            Self::Link(error) => !matches!(error, LinkError::Thread(_)),
            Self::Store(error) => error.is_config(),
            Self::Random(_) | Self::LinkEnded => false,
        }
    }
}

/// A history that goes on from `store`, or a new one.
///
/// Lineage and first model are drawn from the system, or from the configuration's seed.
///
/// # Errors
/// [`RunError`] when the store cannot be read or there are no random numbers.
pub fn start_from(store: &Store, config: &Config) -> Result<Start, RunError> {
    if let Some(mut snapshot) = store.load()? {
        if let Some(word) = &config.adopt_task {
            adopt(&mut snapshot, config, word)?;
        }
        return Ok(Start::Restored(Box::new(snapshot)));
    }
    let mut random = [0; 24];
    match config.seed {
        Some(seed) => {
            let mut rng = dunlin_protocol::rng::Rng::for_stream(seed, 0xa66);
            let (words, _) = random.as_chunks_mut::<8>();
            words.iter_mut().for_each(|word| *word = rng.next_u64().to_le_bytes());
        }
        None => getrandom::fill(&mut random).map_err(RunError::Random)?,
    }
    let (lineage, seed) = random.split_at(16);
    let lineage = Lineage(lineage.try_into().unwrap_or([0; 16]));
    let seed = u64::from_le_bytes(seed.try_into().unwrap_or([0; 8]));
    Ok(Start::Fresh { lineage, initial: Initial::Seed(config.seed.unwrap_or(seed)) })
}

/// Gives the operator's word for the configured task.
fn adopt(snapshot: &mut Snapshot, config: &Config, word: &str) -> Result<(), StartError> {
    let task = Task::new(config.settings.task.clone()).map_err(StartError::unusable)?;
    snapshot.adopt(&task, word)
}

/// Seconds since 1970 by the machine's clock; 0 before that.
#[allow(clippy::disallowed_methods)] // a shell may
pub fn unix_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Runs an aggregator until `stop` is set or something fails; `manager` is told how it is, and
/// `on_event` sees everything that happens, after the log.
///
/// A broker that cannot be reached is no failure: the connection is tried again and again.
///
/// # Errors
/// [`RunError`]: the store, the settings, or the connection's set-up. After a failed write nothing
/// more is sent, so that no device believes what is not on the disk.
pub fn run(
    config: &Config,
    stop: &AtomicBool,
    mut manager: ServiceNotifier,
    mut on_event: impl FnMut(&RoundEvent, &Counters),
) -> Result<(), RunError> {
    let store = Store::open(&config.store)?;
    let start = start_from(&store, config)?;
    let clock = Clock::start();
    let core = Aggregator::new(config.settings.clone(), start, clock.now(), unix_s())?;
    let topics = Topics::new(config.settings.topics_root.clone());
    let spool = Spool::beside(&config.store);
    spool.make();
    let (status_written, status_wait_ms, queries_due) = (Instant(0), 0, Instant(0));
    #[rustfmt::skip]
    let mut shell = Shell {
        config, store, topics, core, link: None, spool, status_written, status_wait_ms, queries_due,
    };
    shell.perform(&mut on_event)?;
    let inbox = shell.connect()?;
    manager.ready();
    while !stop.load(Ordering::Relaxed) {
        match inbox.recv_timeout(shell.wait(clock.now())) {
            Ok(event) => shell.take(clock.now(), event),
            Err(RecvTimeoutError::Timeout) => shell.core.handle(clock.now(), Input::Tick),
            Err(RecvTimeoutError::Disconnected) => return Err(RunError::LinkEnded),
        }
        shell.ask(clock.now());
        shell.perform(&mut on_event)?;
        shell.write_status(clock.now());
        shell.tell(&mut manager);
    }
    manager.stopping();
    shell.stop(clock.now(), &mut on_event)
}

/// Milliseconds since the process began to run.
struct Clock(std::time::Instant);

impl Clock {
    #[allow(clippy::disallowed_methods)] // the one place that reads the clock
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

struct Shell<'a> {
    config: &'a Config,
    store: Store,
    topics: Topics,
    core: Aggregator,
    link: Option<Link>,
    spool: Spool,
    status_written: Instant,
    /// How long after that it is written again, in milliseconds.
    status_wait_ms: u64,
    queries_due: Instant,
}

impl Shell<'_> {
    /// Starts the connection, with the last will of this start.
    fn connect(&mut self) -> Result<Inbox, RunError> {
        let mut broker = self.config.broker.clone();
        let (topic, payload) = self.core.last_will();
        broker.will = Some(Will { topic: self.topics.name(&topic), payload });
        broker.queue.messages = broker.queue.messages.max(QUEUE.messages);
        broker.queue.bytes = broker.queue.bytes.max(QUEUE.bytes);
        let (inlet, inbox) =
            inbox(Limits::of_enrolment(&self.config.settings.enrolled), self.topics.clone());
        let link = Link::open(broker, move |event| inlet.offer(event));
        self.link = Some(link.map_err(RunError::Link)?);
        Ok(inbox)
    }

    fn wait(&self, now: Instant) -> Duration {
        let next = self.core.next_deadline().map_or(WAIT_MS_MAX, |at| at.since(now));
        Duration::from_millis(next.min(WAIT_MS_MAX))
    }

    fn take(&mut self, now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Connected => {
                self.core.handle(now, Input::Connected);
                let (topic, payload) = self.core.last_will();
                let will = Will { topic: self.topics.name(&topic), payload };
                self.link.iter().for_each(|link| link.set_will(will.clone()));
            }
            LinkEvent::Disconnected { reason } => {
                log::warn!("not connected to {reason}");
                self.core.handle(now, Input::Disconnected);
                self.heed_limits(now);
            }
            LinkEvent::Refused { reason } => {
                log::error!("refused by {reason}");
                self.core.handle(now, Input::Disconnected);
            }
            LinkEvent::SubscribeRefused { topic } => {
                log::error!("the broker refuses the subscription {topic}: check its ACL");
                self.core.handle(now, Input::Tick);
            }
            LinkEvent::Message { topic, payload } => match self.topics.parse(&topic) {
                Some(topic) => self.core.handle(now, Input::Message { topic, payload: &payload }),
                None => log::debug!("{topic}: not a topic of ours"),
            },
        }
    }

    /// Makes chunks smaller once the broker has ended connections over one.
    fn heed_limits(&mut self, now: Instant) {
        let oversize = self.link.as_ref().and_then(Link::oversize);
        if let Some(oversize) = oversize.filter(|oversize| oversize.times >= OVERSIZE_TIMES) {
            self.core.handle(now, Input::Oversize { bytes: oversize.bytes });
        }
    }

    /// Puts the queries that wait in the spool.
    fn ask(&mut self, now: Instant) {
        if now < self.queries_due {
            return;
        }
        self.queries_due = now.after(QUERIES_MS);
        let queries = self.spool.waiting(self.core.task(), self.config.settings.quorum);
        self.core.handle(now, Input::Command(Command::Ask(queries)));
    }

    /// Performs all outputs in order.
    fn perform(
        &mut self,
        on_event: &mut dyn FnMut(&RoundEvent, &Counters),
    ) -> Result<(), RunError> {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Save(save) => self.store.save(&save)?,
                Output::Subscribe(filter) => {
                    self.link.iter().for_each(|link| link.subscribe(filter.clone()));
                }
                Output::Publish { topic, payload, retain } => {
                    if let Some(link) = &self.link {
                        link.publish(self.topics.name(&topic), payload, retain);
                    }
                }
                Output::Event(event) => {
                    if let RoundEvent::Answered { answer, .. }
                    | RoundEvent::AnsweredBefore { answer } = &event
                    {
                        self.spool
                            .answer(&answer.query, &AnswerTable::new(answer, self.core.task()));
                    }
                    let (level, line) = report::line(&event, self.core.task().needs_labels());
                    log::log!(level, "{line}");
                    self.status_wait_ms = self.status_wait_ms.min(status_wait_ms(&event));
                    on_event(&event, self.core.counters());
                }
            }
        }
        Ok(())
    }

    /// Tells the service manager how it goes, and that store, core and connection move on.
    fn tell(&self, manager: &mut ServiceNotifier) {
        let Some(link) = &self.link else { return };
        manager.alive(|| [Some(link.heartbeat())]);
        manager.status(|| report::in_a_line(&self.core));
    }

    /// Writes the status file when it is time to. It is for people only: learning goes on without it.
    fn write_status(&mut self, now: Instant) {
        if now < self.status_written.after(self.status_wait_ms) {
            return;
        }
        (self.status_written, self.status_wait_ms) = (now, STATUS_MS);
        let ended = self.store.history(ROUNDS_SHOWN).unwrap_or_else(|error| {
            log::warn!("the status file tells of no ended round: {error}");
            Vec::new()
        });
        if let Err(error) = Status::live(&self.core, now, ended).write(&self.config.store) {
            log::warn!("the status file cannot be written: {error}");
        }
    }

    /// Saves, says goodbye and waits until the broker has heard it.
    fn stop(
        mut self,
        now: Instant,
        on_event: &mut dyn FnMut(&RoundEvent, &Counters),
    ) -> Result<(), RunError> {
        log::info!("stopping");
        if self.config.settings.paused {
            // What was asked from this process alone ends with it.
            self.queries_due = Instant(0);
            self.ask(now);
        }
        self.core.handle(now, Input::Command(Command::Stop));
        self.perform(on_event)?;
        if let Some(link) = self.link.take()
            && !link.close(Vec::new())
        {
            log::warn!("stopped without the broker's acknowledgement");
        }
        Ok(())
    }
}

/// How long the status file may say nothing of an event, in milliseconds.
fn status_wait_ms(event: &RoundEvent) -> u64 {
    match event {
        RoundEvent::Started { .. }
        | RoundEvent::RoundOpened { .. }
        | RoundEvent::RoundPublished { .. }
        | RoundEvent::Evaluated { .. }
        | RoundEvent::RoundFailed { .. }
        | RoundEvent::Answered { .. }
        | RoundEvent::AnsweredBefore { .. }
        | RoundEvent::Imported { .. }
        | RoundEvent::Waits { .. }
        | RoundEvent::Finished { .. } => 0,
        RoundEvent::UpdateAccepted { .. }
        | RoundEvent::UpdateRefused { .. }
        | RoundEvent::GaveUp { .. } => STATUS_UPDATES_MS,
        RoundEvent::FractionRaised { .. }
        | RoundEvent::ClaimAnswered { .. }
        | RoundEvent::Unreadable { .. }
        | RoundEvent::ImportRefused { .. } => STATUS_MS,
    }
}

#[cfg(test)]
mod tests;
