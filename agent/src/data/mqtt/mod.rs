//! Samples from a topic of an MQTT broker: JSON messages of another program on the device or near.
//!
//! The connection is apart from the one to the federation's broker, also where both are the same
//! program. Messages are read as fast as they come and wait in a queue of 16 MiB; when that is full,
//! they wait at the broker. A message over 2 MiB is dropped and counted; a packet over 4 MiB ends the
//! connection. What cannot be understood is counted with its place and text, and skipped. Topics never
//! mix unless `by_topic` says so. A sensor should not publish retained: an old sample would come again
//! with each connection, as a new one where messages bring no time.

mod joiner;
mod message;
mod path;
mod queue;
mod reader;
mod samples;
mod topics;

pub use path::{JsonPath, JsonPathError};
pub(in crate::data) use topics::covers;

use std::path::Path;

use super::config::MqttConfig;
use super::live::LiveSource;
use super::{DataError, files};
use reader::MqttReader;

/// Opens the ring in `state_dir` and starts to listen.
///
/// # Errors
/// [`DataError`] when the ring belongs to another configuration or process, when files cannot be
/// made or certificates not be read, or when no thread can be started. A broker that cannot be
/// reached is no error: it is tried again and again.
pub fn open(config: &MqttConfig, state_dir: &Path) -> Result<LiveSource, DataError> {
    let written = &config.sampling.written;
    files::check_written(state_dir, written, false)?;
    let source = LiveSource::open(&config.sampling, ',', state_dir, |_| {
        Ok(Box::new(MqttReader::open(config, state_dir)?))
    })?;
    files::note_written(state_dir, written)?;
    Ok(source)
}

#[cfg(test)]
mod tests;
