//! A device's disk: the two slots of the field, and writes that a power cut tears.

use dunlin_agent::ab_slots::{self, Found};

/// What is on a device's disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// `None` was never written.
    slots: [Option<Vec<u8>>; 2],
    sequence: u64,
}

impl Disk {
    /// The newest whole state.
    pub(super) fn load(&mut self) -> Option<Vec<u8>> {
        let [one, two] = &self.slots;
        let Found::State(sequence, state) = ab_slots::find([one.as_deref(), two.as_deref()]) else {
            // A first write that was torn: the device is still new.
            return None;
        };
        let state = state.to_vec();
        self.sequence = sequence;
        Some(state)
    }

    /// Writes a state; `turns` is how the field does it, each write into the other slot.
    pub(super) fn save(&mut self, state: &[u8], turns: bool) {
        self.write(state, usize::MAX, turns);
    }

    /// Writes the first `bytes` of a state, and then the power is gone.
    pub(super) fn tear(&mut self, state: &[u8], bytes: usize, turns: bool) {
        self.write(state, bytes, turns);
        self.sequence -= 1;
    }

    fn write(&mut self, state: &[u8], bytes: usize, turns: bool) {
        self.sequence += 1;
        let mut slot = ab_slots::seal(self.sequence, state);
        slot.truncate(bytes);
        self.slots[if turns { ab_slots::slot_of(self.sequence) } else { 0 }] = Some(slot);
    }

    /// Bytes that a write of this state has.
    pub(super) fn written_bytes(state: &[u8]) -> usize {
        ab_slots::HEADER_BYTES + state.len()
    }

    /// Drops the older slot: nothing tears the newer one.
    pub(super) fn forget_older(&mut self) {
        self.slots[ab_slots::slot_of(self.sequence + 1)] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_leaves_the_state_before_it() {
        let mut disk = Disk::default();
        assert_eq!(disk.load(), None);
        disk.save(b"one", true);
        disk.save(b"two", true);
        for bytes in 0..Disk::written_bytes(b"three") {
            disk.tear(b"three", bytes, true);
            assert_eq!(disk.load().unwrap(), b"two");
        }
        disk.save(b"four", true);
        disk.forget_older();
        assert_eq!(disk.load().unwrap(), b"four");
    }

    #[test]
    fn with_one_slot_a_torn_write_loses_everything() {
        let mut disk = Disk::default();
        disk.save(b"one", false);
        disk.tear(b"two", 10, false);
        assert_eq!(disk.load(), None);
    }
}
