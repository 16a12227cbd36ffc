//! What others see of a running device, and how they stop it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dunlin_link::{Counters, LinkError};

use crate::inference::InferenceStatus;
use crate::ports::StoreError;
use crate::session::SessionCounters;

/// What a running device shows to the outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceStatus {
    /// The session's figures.
    pub session: SessionCounters,
    /// What the connection has carried.
    pub link: Counters,
    /// Whether the broker refused this device's credentials last.
    pub credentials_refused: bool,
    /// What was classified.
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
#[derive(Debug)]
pub enum RunError {
    /// The connection's settings are wrong.
    Link(LinkError),
    /// The state cannot be read or written, or nothing of it is whole.
    Store(StoreError),
    /// The state is of another version, or damaged.
    State(crate::state::StateError),
    /// The operating system gives no random bytes.
    Random(String),
    /// A thread could not be started or has died.
    Thread(String),
}

impl RunError {
    /// Whether a person has to change something, so that another start would not help.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Link(error) => !matches!(error, LinkError::Thread(_)),
            Self::State(_) | Self::Store(StoreError::Damaged(_)) => true,
            Self::Store(_) | Self::Random(_) | Self::Thread(_) => false,
        }
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Random(text) | Self::Thread(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RunError {}
