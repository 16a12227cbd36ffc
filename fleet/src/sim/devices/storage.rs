//! A device's disk in use: writes that fail or are torn, and whether what is read was written last.

use dunlin_agent::state::DeviceState;
use dunlin_protocol::rng::Rng;

use crate::sim::disk::Disk;

/// How devices write, and what goes wrong with that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing {
    /// Share of writes that fail.
    pub(super) fails: f64,
    /// Whether power cuts tear writes.
    pub(super) tears: bool,
    /// Whether each write goes into the other slot, as in the field.
    pub(super) turns: bool,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Written {
    /// All of it is on the disk.
    Whole,
    /// The power went in the middle of it.
    Torn,
    /// Nothing of it is on the disk.
    Failed,
}

/// The disk of a device, and what must be on it.
#[derive(Debug, Default)]
pub(in crate::sim) struct Storage {
    disk: Disk,
    /// Checksum of the state that was written last.
    written: Option<u32>,
    /// Whether the power goes in the middle of the next write.
    doomed: bool,
}

impl Storage {
    /// Lets the power go in the middle of the next write.
    pub(in crate::sim) fn doom(&mut self) {
        self.doomed = true;
    }

    /// What is on the disk; `None` on a new one.
    ///
    /// # Errors
    /// In words, when that is not what was written last.
    pub(super) fn read(&mut self) -> Result<Option<DeviceState>, String> {
        let found = self.disk.load();
        let checksum = found.as_ref().map(|state| crc32fast::hash(state));
        match (&found, self.written == checksum) {
            (None, true) => Ok(None),
            (Some(state), true) => match DeviceState::decode(state) {
                Ok(state) => Ok(Some(state)),
                Err(error) => Err(error.to_string()),
            },
            (None, false) => Err("nothing whole is on the disk".into()),
            (Some(_), false) => Err("another state than the last one written".into()),
        }
    }

    /// Writes a state, or what a fault leaves of it.
    pub(super) fn write(&mut self, state: &[u8], writing: Writing, rng: &mut Rng) -> Written {
        if std::mem::take(&mut self.doomed) {
            let bytes = rng.below(Disk::written_bytes(state));
            self.disk.tear(state, bytes, writing.turns);
            return Written::Torn;
        }
        if writing.fails > 0.0 && f64::from(rng.unit_f32()) < writing.fails {
            return Written::Failed;
        }
        self.disk.save(state, writing.turns);
        if !writing.tears {
            self.disk.forget_older();
        }
        self.written = Some(crc32fast::hash(state));
        Written::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: Writing = Writing { fails: 0.0, tears: true, turns: true };

    fn state(boot: u32) -> DeviceState {
        DeviceState { boot, ..DeviceState::fresh([1; 32]) }
    }

    #[test]
    fn a_write_that_fails_or_is_torn_leaves_the_state_before_it() {
        let (mut storage, mut rng) = (Storage::default(), Rng::new(1));
        assert_eq!(storage.read(), Ok(None), "a new device");
        assert_eq!(storage.write(&state(1).encode(), FIELD, &mut rng), Written::Whole);
        let failing = Writing { fails: 1.0, ..FIELD };
        assert_eq!(storage.write(&state(2).encode(), failing, &mut rng), Written::Failed);
        assert_eq!(storage.read(), Ok(Some(state(1))));
        storage.doom();
        assert_eq!(storage.write(&state(3).encode(), FIELD, &mut rng), Written::Torn);
        assert_eq!(storage.read(), Ok(Some(state(1))));
        assert_eq!(storage.write(&state(4).encode(), FIELD, &mut rng), Written::Whole);
        assert_eq!(storage.read(), Ok(Some(state(4))));
    }

    #[test]
    fn with_one_slot_it_is_seen_that_a_torn_write_loses_everything() {
        let (mut storage, mut rng) = (Storage::default(), Rng::new(1));
        let writing = Writing { turns: false, ..FIELD };
        storage.write(&state(1).encode(), writing, &mut rng);
        storage.doom();
        storage.write(&state(2).encode(), writing, &mut rng);
        assert_eq!(storage.read(), Err("nothing whole is on the disk".into()));
    }
}
