//! The state on disk: two slots written in turn, so that one is always whole.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::ports::StateStore;
use crate::state::STATE_BYTES_MAX;

const MAGIC: &[u8; 8] = b"DUNLINS1";
const HEADER_BYTES: usize = 8 + 8 + 4;

/// Two files in a directory: magic, sequence number and CRC-32, then the state.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    sequence: u64,
}

impl FileStore {
    /// The store in `dir`, which is made when it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn open(dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(|error| {
            format!("state directory {}: {error}; create it or choose another", dir.display())
        })?;
        Ok(Self { dir: dir.to_owned(), sequence: 0 })
    }

    fn slot(&self, sequence: u64) -> PathBuf {
        self.dir.join(if sequence.is_multiple_of(2) { "state.a" } else { "state.b" })
    }

    fn write(&self, sequence: u64, state: &[u8]) -> std::io::Result<()> {
        let temporary = self.dir.join("state.tmp");
        let mut file = File::create(&temporary)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&sequence.to_le_bytes());
        crc.update(state);
        file.write_all(MAGIC)?;
        file.write_all(&sequence.to_le_bytes())?;
        file.write_all(&crc.finalize().to_le_bytes())?;
        file.write_all(state)?;
        file.sync_all()?;
        fs::rename(&temporary, self.slot(sequence))?;
        File::open(&self.dir)?.sync_all()
    }
}

/// The sequence number and state of a slot; `None` when it is not there or not whole.
fn read_slot(path: &Path) -> std::io::Result<Option<(u64, Vec<u8>)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take((HEADER_BYTES + STATE_BYTES_MAX) as u64).read_to_end(&mut bytes)?;
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let Some((sequence, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let Some((crc, state)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let mut found = crc32fast::Hasher::new();
    found.update(sequence);
    found.update(state);
    let whole = magic == MAGIC && found.finalize() == u32::from_le_bytes(*crc);
    Ok(whole.then(|| (u64::from_le_bytes(*sequence), state.to_vec())))
}

impl StateStore for FileStore {
    fn load(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut newest = None;
        for path in [self.slot(0), self.slot(1)] {
            let slot = read_slot(&path).map_err(|error| {
                format!("state file {}: {error}; check its owner and the disk", path.display())
            })?;
            newest = newest.max(slot);
        }
        Ok(newest.map(|(sequence, state)| {
            self.sequence = sequence;
            state
        }))
    }

    fn save(&mut self, state: &[u8]) -> Result<(), String> {
        let sequence = self.sequence + 1;
        self.write(sequence, state).map_err(|error| {
            format!("state in {}: {error}; check free space and rights", self.dir.display())
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
