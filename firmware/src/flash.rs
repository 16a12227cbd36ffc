//! The device's memory across resets: two slots of flash, written in turn, so that a power cut in the
//! middle of one leaves the other whole.
//!
//! A slot is a length (four bytes, little-endian) and what [`dunlin_agent::ab_slots::seal`] gives.

use alloc::vec::Vec;

use dunlin_agent::ab_slots::{self, Found};
use embedded_storage::nor_flash::NorFlash;
use log::error;

/// Bytes of the length in front of a slot.
const LENGTH: usize = 4;
/// Largest unit of reading and writing that flash may have, in bytes.
const UNIT_MAX: usize = 32;

/// Why a state could not be kept or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The flash failed, or has units that do not fit.
    Device,
    /// Both slots were written, and neither is whole.
    Damaged,
    /// The state is longer than a slot.
    TooLong {
        /// Its length with its header.
        bytes: usize,
    },
}

/// Two slots in the first two halves of `flash`.
pub struct Slots<F> {
    flash: F,
    sequence: u64,
}

impl<F: NorFlash> Slots<F> {
    /// The slots in `flash`, and the newest whole state in them, if there is one.
    ///
    /// While the first slot was never written, all that can have been lost is a start that was cut
    /// short, and the device is new.
    ///
    /// # Errors
    /// [`FlashError::Device`], [`FlashError::Damaged`].
    pub fn open(flash: F) -> Result<(Self, Option<Vec<u8>>), FlashError> {
        let mut this = Self { flash, sequence: 0 };
        let (one, two) = (this.read(0)?, this.read(1)?);
        match ab_slots::find([one.as_deref(), two.as_deref()]) {
            Found::State(sequence, state) => {
                this.sequence = sequence;
                Ok((this, Some(state.to_vec())))
            }
            Found::Damaged if one.is_some() => Err(FlashError::Damaged),
            Found::Damaged | Found::Nothing => Ok((this, None)),
        }
    }

    fn slot_bytes(&self) -> usize {
        self.flash.capacity() / 2 / F::ERASE_SIZE * F::ERASE_SIZE
    }

