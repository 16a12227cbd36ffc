//! What goes into a session and what comes out.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use dunlin_protocol::id::{DeviceId, FederationId};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::{DataTrouble, Ineligible};
use dunlin_protocol::task::Task;
use dunlin_protocol::topic::{Topic, Topics};

use super::LinkPolicy;
use crate::job::{Job, JobFailure, ModelInUse, Outcome, Survey};

/// Who the device is and what it can do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name: MQTT user, client id and topic level.
    pub device: DeviceId,
    /// The federation that it belongs to.
    pub federation: FederationId,
    /// The tree of topics that the federation uses.
    pub topics: Topics,
    /// Memory that training may use, in KiB: tasks, objects and updates that do not fit are refused.
    /// 0 when unknown: nothing is refused.
    pub memory_kib: u32,
    /// What the link costs.
    pub link: LinkPolicy,
}

impl Settings {
    /// A device in the shipped tree of topics, of unknown memory, on a link that costs nothing.
    pub fn new(device: DeviceId, federation: FederationId) -> Self {
        let (topics, link) = (Topics::default(), LinkPolicy::default());
        Self { device, federation, topics, memory_kib: 0, link }
    }
}

/// Something that happened, for [`Session::handle`](super::Session::handle).
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The broker took the connection; nothing said before counts any more.
    Connected,
    /// The connection is gone.
    Disconnected,
    /// A message came from the broker.
    Message {
        /// Its topic; messages on topics that are not ours are nobody's.
        topic: Topic,
        /// Its bytes, as they came.
        payload: &'a [u8],
    },
    /// What there is for the task of the last [`Output::UseTask`].
    Survey(Survey),
    /// The executor is done with the job for `work`. Not said of a job that was cancelled: the same
    /// work may have begun again since.
    Done {
        /// The work that the job was for.
        work: WorkRef,
        /// What it gave, or why it gave nothing.
        outcome: Result<Outcome, JobFailure>,
    },
    /// Why the device must not work now, by its own rules; `None` when it may. It may at first.
    Ineligible(Option<Ineligible>),
    /// What the device's own data lack now, for its presence; `None` when nothing. Others hear of it
    /// once a minute at the most.
    DataTrouble(Option<DataTrouble>),
    /// The broker has ended several connections in a row over a packet of so many bytes: chunks of
    /// updates are made smaller.
    Oversize(usize),
    /// Time has passed, and nothing else happened.
    Tick,
    /// The program is about to stop.
    Stop,
}

/// Something to do, in order. Small, since some wait in the memory of a microcontroller.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Subscribe to this topic.
    Subscribe(Box<Topic>),
    /// Unsubscribe from this topic.
    Unsubscribe(Box<Topic>),
    /// Publish with QoS 1.
    Publish {
        /// Where to, without the tree's root.
        topic: Box<Topic>,
        /// The bytes of the message, which fits into one packet.
        payload: Vec<u8>,
        /// Whether the broker keeps it for later subscribers.
        retain: bool,
    },
    /// Keep [`super::Session::state`] before anything later in the queue is done.
    Save,
    /// Survey what there is for this task and report it, now and whenever it changes much.
    UseTask(Arc<Task>),
    /// Classify with this model from now on; only after [`super::Session::infer`].
    UseModel(Box<ModelInUse>),
    /// Start this job; one at a time.
    Start(Box<Job>),
    /// Leave the broker in an orderly way and connect again after this time, in milliseconds.
    Sleep {
        /// How long to stay away, in milliseconds.
        ms: u64,
    },
    /// Stop the job for this work if it still runs; its outcome is not wanted any more, and must not
    /// be told.
    Cancel(WorkRef),
}

/// Figures that an operator may want to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Updates that were accepted.
    pub accepted: u32,
    /// Updates and claims that were refused.
    pub refused: u32,
    /// Pieces of work that were given up: round gone, deadline, training failed, device held.
    pub abandoned: u32,
    /// Those of them that were given up because the device was held.
    pub held_rounds: u32,
    /// How often the device began to be held.
    pub holds: u32,
    /// Messages that could not be read.
    pub unreadable: u32,
    /// Plans that were left out because they are older than one that was heard.
    pub stale_plans: u32,
    /// How often the data cap made the device wait.
    pub cap_waits: u32,
    /// Payload bytes given to the connection, whether it stood or not.
    pub bytes_out: u64,
    /// Payload bytes of all messages that came.
    pub bytes_in: u64,
}
