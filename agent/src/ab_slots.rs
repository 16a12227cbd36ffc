//! How the state lies on storage that a power cut may tear: two slots written in turn, each with a
//! magic number, a sequence number and a CRC-32, so that one of them is always whole.

use alloc::vec::Vec;

use dunlin_protocol::crc32;

const MAGIC: &[u8; 8] = b"DUNLINS1";

/// Bytes in front of the state: magic number, sequence number and CRC-32 of all that follows it.
pub const HEADER_BYTES: usize = 8 + 8 + 4;

/// The slot, 0 or 1, that the write with this sequence number goes to.
pub fn slot_of(sequence: u64) -> usize {
    usize::from(!sequence.is_multiple_of(2))
}

/// The bytes of a slot that holds `state`.
pub fn seal(sequence: u64, state: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + state.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&checksum(sequence, state).to_le_bytes());
    bytes.extend_from_slice(state);
    bytes
}

/// The sequence number and state in a slot; `None` when it is empty or not whole.
pub fn open(slot: &[u8]) -> Option<(u64, &[u8])> {
    let (magic, rest) = slot.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (crc, state) = rest.split_first_chunk::<4>()?;
    let sequence = u64::from_le_bytes(*sequence);
    let whole = magic == MAGIC && checksum(sequence, state) == u32::from_le_bytes(*crc);
    whole.then_some((sequence, state))
}

/// What lies in two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Neither was ever written.
    Nothing,
    /// The newest whole state, with its sequence number.
    State(u64, &'a [u8]),
    /// Something was written, and nothing of it is whole.
    Damaged,
}

/// Looks for the newest whole state in two slots; `None`: a slot that was never written.
pub fn find(slots: [Option<&[u8]>; 2]) -> Found<'_> {
    match slots.into_iter().flatten().filter_map(open).max() {
        Some((sequence, state)) => Found::State(sequence, state),
        None if slots == [None, None] => Found::Nothing,
        None => Found::Damaged,
    }
}

fn checksum(sequence: u64, state: &[u8]) -> u32 {
    crc32::of(&[&sequence.to_le_bytes(), state])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_cut_or_changed_anywhere_is_not_whole() {
        let slot = seal(7, b"state");
        assert_eq!(open(&slot), Some((7, &b"state"[..])));
        for at in 0..slot.len() {
            assert_eq!(open(&slot[..at]), None, "cut at {at}");
            let mut changed = slot.clone();
            changed[at] ^= 1;
            assert_eq!(open(&changed), None, "changed at {at}");
        }
    }

    #[test]
    fn the_newest_whole_slot_wins() {
        let (old, new) = (seal(4, b"old"), seal(5, b"new"));
        assert_ne!(slot_of(4), slot_of(5));
        assert_eq!(find([Some(&old), Some(&new)]), Found::State(5, &b"new"[..]));
        assert_eq!(find([Some(&old), Some(&new[..9])]), Found::State(4, &b"old"[..]));
        assert_eq!(find([None, Some(&new)]), Found::State(5, &b"new"[..]));
    }

    #[test]
    fn slots_that_were_written_and_are_not_whole_are_damaged() {
        let whole = seal(4, b"old");
        assert_eq!(find([None, None]), Found::Nothing);
        for damaged in [&[][..], &whole[..9]] {
            assert_eq!(find([Some(damaged), None]), Found::Damaged);
            assert_eq!(find([Some(damaged), Some(damaged)]), Found::Damaged);
        }
    }
}
