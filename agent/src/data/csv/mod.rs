//! Samples from a growing CSV file, a FIFO or standard input.
//!
//! Files are followed while they grow; a rotated or truncated file
//! is read from its start; a FIFO stays open for the next writer. Rows that cannot be understood
//! are counted, logged at most once a minute, and skipped.

mod follow;
mod label_file;
mod lines;
mod position;
mod reader;
mod row;

pub(super) use label_file::LabelReader;

use std::path::Path;
use std::sync::Mutex;

use dunlin_protocol::task::TaskSpec;

use self::reader::CsvReader;
use super::config::CsvConfig;
use super::live::{LiveSource, SampleReader, lock};
use super::store::SampleStore;
use super::{DataError, WindowSet};

/// Opens the ring in `state_dir` and starts to read.
///
/// # Errors
/// [`DataError`] when the ring belongs to another configuration or process, when files cannot be
/// made, or when no thread can be started. A missing input is no error: it may come later.
pub fn open(config: &CsvConfig, state_dir: &Path) -> Result<LiveSource, DataError> {
    LiveSource::open(&config.sampling, config.input.delimiter, state_dir, |store| {
        Ok(Box::new(CsvReader::open(config, position_path(state_dir), store)?))
    })
}

fn position_path(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join(super::files::POSITION)
}

/// The windows for `task` in a file that does not grow; `scratch` is an empty folder for what is
/// kept on the way.
///
/// # Errors
/// [`DataError`] when the file is not there, or cannot serve the task.
pub fn read_file(
    config: &CsvConfig,
    scratch: &Path,
    task: &TaskSpec,
) -> Result<WindowSet, DataError> {
    let path = &config.input.path;
    std::fs::metadata(path).map_err(DataError::io(path, "read"))?;
    let store = SampleStore::open(scratch, config.sampling.header())?;
    let store = store.with_intake(config.sampling.intake());
    let mut reader = CsvReader::open(config, position_path(scratch), &store)?;
    let store = Mutex::new(store);
    while reader.poll(&store) {}
    lock(&store).finish();
    lock(&store).windows(task, config.sampling.values_max())
}

#[cfg(test)]
mod tests;
