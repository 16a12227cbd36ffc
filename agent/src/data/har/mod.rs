//! The UCI HAR data set in its published folders: windows of a smartphone at the waist, 30 people.
//!
//! D. Anguita et al., "A Public Domain Dataset for Human Activity Recognition Using Smartphones",
//! ESANN 2013; doi 10.24432/C54S4K. Layout: `activity_labels.txt` and, in `train` and `test` each,
//! `subject_*.txt`, `y_*.txt` and `Inertial Signals/CHANNEL_*.txt` with one window a line.

mod files;
mod lines;
mod person;
mod source;

pub use person::PersonWindows;
pub use source::HarSource;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dunlin_protocol::limits::WINDOW_SAMPLES_MAX;

use self::files::{
    find_root, list_channels, read_column, read_labels, signal_file, split_file, wrong_count,
};
use self::lines::Lines;
use super::DataError;

/// Nanoseconds between the samples of the data set, which is at 50 Hz.
pub const PERIOD_NS: u64 = 20_000_000;

/// The part of the data set that a person belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// 21 people, whose windows are for training.
    Train,
    /// 9 people that nothing was trained on.
    Test,
}

impl Split {
    /// Name of its folder, and end of its file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// A person in the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Number, 1 to 30.
    pub id: u16,
    /// Where the person belongs.
    pub split: Split,
    /// Windows of the person.
    pub windows: usize,
}

/// The data set on disk: who is in it, and where the signals are.
#[derive(Clone, Debug)]
pub struct HarDataset {
    root: PathBuf,
    persons: Vec<Person>,
    channels: Vec<String>,
    labels: Arc<[String]>,
    /// Number in the `y` files to index in `labels`.
    label_codes: BTreeMap<u16, u16>,
    rows: BTreeMap<Split, Vec<u16>>,
}

