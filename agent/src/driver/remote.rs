//! What others see of a running device, and how they stop it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dunlin_link::{Counters, LinkError};

use crate::inference::InferenceStatus;
use crate::ports::StoreError;
use crate::session::SessionCounters;
use crate::state::StateError;

/// What a running device shows to the outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceStatus {
    /// What the session has counted since the start.
    pub session: SessionCounters,
    /// What the connection has carried.
    pub link: Counters,
    /// Whether the broker refused this device's credentials last.
    pub credentials_refused: bool,
    /// What was classified since the start; all 0 for a device that does not classify.
    pub inference: InferenceStatus,
}

/// Handle by which another thread stops a device or looks at it.
#[derive(Clone, Debug, Default)]
pub struct Remote {
    pub(super) stop: Arc<AtomicBool>,
    pub(super) kill: Arc<AtomicBool>,
    pub(super) status: Arc<Mutex<DeviceStatus>>,
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
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The connection's settings are wrong.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The state cannot be read or written, or nothing of it is whole.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state is of another version, or damaged.
    #[error(transparent)]
    State(#[from] StateError),
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Random(#[from] getrandom::Error),
    /// A thread cannot be started.
    #[error("{what}: {source}")]
    Thread {
        /// What cannot be done without it.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread has ended that should not have: which.
    #[error("{0}")]
    Ended(&'static str),
}

impl RunError {
    /// Whether a person has to change something, so that another start would not help.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Link(error) => !matches!(error, LinkError::Thread(_)),
            Self::State(_) | Self::Store(StoreError::Damaged(_)) => true,
            Self::Store(_) | Self::Random(_) | Self::Thread { .. } | Self::Ended(_) => false,
        }
    }
}
