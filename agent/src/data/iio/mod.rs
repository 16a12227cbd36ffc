//! Samples from a sensor that Linux has a driver for: industrial I/O (IIO).
//!
//! Values are `(raw + offset) * scale` in the units of the kernel's `sysfs-bus-iio` document (m/s2,
//! rad/s, mV, thousandths of a degree Celsius), times the factor of the configuration. Polled, the
//! agent reads `in_*_raw` at its own rate; buffered, the device or its trigger fills a buffer in
//! the kernel at its rate and the agent empties it. A device that is not there, or goes away, is
//! looked for every few seconds.

mod buffer;
mod channel;
mod polled;
mod rate;
mod scan;
mod sysfs;
mod watch;

use std::path::Path;

use super::DataError;
use super::config::{IioConfig, IioMode};
use super::live::{LiveSource, SampleReader};
use buffer::Buffer;
use polled::Polled;
use watch::Watch;

/// Opens the ring in `state_dir` and starts to read.
///
/// # Errors
/// [`DataError`] when the ring belongs to another configuration or process, when files cannot be
/// made, or when no thread can be started. A missing device is no error: it may come later.
pub fn open(config: &IioConfig, state_dir: &Path) -> Result<LiveSource, DataError> {
    LiveSource::open(&config.sampling, ',', state_dir, |_| {
        Ok(match config.input.mode {
            IioMode::Polled => Box::new(Watch::<Polled>::new(config)) as Box<dyn SampleReader>,
            IioMode::Buffered => Box::new(Watch::<Buffer>::new(config)),
        })
    })
}

#[cfg(test)]
mod tests;
