//! Opens a device, reads it while it is there, and looks for it again when it is not.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::data::config::IioConfig;
use crate::data::live::{POLL, SampleReader, lock, wall_us};
use crate::data::log_limit::clock;
use crate::data::store::SampleStore;

/// Time between two looks for a device.
const RETRY: Duration = Duration::from_secs(3);

/// A moment, as two clocks show it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// On the clock that only goes forward, for rates and waits.
    pub(super) steady: Instant,
    /// On the wall clock, in microseconds since 1970, for the times of samples.
    pub(super) wall_us: i64,
}

/// The devices of a source, open.
pub(super) trait Device: Send + Sized {
    /// Opens the devices of `config`.
    ///
    /// # Errors
    /// Why that is not possible now, and what to do.
    fn open(config: &IioConfig) -> Result<Self, String>;

    /// Takes in what is there; whether there may be more at once.
    ///
    /// # Errors
    /// Why the device must be opened again.
    fn poll(&mut self, now: Now, store: &Mutex<SampleStore>) -> Result<bool, String>;

    /// How long to wait from `now` on when nothing was there.
    fn pause(&self, now: Instant) -> Duration;
}

/// Reads a device of kind `D` whenever it is there.
pub(super) struct Watch<D> {
    config: IioConfig,
    device: Option<D>,
    retry_at: Option<Instant>,
}

impl<D: Device> Watch<D> {
    /// Looks for the device at the first poll.
    pub(super) fn new(config: &IioConfig) -> Self {
        Self { config: config.clone(), device: None, retry_at: None }
    }

    /// Polls at the moment `now`.
    pub(super) fn poll_at(&mut self, now: Now, store: &Mutex<SampleStore>) -> bool {
        let result = match &mut self.device {
            Some(device) => device.poll(now, store),
            None if self.retry_at.is_some_and(|at| now.steady < at) => return false,
            None => D::open(&self.config).map(|device| {
                let problem = format!("{}: open; no sample yet", self.config.input.title());
                lock(store).set_problem(Some(problem));
                self.device = Some(device);
                true
            }),
        };
        result.unwrap_or_else(|problem| {
            self.device = None;
            self.retry_at = now.steady.checked_add(RETRY);
            let problem = format!("{}: {problem}", self.config.input.title());
            lock(store).set_problem(Some(problem));
            false
        })
    }
}

impl<D: Device> SampleReader for Watch<D> {
    fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        self.poll_at(Now { steady: clock(), wall_us: wall_us() }, store)
    }

    fn pause(&self) -> Duration {
        self.device.as_ref().map_or(POLL, |device| device.pause(clock()))
    }
}
