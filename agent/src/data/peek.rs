//! Samples for people to look at, without touching what a running agent has: a file is read into a
//! scratch folder, and of a ring a copy is opened there.

use std::fs;
use std::path::Path;

use super::config::{Sampling, SourceConfig};
use super::ring::Header;
use super::store::SampleStore;
use super::{DataError, csv, files};

/// The samples that `config` finds in `file`, or in its own file where that is one that lies there,
/// or else those in the ring in `state_dir`. `scratch`: an empty folder that outlives the store.
///
/// The ring is copied while its agent may write: the copy lacks the samples of the last moment, and a
/// sample that was being written is skipped.
///
/// # Errors
/// [`DataError`] when there is no file or ring, when it cannot be read, when it belongs to another
/// configuration, or when the source is not one that has samples.
pub fn open(
    config: &SourceConfig,
    file: Option<&Path>,
    state_dir: &Path,
    scratch: &Path,
) -> Result<Peeked, DataError> {
    let input = |path: &Path, problem: &str| DataError::Input {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let problems = config.check();
    if !problems.is_empty() {
        return Err(DataError::Config(problems));
    }
    let (header, values_max) = match (config, file) {
        (SourceConfig::Csv(csv), file) => {
            let path = file.unwrap_or(&csv.input.path);
            if file.is_some() || path.is_file() || path.is_dir() {
                let mut csv = csv.clone();
                csv.input.path = path.to_owned();
                let (from, values_max) = (path.display().to_string(), csv.sampling.values_max());
                let store = csv::read_samples(&csv, scratch)?;
                return Ok(Peeked { store, from, values_max, is_file: true });
            }
            of(&csv.sampling)
        }
        (SourceConfig::Iio(_) | SourceConfig::Mqtt(_) | SourceConfig::Har(_), Some(file)) => {
            let problem = "only [source] kind = \"csv\" reads files; write such a section, in a file \
                           of its own for --config, to look at this one";
            return Err(input(file, problem));
        }
        (SourceConfig::Iio(iio), None) => of(&iio.sampling),
        (SourceConfig::Mqtt(mqtt), None) => of(&mqtt.sampling),
        (SourceConfig::Har(har), None) => {
            return Err(input(&har.dir, "a data set has windows and no samples; nothing to show"));
        }
    };
    let ring = state_dir.join(files::RING);
    if let SourceConfig::Csv(csv) = config {
        let path = &csv.input.path;
        if path.as_os_str() != "-" && !path.exists() && !ring.exists() {
            let problem = format!(
                "is not there, and there is no {} yet; correct source.path, start the agent where the \
                 file is still to come, or name a FILE to look at",
                ring.display()
            );
            return Err(input(path, &problem));
        }
    }
    let store = copy_of_ring(header, state_dir, scratch)?;
    let from = format!("the ring in {}", state_dir.display());
    Ok(Peeked { store, from, values_max, is_file: false })
}

fn of<C>(sampling: &Sampling<C>) -> (Header, usize) {
    (sampling.header(), sampling.values_max())
}

/// Samples to look at.
#[derive(Debug)]
pub struct Peeked {
    /// The samples, their labels, and what was left out on the way.
    pub store: SampleStore,
    /// Where they come from, in words.
    pub from: String,
    /// Most values that the windows of one round may have.
    pub values_max: usize,
    /// Whether they were read from a file now; what a ring lost, only its agent knows.
    pub is_file: bool,
}

fn copy_of_ring(
    header: Header,
    state_dir: &Path,
    scratch: &Path,
) -> Result<SampleStore, DataError> {
    let ring = state_dir.join(files::RING);
    if !ring.try_exists().map_err(DataError::io(&ring, "look for the file"))? {
        let problem = "there are no samples yet; start the agent, or name a FILE to look at";
        return Err(DataError::Input { path: ring, problem: problem.to_owned() });
    }
    // Labels first: a sample must not have one that the copy does not know.
    let labels = state_dir.join(files::LABELS);
    for (from, needed) in [(labels, false), (ring, true)] {
        let Some(name) = from.file_name() else { continue };
        if needed || from.exists() {
            fs::copy(&from, scratch.join(name)).map_err(DataError::io(&from, "copy"))?;
        }
    }
    SampleStore::open(scratch, header)
}
