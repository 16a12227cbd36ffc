//! Samples from a sensor that Linux has a driver for: industrial I/O (IIO).
//!
//! Values are `(raw + offset) * scale`, or what the driver computed, in the units of the kernel's
//! `sysfs-bus-iio` document, turned by the mount matrix where the device has one. Temperature and
//! humidity come in degrees and percent instead of thousandths. Polled, the agent reads each value at
//! its own rate; buffered, the device or its trigger fills a buffer in the kernel at its rate and the
//! agent empties it. A source may have several devices, such as the two of an accelerometer with a
//! gyroscope. A device that is not there, or goes away, is looked for every few seconds.

mod buffer;
mod buffered;
mod channel;
mod join;
mod kind;
mod mount;
mod plan;
mod polled;
mod rate;
mod scan;
mod sysfs;
mod watch;

pub(in crate::data) use kind::unit;

use std::path::Path;

use super::config::{IioConfig, IioMode};
use super::live::{LiveSource, SampleReader};
use super::{DataError, files};
use buffered::Buffered;
use polled::Polled;
use watch::Watch;

/// Opens the ring in `state_dir` and starts to read.
///
/// # Errors
/// [`DataError`] when the ring belongs to another configuration or process, when files cannot be
/// made, or when no thread can be started. A missing device is no error: it may come later.
pub fn open(config: &IioConfig, state_dir: &Path) -> Result<LiveSource, DataError> {
    let written = &config.sampling.written;
    files::check_written(state_dir, written, false)?;
    let source = LiveSource::open(&config.sampling, ',', state_dir, |_| {
        Ok(match config.input.mode {
            IioMode::Polled => Box::new(Watch::<Polled>::new(config)) as Box<dyn SampleReader>,
            IioMode::Buffered => Box::new(Watch::<Buffered>::new(config)),
        })
    })?;
    files::note_written(state_dir, written)?;
    Ok(source)
}

#[cfg(test)]
mod tests;
