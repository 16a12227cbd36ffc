//! The state on disk: two slots written in turn, so that one is always whole.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use dunlin_service::file::{self, Durability};

use crate::ab_slots::{self, Found};
use crate::ports::{StateStore, StoreError};
use crate::state::STATE_BYTES_MAX;

/// Two files in a directory, one for each slot.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    name: &'static str,
    sequence: u64,
}

impl FileStore {
    /// The store in `dir`, which is made when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the directory cannot be made.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::named(dir, "state")
    }

    /// The store of this name in `dir`, in the files `name.a` and `name.b`.
    ///
    /// # Errors
    /// As [`FileStore::open`].
    pub fn named(dir: &Path, name: &'static str) -> Result<Self, StoreError> {
        file::make_folder(dir).map_err(|source| StoreError::Io {
            what: format!("state directory {}: {source}", dir.display()),
            step: "create it or choose another",
            source,
        })?;
        Ok(Self { dir: dir.to_owned(), name, sequence: 0 })
    }

    fn slot(&self, sequence: u64) -> PathBuf {
        let end = ["a", "b"][ab_slots::slot_of(sequence)];
        self.dir.join(format!("{}.{end}", self.name))
    }

    /// Moves what is kept out of the way, to `name.a.unused` and `name.b.unused`, or with a number behind
    /// where there are such files already: the next state is the first one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn set_aside(&mut self) -> Result<(), StoreError> {
        for sequence in [0, 1] {
            let path = self.slot(sequence);
            let aside = |number: u32| {
                let mut aside = path.clone().into_os_string();
                aside.push(".unused");
                if number > 0 {
                    aside.push(number.to_string());
                }
                PathBuf::from(aside)
            };
            let free = (0..1000).map(aside).find(|path| !path.exists());
            match fs::rename(&path, free.unwrap_or_else(|| aside(0))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(unreadable(&path, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.sequence = 0;
        Ok(())
    }

    fn write(&self, sequence: u64, state: &[u8]) -> std::io::Result<()> {
        file::replace(&self.slot(sequence), &ab_slots::seal(sequence, state), Durability::PowerCut)
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> StoreError {
    let what = format!("{}: {source}", path.display());
    StoreError::Io { what, step: "check its owner and the disk", source }
}

/// The bytes of a slot; `None` where there is no file.
fn read_slot(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => {
            file.take((ab_slots::HEADER_BYTES + STATE_BYTES_MAX) as u64).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl StateStore for FileStore {
    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let read = |sequence| {
            let path = self.slot(sequence);
            read_slot(&path).map_err(|error| unreadable(&path, error))
        };
        let files = [read(0)?, read(1)?];
        match ab_slots::find([files[0].as_deref(), files[1].as_deref()]) {
            Found::Nothing => Ok(None),
            Found::State(sequence, state) => {
                for (slot, file) in (0..).zip(&files) {
                    if file.as_ref().is_some_and(|file| ab_slots::open(file).is_none()) {
                        let path = self.slot(slot);
                        log::warn!(
                            "{} is damaged: the other one is used; check the disk",
                            path.display()
                        );
                    }
                }
                self.sequence = sequence;
                Ok(Some(state.to_vec()))
            }
            Found::Damaged => Err(StoreError::Damaged(format!(
                "{} and {} are both damaged",
                self.slot(0).display(),
                self.slot(1).display()
            ))),
        }
    }

    fn save(&mut self, state: &[u8]) -> Result<(), StoreError> {
        let sequence = self.sequence + 1;
        self.write(sequence, state).map_err(|source| StoreError::Io {
            what: format!("{} in {}: {source}", self.name, self.dir.display()),
            step: "check free space and rights",
            source,
        })?;
        self.sequence = sequence;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_whole_state_are_damaged_and_can_be_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(dir.path()).unwrap();
        store.save(b"one").unwrap();
        store.save(b"two").unwrap();
        for name in ["state.a", "state.b"] {
            fs::write(dir.path().join(name), b"rubbish").unwrap();
        }
        let mut store = FileStore::open(dir.path()).unwrap();
        let error = store.load().unwrap_err().to_string();
        for part in ["state.a", "state.b", "damaged", "own layers", "--reset-state"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        store.set_aside().unwrap();
        assert_eq!(store.load().unwrap(), None);
        store.save(b"three").unwrap();
        assert_eq!(FileStore::open(dir.path()).unwrap().load().unwrap().unwrap(), b"three");
        assert_eq!(fs::read(dir.path().join("state.a.unused")).unwrap(), b"rubbish");
        store.set_aside().unwrap();
        assert_eq!(fs::read(dir.path().join("state.a.unused")).unwrap(), b"rubbish");
        assert!(dir.path().join("state.b.unused1").exists());
    }

    #[test]
    fn the_newest_whole_state_comes_back_even_when_a_write_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(dir.path()).unwrap();
        assert_eq!(store.load().unwrap(), None);
        store.save(b"one").unwrap();
        store.save(b"two").unwrap();
        let mut store = FileStore::open(dir.path()).unwrap();
        assert_eq!(store.load().unwrap().unwrap(), b"two");

        let newest = dir.path().join("state.a");
        let torn = fs::read(&newest).unwrap();
        for cut in 0..torn.len() {
            fs::write(&newest, &torn[..cut]).unwrap();
            let mut store = FileStore::open(dir.path()).unwrap();
            assert_eq!(store.load().unwrap().unwrap(), b"one", "cut at {cut}");
        }
        let mut store = FileStore::open(dir.path()).unwrap();
        store.load().unwrap();
        store.save(b"three").unwrap();
        assert_eq!(FileStore::open(dir.path()).unwrap().load().unwrap().unwrap(), b"three");
    }
}
