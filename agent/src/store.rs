//! The state on disk: two slots written in turn, so that one is always whole.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::ports::StateStore;
use crate::slots;
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
    /// When the directory cannot be made or written.
    pub fn open(dir: &Path) -> Result<Self, String> {
        Self::named(dir, "state")
    }

    /// The store of this name in `dir`, in the files `name.a` and `name.b`.
    ///
    /// # Errors
    /// As [`FileStore::open`].
    pub fn named(dir: &Path, name: &'static str) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(|error| {
            format!("state directory {}: {error}; create it or choose another", dir.display())
        })?;
        Ok(Self { dir: dir.to_owned(), name, sequence: 0 })
    }

    fn slot(&self, sequence: u64) -> PathBuf {
        let end = ["a", "b"][slots::slot_of(sequence)];
        self.dir.join(format!("{}.{end}", self.name))
    }

    fn write(&self, sequence: u64, state: &[u8]) -> std::io::Result<()> {
        let temporary = self.dir.join(format!("{}.tmp", self.name));
        let mut file = File::create(&temporary)?;
        file.write_all(&slots::seal(sequence, state))?;
        file.sync_all()?;
        fs::rename(&temporary, self.slot(sequence))?;
        File::open(&self.dir)?.sync_all()
    }
}

/// The bytes of a slot, none where there is no file.
fn read_slot(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => {
            file.take((slots::HEADER_BYTES + STATE_BYTES_MAX) as u64).read_to_end(&mut bytes)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(bytes)
}

impl StateStore for FileStore {
    fn load(&mut self) -> Result<Option<Vec<u8>>, String> {
        let read = |sequence| {
            let path = self.slot(sequence);
            read_slot(&path).map_err(|error| {
                format!("{}: {error}; check its owner and the disk", path.display())
            })
        };
        let files = [read(0)?, read(1)?];
        let newest = slots::newest([&files[0], &files[1]]);
        self.sequence = newest.map_or(self.sequence, |(sequence, _)| sequence);
        Ok(newest.map(|(_, state)| state.to_vec()))
    }

    fn save(&mut self, state: &[u8]) -> Result<(), String> {
        let sequence = self.sequence + 1;
        self.write(sequence, state).map_err(|error| {
            let (name, dir) = (self.name, self.dir.display());
            format!("{name} in {dir}: {error}; check free space and rights")
        })?;
        self.sequence = sequence;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