    /// What lies in a slot: `None` when it is erased, nothing when that cannot be a state.
    fn read(&mut self, slot: usize) -> Result<Option<Vec<u8>>, FlashError> {
        let start = slot * self.slot_bytes();
        let mut length = [0; LENGTH];
        self.read_at(start, &mut length)?;
        if length == [0xff; LENGTH] {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > self.slot_bytes() - LENGTH {
            return Ok(Some(Vec::new()));
        }
        // After a torn erase the length may be anything.
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(length).is_err() {
            return Ok(Some(bytes));
        }
        bytes.resize(length, 0);
        self.read_at(start + LENGTH, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Reads at any place, in units of the flash.
    fn read_at(&mut self, start: usize, out: &mut [u8]) -> Result<(), FlashError> {
        let unit = F::READ_SIZE;
        if unit > UNIT_MAX {
            return Err(FlashError::Device);
        }
        let mut at = start;
        let mut rest = out;
        while !rest.is_empty() {
            let mut piece = [0; UNIT_MAX];
            let from = at / unit * unit;
            let end = UNIT_MAX / unit * unit;
            let end = end.min(self.flash.capacity() - from);
            self.flash.read(offset(from)?, &mut piece[..end]).map_err(|_| FlashError::Device)?;
            let taken = (end - (at - from)).min(rest.len());
            let (now, later) = rest.split_at_mut(taken);
            now.copy_from_slice(&piece[at - from..][..taken]);
            (at, rest) = (at + taken, later);
        }
        Ok(())
    }

    /// Keeps `state`: after this returns, [`Slots::open`] gives it back.
    ///
    /// # Errors
    /// [`FlashError`]; the state before is still there then.
    pub fn save(&mut self, state: &[u8]) -> Result<(), FlashError> {
        let sequence = self.sequence.wrapping_add(1);
        let sealed = ab_slots::seal(sequence, state);
        let length = u32::try_from(sealed.len()).map_err(|_| FlashError::Device)?;
        let mut bytes = Vec::with_capacity(LENGTH + sealed.len() + F::WRITE_SIZE);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&sealed);
        drop(sealed);
        let slot_bytes = self.slot_bytes();
        if bytes.len() > slot_bytes {
            let bytes = bytes.len();
            error!("the state has {bytes} bytes, a slot of flash {slot_bytes}: give it more");
            return Err(FlashError::TooLong { bytes });
        }
        bytes.resize(bytes.len().next_multiple_of(F::WRITE_SIZE), 0xff);
        let start = ab_slots::slot_of(sequence) * slot_bytes;
        let erased = start + bytes.len().next_multiple_of(F::ERASE_SIZE);
        let failed = |_| FlashError::Device;
        self.flash.erase(offset(start)?, offset(erased)?).map_err(failed)?;
        self.flash.write(offset(start)?, &bytes).map_err(failed)?;
        self.sequence = sequence;
        Ok(())
    }
}

fn offset(at: usize) -> Result<u32, FlashError> {
    u32::try_from(at).map_err(|_| FlashError::Device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ram::Ram;

    #[test]
    fn the_last_state_comes_back_and_new_flash_has_none() {
        let mut bytes = [0xff; 2048];
        fn flash(bytes: &mut [u8]) -> Ram<'_> {
            Ram { bytes, left: usize::MAX }
        }
        assert_eq!(Slots::open(flash(&mut bytes)).unwrap().1, None);
        for state in [&b"one"[..], b"", &[7; 900], b"last"] {
            let (mut slots, _) = Slots::open(flash(&mut bytes)).unwrap();
            slots.save(state).unwrap();
            assert_eq!(Slots::open(flash(&mut bytes)).unwrap().1.as_deref(), Some(state));
        }
        let (mut slots, _) = Slots::open(flash(&mut bytes)).unwrap();
        assert_eq!(slots.save(&[0; 1024]), Err(FlashError::TooLong { bytes: 1024 + 24 }));
        assert_eq!(Slots::open(flash(&mut bytes)).unwrap().1.as_deref(), Some(&b"last"[..]));
    }

    #[test]
    fn two_damaged_slots_are_no_new_device_and_a_first_start_cut_short_is_one() {
        let mut bytes = [0xff; 1024];
        for left in 0..60 {
            bytes.fill(0xff);
            let (mut slots, _) = Slots::open(Ram { bytes: &mut bytes, left }).unwrap();
            let done = slots.save(b"the first").is_ok();
            let found = Slots::open(Ram { bytes: &mut bytes, left: 0 }).unwrap().1;
            // Of the last bytes, which fill a unit of the flash, none is missed.
            assert!(found.is_some() || !done, "cut at {left}");
        }
        let (mut slots, _) = Slots::open(Ram { bytes: &mut bytes, left: usize::MAX }).unwrap();
        slots.save(b"one").unwrap();
        slots.save(b"two").unwrap();
        for slot in bytes.chunks_mut(512) {
            slot[20] ^= 1;
        }
        let damaged = Slots::open(Ram { bytes: &mut bytes, left: 0 }).err();
        assert_eq!(damaged, Some(FlashError::Damaged));
    }

    #[test]
    fn a_power_cut_at_any_byte_leaves_the_old_state_or_the_new_one() {
        let mut bytes = [0xff; 1024];
        for left in 0..600 {
            let flash = Ram { bytes: &mut bytes, left: usize::MAX };
            let (mut slots, _) = Slots::open(flash).unwrap();
            slots.save(b"old").unwrap();
            slots.flash.left = left;
            let done = slots.save(b"the new one").is_ok();
            let (_, found) = Slots::open(Ram { bytes: &mut bytes, left: 0 }).unwrap();
            let found = found.unwrap();
            assert!(found == b"the new one" || (found == b"old" && !done), "cut at {left}");
        }
    }
}
