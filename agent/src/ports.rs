//! What the session needs of the world around it: a transport, a store, a trainer, and the
//! conditions under which it may work.

use std::sync::Arc;
use std::time::Duration;

pub use dunlin_link::{Counters, LinkConfig, LinkError, LinkEvent, Will};

use dunlin_protocol::presence::Ineligible;
use dunlin_protocol::task::Task;

use crate::data::trouble::DataReport;
use crate::inference::Estimate;
use crate::job::{Job, JobFailure, ModelInUse, Outcome, Survey};

/// Takes what a transport hears, from any thread; false when there is no room for it. A message that
/// finds none may be dropped; a new connection for which there is none must be told again.
pub type Events = Arc<dyn Fn(LinkEvent) -> bool + Send + Sync>;

/// A message: topic, payload, and whether the broker keeps it for later subscribers.
pub type Message = (String, Vec<u8>, bool);

/// A way to a broker that is not open yet. [`LinkConfig`] is the one by MQTT.
pub trait Connect {
    /// Opens it. From then on it connects, and connects again, by itself, and tells `events` of each
    /// connection, its loss, and each message. The broker publishes `will` when the device is lost.
    ///
    /// # Errors
    /// When the settings are wrong; a broker that cannot be reached is tried again and again.
    fn connect(
        self: Box<Self>,
        will: Will,
        events: Events,
    ) -> Result<Box<dyn Transport>, LinkError>;
}

/// Carries messages, at least once. Whatever it is given while not connected is lost, and that is
/// well: the session says everything again after the next connection.
pub trait Transport {
    /// Publishes `message`, and does not wait until that is done.
    fn publish(&mut self, message: Message);

    /// Subscribes to `topic`; retained messages come at once.
    fn subscribe(&mut self, topic: String);

    /// Gives the connections to come another last will; that of this one stays. A way without last
    /// wills, or with one for all connections, does nothing.
    fn set_will(&mut self, _will: Will) {}

    /// Subscribes to `topic` where a message that is lost is asked for again: QoS 0 is enough.
    fn subscribe_once(&mut self, topic: String) {
        self.subscribe(topic);
    }

    /// Length in bytes of a packet over which the broker has ended several connections in a row.
    fn oversize(&self) -> Option<usize> {
        None
    }

    /// Unsubscribes from `topic`; messages that are on their way may still come.
    fn unsubscribe(&mut self, topic: String);

    /// Says what it was given before, leaves the broker in an orderly way and comes back after `span`.
    fn sleep(&mut self, span: Duration);

    /// Time until it comes back, `None` while it does not sleep; looked at before each wait, so that it
    /// can come back then.
    ///
    /// # Errors
    /// When it cannot be opened again.
    fn until_awake(&mut self) -> Result<Option<Duration>, LinkError>;

    /// What it has carried so far.
    fn counters(&self) -> Counters;

    /// A number that rises while it is alive; `None` while it has nothing to do.
    fn heartbeat(&self) -> Option<u64>;

    /// Publishes `last` and leaves; what it has carried in all.
    fn close(&mut self, last: Vec<Message>) -> Counters;

    /// Ends without a word, as by a power cut.
    fn abort(&mut self);
}

/// Why a store did not give or take a state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The place could not be read or written; what and where, and what to do.
    #[error("{what}; {step}")]
    Io {
        /// The place and what is wrong with it.
        what: String,
        /// What a person can do about it.
        step: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something was kept, and nothing of it is whole.
    #[error("{0}; restore a copy, or {reset}", reset = crate::state::RESET)]
    Damaged(String),
}

/// Keeps the device's state across power cuts: after `save` returns, `load` gives those bytes.
pub trait StateStore {
    /// The bytes last saved; `None` on a new device.
    ///
    /// # Errors
    /// [`StoreError`]; a store that lost what it was given says so and does not call the device new.
    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps `state`.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what was kept before is still there then.
    fn save(&mut self, state: &[u8]) -> Result<(), StoreError>;
}

/// Does work on local data.
pub trait Executor {
    /// Makes `task` the current one; returns what there is for it, and which kinds of work can be done,
    /// unless `stop` says to give up.
    ///
    /// # Errors
    /// Why nothing can be done for it, in words for the log.
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure>;

    /// Does `job`; gives up soon after `stop` says so.
    ///
    /// # Errors
    /// Why it failed, in words for the log.
    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure>;

    /// What is wrong with the data that it works on; cheap, as it is asked after each survey and job.
    fn data(&self) -> DataReport {
        DataReport::default()
    }
}

/// The conditions under which the device may work. Asked again and again, on a thread of its own.
pub trait Conditions {
    /// Why the device must not work now; `None` when it may. `training` says whether the trainer has
    /// been at work since the last time.
    fn held(&mut self, training: bool) -> Option<Ineligible>;
}

/// Says what a model makes of a window.
pub trait Classifier {
    /// Asks this model from now on.
    ///
    /// # Errors
    /// Why it cannot, in words for the log; there is no model then.
    fn use_model(&mut self, model: &ModelInUse) -> Result<(), JobFailure>;

    /// What the model says about `window`: `[window, channels]`, scaled by its task.
    ///
    /// # Errors
    /// Why it says nothing, in words for the log.
    fn classify(&mut self, window: &[f32]) -> Result<Estimate, JobFailure>;
}
