//! A connection to the broker as the device, and everything that can be heard over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use dunlin_link::{Link, LinkConfig, LinkEvent};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::id::{InstanceId, RoundId};
use dunlin_protocol::limits::{CHUNK_BYTES_DEFAULT, TASK_BYTES_MAX};
use dunlin_protocol::message::{Answer, Claim, Go, WorkRef};
use dunlin_protocol::object::{Assembly, Chunk};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::task::Task;
use dunlin_protocol::topic::{Down, Topic, shard_of};
use dunlin_protocol::wire;

use super::now;
use super::packets::{self, Carried};
use crate::session::Settings;

/// Names of other federations and aggregators that are remembered.
const NAMES_MAX: usize = 16;

/// Events that may wait; more are dropped.
const EVENTS_MAX: usize = 256;

/// How a login ended.
pub(super) enum Login {
    /// The broker takes this device.
    Accepted(Talk),
    /// It does not take this device: why.
    Refused(String),
    /// The connection did not come about.
    Lost(String),
    /// Nothing came back in the time that it had.
    Silent,
}

/// A connection as the device.
pub(super) struct Talk {
    link: Link,
    events: Receiver<LinkEvent>,
}

/// Everything that was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Whether the device heard itself.
    pub(super) echo: bool,
    /// Whether packets of a chunk's length come through, where that was tried.
    pub(super) carried: Option<Carried>,
    /// Subscriptions that the broker refused in words.
    pub(super) refused: Vec<String>,
    /// Why the connection was lost.
    pub(super) lost: Option<String>,
    /// The plan, or why it cannot be read.
    pub(super) plan: Option<Result<Plan, String>>,
    /// The task that the plan names, or why it cannot be used.
    pub(super) task: Option<Result<Task, String>>,
    /// The answer to a claim for no round, and after how many milliseconds it came.
    pub(super) answer: Option<(Answer, u128)>,
    /// Aggregators that said how they are.
    pub(super) aggregators: BTreeMap<InstanceId, State>,
    /// Federations with a plan, asked for where this one has none.
    pub(super) federations: BTreeSet<String>,
}

impl Talk {
    /// Connects as the device does, but without a last will.
    pub(super) fn log_in(link: LinkConfig, limit: Duration) -> Login {
        let (sink, events) = sync_channel(EVENTS_MAX);
        let link = match Link::open(link, move |event| sink.try_send(event).is_ok()) {
            Ok(link) => link,
            Err(error) => return Login::Lost(error.to_string()),
        };
        match events.recv_timeout(limit) {
            Ok(LinkEvent::Connected) => Login::Accepted(Self { link, events }),
            Ok(LinkEvent::Refused { reason }) => Login::Refused(reason),
            Ok(LinkEvent::Disconnected { reason }) => Login::Lost(reason),
            Ok(LinkEvent::SubscribeRefused { .. } | LinkEvent::Message { .. }) | Err(_) => {
                Login::Silent
            }
        }
    }

    /// Says and hears what a device does, until all is heard or nothing more comes for `limit`.
    ///
    /// `shared`: whether an agent may take the connection back; then it is made anew.
    pub(super) fn exchange(self, settings: &Settings, limit: Duration, shared: bool) -> Heard {
        let mut exchange = Exchange {
            link: &self.link,
            settings,
            heard: Heard::default(),
            assembly: None,
            asked: None,
            progress: now(),
        };
        exchange.say();
        exchange.listen(&self.events, limit, shared, Exchange::is_done);
        if exchange.heard.plan.is_none() && exchange.heard.lost.is_none() {
            exchange.look_around();
            exchange.listen(&self.events, limit / 3, shared, |_| false);
        }
        let mut heard = exchange.heard;
        // With an agent beside, nobody could tell who ended the connection.
        if heard.echo && heard.lost.is_none() && !shared {
            let plan = heard.plan.as_ref().and_then(|plan| plan.as_ref().ok());
            let chunk = plan.map_or(CHUNK_BYTES_DEFAULT, |plan| plan.chunk_bytes) as usize;
            let topic = settings.topics.echo(&settings.device);
            heard.carried = packets::try_out(&self.link, &self.events, &topic, chunk, limit);
        }
        self.link.close(Vec::new());
        heard
    }
}

struct Exchange<'a> {
    link: &'a Link,
    settings: &'a Settings,
    heard: Heard,
    assembly: Option<Assembly>,
    asked: Option<Instant>,
    /// When something new was last heard.
    progress: Instant,
}