impl HarDataset {
    /// Opens the data set in `dir`, which is `UCI HAR Dataset` or contains it. Reads the small
    /// files only.
    ///
    /// # Errors
    /// [`DataError::Layout`] when files are missing, [`DataError::Line`] when one cannot be read.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        let root = find_root(dir)?;
        let (labels, label_codes) = read_labels(&root.join("activity_labels.txt"))?;
        let mut rows = BTreeMap::new();
        let mut persons: BTreeMap<u16, Person> = BTreeMap::new();
        for split in [Split::Train, Split::Test] {
            if !root.join(split.name()).is_dir() {
                continue;
            }
            let path = split_file(&root, split, "subject");
            let ids = read_column(&path)?;
            for (row, &id) in ids.iter().enumerate() {
                let person = persons.entry(id).or_insert(Person { id, split, windows: 0 });
                if person.split != split {
                    let problem = format!("person {id} is in the other split, too");
                    return Err(DataError::line(&path, row + 1, problem));
                }
                person.windows += 1;
            }
            rows.insert(split, ids);
        }
        let Some(&first) = rows.keys().next() else {
            let problem = "has neither a folder train nor test".to_owned();
            return Err(DataError::Layout { path: root, problem });
        };
        let channels = list_channels(&root, first)?;
        let persons = persons.into_values().collect();
        Ok(Self { root, persons, channels, labels: labels.into(), label_codes, rows })
    }

    /// Opens the data set in `dir` and reads everybody, all channels: about 50 MB in memory.
    ///
    /// # Errors
    /// As [`HarDataset::open`] and [`HarDataset::read`].
    pub fn load(dir: &Path) -> Result<Vec<PersonWindows>, DataError> {
        let dataset = Self::open(dir)?;
        let everybody: Vec<u16> = dataset.persons.iter().map(|person| person.id).collect();
        dataset.read(&everybody, &dataset.channels)
    }

    /// Everybody in the data set, by rising number.
    pub fn persons(&self) -> &[Person] {
        &self.persons
    }

    /// The channels that there are, such as `body_acc_x`; in g and rad/s.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The activities, such as `WALKING`.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The windows of one person, all channels.
    ///
    /// # Errors
    /// As [`HarDataset::read`].
    pub fn person(&self, id: u16) -> Result<PersonWindows, DataError> {
        let mut read = self.read(&[id], &self.channels)?;
        read.pop().ok_or_else(|| self.nobody(id))
    }

    /// The windows of these people, in the order asked for, with these channels. Reads each file
    /// once, a line at a time; lines of other people are skipped.
    ///
    /// # Errors
    /// [`DataError::NoPerson`], [`DataError::Channels`], or what is wrong with which line.
    pub fn read(
        &self,
        persons: &[u16],
        channels: &[String],
    ) -> Result<Vec<PersonWindows>, DataError> {
        let missing: Vec<String> =
            channels.iter().filter(|c| !self.channels.contains(c)).cloned().collect();
        if !missing.is_empty() || channels.is_empty() {
            return Err(DataError::Channels { missing, has: self.channels.clone() });
        }
        let shared: Arc<[String]> = channels.into();
        let mut found = Vec::with_capacity(persons.len());
        for &id in persons {
            let person = self.persons.iter().find(|person| person.id == id);
            let person = *person.ok_or_else(|| self.nobody(id))?;
            found.push(PersonWindows::new(person, Arc::clone(&shared), Arc::clone(&self.labels)));
        }
        for (&split, rows) in &self.rows {
            self.read_split(split, rows, &mut found)?;
        }
        Ok(found)
    }

    fn nobody(&self, person: u16) -> DataError {
        DataError::NoPerson { person, has: self.persons.iter().map(|p| p.id).collect() }
    }

    /// Fills in the people of one split.
    fn read_split(
        &self,
        split: Split,
        rows: &[u16],
        found: &mut [PersonWindows],
    ) -> Result<(), DataError> {
        // For each line of the files: whose window it is, if it is wanted.
        let owner = |id: &u16| found.iter().position(|person| person.person.id == *id);
        let owners: Vec<Option<usize>> = rows.iter().map(owner).collect();
        if owners.iter().all(Option::is_none) {
            return Ok(());
        }
        let path = split_file(&self.root, split, "y");
        let codes = read_column(&path)?;
        if codes.len() != rows.len() {
            return Err(wrong_count(&path, codes.len(), rows.len()));
        }
        for (row, (code, owner)) in codes.iter().zip(&owners).enumerate() {
            let label = self.label_codes.get(code).ok_or_else(|| {
                DataError::line(&path, row + 1, format!("{code} is not in activity_labels.txt"))
            })?;
            if let Some(owner) = *owner {
                found[owner].labels.push(*label);
            }
        }
        let channels = found.first().map_or(0, |person| person.channels.len());
        let mut window = found.iter().map(|person| person.window).max().filter(|&n| n > 0);
        for channel in 0..channels {
            let name = Arc::clone(&found[0].channels);
            let path = signal_file(&self.root, split, &name[channel]);
            read_signal(&path, channel, &owners, &mut window, found)?;
        }
        Ok(())
    }
}

/// Reads one signal file into its channel of the windows. `window`: samples in a line, once known.
fn read_signal(
    path: &Path,
    channel: usize,
    owners: &[Option<usize>],
    window: &mut Option<usize>,
    found: &mut [PersonWindows],
) -> Result<(), DataError> {
    let mut lines = Lines::open(path)?;
    let mut samples = Vec::new();
    let mut next = vec![0; found.len()];
    for (row, owner) in owners.iter().enumerate() {
        if lines.next_line()?.is_none() {
            return Err(wrong_count(path, row, owners.len()));
        }
        let Some(owner) = *owner else {
            continue;
        };
        samples.clear();
        let count = lines.numbers(&mut samples)?;
        let wanted = *window.get_or_insert(count);
        if count != wanted || count == 0 || count > WINDOW_SAMPLES_MAX {
            return Err(lines.error(format!("has {count} values; windows have {wanted}")));
        }
        found[owner].put(next[owner], channel, &samples);
        next[owner] += 1;
    }
    if lines.next_line()?.is_some_and(|line| !line.is_empty()) {
        return Err(lines.error(format!("is one more than the {} subjects", owners.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
