//! Classifying live windows with the newest model that the device holds, its own layers included,
//! on a thread of its own: training a round may take minutes.
//!
//! The session says which model to use, and what a result may cost; `worker` looks for new
//! windows and asks the model; `publisher` decides what is worth saying; `model_cache` keeps the
//! model, so that a device classifies after a restart without a connection.

pub mod config;
mod model_cache;
#[cfg(feature = "burn")]
mod network;
mod publisher;
mod result;
mod worker;

pub use config::{InferenceConfig, PublishOn};
#[cfg(feature = "burn")]
pub use network::NetworkClassifier;
pub use publisher::InferenceStatus;
pub use result::{Estimate, Finding, Said};

use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Instant as Clock;

use dunlin_protocol::time::Instant;
use log::warn;

use crate::data::WindowSource;
use crate::job::ModelInUse;
use crate::ports::{Classifier, StateStore};
use crate::session::{InferencePolicy, Session};
use model_cache::ModelCache;
use publisher::Publisher;

/// All that a device needs to classify.
pub struct Inference {
    /// What the session must know.
    pub policy: InferencePolicy,
    /// How often to look, and what to publish.
    pub config: InferenceConfig,
    /// Where windows come from.
    pub source: Box<dyn WindowSource>,
    /// What runs the model.
    pub classifier: Box<dyn Classifier + Send>,
    /// Where the model is kept.
    pub models: Box<dyn StateStore + Send>,
}

/// A device that classifies.
pub(crate) struct Running {
    models: Sender<ModelInUse>,
    thread: JoinHandle<()>,
    model_cache: ModelCache,
    publisher: Publisher,
}

impl Running {
    /// Gives the kept model to `session` and starts to look for windows; `sink` takes what is found
    /// and says whether to go on.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        inference: Inference,
        session: &mut Session,
        sink: impl Fn(Finding) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let Inference { policy, config, source, classifier, models } = inference;
        let (model_cache, kept) = ModelCache::open(models, config.save_every());
        session.infer(policy, kept);
        let (models, thread) = worker::spawn(source, classifier, config.every(), sink)?;
        Ok(Self { models, thread, model_cache, publisher: Publisher::new(&config) })
    }

    /// Classifies with this model from now on, and keeps it when it is time to.
    pub(crate) fn use_model(&mut self, model: ModelInUse) {
        self.model_cache.take(&model, clock());
        if self.models.send(model).is_err() {
            warn!("the thread that classifies has ended");
        }
    }

    /// Says what was found, if it is worth it and the link allows it.
    pub(crate) fn on_finding(&mut self, now: Instant, finding: &Finding, session: &mut Session) {
        self.publisher.take(now, finding, session);
    }

    /// The figures so far.
    pub(crate) fn status(&self) -> InferenceStatus {
        self.publisher.status()
    }

    /// Ends the thread; keeps the model first where the device leaves in an orderly way.
    pub(crate) fn stop(mut self, orderly: bool) {
        if orderly {
            self.model_cache.finish();
        }
        drop(self.models);
        if self.thread.join().is_err() {
            warn!("the thread that classifies had failed");
        }
    }
}

/// The monotonic clock of the machine.
#[allow(clippy::disallowed_methods)] // part of the shell
fn clock() -> Clock {
    Clock::now()
}
