//! Samples from a growing CSV file, a FIFO or standard input.
//!
//! Files are followed while they grow; a rotated, truncated or rewritten file is read from its
//! start; a FIFO stays open for the next writer; of a folder, one file is read after the other.
//! Rows that cannot be understood are counted by kind and skipped; the log tells of them at most
//! once a minute, with line, column and text.

mod advice;
mod clock;
mod folder;
mod follow;
mod foreign;
mod index;
mod label_file;
mod lines;
mod position;
mod ranges;
mod reader;
mod row;
mod same;
mod splitter;
mod table;

pub use folder::recordings;
pub(super) use label_file::LabelReader;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dunlin_protocol::task::TaskSpec;

use self::follow::{Follower, Piece};
use self::lines::{Line, LineBuffer};
use self::reader::CsvReader;
use self::table::{Step, Table};
use super::config::{Column, CsvConfig};
use super::live::{LiveSource, SampleReader, lock};
use super::store::SampleStore;
use super::{DataError, WindowSet};

/// Most texts of a column that are told apart.
const TEXTS_MAX: usize = 100_000;

/// Opens the ring in `state_dir` and starts to read.
///
/// # Errors
/// [`DataError`] when the ring belongs to another configuration or process, when files cannot be
/// made, or when no thread can be started. A missing input is no error: it may come later.
pub fn open(config: &CsvConfig, state_dir: &Path) -> Result<LiveSource, DataError> {
    let written = &config.sampling.written;
    super::files::check_written(state_dir, written, config.input.can_be_read_again())?;
    let source =
        LiveSource::open(&config.sampling, config.input.text.delimiter, state_dir, |store| {
            Ok(Box::new(CsvReader::open(config, position_path(state_dir), store)?))
        })?;
    super::files::note_written(state_dir, written)?;
    Ok(source)
}

fn position_path(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join(super::files::POSITION)
}

/// The windows for `task` in a file or folder that does not grow; `scratch` is an empty folder for
/// what is kept on the way.
///
/// # Errors
/// [`DataError`] when the file is not there, cannot be read as configured, or cannot serve the task.
pub fn read_file(
    config: &CsvConfig,
    scratch: &Path,
    task: &TaskSpec,
) -> Result<WindowSet, DataError> {
    read_samples(config, scratch)?.windows(task, config.sampling.values_max())
}

/// The samples of a file or folder that does not grow, with the labels of its label file; `scratch`
/// as for [`read_file`].
///
/// # Errors
/// [`DataError`] when the file is not there or cannot be read as configured.
pub fn read_samples(config: &CsvConfig, scratch: &Path) -> Result<SampleStore, DataError> {
    let path = &config.input.path;
    std::fs::metadata(path).map_err(DataError::io(path, "read"))?;
    let store = SampleStore::open(scratch, config.sampling.header())?;
    let mut store = store.with_intake(config.sampling.intake());
    store.set_label_names(config.sampling.label_names());
    let mut reader = CsvReader::open(config, position_path(scratch), &store)?;
    let store = Mutex::new(store);
    while reader.poll(&store) {}
    reader.finish(&mut lock(&store));
    lock(&store).finish();
    let (unit, period_ns) = (config.sampling.time_unit, config.sampling.period_ns());
    let labels = config.sampling.label_file(config.input.text.delimiter);
    if let Some((path, form)) = labels.filter(|(_, form)| !form.is_index()) {
        std::fs::metadata(&path).map_err(DataError::io(&path, "read"))?;
        let mut labels = LabelReader::new(&path, &form, unit, period_ns);
        while labels.poll(&store) {}
        labels.finish(&mut lock(&store));
    }
    let store = store.into_inner().unwrap_or_else(PoisonError::into_inner);
    match store.status().problem {
        Some(problem) => {
            let named = format!("{}: ", path.display());
            let problem = problem.strip_prefix(&named).unwrap_or(&problem).to_owned();
            Err(DataError::Input { path: path.clone(), problem })
        }
        None => Ok(store),
    }
}

/// The texts of `column` in a file that does not grow, sorted; those of rows that `where` leaves out
/// and of broken rows included.
///
/// # Errors
/// [`DataError`] when the file cannot be read, has no such column, or over 100,000 texts.
pub fn texts_of(config: &CsvConfig, column: &Column) -> Result<BTreeSet<String>, DataError> {
    let path = &config.input.path;
    let (wanted, columns) = (vec![column.clone()], config.input.columns);
    let mut table = Table::new(&config.input.text, wanted, columns, "the column");
    let mut lines = LineBuffer::new(config.input.text.row_end);
    let mut follower = Follower::file(path, None);
    let (mut piece, mut texts, mut problem) = (Vec::new(), BTreeSet::new(), None);
    loop {
        let read = follower.read(&mut piece).map_err(DataError::io(path, "read"))?;
        let last = match read {
            Piece::Bytes => None,
            Piece::Opened(_) => continue,
            Piece::Nothing
            | Piece::Restarted
            | Piece::Shortened
            | Piece::Rewritten
            | Piece::Ended => Some([lines.finish().unwrap_or_default(), b"\n".to_vec()].concat()),
        };
        lines.feed(last.as_ref().unwrap_or(&piece), |line, _, number| {
            let Line::Whole(line) = line else { return };
            match table.read(line, number) {
                Ok(Step::Row) => texts.extend(table.field(0).map(str::to_owned)),
                Ok(_) => {}
                Err(text) => problem = Some(text),
            }
        });
        if texts.len() > TEXTS_MAX {
            problem = Some(format!("{column} has over {TEXTS_MAX} texts"));
        }
        if let Some(problem) = problem {
            return Err(DataError::Input { path: path.clone(), problem });
        }
        if last.is_some() {
            return Ok(texts);
        }
    }
}

#[cfg(test)]
mod tests;