impl Exchange<'_> {
    fn topic(&self, topic: &Topic) -> String {
        self.settings.topics.name(topic)
    }

    fn subscribe(&self, topic: &Topic) {
        self.link.subscribe(self.topic(topic));
    }

    /// Everything that needs no plan. A broker handles it in this order.
    fn say(&self) {
        let device = &self.settings.device;
        for down in Down::ALL {
            self.subscribe(&Topic::Down(device.clone(), down));
        }
        let echo = self.settings.topics.echo(device);
        self.link.subscribe(echo.clone());
        self.link.publish(echo, b"doctor".to_vec(), false);
        self.subscribe(&Topic::Plan(self.settings.federation.clone()));
    }

    /// Asks for plans and aggregators of all kinds.
    fn look_around(&mut self) {
        self.link.subscribe(self.settings.topics.all_plans());
        self.link.subscribe(self.settings.topics.all_server_states());
        self.progress = now();
    }

    fn is_done(&self) -> bool {
        let Some(plan) = &self.heard.plan else { return false };
        let Ok(plan) = plan else { return true };
        // An answer comes after the echo, if that comes at all.
        let server = self.heard.aggregators.contains_key(&plan.instance);
        self.heard.task.is_some() && self.heard.answer.is_some() && server
    }

    fn listen(
        &mut self,
        events: &Receiver<LinkEvent>,
        limit: Duration,
        shared: bool,
        done: impl Fn(&Self) -> bool,
    ) {
        while !done(self) {
            let left = limit.saturating_sub(now().saturating_duration_since(self.progress));
            if left.is_zero() {
                return;
            }
            match events.recv_timeout(left) {
                Ok(LinkEvent::Message { topic, payload }) => self.hear(&topic, &payload),
                Ok(LinkEvent::SubscribeRefused { topic }) => self.heard.refused.push(topic),
                Ok(LinkEvent::Connected) => {
                    // A new connection: the broker remembers nothing of the one before.
                    self.say();
                    self.ask();
                }
                Ok(LinkEvent::Disconnected { .. }) if shared => {}
                Ok(LinkEvent::Disconnected { reason } | LinkEvent::Refused { reason }) => {
                    self.heard.lost = Some(reason);
                    return;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn hear(&mut self, topic: &str, payload: &[u8]) {
        if topic == self.settings.topics.echo(&self.settings.device) {
            self.heard.echo = true;
            return;
        }
        match self.settings.topics.parse(topic) {
            Some(Topic::Plan(federation)) if federation == self.settings.federation => {
                match wire::decode::<Plan>(payload) {
                    Ok(plan) if self.heard.plan.is_none() => self.take_plan(plan),
                    // A newer one, while the first is worked on.
                    Ok(_) => {}
                    Err(error) => self.heard.plan = Some(Err(error.to_string())),
                }
            }
            Some(Topic::Plan(federation)) if self.heard.federations.len() < NAMES_MAX => {
                self.heard.federations.insert(federation.to_string());
            }
            Some(Topic::ServerState(instance)) if self.heard.aggregators.len() < NAMES_MAX => {
                if let Some(presence) = Presence::decode(payload) {
                    self.heard.aggregators.insert(instance, presence.state);
                    self.progress = now();
                }
            }
            Some(Topic::Object(..)) => self.take_chunk(payload),
            Some(Topic::Down(device, Down::Go)) if device == self.settings.device => {
                self.take_go(payload);
            }
            Some(
                Topic::Down(..)
                | Topic::Plan(_)
                | Topic::ServerState(_)
                | Topic::DeviceState(_)
                | Topic::Up(..)
                | Topic::Out(..),
            )
            | None => {}
        }
    }

    fn take_plan(&mut self, plan: Plan) {
        self.progress = now();
        if plan.task.bytes as usize > TASK_BYTES_MAX {
            self.heard.task = Some(Err(format!("it has {} bytes", plan.task.bytes)));
        } else {
            self.assembly = Some(Assembly::new(plan.task));
        }
        self.heard.plan = Some(Ok(plan));
        self.ask();
    }

    /// Asks for the task, for the aggregator, and for a round that there is none of.
    fn ask(&mut self) {
        let Some(Ok(plan)) = &self.heard.plan else { return };
        self.subscribe(&Topic::ServerState(plan.instance.clone()));
        let federation = &self.settings.federation;
        if let Some(assembly) = &self.assembly {
            for index in assembly.missing() {
                self.subscribe(&Topic::Object(federation.clone(), assembly.object(), index));
            }
        }
        let device = &self.settings.device;
        let shard = shard_of(device, plan.shards);
        let up = Topic::Up(device.clone(), federation.clone(), shard);
        if let Ok(bytes) = wire::encode(&question(plan)) {
            self.link.publish(self.topic(&up), bytes, false);
            self.asked = Some(now());
        }
    }

    fn take_chunk(&mut self, payload: &[u8]) {
        let Some(mut assembly) = self.assembly.take() else { return };
        let taken = Chunk::decode(payload).and_then(|chunk| assembly.take(&chunk));
        if !matches!(taken, Ok(true)) || !assembly.is_complete() {
            self.assembly = Some(assembly);
            return;
        }
        let task = assembly.finish().and_then(|bytes| Task::decode(&bytes));
        self.heard.task = Some(task.map_err(|error| error.to_string()));
        self.progress = now();
    }

    fn take_go(&mut self, payload: &[u8]) {
        let (Ok(go), Some(Ok(plan))) = (wire::decode::<Go>(payload), &self.heard.plan) else {
            return;
        };
        // A go for a running agent's claim is not for us.
        if go.work == question(plan).work && self.heard.answer.is_none() {
            let took = self.asked.map_or(0, super::network::millis);
            self.heard.answer = Some((go.answer, took));
            self.progress = now();
        }
    }
}

/// A claim that every aggregator answers and none can grant: there is no work of kind 0.
fn question(plan: &Plan) -> Claim {
    let work = WorkRef { lineage: plan.lineage, round: RoundId(0), kind: 0 };
    Claim {
        work,
        boot: 0,
        codecs: Codec::KNOWN,
        memory_kib: 0,
        windows: 0,
        extensions: Extensions::NONE,
    }
}
